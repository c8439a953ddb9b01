"""In which weeks something may be found (`calendar_reach`). Pure.

A week has seven days from Thursday, 1 January 1970, UTC. All-day events lie wherever their viewer is, so they reach a
day further on both sides. A series that goes on is known for two years; what is asked beyond is asked of it itself.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from pm_api.core.recurrence import Budget, Placement, RecurrenceSet, Window, bounds, expand
from pm_api.core.recurrence.errors import RuleTooComplex, TooManyOccurrences
from pm_api.core.recurrence.placement import MAX_WINDOW

ALWAYS: Final = -2_147_483_648
"""The week of what lasts too long to be listed week by week: it is looked at in every window."""
LONGEST_LISTED: Final = timedelta(days=400)
KNOWN_AHEAD: Final = timedelta(days=730)
ELSEWHERE: Final = timedelta(days=1)
STEPS: Final = 10_000
"""Of all its stretches together. What takes more is dense, as a daily series of 20 years is: it is in every week."""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK: Final = timedelta(days=7)


def week_of(moment: datetime) -> int:
    return (moment - _BEGINNING) // _WEEK


def weeks_of(window: Window) -> range:
    """The weeks a window has a part in, a day of other zones included."""
    return range(week_of(window.start - ELSEWHERE), week_of(window.end + ELSEWHERE) + 1)


def reach(series: RecurrenceSet, *, now: datetime) -> tuple[set[int], datetime | None]:
    """The weeks with a part of an occurrence, and up to when they are known: None when they are all there are."""
    if _longest(series) > LONGEST_LISTED:
        return {ALWAYS}, None
    limits = bounds(series)
    known = max(now, limits.starts_at) + KNOWN_AHEAD
    last = limits.ends_at if limits.ends_at is not None and limits.ends_at <= known else None
    weeks: set[int] = set()
    start, end = limits.starts_at - ELSEWHERE, (last or known) + ELSEWHERE
    budget = Budget(STEPS)
    while start < end:
        stretch = Window(start, min(start + MAX_WINDOW, end))
        try:
            for one in expand(series, stretch, budget=budget):
                weeks.update(_touched(one.placement, one.starts_at, one.ends_at))
        except (TooManyOccurrences, RuleTooComplex):  # dense, or long to reckon: it may be anywhere
            weeks.update(weeks_of(stretch))
        start = stretch.end
    return weeks, None if last is not None else known


def _touched(placement: Placement, starts_at: datetime, ends_at: datetime) -> range:
    apart = ELSEWHERE if placement.all_day else timedelta()
    return range(week_of(starts_at - apart), week_of(ends_at + apart) + 1)


def _longest(series: RecurrenceSet) -> timedelta:
    moved = [one.placement.span.longest for one in series.overrides if one.placement is not None]
    return max([series.placement.span.longest, *moved])
