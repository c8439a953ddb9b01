"""What the flows of a subscription have in common: what is answered, and what is put on record."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, UserScope, WorkspaceScope
from pm_api.core.answers import Response, answer_with
from pm_api.core.flows import FlowView
from pm_api.core.platform import Platform
from pm_api.domains.billing import overview
from pm_api.domains.billing.flows.callers import account_of, actor_of
from pm_api.domains.billing.schemas.subscriptions import SubscriptionOutcome
from pm_api.entitlements.enums import AccountType
from pm_api.identity import audit
from pm_api.identity.permissions import Role


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
        actor_of(flow),
        f"billing.subscription_{action}",
        subject=("subscription", stripe_id),
        workspace_id=account_id if kind is AccountType.WORKSPACE else None,
        **details,
    )


def _scope(flow: FlowView) -> AccountScope:
    """The guard let the caller in when the flow began; here only whose figures are shown matters."""
    kind, account_id = account_of(flow)
    if kind is AccountType.USER:
        return UserScope(actor_of(flow), account_id)
    return WorkspaceScope(actor_of(flow), account_id, UUID(flow.parameters["userId"]), Role.ADMIN)
