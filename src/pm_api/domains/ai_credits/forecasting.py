"""When credits run out and which expire unused: pure functions of the past, the lots and the moment.

Every future that `demand` holds possible is paid from the lots in burn-down order; the answers are the places of
p10, p50 and p90 among what comes out. A day's usage falls evenly over the day; open holds are today's usage under
way and are paid from their own lots.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from pm_api.domains.ai_credits.demand import (
    HORIZON_DAYS,
    Future,
    Number,
    Start,
    central_future,
    exact_future,
    futures,
    repeated,
)

HISTORY_DAYS: Final = 90
MIN_HISTORY_DAYS: Final = 3
PATHS: Final = 240
MIN_PATHS: Final = 20
MAX_LOTS: Final = 200
MAX_GROUPS: Final = 100
MAX_STEPS: Final = 400_000
COVER_DAYS: Final = 30
NO_HISTORY: Final = "no_history"
NO_USAGE: Final = "no_usage"
BEYOND_HORIZON: Final = "beyond_horizon"
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Supply:
    """A lot as the forecast sees it. `id` is null for one that is still to come; `order` is its burn-down order.

    `heir` is what lives on of it when it ends: a lot that begins then, with at most what it says is available.
    """

    id: UUID | None
    available: int
    order: tuple[Any, ...]
    effective_at: datetime
    expires_at: datetime | None = None
    service: str | None = None
    heir: "Supply | None" = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a forecast depends on. `history` is one figure for each whole UTC day before today, oldest first."""

    now: datetime
    history: Sequence[int]
    used_today: int
    held: int
    supplies: Sequence[Supply]
    shares: Mapping[str, Fraction]
    seed: int


@dataclass(frozen=True, slots=True)
class Unused:
    lot_id: UUID
    credits: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """`reason` says why there is no p50; `exact` that the past repeats itself and so does the future."""

    reason: str | None
    exact: bool
    daily_usage: float | None
    p10: datetime | None
    p50: datetime | None
    p90: datetime | None
    unused: tuple[Unused, ...]
    buy_by: datetime | None
    gap: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A pack or plan that may be bought; a null price is not known here."""

    name: str
    credits: int
    price_minor: int | None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    offer: Offer
    quantity: int


def forecast(given: Situation) -> Forecast:
    """The same answer for the same situation, always."""
    past = [max(0, credits) for credits in given.history][-HISTORY_DAYS:]
    if len(past) < MIN_HISTORY_DAYS:
        return Forecast(NO_HISTORY, False, None, None, None, None, (), None, 0)
    timeline = _Timeline(given)
    start = Start(timeline.begin, given.used_today + given.held)
    week = repeated(past)
    possible = [exact_future(week, start)] if week else futures(past, start, timeline.affordable_paths(), given.seed)
    walks = [_walk(one, timeline) for one in possible]
    idle = week is not None and not any(week)
    ends = sorted(math.inf if walk.run_out is None else float(walk.run_out) for walk in walks)
    if timeline.empty_now and not idle:
        ends = [float(timeline.begin)]
    p10, p50, p90 = (timeline.moment(ends[index]) for index in _ranks(len(ends)))
    buy_by = max(given.now, _midnight(p10) - DAY) if p10 is not None else None
    gap = 0
    if buy_by is not None:
        expected = exact_future(week, start) if week else central_future(past, start)
        gap = math.ceil(_walk(expected, _Timeline(given, until=buy_by + COVER_DAYS * DAY)).unmet)
    reason = NO_USAGE if idle else (BEYOND_HORIZON if p50 is None else None)
    return Forecast(
        reason=reason,
        exact=week is not None,
        daily_usage=round(sum(past) / len(past), 2),
        p10=p10,
        p50=p50,
        p90=p90,
        unused=tuple(_unused(timeline, walks)),
        buy_by=buy_by,
        gap=gap,
    )


def cheapest(gap: int, offers: Sequence[Offer]) -> Choice | None:
    """What closes the gap for the least money, as often of one offer as it takes; fewer credits win a draw."""
    priced = [one for one in offers if one.price_minor is not None and one.credits > 0]
    if gap <= 0 or not priced:
        return None
    choices = [Choice(one, -(-gap // one.credits)) for one in priced]
    return min(
        choices,
        key=lambda one: (
            (one.offer.price_minor or 0) * one.quantity,
            one.offer.credits * one.quantity,
            one.offer.name,
        ),
    )


def smallest_plan(credits_per_period: float, offers: Sequence[Offer]) -> Offer | None:
    """The plan that brings enough and the least of all such."""
    enough = [one for one in offers if one.credits >= credits_per_period]
    return min(enough, key=lambda one: (one.credits, one.name), default=None)


# --- time and lots ---------------------------------------------------------------------------------------------


class _Timeline:
    """The horizon cut where a lot begins or ends. Positions are days since today's UTC midnight."""

    def __init__(self, given: Situation, until: datetime | None = None) -> None:
        self.midnight = _midnight(given.now)
        self.begin = self.position(given.now)
        end = given.now + timedelta(days=HORIZON_DAYS)
        end = end if until is None else min(until, end)
        self.lots = _merged(given, end)
        self.shares = given.shares
        self.empty_now = not any(lot.effective_at <= given.now for lot in self.lots)
        moments = {lot.effective_at for lot in self.lots} | {lot.expires_at for lot in self.lots if lot.expires_at}
        cuts = [given.now, *sorted(one for one in moments if given.now < one < end), end]
        self.positions = [self.position(one) for one in cuts]
        self.active = [
            [
                number
                for number, lot in enumerate(self.lots)
                if lot.effective_at <= begins and (lot.expires_at is None or lot.expires_at > begins)
            ]
            for begins in cuts[:-1]
        ]
        """Lots that may be spent between a cut and the next, in burn-down order."""
        numbers = {id(lot): number for number, lot in enumerate(self.lots)}
        heirs = {id(lot.heir) for lot in given.supplies if lot.heir is not None}
        self.start = [0 if id(lot) in heirs else lot.available for lot in self.lots]
        self.carries: dict[int, list[tuple[int, int]]] = {}
        """By step: (lot that ends with it, its heir)."""
        for number, lot in enumerate(self.lots):
            if lot.heir is not None and lot.expires_at is not None and lot.expires_at < end:
                step = cuts.index(lot.expires_at) - 1
                self.carries.setdefault(step, []).append((number, numbers[id(lot.heir)]))
        known = [lot.expires_at for lot in self.lots if lot.id is not None and lot.expires_at is not None]
        last = max((one for one in known if one <= end), default=given.now) if until is None else end
        self.last_needed = bisect_left(cuts, last) - 1
        """The step after which nothing more is asked of a future that has run out."""
        self.limited = any(lot.service for lot in self.lots)

    def affordable_paths(self) -> int:
        """Fewer where there are very many lots: an answer takes no longer for it."""
        steps = 100 + sum(len(active) for active in self.active)
        return max(MIN_PATHS, min(PATHS, MAX_STEPS // steps))

    def position(self, moment: datetime) -> Fraction:
        return Fraction((moment - self.midnight) // timedelta(microseconds=1), DAY // timedelta(microseconds=1))

    def moment(self, position: float) -> datetime | None:
        return None if math.isinf(position) else self.midnight + timedelta(days=position)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(0), moment.tzinfo)


def _merged(given: Situation, end: datetime) -> list[Supply]:
    """Lots in burn-down order; neighbours that never end and are here already are one."""
    alive = [
        lot
        for lot in given.supplies
        if lot.available > 0 and lot.effective_at < end and not (lot.expires_at and lot.expires_at <= given.now)
    ]
    heirs = {id(lot.heir): lot.heir for lot in alive if lot.heir is not None}
    lots: list[Supply] = []
    for lot in sorted([*alive, *heirs.values()], key=lambda one: one.order):
        lasting = lot.expires_at is None and lot.effective_at <= given.now and lot.service is None
        if not lasting:
            lots.append(lot)
        elif lots and lots[-1].id is None and lots[-1].expires_at is None:
            lots[-1] = Supply(None, lots[-1].available + lot.available, lots[-1].order, given.now)
        else:
            lots.append(Supply(None, lot.available, lot.order, given.now))
    return lots if len(lots) <= MAX_LOTS else [*lots[:MAX_LOTS], *_grouped(lots[MAX_LOTS:], given.now)]


def _grouped(tail: list[Supply], now: datetime) -> Iterator[Supply]:
    """What comes after very many lots, in groups without names that end with their last lot: an answer for thousands
    of lots takes no longer than one for hundreds.
    """
    size = -(-len(tail) // MAX_GROUPS)
    group: list[Supply] = []
    for lot in tail:
        alone = lot.id is None or lot.service is not None or lot.effective_at > now
        if group and (alone or len(group) == size):
            yield _group(group, now)
            group = []
        if alone:
            yield lot
        else:
            group.append(lot)
    if group:
        yield _group(group, now)


def _group(lots: Sequence[Supply], now: datetime) -> Supply:
    ends = [lot.expires_at for lot in lots if lot.expires_at is not None]
    return Supply(None, sum(lot.available for lot in lots), lots[0].order, now, max(ends))


@dataclass(slots=True)
class _Walk:
    run_out: Number | None
    left: list[Number]
    unmet: Number


def _walk(future: Future, timeline: _Timeline) -> _Walk:
    """Pay one future's usage from the lots. After the run-out it goes on for the lots that still end, and for
    what stays unpaid.
    """
    exact = future.exact
    left: list[Number] = [Fraction(credits) if exact else float(credits) for credits in timeline.start]
    run_out: Number | None = None
    unmet: Number = Fraction(0) if exact else 0.0
    positions: Sequence[Number] = timeline.positions if exact else [float(one) for one in timeline.positions]
    before: Number = future.used_until(positions[0])
    for step, active in enumerate(timeline.active):
        after = future.used_until(positions[step + 1])
        wanted = after - before
        covered, lacking = (
            _pay_limited(left, active, wanted, timeline) if timeline.limited else _pay(left, active, wanted)
        )
        for number, heir in timeline.carries.get(step, ()):
            left[heir] = min(left[number], timeline.lots[heir].available)
            left[number] -= left[heir]
        if lacking > (0 if exact else wanted * 1e-9):
            if run_out is None:
                run_out = max(future.when(before + covered), positions[step])
            unmet += lacking
            if step >= timeline.last_needed:
                break
        before = after
    return _Walk(run_out, left, unmet)


def _pay(left: list[Number], active: Sequence[int], wanted: Number) -> tuple[Number, Number]:
    """(what was paid before the lots were empty, what was not paid)."""
    rest = wanted
    for number in active:
        if rest <= 0:
            break
        taken = min(left[number], rest)
        left[number] -= taken
        rest -= taken
    return wanted - rest, rest


def _pay_limited(
    left: list[Number], active: Sequence[int], wanted: Number, timeline: _Timeline
) -> tuple[Number, Number]:
    """The same where lots may pay for one service only: each such lot meets that service's share of the usage."""
    lots = timeline.lots
    stock: dict[str, Number] = {}
    for number in active:
        service = lots[number].service
        if service is not None:
            stock[service] = stock.get(service, 0) + left[number]
    share: dict[str, Number] = {
        one: timeline.shares.get(one, Fraction(0))
        if isinstance(wanted, Fraction)
        else float(timeline.shares.get(one, 0))
        for one in stock
    }
    common = [number for number in active if lots[number].service is None]
    pool = sum(left[number] for number in common)
    covered = _reach(pool, [(stock[one], share[one]) for one in stock], wanted)
    paid_limited: Number = 0
    for one in stock:
        own = [number for number in active if lots[number].service == one]
        paid_limited += _pay(left, own, wanted * share[one])[0]
    _, lacking = _pay(left, common, wanted - paid_limited)
    return covered, lacking


def _reach(pool: Number, limited: list[tuple[Number, Number]], wanted: Number) -> Number:
    """How much usage is paid until the common pool is empty: each limited stock meets its share until it ends."""
    reached: Number = 0
    slope: Number = 1 - sum(share for _, share in limited)
    for stock, share in sorted(((s, f) for s, f in limited if f > 0), key=lambda one: one[0] / one[1]):
        ends = stock / share
        need = slope * (ends - reached)
        if need > pool:
            break
        pool -= need
        reached = ends
        slope += share
    more = pool / slope if slope > 0 else wanted
    return min(wanted, reached + more)


def _unused(timeline: _Timeline, walks: Sequence[_Walk]) -> Iterator[Unused]:
    end = timeline.positions[-1]
    for number, lot in enumerate(timeline.lots):
        if lot.id is None or lot.expires_at is None or timeline.position(lot.expires_at) > end:
            continue
        left = sorted(walk.left[number] for walk in walks)[len(walks) // 2]
        credits = math.ceil(left) if isinstance(left, Fraction) else round(left)
        if credits > 0:
            yield Unused(lot.id, credits, lot.expires_at)


def _ranks(count: int) -> tuple[int, int, int]:
    """Places of p10, p50 and p90 among sorted paths; the outer two rounded outwards."""
    return math.floor(0.1 * (count - 1)), count // 2, math.ceil(0.9 * (count - 1))
