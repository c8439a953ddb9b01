"""The end of a grace: limits follow the clock, the ledger has to be told."""

from typing import Final
from uuid import UUID

import structlog

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, entitling, subscriptions
from pm_api.domains.billing.models.subscriptions import Subscription
from pm_api.domains.billing.repository import subscriptions as repository

SWEEP: Final = SystemScope("graces end")

_log = structlog.get_logger(__name__)


async def end_due(platform: Platform, limit: int) -> None:
    """Take the plans of subscriptions whose grace is over off the ledger, `limit` at a time; each stands alone."""
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            due = await repository.beyond_grace(session, SWEEP, platform.clock.now(), limit, after)
        for one in due:
            try:
                await _end(platform, one)
            except Exception:
                _log.exception("grace_not_ended", subscription=one.stripe_subscription_id)
        if len(due) < limit:
            return
        after = due[-1].id


async def _end(platform: Platform, found: Subscription) -> None:
    async with platform.database.transaction() as session:
        owner = subscriptions.owner_of(found)
        await accounts.lock(session, owner, gone_too=True)
        row = await subscriptions.live_of(session, owner)
        if row is not None and row.id == found.id:  # paid, ended or followed by another meanwhile: nothing is due
            await entitling.end_credits_if_over(session, platform, row)
