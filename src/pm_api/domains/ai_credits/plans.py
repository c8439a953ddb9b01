"""Plan credits: the free tier, periods of paid plans, yearly plans month by month, changes within a period, rollover.

Every cause uses one key, `s:plan:{owner}:{period_start}`, so a period is granted once, whoever asks.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import Applied, LotDraft, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Grant, Rollover
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.ledger import apply, by_system
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.ledger import CreditPlanGrant
from pm_api.domains.ai_credits.repository import plans as repository
from pm_api.domains.ai_credits.store import Answer, Order

FREE_PERIOD: Final = timedelta(days=30)
FREE_PLAN: Final = "FREE"
MONTHS_OF_A_YEAR: Final = 12

Period = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class PlanPeriod:
    """A period of a paid plan as billing knows it. `yearly` plans are granted month by month from its beginning."""

    account_kind: AccountKind
    account_id: UUID
    plan: str
    starts_at: datetime
    ends_at: datetime
    yearly: bool = False


def plan_grant(
    account_id: UUID, *, plan: str, amount: int, kind: LotKind, period: Period, rollover: Rollover | None = None
) -> Grant:
    """A plan's credits for one period; what is left of the plan before is replaced, never added to."""
    started_at, ends_at = period
    reference = started_at.isoformat()
    draft = LotDraft(
        kind=kind, amount=amount, source_type="plan", source_ref=f"{plan}:{reference}", expires_at=ends_at
    )
    return Grant(
        account_id=account_id,
        key=f"s:plan:{account_id}:{reference}",
        fingerprint=fingerprint("plan", account_id, reference),
        by=by_system(),
        lots=(draft,) if amount else (),
        description=f"{plan} plan credits",
        details=canonical_json({"plan": plan}),
        period=period,
        replaces_plan=True,
        rollover=rollover,
    )


async def open_user_account(session: AsyncSession, platform: Platform, user_id: UUID) -> None:
    """A new user's wallet with the free plan's first credits."""
    now = platform.clock.now()
    await apply(session, platform, [await _free_order(session, user_id, (now, now + FREE_PERIOD))])


async def renew_free_tier(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Give the free plan's credits to wallets whose period has ended and that no paid plan fills; returns how many.

    Two workers share the work: a wallet that somebody else has locked is left to them.
    """
    now = platform.clock.now()
    locked = await repository.lock_due_wallets(session, now, limit)
    left_a_plan = await repository.wallets_leaving_a_plan(session, locked)
    orders = [
        await _free_order(
            session,
            due.id,
            # Not from the paid period's end on: a payment that comes late after all is for a period beginning there.
            (now, now + FREE_PERIOD)
            if due.id in left_a_plan
            else current_period(due.period_started_at or now, due.next_reset_at or now, now),
        )
        for due in await repository.wallets_on_the_free_plan(session, locked, now)
    ]
    answers = await apply(session, platform, orders) if orders else []
    return sum(not answer.replayed and isinstance(answer.result, Applied) for answer in answers)


def current_period(started_at: datetime, next_reset_at: datetime, now: datetime) -> Period:
    """The free period that `now` lies in, counted on from the last one."""
    passed = (now - next_reset_at) // FREE_PERIOD + 1 if now >= next_reset_at else 0
    if passed == 0:
        return started_at, next_reset_at
    begins = next_reset_at + FREE_PERIOD * (passed - 1)
    return begins, begins + FREE_PERIOD


async def grant_period(session: AsyncSession, platform: Platform, period: PlanPeriod) -> Answer:
    """A paid plan's credits for a period that begins (first, renewal, or another plan from now on), once for ever.

    Old plan credits expire, those of the plan's rollover terms live on. A yearly plan gets the month that runs; the
    others come by `grant_due_months`. What is told after a later period has begun, or when its own is over, brings
    and takes nothing. Raises LookupError for a plan without terms.
    """
    now = platform.clock.now()
    terms = await repository.plan_terms(session, period.plan)
    month = _month_at(period, now) if period.yearly else (period.starts_at, period.ends_at)
    grant = _paid_grant(period.account_id, terms, month)
    if month[1] <= now or await repository.is_superseded(session, period.account_id, period.starts_at):
        grant = replace(grant, lots=(), period=None, replaces_plan=False, rollover=None)
    [answer] = await apply(session, platform, [Order(period.account_kind, grant)])
    await repository.keep_plan(
        session,
        CreditPlan(
            account_id=period.account_id,
            plan=period.plan,
            yearly=period.yearly,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            next_grant_at=month[1] if period.yearly and month[1] < period.ends_at else None,
        ),
    )
    return answer


async def grant_due_months(session: AsyncSession, platform: Platform, limit: int) -> int:
    """The months of yearly plans that have begun; returns how many plans were looked at. A plan that was forgotten
    for months gets the month that runs now: the ones before have expired.
    """
    now = platform.clock.now()
    due = await repository.lock_due_months(session, now, limit)
    for plan in due:
        kind = await repository.account_kind(session, plan.account_id)
        period = PlanPeriod(kind, plan.account_id, plan.plan, plan.starts_at, plan.ends_at, yearly=True)
        month = _month_at(period, now)
        if now < plan.ends_at:
            terms = await repository.plan_terms(session, plan.plan)
            await apply(session, platform, [Order(kind, _paid_grant(plan.account_id, terms, month))])
        plan.next_grant_at = month[1] if month[1] < plan.ends_at else None
    return len(due)


async def change_plan(
    session: AsyncSession,
    platform: Platform,
    *,
    period: PlanPeriod,
    old_plan: str,
    changed_at: datetime,
    reference: str,
) -> Answer | None:
    """A dearer plan within a period (a yearly plan's month): the difference of the grants for what is left of it,
    rounded down, until it ends. None when there is none (a cheaper plan takes nothing away). `reference` names the
    change, for ever.
    """
    old, new = await repository.plan_terms(session, old_plan), await repository.plan_terms(session, period.plan)
    starts_at, ends_at = _month_at(period, changed_at) if period.yearly else (period.starts_at, period.ends_at)
    whole = ends_at - starts_at
    left = min(max(ends_at - changed_at, timedelta()), whole)
    amount = max(0, new.credits - old.credits) * (left // timedelta(seconds=1)) // (whole // timedelta(seconds=1))
    if not amount:
        await repository.rename_plan(session, period.account_id, period.plan)
        return None
    draft = LotDraft(
        kind=LotKind.SUBSCRIPTION_GRANT,
        amount=amount,
        source_type="plan_change",
        source_ref=reference,
        expires_at=ends_at,
    )
    command = Grant(
        account_id=period.account_id,
        key=f"s:plan-change:{reference}",
        fingerprint=fingerprint("plan change", period.account_id, reference),
        by=by_system(),
        lots=(draft,),
        description=f"{old_plan} to {period.plan}: the rest of the period",
        details=canonical_json({"plan": period.plan, "from": old_plan}),
    )
    [answer] = await apply(session, platform, [Order(period.account_kind, command)])
    await repository.rename_plan(session, period.account_id, period.plan)  # its row after the account's lock
    return answer


async def end_plan(session: AsyncSession, account_id: UUID) -> None:
    """No further period comes. What is there stays until it expires; a wallet then falls back to the free plan."""
    await repository.drop_plan(session, account_id)


def _month(period: PlanPeriod, index: int) -> Period:
    """The index-th month from the beginning, by the calendar: the 31st becomes the last day of a shorter month."""
    begins = period.starts_at + relativedelta(months=index)
    return begins, min(period.starts_at + relativedelta(months=index + 1), period.ends_at)


def _month_at(period: PlanPeriod, moment: datetime) -> Period:
    """The month a moment lies in; the first before, the last after."""
    begun = [one for one in range(MONTHS_OF_A_YEAR) if _month(period, one)[0] <= moment]
    return _month(period, begun[-1] if begun else 0)


async def _free_order(session: AsyncSession, user_id: UUID, period: Period) -> Order:
    terms = await repository.plan_terms(session, FREE_PLAN)
    grant = plan_grant(user_id, plan=FREE_PLAN, amount=terms.credits, kind=LotKind.FREE_TIER, period=period)
    return Order(AccountKind.USER, grant)


def _paid_grant(account_id: UUID, terms: CreditPlanGrant, period: Period) -> Grant:
    rollover = None
    if terms.rollover_percent and terms.rollover_months:
        rollover = Rollover(terms.rollover_percent, period[0] + relativedelta(months=terms.rollover_months))
    return plan_grant(
        account_id,
        plan=terms.plan,
        amount=terms.credits,
        kind=LotKind.SUBSCRIPTION_GRANT,
        period=period,
        rollover=rollover,
    )
