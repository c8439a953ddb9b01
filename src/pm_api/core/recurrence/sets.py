"""A recurrence set: DTSTART and RRULE and RDATE, without EXDATE, with what was changed in single occurrences.

One instant holds one occurrence: where two wall times fall on one instant (inside a gap), they are one. Everything is
matched by instant, so an EXDATE may be written in wall time or in UTC.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.errors import RuleEmpty, TooManyOccurrences
from pm_api.core.recurrence.expansion import HORIZON, instances, last_wall
from pm_api.core.recurrence.identifiers import occurrence_id
from pm_api.core.recurrence.placement import Placement, Window
from pm_api.core.recurrence.rules import Frequency, Rule
from pm_api.core.recurrence.zones import LARGEST_CHANGE, to_local, zone

MAX_OCCURRENCES: Final = 1000
GREENWICH: Final = "UTC"
_BEGINNING: Final = datetime(1800, 1, 2)  # noqa: DTZ001  # wall time
EARLIEST: Final = datetime(1850, 1, 1, tzinfo=UTC)
"""Before everything."""
_PERIOD_DAYS: Final = {Frequency.DAILY: 1, Frequency.WEEKLY: 7, Frequency.MONTHLY: 31, Frequency.YEARLY: 366}


@dataclass(frozen=True, slots=True)
class Override:
    """What differs in one occurrence, which is named by the wall time it was to start at (RECURRENCE-ID).

    Only for occurrences that the series has. `placement` None leaves it where it was; `changes` is the caller's.
    """

    original: datetime
    cancelled: bool = False
    placement: Placement | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence as somebody sees it. `key` is the instant of its original start, and never changes."""

    key: datetime
    placement: Placement
    starts_at: datetime
    ends_at: datetime
    override: Override | None = None

    def id(self, event_id: UUID) -> str:
        return occurrence_id(event_id, self.key)


@dataclass(frozen=True, slots=True)
class Bounds:
    """From the first start to the last end, in UTC; `ends_at` None is for ever."""

    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecurrenceSet:
    """`counted_end` is the last wall time that a COUNT rule says, kept so that nobody has to count again."""

    placement: Placement
    rule: Rule | None = None
    rdates: tuple[datetime, ...] = ()
    exdates: tuple[datetime, ...] = ()
    overrides: tuple[Override, ...] = ()
    counted_end: datetime | None = None

    def counted(self, budget: Budget | None = None) -> "RecurrenceSet":
        """The same with `counted_end` known."""
        if self.rule is None or self.rule.count is None:
            return replace(self, counted_end=None)
        last = self.placement.start
        for wall in by_rule(replace(self, counted_end=None), _BEGINNING, HORIZON, budget or Budget()):
            last = wall
        return replace(self, counted_end=last)


def expand(
    series: RecurrenceSet, window: Window, *, viewer: str = GREENWICH, budget: Budget | None = None
) -> list[Occurrence]:
    """Every occurrence that meets the window, ordered by (start, key); all-day ones lie in the viewer's zone.

    Raises TooManyOccurrences over 1,000, RuleTooComplex: all of them or a refusal.
    """
    place = zone(viewer)
    reach = series.placement.place or place
    # A day more on each side: a change of clocks moves wall times against each other.
    earliest = to_local(window.start - series.placement.span.longest, reach) - LARGEST_CHANGE
    latest = to_local(window.end, reach) + LARGEST_CHANGE
    found: dict[datetime, Occurrence] = {}

    def take(one: Occurrence) -> None:
        if window.meets(one.starts_at, one.ends_at):
            found[one.key] = one
            if len(found) > MAX_OCCURRENCES:
                raise TooManyOccurrences

    for one in _unchanged(series, earliest, latest, place, budget or Budget()):
        take(one)
    for one in _changed(series, place):
        take(one)
    return sorted(found.values(), key=_order)


def upcoming(
    series: RecurrenceSet, after: datetime, most: int, *, viewer: str = GREENWICH, budget: Budget | None = None
) -> list[Occurrence]:
    """The next occurrences that start at `after` or later, ordered by (start, key). Raises RuleTooComplex."""
    place = zone(viewer)
    earliest = to_local(after, series.placement.place or place) - LARGEST_CHANGE
    found: dict[datetime, Occurrence] = {}
    enough = HORIZON
    for one in _unchanged(series, max(earliest, _BEGINNING), HORIZON, place, budget or Budget()):
        if one.placement.start > enough:
            break
        if one.starts_at >= after:
            found[one.key] = one
            if len(found) == most:
                # What comes later by the clock on the wall may still come sooner, by a change of clocks at most.
                enough = one.placement.start + LARGEST_CHANGE
    found |= {one.key: one for one in _changed(series, place) if one.starts_at >= after}
    return sorted(found.values(), key=_order)[:most]


def occurrence_at(
    series: RecurrenceSet, key: datetime, *, viewer: str = GREENWICH, budget: Budget | None = None
) -> Occurrence | None:
    """The occurrence with this original start, wherever it was moved to; None without one, or when cancelled."""
    place, budget, key = zone(viewer), budget or Budget(), key.astimezone(UTC)
    if not EARLIEST.year <= key.year <= HORIZON.year:  # nothing begins there, and not every zone reaches so far
        return None
    wall = series.placement.wall(key)
    if all(series.placement.key(one) != key for one in originals(series, wall - LARGEST_CHANGE, wall, budget)):
        return None
    alone = replace(
        series, overrides=tuple(one for one in series.overrides if series.placement.key(one.original) == key)
    )
    changed = list(_changed(alone, place))
    if changed or alone.overrides:
        return changed[0] if changed else None
    unchanged = _unchanged(series, wall - LARGEST_CHANGE, wall, place, budget)
    return next((one for one in unchanged if one.key == key), None)


def first_live(series: RecurrenceSet, budget: Budget | None = None) -> datetime | None:
    """The key of the first occurrence by original start that is neither excluded nor cancelled."""
    cancelled = tuple(one.original for one in series.overrides if one.cancelled)
    bare = replace(series, exdates=(*series.exdates, *cancelled), overrides=())
    return next((one.key for one in upcoming(bare, EARLIEST, 1, budget=budget)), None)


def bounds(series: RecurrenceSet, budget: Budget | None = None) -> Bounds:
    """The first start and the last end of all occurrences; all-day ones as in UTC.

    Raises RuleEmpty when none is left, RuleTooComplex.
    """
    place, budget = zone(GREENWICH), budget or Budget()
    changed = list(_changed(series, place))
    first = upcoming(series, EARLIEST, 1, budget=budget)
    if not first:
        raise RuleEmpty("No occurrence is left: every one is excluded.")
    rule = series.rule
    if rule is not None and (
        rule.endless or (rule.until is not None and last_wall(rule, series.placement.place) >= HORIZON)
    ):
        return Bounds(first[0].starts_at, None)
    ends = [one.ends_at for one in changed]
    ends += [one.ends_at for one in _unchanged(replace(series, rule=None), _BEGINNING, HORIZON, place, budget)]
    ends += _last_ends(series, place, budget)
    return Bounds(first[0].starts_at, max(ends, default=first[0].ends_at))


def originals(series: RecurrenceSet, earliest: datetime, latest: datetime, budget: Budget) -> Iterator[datetime]:
    """The wall times that the rule and RDATE say, between two wall times (both in), less EXDATE; ascending.

    A wall time may come twice, and two may be one instant.
    """
    return (wall for _, wall in _keyed(series, earliest, latest, budget))


def _keyed(
    series: RecurrenceSet, earliest: datetime, latest: datetime, budget: Budget
) -> Iterator[tuple[datetime, datetime]]:
    """The same, each with its key."""
    key = series.placement.keys()
    excluded = {key(one) for one in series.exdates}
    walls = by_rule(series, earliest, latest, budget)
    if series.rdates:
        walls = heapq.merge(walls, sorted(one for one in series.rdates if earliest <= one <= latest))
    for wall in walls:
        at = key(wall)
        if at not in excluded:
            yield at, wall


def by_rule(series: RecurrenceSet, earliest: datetime, latest: datetime, budget: Budget) -> Iterator[datetime]:
    """The wall times of DTSTART and the rule alone, between two wall times (both in), ascending."""
    start = series.placement.start
    if series.rule is None:
        return iter((start,) if earliest <= start <= latest else ())
    return instances(
        series.rule,
        start,
        series.placement.place,
        budget,
        earliest=earliest,
        latest=latest,
        counted_end=series.counted_end,
    )


def _unchanged(
    series: RecurrenceSet, earliest: datetime, latest: datetime, viewer: ZoneInfo, budget: Budget
) -> Iterator[Occurrence]:
    """Occurrences without an override; one instant may come more than once."""
    overridden = {series.placement.key(one.original) for one in series.overrides}
    plain = not series.placement.all_day and not series.placement.span.days
    for key, wall in _keyed(series, earliest, latest, budget):
        if key not in overridden:
            placement = series.placement.at(wall)
            if plain:  # then the key is the start, and the end is as far from it everywhere
                yield Occurrence(key, placement, key, key + placement.span.exact)
            else:
                yield Occurrence(key, placement, placement.starts_at(viewer), placement.ends_at(viewer))


def _changed(series: RecurrenceSet, viewer: ZoneInfo) -> Iterator[Occurrence]:
    """Occurrences with an override, where they are now. One that is excluded too is gone."""
    excluded = {series.placement.key(one) for one in series.exdates} if series.overrides else set()
    for override in series.overrides:
        if not override.cancelled and series.placement.key(override.original) not in excluded:
            yield _occurrence(series, override, viewer)


def _occurrence(series: RecurrenceSet, override: Override, viewer: ZoneInfo) -> Occurrence:
    placement = override.placement or series.placement.at(override.original)
    key = series.placement.key(override.original)
    return Occurrence(key, placement, placement.starts_at(viewer), placement.ends_at(viewer), override)


def _last_ends(series: RecurrenceSet, viewer: ZoneInfo, budget: Budget) -> list[datetime]:
    """Ends of the last unchanged occurrences of a rule that ends: looked for backwards, in growing stretches."""
    rule, start = series.rule, series.placement.start
    if rule is None:
        return []
    last = HORIZON if rule.until is None else last_wall(rule, series.placement.place)
    if rule.count is not None:
        stretch = last - start
    else:
        stretch = timedelta(days=4 + 2 * rule.interval * _PERIOD_DAYS[rule.frequency])
    while True:
        earliest = last - stretch if last - start > stretch else start
        ends = [one.ends_at for one in _unchanged(series, earliest, last, viewer, budget)]
        if ends or earliest == start:
            return ends
        stretch *= 8


def _order(one: Occurrence) -> tuple[datetime, datetime]:
    return one.starts_at, one.key
