"""Sweeps of the ledger."""

from pm_api.core.jobs import JobContext, implements, periodic
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import alerts, gift_claims, ledger, plans, pools
from pm_api.domains.ai_credits.repository import holds
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.repository import pools as pool_rows
from pm_api.domains.ai_credits.store import DELIVER_ALERTS, AlertsWritten

ACCOUNTS_AT_A_TIME = 200
ALERTS_AT_A_TIME = 100


@periodic("ai_credits.renew_free_tier", "*/10 * * * *")
async def renew_free_tier(context: JobContext) -> None:
    """Give the free plan's credits to wallets whose period has ended."""
    platform = context.platform
    renewed = ACCOUNTS_AT_A_TIME
    while renewed == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            renewed = await plans.renew_free_tier(session, platform, ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.grant_due_months", "*/10 * * * *")
async def grant_due_months(context: JobContext) -> None:
    """The next month of yearly plans."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            found = await plans.grant_due_months(session, platform, ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.expire_lots", "*/15 * * * *")
async def expire_lots(context: JobContext) -> None:
    """Write down what has run out; nobody's visible balance changes by it."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            accounts = await repository.accounts_with_expired_lots(session, platform.clock.now(), ACCOUNTS_AT_A_TIME)
            await ledger.expire_due(session, platform, accounts)
            found = len(accounts)


@periodic("ai_credits.expire_holds", "* * * * *")
async def expire_holds(context: JobContext) -> None:
    """Write down which holds have run out; what they held has been free since then."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            accounts = await holds.accounts_with_due_holds(session, platform.clock.now(), ACCOUNTS_AT_A_TIME)
            await ledger.expire_due(session, platform, accounts)
            found = len(accounts)


@periodic("ai_credits.return_gifts", "*/5 * * * *")
async def return_gifts(context: JobContext) -> None:
    """What nobody claimed in time goes back to its giver."""
    returned = gift_claims.DUE_AT_A_TIME
    while returned == gift_claims.DUE_AT_A_TIME:
        returned = await gift_claims.return_due(context.platform)


@periodic("ai_credits.alert_expiring", "*/10 * * * *")
async def alert_expiring(context: JobContext) -> None:
    """Note which lots expire within 7 days and within one."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            found = await alerts.note_expiring(session, platform, ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.deliver_alerts", "* * * * *")
async def deliver_alerts(context: JobContext) -> None:
    """Tell people what the sweep before noted, and what a job for the ledger's alerts has left."""
    await _deliver_what_waits(context.platform)


@implements(DELIVER_ALERTS)
async def deliver_written_alerts(context: JobContext, _payload: AlertsWritten) -> None:
    """Tell people what the ledger wrote with this job. Whichever job comes first tells for all."""
    await _deliver_what_waits(context.platform)


async def _deliver_what_waits(platform: Platform) -> None:
    found = ALERTS_AT_A_TIME
    while found == ALERTS_AT_A_TIME and await alerts.any_waiting(platform):
        offers = await alerts.offers_now(platform)
        async with platform.database.transaction() as session:
            found = await alerts.deliver(session, platform, offers, ALERTS_AT_A_TIME)


@periodic("ai_credits.end_raises", "* * * * *")
async def end_raises(context: JobContext) -> None:
    """Take back what was granted on top of members' caps for windows that are over."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.reading() as session:
            due = await pool_rows.pools_with_due_raises(session, platform.clock.now(), ACCOUNTS_AT_A_TIME)
        for workspace_id in due:
            async with platform.database.transaction() as session:
                await pools.end_raises(session, platform, workspace_id)
        found = len(due)
