"""Rules that are meant to hurt. Each is answered within a budget of steps, and steps are what the machine does."""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, Final

import pytest

from pm_api.core.recurrence import (
    Budget,
    RecurrenceSet,
    Window,
    admit,
    bounds,
    expand,
    occurrence_at,
    preview,
    split,
    upcoming,
)
from pm_api.core.recurrence.admission import STEPS
from pm_api.core.recurrence.errors import RecurrenceRefused, RuleTooComplex
from pm_api.core.recurrence.sets import EARLIEST
from tests.core.recurrence.places import series, timed, utc

EVERY_HOUR: Final = ",".join(map(str, range(24)))
EVERY_MINUTE: Final = ",".join(map(str, range(60)))
EVERY_DAY: Final = ",".join(map(str, range(1, 32)))
EVERY_YEAR_DAY: Final = ",".join(map(str, range(1, 367)))
ALL_DAYS: Final = "MO,TU,WE,TH,FR,SA,SU"

EMPTY: Final = "recurrence_rule_empty"
TAKEN: Final = None
"""Admitted: it looks hostile and is not."""

HOSTILE: Final[tuple[tuple[str, str | None], ...]] = (
    # What has no end in other libraries.
    ("FREQ=DAILY;INTERVAL=0", "recurrence_interval_out_of_range"),
    ("FREQ=YEARLY;INTERVAL=0;BYMONTH=2;BYMONTHDAY=30", "recurrence_interval_out_of_range"),
    ("FREQ=DAILY;INTERVAL=-1", "recurrence_interval_out_of_range"),
    ("FREQ=DAILY;INTERVAL=99999999999999999999999999", "recurrence_interval_out_of_range"),
    ("FREQ=DAILY;COUNT=0", "recurrence_count_out_of_range"),
    ("FREQ=DAILY;COUNT=1000000000", "recurrence_count_out_of_range"),
    ("FREQ=SECONDLY", "recurrence_frequency_unsupported"),
    ("FREQ=MINUTELY;COUNT=10", "recurrence_frequency_unsupported"),
    ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "recurrence_frequency_unsupported"),
    # Days that never come.
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", EMPTY),
    ("FREQ=YEARLY;BYMONTH=2,4,6,9,11;BYMONTHDAY=31", EMPTY),
    ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30,31", EMPTY),
    ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=-30", EMPTY),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", EMPTY),
    ("FREQ=DAILY;INTERVAL=2;BYMONTH=4;BYMONTHDAY=31", EMPTY),
    ("FREQ=DAILY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=31", EMPTY),
    ("FREQ=DAILY;INTERVAL=7;BYDAY=WE", EMPTY),
    ("FREQ=DAILY;INTERVAL=994;BYDAY=WE", EMPTY),
    ("FREQ=MONTHLY;INTERVAL=12;BYMONTH=5", EMPTY),
    ("FREQ=MONTHLY;INTERVAL=6;BYMONTH=2,3,4,5,6,8,9,10,11,12", EMPTY),
    ("FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1", EMPTY),
    ("FREQ=YEARLY;BYYEARDAY=1;BYMONTH=12", EMPTY),
    ("FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1;BYDAY=MO", EMPTY),
    ("FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=100;BYDAY=MO", EMPTY),
    ("FREQ=YEARLY;BYYEARDAY=60;BYMONTHDAY=2", EMPTY),
    ("FREQ=YEARLY;BYMONTH=1;BYDAY=1MO;BYMONTHDAY=8,9,10", EMPTY),
    ("FREQ=DAILY;UNTIL=20200101T000000Z", EMPTY),
    ("FREQ=DAILY;UNTIL=20260105T085959", EMPTY),
    ("FREQ=DAILY;UNTIL=19000101T000000Z", EMPTY),
    # Mazes of BYSETPOS.
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", EMPTY),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-6,6,366,-366", EMPTY),
    ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3", EMPTY),
    ("FREQ=WEEKLY;BYMONTH=1;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=8", EMPTY),
    ("FREQ=DAILY;BYHOUR=9,10;BYSETPOS=3", EMPTY),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYSETPOS=2", EMPTY),
    (f"FREQ=YEARLY;BYDAY={ALL_DAYS};BYSETPOS=366", TAKEN),
    (f"FREQ=YEARLY;BYYEARDAY={EVERY_YEAR_DAY};BYDAY={ALL_DAYS};BYSETPOS=-366,1,2,3,200", TAKEN),
    (f"FREQ=MONTHLY;BYMONTHDAY={EVERY_DAY};BYHOUR=0,6,12,18;BYSETPOS=1,-1,60,-60,124", TAKEN),
    ("FREQ=YEARLY;BYDAY=53SU,-53SU,53MO,-53MO;BYSETPOS=1", TAKEN),
    ("FREQ=WEEKLY;INTERVAL=1000;BYMONTH=2;BYDAY=MO,TU;BYSETPOS=2", TAKEN),
    # Days that come once in centuries.
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", TAKEN),
    ("FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", TAKEN),
    ("FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH", TAKEN),  # first in 2712
    ("FREQ=YEARLY;INTERVAL=31;BYMONTH=2;BYMONTHDAY=29;BYDAY=WE", TAKEN),  # first in 7296
    ("FREQ=YEARLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=29", EMPTY),
    ("FREQ=MONTHLY;INTERVAL=997;BYMONTH=2;BYMONTHDAY=29", EMPTY),
    ("FREQ=DAILY;INTERVAL=997;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", TAKEN),
    ("FREQ=DAILY;INTERVAL=20;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", TAKEN),
    ("FREQ=DAILY;INTERVAL=29;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", TAKEN),
    ("FREQ=DAILY;INTERVAL=28;BYMONTHDAY=31;BYDAY=TU", EMPTY),
    ("FREQ=DAILY;INTERVAL=30;BYMONTHDAY=31;BYDAY=SU;COUNT=1000", "recurrence_rule_too_complex"),
    ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU;BYMONTH=1;BYMONTHDAY=3;COUNT=1000", TAKEN),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=1000", TAKEN),
    ("FREQ=YEARLY;INTERVAL=1000;COUNT=1000", TAKEN),
    # Floods.
    (f"FREQ=DAILY;BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSECOND={EVERY_MINUTE}", "recurrence_rule_too_dense"),
    (f"FREQ=DAILY;BYHOUR={EVERY_HOUR};BYMINUTE=0,10,20,30,40", "recurrence_rule_too_dense"),
    (f"FREQ=YEARLY;BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSETPOS=1", "recurrence_rule_too_dense"),
    (f"FREQ=DAILY;BYHOUR={EVERY_HOUR};BYMINUTE=0,15,30,45", TAKEN),
    (f"FREQ=DAILY;COUNT=1000;BYHOUR={EVERY_HOUR};BYMINUTE=0,15,30,45", TAKEN),
    ("FREQ=DAILY;BYDAY=" + ",".join([ALL_DAYS] * 600), "recurrence_rule_too_long"),
    ("FREQ=DAILY;BYMONTHDAY=" + ",".join(["1"] * 5000), "recurrence_rule_too_long"),
    ("FREQ=DAILY;" * 900, "recurrence_rule_too_long"),
    ("FREQ=YEARLY;BYYEARDAY=" + ",".join(map(str, range(-366, 0))), TAKEN),
    ("9" * 2048, "recurrence_rule_malformed"),
    (";" * 2048, "recurrence_rule_malformed"),
    ("=" * 2048, "recurrence_rule_malformed"),
    ("FREQ=" + "," * 2000, "recurrence_rule_malformed"),
    ("FREQ=DAILY;BYMONTHDAY=" + "," * 2000, "recurrence_rule_malformed"),
    # The ends of the calendar.
    ("FREQ=DAILY;UNTIL=99991231T235959Z", TAKEN),
    ("FREQ=DAILY;UNTIL=99991231", TAKEN),
    ("FREQ=YEARLY;INTERVAL=1000;UNTIL=99991231T235959Z", TAKEN),
    ("FREQ=DAILY;UNTIL=100000101T000000Z", "recurrence_rule_malformed"),
)


@dataclass
class Answer:
    code: str | None
    steps: int
    series: RecurrenceSet | None


def answer(rrule: str) -> Answer:
    """Monday, 2026-01-05, 09:00 in New York."""
    budget = Budget(STEPS)
    try:
        admitted = admit(timed("2026-01-05 09:00"), rrule=rrule, budget=budget)
    except RecurrenceRefused as refusal:
        return Answer(refusal.code, budget.spent, None)
    return Answer(None, budget.spent, admitted)


@pytest.mark.parametrize(("rrule", "code"), HOSTILE, ids=[one[0][:60] for one in HOSTILE])
def test_a_hostile_rule_is_answered_in_bounded_work(rrule: str, code: str | None) -> None:
    found = answer(rrule)
    assert found.code == code
    assert found.steps <= STEPS + 366


@pytest.mark.parametrize("rrule", [rrule for rrule, code in HOSTILE if code is TAKEN])
def test_what_was_let_in_is_cheap_for_ever(rrule: str) -> None:
    """Every question about an admitted series is answered in the usual budget; most in a small part of it."""
    admitted = answer(rrule).series
    assert admitted is not None
    for year in (2026, 2400, 8000):
        budget = Budget()
        begin = datetime(year, 1, 5, tzinfo=utc("2026-01-05").tzinfo)
        found = expand(admitted, Window(begin, begin + timedelta(days=10)), budget=budget)
        assert budget.spent <= 13 * 97 + 366 * 8
        assert len(found) <= 1000
    some = upcoming(admitted, EARLIEST, 3)
    assert some
    assert bounds(admitted)
    assert preview(admitted, most=2, after=utc("2026-01-01")).text
    assert split(admitted, some[-1].key)


def test_fifty_and_more_were_tried() -> None:
    assert len(HOSTILE) >= 50
    assert len({code for _, code in HOSTILE}) >= 8


def test_steps_are_what_the_machine_does() -> None:
    """Calls of functions are counted beside the steps: no loop hides from the budget. Reading a text is bounded by
    its 2 KiB, and is paid with a constant.
    """
    for rrule, _ in HOSTILE:
        calls, found = calls_of(rrule)
        assert calls <= 12_000 + 30 * found.steps, rrule[:60]


def calls_of(rrule: str) -> tuple[int, Answer]:
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = answer(rrule)
    finally:
        sys.setprofile(before)
    return calls, found


# --- what a window costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3;BYDAY=MO,TU",
        "FREQ=DAILY;BYMONTH=1,7;BYMONTHDAY=1,15",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;WKST=SU",
        "FREQ=WEEKLY;BYMONTH=1;BYDAY=MO,TU;BYSETPOS=-1",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=20MO;BYSETPOS=1",
        "FREQ=DAILY;UNTIL=89990101T000000Z",
    ],
)
def test_a_late_window_costs_what_an_early_one_costs(rrule: str) -> None:
    """A month in the second year, and a month thousands of years on, of the same series."""
    whole = series("2026-01-05 09:00", rrule)
    costs = []
    for year in (2027, 2028, 2029, 2030, 5027, 8028, 8991):
        budget = Budget()
        begin = utc(f"{year}-01-01")
        expand(whole, Window(begin, begin + timedelta(days=31)), budget=budget)
        costs.append(budget.spent)
    assert max(costs[4:]) <= max(costs[:4]) + 366
    assert max(costs) < 800


def test_a_counted_series_is_not_counted_again() -> None:
    """The last start of a COUNT rule is kept with the series: its last week costs what its first costs."""
    thousand = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=1000")
    costs = []
    for begin in (utc("2026-01-05"), utc("2028-09-24"), utc("2050-01-01")):
        budget = Budget()
        costs.append((len(expand(thousand, Window(begin, begin + timedelta(days=7)), budget=budget)), budget.spent))
    assert [found for found, _ in costs] == [7, 7, 0]
    assert all(spent <= 25 for _, spent in costs)


@pytest.mark.parametrize("rrule", ["FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "FREQ=MONTHLY;BYDAY=-1FR"])
def test_finding_and_cutting_late_costs_what_it_costs_early(rrule: str) -> None:
    whole = series("2026-01-05 09:00", rrule)
    for ask in (
        lambda key, budget: occurrence_at(whole, key, budget=budget),
        lambda key, budget: split(whole, key, budget),
        lambda key, budget: upcoming(whole, key, 5, budget=budget),
    ):
        costs = []
        for year in (2027, 8027):
            key = upcoming(whole, utc(f"{year}-01-01"), 1)[0].key
            budget = Budget()
            assert ask(key, budget)
            costs.append(budget.spent)
        assert abs(costs[1] - costs[0]) <= 40
        assert max(costs) <= 300


def test_more_occurrences_cost_more_and_nothing_else_does() -> None:
    daily = series("2026-01-05 09:00", "FREQ=DAILY")
    costs = {}
    for days in (10, 100, 400):
        budget = Budget()
        expand(daily, Window(utc("2030-01-01"), utc("2030-01-01") + timedelta(days=days)), budget=budget)
        costs[days] = budget.spent
    assert all(2 * days <= spent <= 2 * days + 10 for days, spent in costs.items())


def test_a_budget_that_is_used_up_refuses_and_cuts_nothing() -> None:
    daily = series("2026-01-05 09:00", "FREQ=DAILY")
    asked = Window(utc("2026-01-05"), utc("2026-04-05"))
    with pytest.raises(RuleTooComplex) as refusal:
        expand(daily, asked, budget=Budget(100))
    assert refusal.value.code == "recurrence_rule_too_complex"
    assert len(expand(daily, asked, budget=Budget(190))) == 90
