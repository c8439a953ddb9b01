"""What an API key opens: its maker with less."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, ApiKeyGrant, UserScope
from pm_api.core.errors import NotFound
from pm_api.entitlements.enums import AccountType
from pm_api.identity.errors.credentials import ApiKeyNotAllowed, InsufficientScope
from pm_api.identity.models.credentials import ApiKey
from pm_api.identity.permissions import KeyScope, scope_allows
from pm_api.identity.repository import credentials


def actor_with(key: ApiKey) -> Actor:
    """Whoever made a living key, as far as it goes."""
    workspace_id = key.account_id if key.account_kind == AccountType.WORKSPACE else None
    return Actor(ActorKind.API_KEY, key.user_id, api_key=ApiKeyGrant(key.id, workspace_id, frozenset(key.scopes)))


async def actor_of_key(session: AsyncSession, key_id: UUID, now: datetime) -> Actor | None:
    """Whoever acts with a key that was shown earlier; None once it is revoked or expired."""
    key = await credentials.live_key_by_id(session, key_id, now)
    return actor_with(key) if key is not None else None


def require_scope(actor: Actor, needed: KeyScope | None) -> None:
    """Raises InsufficientScope for a key without the scope, ApiKeyNotAllowed for any where `needed` is None."""
    if actor.api_key is None:
        return
    if needed is None:
        raise ApiKeyNotAllowed
    if not scope_allows(actor.api_key.scopes, needed):
        challenge = f'Bearer realm="pm_api", error="insufficient_scope", scope="{needed}"'
        raise InsufficientScope(
            f"This API key lacks the scope {needed}.", scope=needed, headers={"WWW-Authenticate": challenge}
        )


def own_scope(actor: Actor, needed: KeyScope | None, missing: type[NotFound]) -> UserScope:
    """A person over what is theirs alone; raises ApiKeyNotAllowed, InsufficientScope, and `missing` for a key that is
    bound to a workspace.
    """
    assert actor.user_id is not None
    if actor.api_key is not None and actor.api_key.workspace_id is not None and needed is not None:
        raise missing(
            "This API key opens one workspace and nothing else: name that as workspaceId where it is taken."
        )
    require_scope(actor, needed)
    return UserScope(actor, actor.user_id)
