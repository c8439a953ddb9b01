"""What follows from a subscription: limits by its state, credits by what was paid. A function of the mirrored rows.

Each effect has a permanent key of its own, so that it does not matter how often and in which order this runs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.plans import PlanCreditsRefused, PlanNotBegun, PlanPeriod
from pm_api.domains.billing import accounts, invoices, prices, subscription_notices
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import BillingInterval, SubscriptionStatus
from pm_api.domains.billing.invoices import PaidInvoice
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.domains.billing.paid_periods import FIRST, RENEWAL, Step, StepKind, after_the_end, steps, trial_credits
from pm_api.domains.billing.prices import PlanPrice
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan, Source, Status
from pm_api.entitlements.rules import Bought, limits_in
from pm_api.integrations.stripe import StripeSubscription

CLOCKS_APART: Final = timedelta(minutes=5)
"""A period that Stripe's clock has begun has begun, though ours may be a little behind."""

_GIVING: Final = {
    SubscriptionStatus.ACTIVE: Status.ACTIVE,
    SubscriptionStatus.TRIALING: Status.TRIALING,
    SubscriptionStatus.PAST_DUE: Status.GRACE,
}


async def derive(
    session: AsyncSession,
    platform: Platform,
    owner: Account,
    row: Subscription,
    *,
    as_of: datetime,
    outlived: bool,
    trial_stands: bool = True,
) -> None:
    """Bring limits, credits and notices in line with a subscription that is not held. With `outlived` the account
    lives by something else already: nothing of that is touched. A trial that does not stand gives nothing. Raises
    EventNotUnderstood.
    """
    now = platform.clock.now()
    paid = []
    for one in await invoices.paid_of(session, row.stripe_subscription_id):
        if after_the_end(one.paid_at, row.ended_at):
            await subscription_notices.tell_paid_after_the_end(session, platform, owner, row, one)
        else:
            paid.append(one)
    ahead = [step for step in steps(paid, await _known_prices(session, paid, now)) if step.ends_at > now]
    if not trial_stands:
        ahead = [step for step in ahead if step.kind is not StepKind.TRIAL]
    gives = trial_stands or row.status != SubscriptionStatus.TRIALING
    if not outlived:
        for step in ahead:
            await _bring(session, platform, owner, step)
    await _limit(session, platform, owner, row, as_of=as_of, gives=gives)
    if not outlived:
        await end_credits_if_over(session, platform, row, gives=gives)
    await session.flush()
    await subscription_notices.tell(session, platform, owner, row, ahead)


async def credits_of(session: AsyncSession, price: PlanPrice, found: StripeSubscription) -> int:
    """What the period that runs brings each month: the plan's, or Stripe's figure in its place; in proportion for a
    trial.
    """
    monthly = await monthly_credits(session, price)
    if found.status == "trialing" and found.trial_start is not None and found.trial_end is not None:
        return trial_credits(monthly, found.trial_start, found.trial_end)
    return monthly


async def monthly_credits(session: AsyncSession, price: PlanPrice) -> int:
    if price.included_credits is not None:
        return price.included_credits
    return (await plan_credits.credits_by_plan(session))[price.plan]


async def period_of(session: AsyncSession, owner: Account, step: Step) -> PlanPeriod:
    """The period that was paid for, as the ledger knows it."""
    credits = step.price.included_credits
    if step.kind is StepKind.TRIAL:
        credits = trial_credits(await monthly_credits(session, step.price), step.starts_at, step.ends_at)
    return PlanPeriod(
        account_kind=accounts.credit_kind(owner),
        account_id=owner[1],
        plan=step.price.plan,
        starts_at=step.starts_at,
        ends_at=step.ends_at,
        yearly=step.kind is not StepKind.TRIAL and step.price.interval is BillingInterval.YEARLY,
        credits=credits,
    )


async def _known_prices(session: AsyncSession, paid: Sequence[PaidInvoice], now: datetime) -> dict[str, PlanPrice]:
    """The prices on the invoices that sell plans. Raises EventNotUnderstood for a period that runs and was paid for
    at none of them: nothing defaults to a plan.
    """
    known: dict[str, PlanPrice] = {}
    for price_id in {line.price_id for one in paid for line in one.lines if line.price_id is not None}:
        price = await prices.plan_of(session, price_id)
        if price is not None:
            known[price_id] = price
    for one in paid:
        runs = any(line.period_end > now for line in one.lines)
        if one.billing_reason in (FIRST, RENEWAL) and runs and not any(line.price_id in known for line in one.lines):
            raise EventNotUnderstood(f"invoice {one.stripe_invoice_id} was paid at a price that sells no plan")
    return known


async def _bring(session: AsyncSession, platform: Platform, owner: Account, step: Step) -> None:
    period = await period_of(session, owner, step)
    try:
        if step.kind is not StepKind.CHANGE:
            await plan_credits.grant_period(session, platform, period)
            return
        await plan_credits.change_plan(
            session,
            platform,
            period=period,
            old_plan=step.before.plan if step.before is not None else Plan.FREE,
            changed_at=step.changed_at,
            reference=f"stripe:invoice:{step.invoice.stripe_invoice_id}:{step.line_id}",
        )
    except (PlanCreditsRefused, PlanNotBegun, LookupError) as refused:
        raise EventNotUnderstood(f"{type(refused).__name__}: {refused}") from refused


async def _limit(
    session: AsyncSession, platform: Platform, owner: Account, row: Subscription, *, as_of: datetime, gives: bool
) -> None:
    """The limits are a function of the subscription as it is, also of one that is over: what was seen of it on the
    way makes no difference. One that never began leaves no trace.
    """
    status = _GIVING.get(SubscriptionStatus(row.status)) if gives else None
    if status is None and row.began_at is None:
        await entitlements.end(session, platform, owner[1], source=Source.SUBSCRIPTION, source_id=row.id, as_of=as_of)
        return
    now, start = platform.clock.now(), row.current_period_start
    terms = await entitlements.terms_of(session, Plan(row.plan))
    await entitlements.write(
        session,
        platform,
        Bought(
            account_kind=owner[0],
            account_id=owner[1],
            plan=Plan(row.plan),
            plan_version=terms.version,
            limits=limits_in(terms),
            max_ai_credits=row.max_ai_credits,
            period_start=now if now < start <= now + CLOCKS_APART else start,
            period_end=row.current_period_end,
            source=Source.SUBSCRIPTION,
            source_id=row.id,
            as_of=as_of,
            status=status or Status.ENDED,
            grace_ends_at=row.grace_ends_at if status is Status.GRACE else None,
            ends_at=row.ended_at or row.cancel_at,
        ),
    )


async def end_credits_if_over(
    session: AsyncSession, platform: Platform, row: Subscription, *, gives: bool = True
) -> None:
    """No further credits come while nothing is given; what is there stays until it expires. A wallet falls back to
    the free plan's. Whoever pays later after all, while it lives, gets the period's.
    """
    over = not gives or row.status not in LIVE or row.status in (SubscriptionStatus.UNPAID, SubscriptionStatus.PAUSED)
    if row.status == SubscriptionStatus.PAST_DUE and row.grace_ends_at is not None:
        over = row.grace_ends_at <= platform.clock.now()
    if over and row.began_at is not None:
        await plan_credits.end_plan(session, row.account_id)
