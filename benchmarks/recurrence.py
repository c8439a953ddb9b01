"""What recurrence costs in time: `python -m benchmarks.recurrence`. Ratios within one run; not part of `make bench`.

Whether work is bounded is proved in tests/core/recurrence, by counting steps. This says what a step is worth.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

from dateutil.rrule import rrulestr
from tests.core.recurrence.test_hostile_rules import HOSTILE, answer

from pm_api.core.recurrence import Budget, Placement, RecurrenceSet, Window, admit, expand

ROUNDS: Final = 15
TARGET_MS: Final = 100
RULES: Final = (
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
)


def median_ms(work: Callable[[], object]) -> float:
    """The median of several rounds, in time of the processor: what else the machine does counts little."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return median(times)


def starting(year: int, rrule: str) -> RecurrenceSet:
    start = datetime.fromisoformat(f"{year}-01-05T09:00:00")
    return admit(Placement.timed(start, start + timedelta(hours=1), "America/New_York"), rrule=rrule)


def month(year: int) -> Window:
    begin = datetime(year, 3, 1, tzinfo=UTC)
    return Window(begin, begin + timedelta(days=31))


def windows() -> None:
    print(f"{'a month of a series from 1950':<56}{'1951 ms':>10}{'2950 ms':>10}{'ratio':>8}{'dateutil, 2950':>16}")
    for rrule in RULES:
        series = starting(1950, rrule)
        early = median_ms(lambda series=series: expand(series, month(1951)))  # type: ignore[misc]
        late = median_ms(lambda series=series: expand(series, month(2950)))  # type: ignore[misc]
        began = time.process_time()
        rrulestr(rrule, dtstart=series.placement.start).between(
            month(2950).start.replace(tzinfo=None), month(2950).end.replace(tzinfo=None)
        )
        walked = (time.process_time() - began) * 1000
        print(f"{rrule:<56}{early:>10.3f}{late:>10.3f}{late / early:>8.2f}{walked / late:>14.0f} x")


def many() -> None:
    some = [starting(2020 + number % 6, RULES[number % len(RULES)]) for number in range(2000)]
    few = median_ms(lambda: [expand(one, month(2026)) for one in some[:200]])
    all_of_them = median_ms(lambda: [expand(one, month(2026)) for one in some])
    print(f"\na month view over 2,000 series: {all_of_them:.0f} ms, each {all_of_them / few / 10:.2f} of one of 200")
    finished = [starting(2020, "FREQ=DAILY;COUNT=1000") for _ in range(200)]
    late = median_ms(lambda: [expand(one, month(2022)) for one in finished])
    early = median_ms(lambda: [expand(one, month(2020)) for one in finished])
    print(f"counted to 1,000: a month near the end costs {late / early:.2f} of one near the start")


def hostile() -> float:
    worst, slowest, steps = 0.0, "", 0
    for rrule, _ in HOSTILE:
        took = median_ms(lambda rrule=rrule: answer(rrule))  # type: ignore[misc]
        if took > worst:
            worst, slowest, steps = took, rrule, answer(rrule).steps
    print(
        f"\nof {len(HOSTILE)} hostile rules the slowest is answered in {worst:.1f} ms ({steps} steps): {slowest[:60]}"
    )
    budget = Budget()
    series = starting(2026, "FREQ=DAILY;BYHOUR=8,12")
    took = median_ms(lambda: expand(series, Window(month(2026).start, month(2026).start + timedelta(days=400))))
    expand(series, Window(month(2026).start, month(2026).start + timedelta(days=400)), budget=budget)
    print(f"800 occurrences: {took:.1f} ms, {budget.spent} steps, {took * 1000 / budget.spent:.1f} µs each")
    return worst


def main() -> int:
    windows()
    many()
    worst = hostile()
    print(f"\nevery refusal within {TARGET_MS} ms: {'yes' if worst <= TARGET_MS else 'NO'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
