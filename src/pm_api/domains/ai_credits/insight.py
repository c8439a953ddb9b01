"""What an account's usage tells: forecast, analytics, suggestions. Past usage is read from the day sums alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import count
from typing import Final
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances
from pm_api.domains.ai_credits import suggestions as advice
from pm_api.domains.ai_credits.book import PRIORITY, Lot
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.demand import HORIZON_DAYS
from pm_api.domains.ai_credits.enums import EntryType, LotKind, Service
from pm_api.domains.ai_credits.errors import InvalidPeriod, UnknownService
from pm_api.domains.ai_credits.forecasting import (
    HISTORY_DAYS,
    Forecast,
    Offer,
    Situation,
    Supply,
    cheapest,
    forecast,
    smallest_plan,
)
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditPlanGrant, CreditUsageDay
from pm_api.domains.ai_credits.plans import FREE_PERIOD, FREE_PLAN
from pm_api.domains.ai_credits.repository import insight as repository
from pm_api.domains.ai_credits.repository import ledger as ledger_repository
from pm_api.domains.ai_credits.repository import plans as plans_repository
from pm_api.domains.ai_credits.repository.insight import Lines, Used, Window
from pm_api.domains.ai_credits.repository.statements import first_line_since
from pm_api.domains.ai_credits.schemas.insight import (
    AnalyticsRead,
    ComingGrant,
    ForecastRead,
    ForecastReason,
    GroupBy,
    LotUnused,
    PackChoice,
    PlanChoice,
    RunOut,
    Suggestion,
    TimeBefore,
    UsageByDay,
    UsageByMember,
    UsageByService,
    UsageFigures,
)
from pm_api.domains.ai_credits.sight import confined_to
from pm_api.domains.ai_credits.store import NO_SERVICE, NOBODY

DAY: Final = timedelta(days=1)
MAX_DAYS: Final = 400
DEFAULT_DAYS: Final = 30
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 9000
MAX_MEMBERS: Final = 1000
MAX_SERVICES: Final = 100
EXPIRING_WITHIN: Final = timedelta(days=14)


# --- forecast --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outlook:
    """A forecast with what it was made from."""

    found: Forecast
    kinds: dict[UUID, LotKind]
    coming: list[Supply]
    available: int
    held: int
    history_days: int
    plan_credits: int


async def forecast_of(session: AsyncSession, platform: Platform, scope: CreditScope) -> ForecastRead:
    """When the account's credits run out and which lots end unused, if usage goes on as it went."""
    outlook = await _outlook(session, platform, scope)
    found = outlook.found
    packs = [
        Offer(pack.name, pack.credits + pack.bonus, pack.price_minor, pack.currency)
        for pack in [one.pack for one in await platform.part(Catalogue).packs() if not one.lots]
    ]
    choice = cheapest(found.gap, packs)
    plans = [Offer(name, credits, None) for name, credits in (await repository.plan_grants(session)).items()]
    needed = (found.daily_usage or 0.0) * advice.PERIOD_DAYS
    plan = smallest_plan(needed, plans) if found.gap > 0 and needed > outlook.plan_credits else None
    unused = sorted(found.unused, key=lambda one: (one.expires_at, one.lot_id))
    coming = outlook.coming[0] if outlook.coming else None
    return ForecastRead(
        account_id=ledger_repository.account_id_of(scope),
        reason=ForecastReason(found.reason) if found.reason else None,
        exact=found.exact,
        horizon_days=HORIZON_DAYS,
        history_days=outlook.history_days,
        daily_usage=found.daily_usage,
        available=outlook.available,
        held=outlook.held,
        run_out=RunOut(p10=found.p10, p50=found.p50, p90=found.p90),
        expiring_unused=[
            LotUnused(
                lot_id=one.lot_id,
                kind=outlook.kinds[one.lot_id],
                credits=one.credits,
                expires_at=one.expires_at,
            )
            for one in unused
        ],
        expiring_unused_total=sum(one.credits for one in unused),
        next_grant=ComingGrant(credits=coming.available, at=coming.effective_at) if coming else None,
        buy_by=found.buy_by.date() if found.buy_by else None,
        gap=found.gap,
        cheapest_pack=PackChoice(
            name=choice.offer.name,
            quantity=choice.quantity,
            credits=choice.offer.credits * choice.quantity,
            price=(choice.offer.price_minor or 0) * choice.quantity,
            currency=choice.offer.currency or "",
        )
        if choice
        else None,
        smallest_plan=PlanChoice(name=plan.name, credits_per_period=plan.credits) if plan else None,
    )


async def _outlook(session: AsyncSession, platform: Platform, scope: CreditScope) -> _Outlook:
    if not session.in_transaction():
        await ledger_repository.hold_snapshot(session)  # what a hold gave back meanwhile would be counted twice
    now = platform.clock.now().astimezone(UTC)
    today = now.date()
    account = await ledger_repository.account(session, scope)
    lots = await balances.lots_now(session, scope, account, now)
    born = account.created_at.astimezone(UTC).date() + DAY if account else today
    first = max(today - HISTORY_DAYS * DAY, born)
    window = Window(min(first, today), today + DAY)
    days = await repository.used_by_day(session, scope, window)
    services = await repository.used_by(session, scope, CreditUsageDay.service, window, window.first, MAX_SERVICES)
    used = {service: max(0, figures.net) for service, figures in services}
    everything = sum(used.values())
    history = [days[day].net if day in days else 0 for day in _days(first, today)]
    plan = await repository.plan_of(session, scope, now)
    terms = await plans_repository.plan_terms(session, plan.plan if plan else FREE_PLAN)
    plan_credits = terms.credits if plan is None or plan.credits is None else plan.credits
    coming = _coming(account, plan, terms, plan_credits, now)
    held = sum(lot.held for lot in lots)
    situation = Situation(
        now=now,
        history=history,
        used_today=days[today].net if today in days else 0,
        held=held,
        supplies=[*(_supply(lot, terms if plan else None) for lot in lots), *coming],
        shares={service: Fraction(net, everything) for service, net in used.items() if everything},
        seed=ledger_repository.account_id_of(scope).int,
    )
    return _Outlook(
        found=forecast(situation),
        kinds={lot.id: lot.kind for lot in lots},
        coming=coming,
        available=sum(lot.available(now) for lot in lots),
        held=held,
        history_days=len(history),
        plan_credits=plan_credits if coming else 0,
    )


def _days(first: date, end: date) -> list[date]:
    return [first + number * DAY for number in range((end - first).days)]


def _supply(lot: Lot, terms: CreditPlanGrant | None, *, known: bool = True) -> Supply:
    return Supply(
        id=lot.id if known else None,
        available=lot.remaining - lot.held,
        order=lot.order(),
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
        service=lot.service,
        heir=_rollover(lot, terms),
    )


def _rollover(lot: Lot, terms: CreditPlanGrant | None) -> Supply | None:
    """What a plan's lot leaves to the next period, by the plan's terms."""
    if terms is None or lot.kind is not LotKind.SUBSCRIPTION_GRANT or lot.expires_at is None:
        return None
    most = lot.amount * terms.rollover_percent // 100
    if not most or not terms.rollover_months:
        return None
    ends = lot.expires_at + relativedelta(months=terms.rollover_months)
    kept = _lot(LotKind.ROLLOVER, most, lot.expires_at, ends)
    return _supply(kept, None, known=False)


def _lot(kind: LotKind, credits: int, begins: datetime, ends: datetime) -> Lot:
    """A lot that is not there yet."""
    return Lot(
        id=UUID(int=0),
        kind=kind,
        priority=PRIORITY[kind],
        amount=credits,
        remaining=credits,
        held=0,
        service=None,
        effective_at=begins,
        expires_at=ends,
    )


def _coming(
    account: CreditAccount | None, plan: CreditPlan | None, terms: CreditPlanGrant, credits: int, now: datetime
) -> list[Supply]:
    """The renewals within the horizon, of the plan by the month or of a wallet's free tier, less what a debt takes.

    A workspace without a plan gets none.
    """
    if account is None or account.next_reset_at is None or (plan is None and account.user_id is None):
        return []
    kind = LotKind.FREE_TIER if plan is None else LotKind.SUBSCRIPTION_GRANT
    debt = account.debt
    found = []
    for begins, ends in _periods(account.next_reset_at, now, monthly=plan is not None):
        lot = _lot(kind, credits, begins, ends)
        paid = min(debt, lot.remaining)
        debt -= paid
        lot.remaining -= paid
        if lot.remaining:
            found.append(_supply(lot, terms, known=False))
    return found


def _periods(first: datetime, now: datetime, *, monthly: bool) -> Iterator[tuple[datetime, datetime]]:
    """From the first renewal on, without those that are over."""
    for number in count():
        begins, ends = (
            first + (relativedelta(months=one) if monthly else FREE_PERIOD * one) for one in (number, number + 1)
        )
        if begins >= now + HORIZON_DAYS * DAY:
            return
        if ends > now:
            yield begins, ends


# --- analytics -------------------------------------------------------------------------------------------------


async def analytics(
    session: AsyncSession,
    platform: Platform,
    scope: CreditScope,
    *,
    since: datetime | None,
    until: datetime | None,
    service: Service | None,
    type: EntryType | None = None,
    member_id: UUID | None,
    group_by: GroupBy | None,
) -> AnalyticsRead:
    """Usage (or what lines of one `type` moved) in a time of whole UTC days, by default the last thirty with today,
    and in the equal time before.

    In a pool, who may not manage credits sees of the members only themselves. Raises InvalidPeriod, Forbidden.
    """
    first, end = _whole_days(platform, since, until)
    own = confined_to(scope, member_id)
    earlier = first - (end - first)
    both = Window(earlier, end, service, member_id, await _lines(session, scope, type, earlier, end))
    inside = replace(both, first=first)
    totals = await repository.used_in_total(session, scope, inside)
    before = await repository.used_in_total(session, scope, replace(both, end=first))
    change = totals.net - before.net
    return AnalyticsRead(
        account_id=ledger_repository.account_id_of(scope),
        type=type,
        from_=_midnight(first),
        to=_midnight(end),
        totals=_figures(totals),
        before=TimeBefore(from_=_midnight(earlier), to=_midnight(first), **_figures(before).model_dump()),
        net_change=change,
        net_change_percent=round(100 * change / before.net, 1) if before.net > 0 else None,
        members_shown=own is None,
        by_service=await _by_service(session, scope, both, first) if group_by in (None, GroupBy.SERVICE) else None,
        by_member=await _by_member(session, scope, both, first, own) if group_by in (None, GroupBy.MEMBER) else None,
        by_day=await _by_day(session, scope, inside) if group_by in (None, GroupBy.DAY) else None,
    )


async def _lines(
    session: AsyncSession, scope: CreditScope, type: EntryType | None, first: date, end: date
) -> Lines | None:
    """The stretch of the book that these days are in."""
    if type is None:
        return None
    account = await ledger_repository.account(session, scope)
    if account is None:
        return Lines(type, 1, 1)
    ends = [await first_line_since(session, account.id, account.seq, _midnight(day)) for day in (first, end)]
    return Lines(type, *ends)


def _whole_days(platform: Platform, since: datetime | None, until: datetime | None) -> tuple[date, date]:
    """The UTC days that a time touches; raises InvalidPeriod."""
    tomorrow = platform.clock.now().astimezone(UTC).date() + DAY
    end = tomorrow if until is None else _day_after(until.astimezone(UTC))
    first = end - DEFAULT_DAYS * DAY if since is None else since.astimezone(UTC).date()
    if first >= end:
        raise InvalidPeriod(details=[{"pointer": "/from", "detail": "Must lie before to"}])
    if first.year < FIRST_YEAR or end.year > LAST_YEAR:
        raise InvalidPeriod(
            details=[{"pointer": "/from", "detail": f"Must lie in the years {FIRST_YEAR} to {LAST_YEAR}"}]
        )
    if (end - first).days > MAX_DAYS:
        raise InvalidPeriod(
            f"At most {MAX_DAYS} days can be asked for at once.",
            details=[{"pointer": "/from", "detail": f"Lies more than {MAX_DAYS} days before to"}],
        )
    return first, end


def _day_after(moment: datetime) -> date:
    """The first day that begins at this moment or later."""
    return moment.date() if moment.time() == time(0) else moment.date() + DAY


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


def _figures(used: Used) -> UsageFigures:
    return UsageFigures(gross=used.gross, refunded=used.refunded, net=used.net, entries=used.entries)


async def _by_service(session: AsyncSession, scope: CreditScope, both: Window, since: date) -> list[UsageByService]:
    rows = await repository.used_by(session, scope, CreditUsageDay.service, both, since, MAX_SERVICES)
    return [
        UsageByService(
            service=None if name == NO_SERVICE else Service(name),
            net_before=used.before,
            **_figures(used).model_dump(),
        )
        for name, used in rows
    ]


async def _by_member(
    session: AsyncSession, scope: CreditScope, both: Window, since: date, own: UUID | None
) -> list[UsageByMember]:
    window = both if own is None else replace(both, member_id=own)
    rows = await repository.used_by(session, scope, CreditUsageDay.actor_user_id, window, since, MAX_MEMBERS)
    return [
        UsageByMember(
            member_id=None if user_id == NOBODY else user_id,
            net_before=used.before,
            **_figures(used).model_dump(),
        )
        for user_id, used in rows
    ]


async def _by_day(session: AsyncSession, scope: CreditScope, inside: Window) -> list[UsageByDay]:
    found = await repository.used_by_day(session, scope, inside)
    nothing = Used(0, 0, 0, 0)
    return [
        UsageByDay(day=day, **_figures(found.get(day, nothing)).model_dump())
        for day in _days(inside.first, inside.end)
    ]


def table(read: AnalyticsRead, group_by: GroupBy) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Analytics as a header and rows."""
    figures = ("gross", "refunded", "net", "entries")
    if group_by is GroupBy.DAY:
        days = read.by_day or []
        return ("day", *figures), [(one.day, one.gross, one.refunded, one.net, one.entries) for one in days]
    keyed: list[tuple[object, UsageByService | UsageByMember]]
    if group_by is GroupBy.MEMBER:
        keyed = [(member.member_id, member) for member in read.by_member or []]
        name = "memberId"
    else:
        keyed = [(by.service, by) for by in read.by_service or []]
        name = "service"
    rows: list[Sequence[object]] = [
        (key, one.gross, one.refunded, one.net, one.entries, one.net_before) for key, one in keyed
    ]
    return (name, *figures, "netBefore"), rows


# --- suggestions -----------------------------------------------------------------------------------------------


async def suggestions(session: AsyncSession, platform: Platform, scope: CreditScope) -> list[Suggestion]:
    """Ways to get more out of the credits, from the last thirty days' usage, ninety days' packs and the forecast."""
    now = platform.clock.now().astimezone(UTC)
    outlook = await _outlook(session, platform, scope)
    last = Window(now.date() - (advice.PERIOD_DAYS - 1) * DAY, now.date() + DAY)
    rows = await repository.used_by(session, scope, CreditUsageDay.service, last, last.first, MAX_SERVICES)
    bought = await repository.bought_since(session, scope, now - advice.BOUGHT_DAYS * DAY)
    return advice.suggestions(
        advice.Facts(
            used={service: used.net for service, used in rows},
            costs=await _costs(platform),
            purchases=bought.purchases,
            bought=bought.credits,
            paid=bought.paid,
            plan_credits=outlook.plan_credits,
            plans=await repository.plan_grants(session),
            ending=[
                advice.Ending(one.lot_id, one.credits, one.expires_at)
                for one in outlook.found.unused
                if one.expires_at <= now + EXPIRING_WITHIN
            ],
        )
    )


async def _costs(platform: Platform) -> dict[str, int]:
    found: dict[str, int] = {}
    for service in Service:
        try:
            found[service] = (await platform.part(Catalogue).price_of(service)).cost
        except UnknownService:
            continue
    return found
