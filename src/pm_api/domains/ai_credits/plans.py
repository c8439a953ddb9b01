"""Plan credits: the free tier, periods of paid plans, yearly plans month by month, changes within a period, rollover.

Every cause uses one key, `s:plan:{owner}:{period_start}`, so a period is granted once, whoever asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, sql, store
from pm_api.domains.ai_credits.book import Applied, LotDraft, Refused, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Grant, Rollover
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.ledger import apply, by_system
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.ledger import CreditPlanGrant
from pm_api.domains.ai_credits.repository import insight
from pm_api.domains.ai_credits.repository import ledger as accounts
from pm_api.domains.ai_credits.repository import plans as repository
from pm_api.domains.ai_credits.repository.plans import DueMonth, DueWallet
from pm_api.domains.ai_credits.store import Answer, Order

FREE_PERIOD: Final = timedelta(days=30)
FREE_PLAN: Final = "FREE"

Period = tuple[datetime, datetime]


class PlanCreditsRefused(Exception):
    """The account cannot take what its plan brings. Whoever catches it must roll back, or the refusal stays with its
    key and the period never gets its credits.
    """


class PlanNotBegun(Exception):
    """The account is not on the period that the change is for: not yet, or not any more."""


@dataclass(frozen=True, slots=True)
class PlanPeriod:
    """A period of a paid plan as billing knows it. `yearly` plans, and contracts over any number of months, are
    granted month by month from its beginning. `credits` stand in place of what the plan brings, each month.
    """

    account_kind: AccountKind
    account_id: UUID
    plan: str
    starts_at: datetime
    ends_at: datetime
    yearly: bool = False
    credits: int | None = None


@dataclass(frozen=True, slots=True)
class PlanUsage:
    """The credits a plan has brought for the period that runs, and how many of them were spent."""

    granted: int
    spent: int
    starts_at: datetime | None
    ends_at: datetime | None


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


async def renew_free_tier(session: AsyncSession, platform: Platform, due: Sequence[DueWallet]) -> int:
    """Give the free plan's credits to those of the wallets whose period has ended and that no paid plan fills.
    Returns how many got them; raises PlanCreditsRefused when one cannot take them.

    Two workers share the work: a wallet that somebody else has locked is left to them.
    """
    now = platform.clock.now()
    locked = await repository.lock_due_wallets(session, [one.account_id for one in due], now)
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
    for order, answer in zip(orders, answers, strict=True):
        _require(order, answer)
    return sum(not answer.replayed for answer in answers)


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
    and takes nothing. Raises LookupError for a plan without terms, and PlanCreditsRefused.
    """
    now = platform.clock.now()
    terms = await repository.plan_terms(session, period.plan)
    # Of one whose further months were stopped, told again: only what it began with, which came before.
    stopped = await repository.has_no_further_months(session, period.account_id, period.starts_at)
    moment = period.starts_at if stopped else now
    month = _month_at(period, moment) if period.yearly else (period.starts_at, period.ends_at)
    grant = _paid_grant(period.account_id, terms, month, period.credits)
    if month[1] <= now or await repository.is_superseded(session, period.account_id, period.starts_at):
        grant = replace(grant, lots=(), period=None, replaces_plan=False, rollover=None)
    answer = await _bring(session, platform, Order(period.account_kind, grant))
    await repository.keep_plan(
        session,
        CreditPlan(
            account_id=period.account_id,
            plan=period.plan,
            yearly=period.yearly,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            next_grant_at=month[1] if period.yearly and month[1] < period.ends_at else None,
            credits=period.credits,
            peak_credits=_monthly(terms, period.credits),
        ),
    )
    return answer


async def change_terms(session: AsyncSession, platform: Platform, period: PlanPeriod) -> None:
    """Another plan, end or number of credits for a plan by the month that has begun, from its next month on."""
    month = month_at(period.starts_at, period.ends_at, platform.clock.now())
    await repository.lock_account(session, period.account_id)
    await repository.change_terms(
        session,
        CreditPlan(
            account_id=period.account_id,
            plan=period.plan,
            yearly=True,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            next_grant_at=month[1] if month[1] < period.ends_at else None,
            credits=period.credits,
        ),
    )


async def grant_due_months(session: AsyncSession, platform: Platform, due: Sequence[DueMonth]) -> int:
    """The months of yearly plans that have begun; returns how many plans were served. A plan that was forgotten for
    months gets the month that runs now: the ones before have expired.

    Raises LookupError for a plan without terms, and PlanCreditsRefused.
    """
    now = platform.clock.now()
    months = await repository.lock_due_months(session, [one.account_id for one in due], now)
    for plan in months:
        kind = await repository.account_kind(session, plan.account_id)
        period = PlanPeriod(kind, plan.account_id, plan.plan, plan.starts_at, plan.ends_at, True, plan.credits)
        month = _month_at(period, now)
        if now < plan.ends_at:
            terms = await repository.plan_terms(session, plan.plan)
            await _bring(session, platform, Order(kind, _paid_grant(plan.account_id, terms, month, plan.credits)))
            plan.peak_credits = _monthly(terms, plan.credits)
        plan.next_grant_at = month[1] if month[1] < plan.ends_at else None
    return len(months)


async def bring_months(
    session: AsyncSession, platform: Platform, account_id: UUID, starts_at: datetime, *, wanted: bool
) -> None:
    """Whether further months come of the yearly plan that began at `starts_at`, if the account is still on it: none
    once it is refunded whole; from the month that runs on when it is not after all.
    """
    await repository.lock_account(session, account_id)
    plan = await repository.plan_of(session, account_id)
    if plan is None or not plan.yearly or plan.starts_at != starts_at:
        return
    if not wanted:
        plan.next_grant_at = None
    elif plan.next_grant_at is None and platform.clock.now() < plan.ends_at:
        plan.next_grant_at = platform.clock.now()  # a month that came before comes once
    await session.flush()


async def change_plan(
    session: AsyncSession,
    platform: Platform,
    *,
    period: PlanPeriod,
    old_plan: str,
    changed_at: datetime,
    reference: str,
) -> Answer | None:
    """Another plan within a period (a yearly plan's month). Brings what its credits are above the most this period
    had, for what is left of it, rounded down, until it ends: changing up and down brings no more than changing up
    once. A cheaper plan takes nothing away. `reference` names the change, for ever.

    None when it brought nothing. Raises PlanNotBegun, LookupError for a plan without terms, and PlanCreditsRefused.
    """
    await repository.lock_account(session, period.account_id)
    key = f"s:plan-change:{reference}"
    now = platform.clock.now()
    new = _monthly(await repository.plan_terms(session, period.plan), period.credits)
    standing = await repository.plan_of(session, period.account_id)
    if standing is None or standing.starts_at < period.starts_at:
        known = await store.stored_answer(sql.SessionStatements(session), period.account_id, key)
        if known is None:
            raise PlanNotBegun(f"account {period.account_id}: no period from {period.starts_at.isoformat()}")
        return known if isinstance(known.result, Applied) and known.result.entries else None
    starts_at, ends_at = _month_at(period, changed_at) if period.yearly else (period.starts_at, period.ends_at)
    runs = standing.starts_at == period.starts_at and now < ends_at
    amount = _for_the_rest(max(0, new - standing.peak_credits), (starts_at, ends_at), changed_at) if runs else 0
    draft = LotDraft(
        kind=LotKind.SUBSCRIPTION_GRANT,
        amount=amount,
        source_type="plan_change",
        source_ref=reference,
        expires_at=ends_at,
    )
    command = Grant(
        account_id=period.account_id,
        key=key,
        fingerprint=fingerprint("plan change", period.account_id, reference),
        by=by_system(),
        lots=(draft,) if amount else (),  # also what brings nothing is written under its key: told twice, it is one
        description=f"{old_plan} to {period.plan}: the rest of the period",
        details=canonical_json({"plan": period.plan, "from": old_plan}),
    )
    answer = await _bring(session, platform, Order(period.account_kind, command))
    if not answer.replayed and standing.starts_at == period.starts_at:
        standing.plan, standing.credits = period.plan, period.credits
        if runs:
            standing.peak_credits = max(standing.peak_credits, new)
        await session.flush()
    return answer if isinstance(answer.result, Applied) and answer.result.entries else None


async def change_would_bring(
    session: AsyncSession, platform: Platform, *, period: PlanPeriod, changed_at: datetime
) -> int:
    """What `change_plan` would bring now: for a quote. Nothing while the account is not on the period."""
    standing = await repository.plan_of(session, period.account_id)
    starts_at, ends_at = _month_at(period, changed_at) if period.yearly else (period.starts_at, period.ends_at)
    if standing is None or standing.starts_at != period.starts_at or platform.clock.now() >= ends_at:
        return 0
    new = _monthly(await repository.plan_terms(session, period.plan), period.credits)
    return _for_the_rest(max(0, new - standing.peak_credits), (starts_at, ends_at), changed_at)


def _for_the_rest(credits: int, period: Period, moment: datetime) -> int:
    """The share of a period's credits that falls on what is left of it, rounded down."""
    starts_at, ends_at = period
    whole = ends_at - starts_at
    left = min(max(ends_at - moment, timedelta()), whole)
    return credits * (left // timedelta(seconds=1)) // (whole // timedelta(seconds=1))


async def end_plan(session: AsyncSession, account_id: UUID) -> None:
    """No further period comes. What is there stays until it expires; a wallet then falls back to the free plan."""
    await repository.lock_account(session, account_id)
    await repository.drop_plan(session, account_id)


async def brought(session: AsyncSession, account_id: UUID) -> tuple[int, int]:
    """How many lots paid plans have brought to an account, and how many credits, whatever became of them since."""
    return await accounts.count_plan_lots(session, account_id)


async def credits_by_plan(session: AsyncSession) -> dict[str, int]:
    """Credits each plan brings a month, by its newest terms."""
    return await insight.plan_grants(session)


async def usage_of(session: AsyncSession, platform: Platform, scope: AccountScope) -> PlanUsage:
    """What the present period's plan credits were, and what is spent of them; bought credits do not count."""
    now = platform.clock.now()
    account = await accounts.account(session, scope)
    lots = [
        lot
        for lot in await balances.lots_now(session, scope, account, now)
        if balances.is_of_this_period(lot, account) and not lot.is_expired(now)
    ]
    return PlanUsage(
        granted=sum(lot.amount for lot in lots),
        spent=sum(lot.spent for lot in lots),
        starts_at=account.period_started_at if account else None,
        ends_at=account.next_reset_at if account else None,
    )


def month_at(starts_at: datetime, ends_at: datetime, moment: datetime) -> Period:
    """The month from the beginning that a moment lies in, by the calendar: the 31st becomes the last day of a shorter
    month. The first before the beginning, the last after the end.
    """
    within = min(max(moment, starts_at), ends_at)
    passed = relativedelta(within, starts_at)
    index = passed.years * 12 + passed.months
    while starts_at + relativedelta(months=index + 1) <= within:  # from the 31st to the 30th is a month here
        index += 1
    if index and starts_at + relativedelta(months=index) >= ends_at:
        index -= 1
    begins = starts_at + relativedelta(months=index)
    return begins, min(starts_at + relativedelta(months=index + 1), ends_at)


def _month_at(period: PlanPeriod, moment: datetime) -> Period:
    return month_at(period.starts_at, period.ends_at, moment)


async def _free_order(session: AsyncSession, user_id: UUID, period: Period) -> Order:
    terms = await repository.plan_terms(session, FREE_PLAN)
    grant = plan_grant(user_id, plan=FREE_PLAN, amount=terms.credits, kind=LotKind.FREE_TIER, period=period)
    return Order(AccountKind.USER, grant)


def _monthly(terms: CreditPlanGrant, credits: int | None) -> int:
    """What a plan brings for a month: by its own terms, or by a contract's."""
    return terms.credits if credits is None else credits


async def _bring(session: AsyncSession, platform: Platform, order: Order) -> Answer:
    """Raises PlanCreditsRefused."""
    [answer] = await apply(session, platform, [order])
    _require(order, answer)
    return answer


def _require(order: Order, answer: Answer) -> None:
    if not isinstance(answer.result, Applied):
        reason = answer.result.reason if isinstance(answer.result, Refused) else "the key belongs to another command"
        raise PlanCreditsRefused(f"{order.command.key} cannot be granted: {reason}")


def _paid_grant(account_id: UUID, terms: CreditPlanGrant, period: Period, credits: int | None) -> Grant:
    rollover = None
    if terms.rollover_percent and terms.rollover_months:
        rollover = Rollover(terms.rollover_percent, period[0] + relativedelta(months=terms.rollover_months))
    return plan_grant(
        account_id,
        plan=terms.plan,
        amount=_monthly(terms, credits),
        kind=LotKind.SUBSCRIPTION_GRANT,
        period=period,
        rollover=rollover,
    )
