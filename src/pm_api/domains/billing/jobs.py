"""Sweeps of billing."""

import structlog

from pm_api.core.errors import Conflict, NotFound, Unavailable
from pm_api.core.events import on
from pm_api.core.flows import ChangeInProgress
from pm_api.core.jobs import JobContext, TryAgain, enqueue, implements, periodic
from pm_api.core.sweeping import is_nobodys_fault, sweep
from pm_api.domains.ai_credits.topups import LOOK_AT_TOPUP, AccountLow
from pm_api.domains.billing import (
    auto_topup,
    closing,
    contracts,
    dunning,
    graces,
    payment_methods,
    reconciliation,
    reconciling,
    usage_sampling,
)
from pm_api.domains.billing.flows.auto_topup import buy_if_low, call_off
from pm_api.domains.billing.flows.checkouts import CLOSE_PAGES, GoneAccount
from pm_api.domains.billing.flows.refunds import give_back_too_late
from pm_api.domains.billing.flows.subscription_changes import end_held
from pm_api.domains.billing.flows.subscription_debts import void_what_is_open
from pm_api.domains.billing.flows.subscriptions import BEGIN as _BEGIN  # noqa: F401  registers its kind of flow
from pm_api.domains.billing.invoices import GIVE_BACK, PaidTooLate
from pm_api.domains.billing.reconciliation import RECONCILE, Reconcile
from pm_api.domains.billing.repository import auto_topup as topup_rows
from pm_api.domains.billing.stripe_events.refunds import follow_due
from pm_api.domains.billing.subscriptions import (
    END_HELD,
    VOID_OPEN,
    EndedSubscription,
    HeldSubscription,
    end_all_of,
)
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.events import EntitlementChanged
from pm_api.identity.events import WorkspaceChanged
from pm_api.identity.repository import people as identity

_log = structlog.get_logger(__name__)

CONTRACTS_AT_A_TIME = 100
TOPUPS_AT_A_TIME = 100
SUBSCRIPTIONS_AT_A_TIME = 100
REMINDERS_AT_A_TIME = 100
REFUNDS_AT_A_TIME = 100
AWAY_DELAY_S = 60.0


@periodic("billing.settle_contracts", "*/5 * * * *")
async def settle_contracts(context: JobContext) -> None:
    """Begin contracts whose time has come, and put away those that are over. Limits follow the clock anyway."""
    await contracts.settle_due(context.platform, CONTRACTS_AT_A_TIME)


@implements(LOOK_AT_TOPUP)
async def look_at_topup(context: JobContext, payload: AccountLow) -> None:
    """Buy for an account that is low. While Stripe is away nothing is bought: the next look comes within a minute,
    and what is unknown is settled by the sweep of flows.
    """
    platform = context.platform
    account = AccountType(payload.account_kind), payload.account_id
    try:
        async with platform.database.transaction() as session:
            await payment_methods.make_ready(session, platform, account)
        await buy_if_low(platform, account)
    except NotFound:  # the account is gone
        return
    except Unavailable as away:
        _log.warning("topup_not_heard_of", account_id=str(payload.account_id), code=away.code)


@periodic("billing.call_off_topups", "* * * * *")
async def call_off_topups(context: JobContext) -> None:
    """Cancel automatic payments that their buyer did not confirm in time."""
    platform = context.platform
    now, after = platform.clock.now(), None
    while True:
        async with platform.database.reading() as session:
            overdue = await topup_rows.overdue(session, auto_topup.SYSTEM, now, after, TOPUPS_AT_A_TIME)
        for row in overdue:
            try:
                await call_off(platform, row)
            except Unavailable as away:
                _log.warning("topup_not_called_off", account_id=str(row.account_id), code=away.code)
                return
            except Exception as failure:
                if is_nobodys_fault(failure):
                    raise
                _log.exception("topup_not_called_off", account_id=str(row.account_id))
        if len(overdue) < TOPUPS_AT_A_TIME:
            return
        after = overdue[-1]


@implements(END_HELD)
async def end_held_subscription(context: JobContext, payload: HeldSubscription) -> None:
    """One subscription too many is ended at Stripe; while Stripe is away, later."""
    try:
        await end_held(context.platform, payload.stripe_subscription_id, for_good=payload.for_good)
    except Unavailable as away:
        raise TryAgain("the payment provider is away", delay_s=AWAY_DELAY_S) from away


@implements(VOID_OPEN)
async def void_open_invoices(context: JobContext, payload: EndedSubscription) -> None:
    """Nobody is to pay for what has ended; while Stripe is away, later."""
    try:
        await void_what_is_open(context.platform, payload.stripe_subscription_id)
    except Unavailable as away:
        raise TryAgain("the payment provider is away", delay_s=AWAY_DELAY_S) from away


@on(WorkspaceChanged)
async def end_with_workspace(context: JobContext, event: WorkspaceChanged) -> None:
    """Deleting a workspace ends its subscription, and restoring it brings none back. What was begun after it was
    restored is another one. Where something could still be bought for it, nothing can be any more.
    """
    if event.action != "deleted":
        return
    async with context.platform.database.transaction() as session:
        workspace = await identity.lock_workspace(session, event.workspace_id)
        if workspace is not None:
            until = workspace.updated_at if workspace.deleted_at is None else None
            await end_all_of(session, (AccountType.WORKSPACE, event.workspace_id), until)
            gone = GoneAccount(account_kind=AccountType.WORKSPACE, account_id=event.workspace_id)
            await enqueue(session, CLOSE_PAGES, gone)


@implements(CLOSE_PAGES)
async def close_open_pages(context: JobContext, payload: GoneAccount) -> None:
    """Nobody is to pay for what is deleted; while Stripe is away, later."""
    try:
        await closing.stop_buying(context.platform, (payload.account_kind, payload.account_id))
    except Unavailable as away:
        raise TryAgain("the payment provider is away", delay_s=AWAY_DELAY_S) from away


@implements(GIVE_BACK)
async def give_back(context: JobContext, payload: PaidTooLate) -> None:
    """What was paid for a deleted workspace goes back; while Stripe is away, later. What Stripe refuses is in the
    next comparison.
    """
    try:
        await give_back_too_late(context.platform, payload.invoice_id)
    except (Unavailable, ChangeInProgress) as away:
        raise TryAgain("the payment provider is away", delay_s=AWAY_DELAY_S) from away
    except Conflict as refused:
        _log.error("paid_for_deleted_not_refunded", invoice_id=str(payload.invoice_id), code=refused.code)


@periodic("billing.end_graces", "*/5 * * * *")
async def end_graces(context: JobContext) -> None:
    """Who has not paid within the grace gets no further plan credits. Limits follow the clock anyway."""
    await graces.end_due(context.platform, SUBSCRIPTIONS_AT_A_TIME)


@on(EntitlementChanged)
async def follow_dunning(context: JobContext, event: EntitlementChanged) -> None:
    """Remind who has come to owe something, and stop as soon as they do not."""
    account = AccountType(event.account_kind), event.account_id
    async with context.platform.database.transaction() as session:
        await dunning.follow(session, context.platform, account)


@periodic("billing.remind", "*/5 * * * *")
async def remind(context: JobContext) -> None:
    """Reminders of days 3 and 6, and the end of the grace."""
    await sweep(context, dunning.due, dunning.remind, at_a_time=REMINDERS_AT_A_TIME, together=False)


@periodic("billing.follow_refunds", "*/5 * * * *")
async def follow_refunds(context: JobContext) -> None:
    """Credits whose money went back before they were granted, or month by month since."""
    await follow_due(context.platform, REFUNDS_AT_A_TIME)


@periodic("billing.sample_usage", "45 23 * * *")
async def sample_usage(context: JobContext) -> None:
    """Everybody's usage of the day, for the peaks of their periods."""
    await usage_sampling.sample_all(context)


@periodic("billing.sample_ending_periods", "*/5 * * * *")
async def sample_ending_periods(context: JobContext) -> None:
    """Once more, shortly before a period ends."""
    await usage_sampling.sample_ending(context)


@implements(RECONCILE)
async def go_on_reconciling(context: JobContext, payload: Reconcile) -> None:
    """Compare on where it stands; while Stripe is away, later."""
    try:
        await reconciling.work(context.platform, payload.run_id)
    except Unavailable as away:
        raise TryAgain("the payment provider is away", delay_s=AWAY_DELAY_S) from away


@periodic("billing.reconcile", "17 3 * * *")
async def reconcile_daily(context: JobContext) -> None:
    """The last 30 days against Stripe, both ways; a comparison whose job was lost goes on."""
    async with context.platform.database.transaction() as session:
        await reconciliation.start(session, context.platform, reconciling.SCOPE, reason="daily")
