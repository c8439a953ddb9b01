"""What the flows of a subscription have in common: whose it is, what is answered, what is put on record."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.answers import Response, answer_with
from pm_api.core.flows import FlowView
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, overview
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.schemas.subscriptions import SubscriptionOutcome
from pm_api.entitlements.enums import AccountType
from pm_api.identity import audit
from pm_api.identity.permissions import Role


def pinned(scope: AccountScope, **more: Any) -> dict[str, Any]:
    """A flow's parameters: whose account, who asked, and what else is the same for every try."""
    kind, account_id = accounts.of_scope(scope)
    return {"accountType": kind, "accountId": account_id, "userId": scope.user_id, **more}


def account_of(flow: FlowView) -> Account:
    return AccountType(flow.parameters["accountType"]), UUID(flow.parameters["accountId"])


async def answer(
    session: AsyncSession,
    platform: Platform,
    flow: FlowView,
    *,
    client_secret: str | None,
    status: int = 200,
    location: str | None = None,
) -> Response:
    """The subscription as it stands in this transaction."""
    shown = await overview.subscription(session, platform, _scope(flow))
    outcome = SubscriptionOutcome(subscription=shown, client_secret=client_secret)
    return answer_with(outcome, status=status, location=location, version=shown.version)


def record(
    session: AsyncSession, platform: Platform, flow: FlowView, action: str, stripe_id: str, **details: Any
) -> None:
    kind, account_id = account_of(flow)
    audit.record(
        session,
        platform,
        _actor(flow),
        f"billing.subscription_{action}",
        subject=("subscription", stripe_id),
        workspace_id=account_id if kind is AccountType.WORKSPACE else None,
        **details,
    )


def _actor(flow: FlowView) -> Actor:
    return Actor(ActorKind.USER, UUID(flow.parameters["userId"]))


def _scope(flow: FlowView) -> AccountScope:
    """The guard let the caller in when the flow began; here only whose figures are shown matters."""
    kind, account_id = account_of(flow)
    if kind is AccountType.USER:
        return UserScope(_actor(flow), account_id)
    return WorkspaceScope(_actor(flow), account_id, UUID(flow.parameters["userId"]), Role.ADMIN)
