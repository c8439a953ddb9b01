"""API keys: what programs show instead of a person's token.

A key never does more than its maker may at that moment, within its scopes. One that is bound to a workspace opens
nothing else, and ends with its maker's membership or with the workspace.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.actor import AccountScope, Actor, WorkspaceScope
from pm_api.core.crypto import digest_token
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.identity import api_key_tokens, audit, belongings, security
from pm_api.identity.belongings import Belonging, Leaver
from pm_api.identity.devices import Device
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.errors.credentials import ApiKeyEnded, InvalidExpiry
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.guards import SessionCache
from pm_api.identity.models.credentials import ApiKey
from pm_api.identity.models.people import User
from pm_api.identity.permissions import KeyScope, allows
from pm_api.identity.repository import credentials
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.credentials import (
    ApiKeyCreate,
    ApiKeyMaker,
    ApiKeyRead,
    ApiKeysAnswer,
    ApiKeyUpdate,
)
from pm_api.identity.sessions import SESSION_ENDED_CHANNEL

MANAGE: Final = "api_key.manage"
LONGEST_LIFE: Final = timedelta(days=3653)
LISTED: Final = "api-keys"
FORGOTTEN_NAME: Final = "API key"


async def create(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    wanted: ApiKeyCreate,
    device: Device | None = None,
) -> tuple[ApiKeyRead, str]:
    """A new key of the workspace, or of one's own, and its text, which is nowhere kept.

    Raises PlanLimitReached, InvalidExpiry, and WorkspaceNotFound or Forbidden for who may not any more.
    """
    now = platform.clock.wall()
    _check_expiry(wanted.expires_at, now)
    kind, account_id, workspace_id = AccountType.USER, scope.user_id, None
    if isinstance(scope, WorkspaceScope):
        await _lock_workspace(session, scope)
        kind, account_id, workspace_id = AccountType.WORKSPACE, scope.workspace_id, scope.workspace_id
    await entitlements.ensure_api_key(session, platform, workspace_id=workspace_id, user_id=scope.user_id)
    user = await repository.user_by_id(session, scope.user_id)
    assert user is not None, "the guard has found their session"
    token = api_key_tokens.new_token(platform.randomness)
    key = ApiKey(
        id=platform.randomness.uuid(),
        account_kind=kind,
        account_id=account_id,
        user_id=scope.user_id,
        name=wanted.name,
        token_hash=digest_token(token),
        hint=api_key_tokens.hint_of(token),
        scopes=sorted(set(wanted.scopes)),
        expires_at=wanted.expires_at,
        created_at=now,
        updated_at=now,
    )
    session.add(key)
    await session.flush()
    _record(session, platform, scope.actor, key, "created", scopes=key.scopes)
    await _tell(session, platform, scope.actor, key, SecurityEventKind.API_KEY_CREATED, device)
    return _read(key, user), token


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest, *, ended: bool
) -> ApiKeysAnswer:
    """A page of the account's keys, newest first: the living, or (`ended`) all there ever were."""
    filters = {"account": _account_of(scope), "ended": ended}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await credentials.keys_of(
        session,
        scope,
        live_at=None if ended else platform.clock.wall(),
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return ApiKeysAnswer(
        api_keys=[_read(*row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def get(session: AsyncSession, scope: AccountScope, key_id: UUID) -> ApiKeyRead:
    """One key, also an ended one; raises NotFound."""
    found = await credentials.key_by_id(session, scope, key_id)
    if found is None:
        raise NotFound
    return _read(*found)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    key_id: UUID,
    change: ApiKeyUpdate,
    expected_version: int | None,
) -> ApiKeyRead:
    """Change the fields sent; only who made a key may. Raises NotFound, PreconditionFailed, Forbidden, InvalidExpiry,
    or ApiKeyEnded: what has ended would come back past the plan's limit.
    """
    key, user = await _locked(session, scope, key_id)
    check_version(key.version, expected_version)
    if key.user_id != scope.user_id:
        raise Forbidden("Only who made a key changes it. You may revoke it.")
    now = platform.clock.wall()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise ApiKeyEnded
    changes = {
        name: value for name, value in change.model_dump(exclude_unset=True).items() if getattr(key, name) != value
    }
    if not changes:
        return _read(key, user)
    if "expires_at" in changes:
        _check_expiry(changes["expires_at"], now)
    for name, value in changes.items():
        setattr(key, name, value)
    key.version += 1
    key.updated_at = now
    _record(session, platform, scope.actor, key, "updated", fields=sorted(changes))
    if "expires_at" in changes:  # who has just checked it goes by the old moment; others do so for 5 s
        platform.part(SessionCache).drop_session(str(key.id))
    return _read(key, user)


async def revoke(
    session: AsyncSession, platform: Platform, scope: AccountScope, key_id: UUID, expected_version: int | None
) -> None:
    """End a key, in every process within seconds; raises NotFound, PreconditionFailed or ApiKeyEnded."""
    key, _ = await _locked(session, scope, key_id)
    check_version(key.version, expected_version)
    if key.revoked_at is not None:
        raise ApiKeyEnded
    now = platform.clock.wall()
    key.revoked_at, key.revoked_reason, key.updated_at = now, "revoked", now
    key.version += 1
    _record(session, platform, scope.actor, key, "revoked", reason=key.revoked_reason)
    await _tell(session, platform, scope.actor, key, SecurityEventKind.API_KEY_REVOKED)
    await _forget(session, platform, key)


# --- what ends keys by itself ------------------------------------------------------------------------------------


async def end_of_member(
    session: AsyncSession, platform: Platform, actor: Actor, workspace_id: UUID, user_id: UUID
) -> int:
    """A membership is over: its keys of that workspace too. The workspace's lock is held; returns how many ended."""
    return await _end(session, platform, actor, reason="membership ended", account_id=workspace_id, user_id=user_id)


async def end_of_workspace(session: AsyncSession, platform: Platform, actor: Actor, workspace_id: UUID) -> int:
    """A workspace is deleted: all its keys end, and do not come back with it. Its lock is held."""
    return await _end(session, platform, actor, reason="workspace deleted", account_id=workspace_id)


async def end_of_user(
    session: AsyncSession, platform: Platform, actor: Actor, user_id: UUID, *, reason: str = "account deleted"
) -> int:
    """A person goes: every key they ever made ends, and what they called them is forgotten."""
    ended = await _end(session, platform, actor, reason=reason, user_id=user_id)
    await credentials.forget_key_names(session, user_id, FORGOTTEN_NAME)
    return ended


async def _end(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    *,
    reason: str,
    account_id: UUID | None = None,
    user_id: UUID | None = None,
) -> int:
    ended = await credentials.revoke_keys(
        session, now=platform.clock.wall(), reason=reason, account_id=account_id, user_id=user_id
    )
    for key in ended:
        _record(session, platform, actor, key, "revoked", reason=reason)
        await _forget(session, platform, key)
    return len(ended)


async def _count_of_leaver(session: AsyncSession, platform: Platform, leaver: Leaver) -> int:
    return await credentials.count_live_keys(
        session, account_id=leaver.workspace_id, user_id=leaver.user_id, now=platform.clock.wall()
    )


belongings.register(Belonging("api_keys", "They are revoked: each acted as the person.", _count_of_leaver))


# --- parts -----------------------------------------------------------------------------------------------------


def _account_of(scope: AccountScope) -> UUID:
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


async def _lock_workspace(session: AsyncSession, scope: WorkspaceScope) -> None:
    """The workspace under its lock, and the caller's role as it is now, which the guard may have seen otherwise."""
    workspace = await repository.lock_workspace(session, scope.workspace_id)
    caller = await repository.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or caller is None:
        raise WorkspaceNotFound
    if not allows(caller.role, MANAGE):
        raise role_lacks(caller.role, MANAGE)


async def _locked(session: AsyncSession, scope: AccountScope, key_id: UUID) -> tuple[ApiKey, User]:
    found = await credentials.lock_key(session, scope, key_id)
    if found is None:
        raise NotFound
    return found


async def _forget(session: AsyncSession, platform: Platform, key: ApiKey) -> None:
    """Every process takes the key no more, and ends the streams that were opened with it."""
    # Here already, because this process may serve the next request before its own signal comes back.
    platform.part(SessionCache).drop_session(str(key.id))
    await signals.publish(session, SESSION_ENDED_CHANNEL, str(key.id))


async def _tell(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    key: ApiKey,
    kind: SecurityEventKind,
    device: Device | None = None,
) -> None:
    """Its maker finds it among what happened at the door of their account."""
    details = {"apiKeyId": str(key.id), "name": key.name, "hint": key.hint}
    session_id = actor.session_id if actor.user_id == key.user_id else None
    await security.record(
        session, platform, user_id=key.user_id, kind=kind, device=device, session_id=session_id, details=details
    )


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise InvalidExpiry


def _record(
    session: AsyncSession, platform: Platform, actor: Actor, key: ApiKey, action: str, **details: object
) -> None:
    audit.record(
        session,
        platform,
        actor,
        f"api_key.{action}",
        subject=("api_key", key.id),
        workspace_id=key.account_id if key.account_kind == AccountType.WORKSPACE else None,
        made_by=str(key.user_id),
        **details,
    )


def _read(key: ApiKey, maker: User) -> ApiKeyRead:
    return ApiKeyRead(
        id=key.id,
        name=key.name,
        account_type=AccountType(key.account_kind),
        workspace_id=key.account_id if key.account_kind == AccountType.WORKSPACE else None,
        made_by=ApiKeyMaker(id=maker.id, name=maker.name),
        hint=f"{key.hint}…",
        scopes=[KeyScope(one) for one in key.scopes],
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        created_at=key.created_at,
        updated_at=key.updated_at,
        version=key.version,
    )
