"""Housekeeping of identity."""

from typing import Final

from pm_api.core.actor import SystemScope
from pm_api.core.events import on
from pm_api.core.jobs import JobContext, periodic
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.events import EntitlementChanged
from pm_api.identity import audit
from pm_api.identity.repository import people as repository
from pm_api.identity.sessions import DEAD_SESSIONS_KEPT

BATCH: Final = 1000


@periodic("identity.forget_dead_sessions", "17 * * * *")
async def forget_dead_sessions(context: JobContext) -> None:
    """Sessions 30 days after their end, and refresh tokens of living ones once they have expired."""
    platform = context.platform
    now = platform.clock.wall()
    for forget, before in (
        (repository.delete_dead_sessions, now - DEAD_SESSIONS_KEPT),
        (repository.delete_expired_tokens, now),
    ):
        gone = BATCH
        while gone == BATCH:
            async with platform.database.transaction() as session:
                gone = await forget(session, before, limit=BATCH)


@on(EntitlementChanged)
async def record_plan_change(context: JobContext, event: EntitlementChanged) -> None:
    """Every change of plan stands in the audit log, whoever brought it: a person, Stripe's portal, an unpaid bill."""
    if event.gives is None or event.gives == event.gave:
        return
    async with context.platform.database.transaction() as session:
        await audit.record_event(
            session,
            context.platform,
            event.id,
            SystemScope("entitlements").actor,
            "plan.changed",
            subject=(event.account_kind.lower(), event.account_id),
            workspace_id=event.account_id if event.account_kind == AccountType.WORKSPACE else None,
            plan=event.gives,
            before=event.gave,
            status=event.status,
        )
