"""The forecast as a pure function: what it says of pasts whose future is known."""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import pytest

from pm_api.domains.ai_credits.demand import HORIZON_DAYS
from pm_api.domains.ai_credits.forecasting import (
    Choice,
    Offer,
    Situation,
    Supply,
    cheapest,
    forecast,
    smallest_plan,
)

MIDNIGHT: Final = datetime(2026, 3, 2, tzinfo=UTC)
DAY: Final = timedelta(days=1)
CASES: Final = 500


def supply(number: int, available: int, *, ends: datetime | None = None, **other: Any) -> Supply:
    """A lot; the number is its place in the burn-down order."""
    content: dict[str, Any] = {
        "id": UUID(int=number),
        "available": available,
        "order": (number,),
        "effective_at": MIDNIGHT - 200 * DAY,
        "expires_at": ends,
    }
    return Supply(**{**content, **other})


def situation(history: list[int], *supplies: Supply, **other: Any) -> Situation:
    content: dict[str, Any] = {
        "now": MIDNIGHT,
        "history": history,
        "used_today": 0,
        "held": 0,
        "supplies": supplies,
        "shares": {},
        "seed": 7,
    }
    return Situation(**{**content, **other})


# --- the band holds --------------------------------------------------------------------------------------------

Process = Iterator[int]


def poisson(chance: random.Random, mean: float) -> int:
    """Knuth's for little means, the normal's rounding for large ones."""
    if mean > 60:
        return max(0, round(chance.gauss(mean, mean**0.5)))
    limit, count, product = 2.718281828459045**-mean, 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


def steady(chance: random.Random) -> Process:
    mean = chance.uniform(2, 80)
    spread = chance.uniform(0.1, 0.6)
    while True:
        yield poisson(chance, max(0.0, chance.gauss(mean, spread * mean)))


def weekly(chance: random.Random) -> Process:
    mean = chance.uniform(5, 80)
    factors = [chance.uniform(0.6, 1.6) for _ in range(5)] + [chance.uniform(0, 0.3) for _ in range(2)]
    while True:
        for factor in factors:
            yield poisson(chance, mean * factor * chance.uniform(0.7, 1.3))


def growing(chance: random.Random) -> Process:
    """Half of them by the same amount each day, half by the same share."""
    mean, day = chance.uniform(5, 60), 0
    by_amount = chance.random() < 0.5
    pace = chance.uniform(0.003, 0.02) if by_amount else chance.uniform(0.002, 0.01)
    while True:
        level = mean * (1 + pace * day) if by_amount else mean * (1 + pace) ** day
        yield poisson(chance, level * chance.uniform(0.6, 1.4))
        day += 1


def bursty(chance: random.Random) -> Process:
    """Little on most days, and now and then some days of much."""
    little, much = chance.uniform(0, 3), chance.uniform(30, 150)
    starts, stays = chance.uniform(0.04, 0.15), chance.uniform(0.2, 0.6)
    bursting = False
    while True:
        bursting = chance.random() < (stays if bursting else starts)
        yield poisson(chance, much * chance.uniform(0.5, 1.5) if bursting else little)


KINDS: Final[tuple[Callable[[random.Random], Process], ...]] = (steady, weekly, growing, bursty)


def true_run_out(process: Process, amount: int) -> datetime | None:
    for day in range(HORIZON_DAYS):
        amount -= next(process)
        if amount < 0:
            return MIDNIGHT + day * DAY
    return None


def test_the_band_holds_the_true_day() -> None:
    held: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    widths: dict[str, list[float]] = {kind.__name__: [] for kind in KINDS}
    began = time.process_time()
    for case in range(CASES):
        chance = random.Random(case)
        kind = KINDS[case % len(KINDS)]
        process = kind(chance)
        history = [next(process) for _ in range(chance.choice((30, 45, 60, 90)))]
        days = chance.uniform(5, 120)
        amount = max(1, round(days * sum(history[-28:]) / 28))
        found = forecast(situation(history, supply(1, amount), seed=case))
        truth = true_run_out(process, amount)
        asked[kind.__name__] += 1
        first = found.p10.date() if found.p10 else None
        last = found.p90.date() if found.p90 else None
        if truth is None:
            held[kind.__name__] += last is None
        else:
            begun = first is not None and first <= truth.date()
            held[kind.__name__] += begun and (last is None or truth.date() <= last)
        if found.p10 and found.p90 and truth:
            widths[kind.__name__].append((found.p90 - found.p10) / max(truth - MIDNIGHT, DAY))
    shares = {name: held[name] / asked[name] for name in asked}
    overall = sum(held.values()) / CASES
    middle = {name: sorted(found)[len(found) // 2] for name, found in widths.items()}
    told = [
        f"{name}: {share:.1%} of {asked[name]} within p10 to p90, median width {middle[name]:.0%} of the time\n"
        for name, share in shares.items()
    ]
    spent_s = time.process_time() - began
    sys.stdout.writelines([*told, f"overall: {overall:.1%} of {CASES} in {spent_s:.1f} s\n"])
    assert overall >= 0.8
    assert min(shares.values()) >= 0.75


def test_a_quiet_past_gives_a_narrow_band() -> None:
    """Bands that hold everything because they are wide would say nothing."""
    chance = random.Random(1)
    history = [chance.choice((9, 10, 11)) for _ in range(84)]
    found = forecast(situation(history, supply(1, 400)))
    assert found.p10
    assert found.p50
    assert found.p90
    assert not found.exact
    assert abs(found.p50 - (MIDNIGHT + 40 * DAY)) < 2 * DAY
    assert timedelta(0) < found.p90 - found.p10 < 6 * DAY


def test_the_same_situation_has_the_same_forecast() -> None:
    chance = random.Random(2)
    history = [chance.randrange(20) for _ in range(60)]
    given = situation(history, supply(1, 300), supply(2, 100, ends=MIDNIGHT + 20 * DAY))
    assert forecast(given) == forecast(given)
    p90 = {forecast(situation(history, supply(1, 300), seed=seed)).p90 for seed in range(5)}
    assert len(p90) > 1, "the seed is what draws"


# --- what repeats itself is reckoned exactly -------------------------------------------------------------------


def test_steady_usage_runs_out_to_the_day() -> None:
    found = forecast(situation([3] * 30, supply(1, 30)))
    assert found.exact
    assert found.p10 == found.p50 == found.p90 == MIDNIGHT + 10 * DAY
    assert (found.reason, found.unused, found.daily_usage) == (None, (), 3.0)
    assert found.buy_by == MIDNIGHT + 9 * DAY
    assert found.gap == 3 * 29, "thirty days after buyBy, of which one is paid"


def test_a_weekly_rhythm_goes_on_where_it_stands() -> None:
    """The first day to come falls on the weekday of the first of the last seven."""
    week = [5, 5, 5, 5, 5, 0, 0]
    found = forecast(situation(week * 4, supply(1, 26)))
    assert found.exact
    assert found.p50 == MIDNIGHT + 7 * DAY + DAY / 5


def test_today_counts_what_it_has_used_and_what_is_under_way() -> None:
    noon = MIDNIGHT + DAY / 2
    used = forecast(situation([4] * 20, supply(1, 8), now=noon, used_today=3))
    assert used.p50 == MIDNIGHT + 2.75 * DAY
    under_way = forecast(situation([4] * 20, supply(1, 8), now=noon, used_today=1, held=3))
    assert under_way.p50 == MIDNIGHT + 3 * DAY, "the hold is the rest of today, and is paid already"


def test_lots_that_end_unused_are_named_exactly() -> None:
    """Ten a day: the first lot is used up, the second ends with what the first left over of its days, and a third
    ends before its turn comes."""
    found = forecast(
        situation(
            [10] * 28,
            supply(1, 50, ends=MIDNIGHT + 5 * DAY),
            supply(2, 100, ends=MIDNIGHT + 9 * DAY),
            supply(3, 70, ends=MIDNIGHT + 9 * DAY),
            supply(4, 1000),
        )
    )
    assert found.exact
    assert {(one.lot_id.int, one.credits, one.expires_at) for one in found.unused} == {
        (2, 60, MIDNIGHT + 9 * DAY),
        (3, 70, MIDNIGHT + 9 * DAY),
    }
    assert found.p50 == MIDNIGHT + 109 * DAY


def test_a_day_is_spent_evenly_over_its_hours() -> None:
    found = forecast(situation([8] * 14, supply(1, 10, ends=MIDNIGHT + 3 * DAY / 4), supply(2, 100)))
    assert [(one.lot_id.int, one.credits) for one in found.unused] == [(1, 4)]


def by_hand(week: list[int], lots: list[tuple[int, int | None, int]]) -> tuple[int | None, dict[int, int]]:
    """Day by day: (the day that cannot be paid, what is left of each lot at its end). A lot: credits, first day
    without it, first day with it."""
    left = [credits for credits, _, _ in lots]
    unused: dict[int, int] = {}
    short = None
    for day in range(HORIZON_DAYS):
        for number, (_, end, _) in enumerate(lots):
            if end == day and left[number]:
                unused[number + 1] = left[number]
        wanted = week[day % 7]
        for number, (_, end, begin) in enumerate(lots):
            if begin <= day and (end is None or day < end):
                taken = min(left[number], wanted)
                left[number] -= taken
                wanted -= taken
        if wanted and short is None:
            short = day
    return short, unused


def test_whatever_repeats_is_told_as_a_ledger_would_have_it() -> None:
    """Two hundred weeks and sets of lots, against a plain count by day."""
    for case in range(200):
        chance = random.Random(case)
        week = [chance.randrange(12) for _ in range(7)]
        week[0] += 1
        lots = []
        for _ in range(chance.randrange(1, 8)):
            begin = chance.choice((0, 0, 0, chance.randrange(60)))
            end = chance.choice((None, begin + chance.randrange(1, 90)))
            lots.append((chance.randrange(1, 150), end, begin))
        lots[0] = (lots[0][0], lots[0][1], 0)
        supplies = [
            supply(
                number,
                credits,
                ends=None if end is None else MIDNIGHT + end * DAY,
                effective_at=MIDNIGHT + begin * DAY,
            )
            for number, (credits, end, begin) in enumerate(lots, start=1)
        ]
        found = forecast(situation(week * 3, *supplies))
        short, unused = by_hand(week, lots)
        assert found.exact
        assert {one.lot_id.int: one.credits for one in found.unused} == unused, case
        day = None if found.p50 is None else (found.p50 - MIDNIGHT) // DAY
        assert day == short, case


def test_renewals_are_reckoned_with() -> None:
    """Ten every thirty days, one a day for twenty days of them would do; one a day does not."""
    renewals = [
        supply(
            0,
            10,
            id=None,
            effective_at=MIDNIGHT + (5 + 30 * number) * DAY,
            ends=MIDNIGHT + (35 + 30 * number) * DAY,
        )
        for number in range(13)
    ]
    thrifty = forecast(situation([0, 0, 0, 0, 0, 0, 2] * 5, supply(1, 10, ends=MIDNIGHT + 5 * DAY), *renewals))
    assert (thrifty.reason, thrifty.p50) == ("beyond_horizon", None)
    assert [(one.lot_id.int, one.credits) for one in thrifty.unused] == [(1, 10)]
    lavish = forecast(situation([1] * 28, supply(1, 10, ends=MIDNIGHT + 5 * DAY), *renewals))
    assert lavish.p50 == MIDNIGHT + 15 * DAY
    assert [(one.lot_id.int, one.credits) for one in lavish.unused] == [(1, 5)]


def test_what_rolls_over_lives_on_and_is_not_told_as_lost() -> None:
    """Of a hundred, ten days take ten; at most thirty of the ninety live on, and are spent before what never ends."""
    kept = supply(0, 30, id=None, order=(2,), effective_at=MIDNIGHT + 10 * DAY, ends=MIDNIGHT + 100 * DAY)
    found = forecast(situation([1] * 28, supply(1, 100, ends=MIDNIGHT + 10 * DAY, heir=kept), supply(3, 7)))
    assert [(one.lot_id.int, one.credits) for one in found.unused] == [(1, 60)]
    assert found.p50 == MIDNIGHT + (10 + 30 + 7) * DAY
    little = forecast(situation([1] * 28, supply(1, 15, ends=MIDNIGHT + 10 * DAY, heir=kept), supply(3, 7)))
    assert little.unused == ()
    assert little.p50 == MIDNIGHT + (15 + 7) * DAY


def test_a_lot_for_one_service_pays_its_share_only() -> None:
    """Half of ten a day is chat: of a lot for chat, no more than five a day is spent."""
    found = forecast(
        situation(
            [10] * 28,
            supply(1, 100, service="CHAT_ASSISTANT", ends=MIDNIGHT + 15 * DAY),
            supply(2, 50),
            shares={"CHAT_ASSISTANT": Fraction(1, 2)},
        )
    )
    assert found.p50 == MIDNIGHT + 10 * DAY
    assert [(one.lot_id.int, one.credits) for one in found.unused] == [(1, 25)]
    spent_first = forecast(
        situation(
            [10] * 28,
            supply(1, 20, service="CHAT_ASSISTANT"),
            supply(2, 80),
            shares={"CHAT_ASSISTANT": Fraction(1, 2)},
        )
    )
    assert spent_first.p50 == MIDNIGHT + 10 * DAY, "once it is used up, the common lot pays for chat too"


# --- the edges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [[], [5], [5, 7]])
def test_without_a_past_nothing_is_said(history: list[int]) -> None:
    found = forecast(situation(history, supply(1, 10, ends=MIDNIGHT + 3 * DAY)))
    assert found.reason == "no_history"
    assert (found.p10, found.p50, found.p90, found.unused, found.buy_by, found.gap) == (None, None, None, (), None, 0)


def test_who_uses_nothing_keeps_it_or_lets_it_expire() -> None:
    found = forecast(situation([0] * 40, supply(1, 10, ends=MIDNIGHT + 3 * DAY), supply(2, 5)))
    assert (found.reason, found.p50, found.exact) == ("no_usage", None, True)
    assert [(one.lot_id.int, one.credits) for one in found.unused] == [(1, 10)]
    assert forecast(situation([0] * 40)).reason == "no_usage"


def test_an_empty_account_has_run_out_now() -> None:
    noon = MIDNIGHT + DAY / 2
    for history in ([4] * 20, [4, 0, 9, 1] * 10):
        found = forecast(situation(history, now=noon))
        assert found.p10 == found.p50 == found.p90 == noon
        assert found.buy_by == noon
        assert found.gap > 0
    scheduled = forecast(situation([4] * 20, supply(1, 10**6, effective_at=noon + 3 * DAY), now=noon))
    assert scheduled.p50 == noon


def test_a_past_whose_weeks_are_all_empty_is_not_divided_by() -> None:
    """Ninety days are twelve weeks and six days; here only the six have usage."""
    found = forecast(situation([9] + [0] * 89, supply(1, 10)))
    assert found.daily_usage == 0.1
    assert found.reason in (None, "beyond_horizon")


@pytest.mark.parametrize("scale", [1, 10**6, 10**9, 10**12])
def test_huge_figures_change_nothing(scale: int) -> None:
    exact = forecast(situation([3 * scale] * 30, supply(1, 30 * scale)))
    assert exact.p50 == MIDNIGHT + 10 * DAY
    chance = random.Random(3)
    history = [chance.randrange(1, 20) for _ in range(60)]
    plain = forecast(situation(history, supply(1, 400)))
    large = forecast(situation([one * scale for one in history], supply(1, 400 * scale)))
    assert plain.p50
    assert large.p50
    assert abs(plain.p50 - large.p50) < timedelta(seconds=1)


def test_very_many_lots_take_no_longer_and_are_told_nearly_as_well() -> None:
    """Two thousand lots of five, one ending every third hour: twenty a day are spent, and as many expire."""
    lots = [supply(number, 5, ends=MIDNIGHT + number * DAY / 8) for number in range(1, 2001)]
    began = time.process_time()
    found = forecast(situation([20] * 80, *lots))
    assert found.p50
    assert abs(found.p50 - (MIDNIGHT + 250 * DAY)) < 4 * DAY
    assert len(found.unused) > 100
    chance = random.Random(4)
    forecast(situation([chance.randrange(40) for _ in range(80)], *lots))
    assert time.process_time() - began < 5


PACKS: Final = (Offer("SMALL", 100, 199, "USD"), Offer("MEDIUM", 550, 899, "USD"), Offer("LARGE", 1150, 1599, "USD"))


@pytest.mark.parametrize(
    ("gap", "name", "quantity"),
    [
        (1, "SMALL", 1),
        (300, "SMALL", 3),
        (401, "MEDIUM", 1),
        (551, "SMALL", 6),
        (801, "LARGE", 1),
        (2300, "LARGE", 2),
    ],
)
def test_the_cheapest_way_to_close_a_gap(gap: int, name: str, quantity: int) -> None:
    chosen = cheapest(gap, PACKS)
    assert chosen is not None
    assert (chosen.offer.name, chosen.quantity) == (name, quantity)
    assert chosen == min(
        (Choice(one, -(-gap // one.credits)) for one in PACKS),
        key=lambda one: (one.offer.price_minor or 0) * one.quantity,
    )


def test_nothing_is_chosen_where_nothing_is_lacking_or_priced() -> None:
    assert cheapest(0, PACKS) is None
    assert cheapest(5, [Offer("XL", 2000, None)]) is None
    plans = [Offer("PRO", 100, None), Offer("TEAM", 500, None)]
    assert smallest_plan(100, plans) == plans[0]
    assert smallest_plan(101, plans) == plans[1]
    assert smallest_plan(501, plans) is None
