"""Sweeps of the ledger."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import JobContext, implements, periodic
from pm_api.core.platform import Platform
from pm_api.core.sweeping import sweep
from pm_api.domains.ai_credits import alerts, gift_claims, ledger, plans, pools, topup_charges
from pm_api.domains.ai_credits.repository import alerts as alert_rows
from pm_api.domains.ai_credits.repository import gifts as gift_rows
from pm_api.domains.ai_credits.repository import holds as hold_rows
from pm_api.domains.ai_credits.repository import ledger as account_rows
from pm_api.domains.ai_credits.repository import plans as plan_rows
from pm_api.domains.ai_credits.repository import pools as pool_rows
from pm_api.domains.ai_credits.repository.ledger import DueAccount
from pm_api.domains.ai_credits.store import DELIVER_ALERTS, AlertsWritten

ACCOUNTS_AT_A_TIME = 200
ALERTS_AT_A_TIME = 100


@periodic("ai_credits.renew_free_tier", "* * * * *")
async def renew_free_tier(context: JobContext) -> None:
    """Give the free plan's credits to wallets whose period has ended: until then they have none, so each minute."""
    await sweep(context, plan_rows.due_wallets, plans.renew_free_tier, at_a_time=ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.grant_due_months", "* * * * *")
async def grant_due_months(context: JobContext) -> None:
    """The next month of yearly plans; each minute, for the month before has ended to the instant."""
    await sweep(context, plan_rows.due_months, plans.grant_due_months, at_a_time=ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.expire_lots", "* * * * *")
async def expire_lots(context: JobContext) -> None:
    """Write down what has run out; nobody's visible balance changes by it, but open streams hear of it only now."""
    await sweep(context, account_rows.accounts_with_expired_lots, _expire, at_a_time=ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.expire_holds", "* * * * *")
async def expire_holds(context: JobContext) -> None:
    """Write down which holds have run out; what they held has been free since then."""
    await sweep(context, hold_rows.accounts_with_due_holds, _expire, at_a_time=ACCOUNTS_AT_A_TIME)


async def _expire(session: AsyncSession, platform: Platform, due: Sequence[DueAccount]) -> None:
    await ledger.expire_due(session, platform, [one.account_id for one in due])


@periodic("ai_credits.return_gifts", "*/5 * * * *")
async def return_gifts(context: JobContext) -> None:
    """What nobody claimed in time goes back to its giver."""
    await sweep(context, gift_rows.due, gift_claims.return_due, at_a_time=ACCOUNTS_AT_A_TIME, together=False)


@periodic("ai_credits.alert_expiring", "*/10 * * * *")
async def alert_expiring(context: JobContext) -> None:
    """Note which lots expire within 7 days and within one."""
    for beyond, within, suffix in alerts.THRESHOLDS:
        await sweep(
            context,
            partial(alert_rows.lots_to_warn_of, beyond=beyond, within=within, suffix=suffix),
            partial(alerts.note_expiring, suffix=suffix),
            at_a_time=ACCOUNTS_AT_A_TIME,
        )


@periodic("ai_credits.deliver_alerts", "* * * * *")
async def deliver_alerts(context: JobContext) -> None:
    """Tell people what the sweep before noted, and what a job for the ledger's alerts has left."""
    await _deliver_what_waits(context)


@implements(DELIVER_ALERTS)
async def deliver_written_alerts(context: JobContext, _payload: AlertsWritten) -> None:
    """Tell people what the ledger wrote with this job. Whichever job comes first tells for all."""
    await _deliver_what_waits(context)


async def _deliver_what_waits(context: JobContext) -> None:
    if await alerts.any_waiting(context.platform):
        offers = await alerts.offers_now(context.platform)
        await sweep(context, alert_rows.waiting, partial(alerts.deliver, offers=offers), at_a_time=ALERTS_AT_A_TIME)


@periodic("ai_credits.look_at_topups", "* * * * *")
async def look_at_topups(context: JobContext) -> None:
    """Have a job look at each account below the threshold of its top-up. Alerts have some looked at sooner, but
    people choose thresholds that no alert falls upon.
    """
    after: UUID | None = None
    while True:
        async with context.platform.database.transaction() as session:
            after = await topup_charges.look_at_low(session, context.platform, after=after)
        if after is None:
            return


@periodic("ai_credits.end_raises", "* * * * *")
async def end_raises(context: JobContext) -> None:
    """Take back what was granted on top of members' caps for windows that are over."""
    await sweep(
        context, pool_rows.pools_with_due_raises, pools.end_raises, at_a_time=ACCOUNTS_AT_A_TIME, together=False
    )
