"""When a task comes again. Pure: the rule is the calendar's (`core.recurrence`), and wall time is kept.

ON_SCHEDULE goes on from where the series is, however early or late a task is done; AFTER_COMPLETION counts from the
day on which it was done, at the same time of day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from pm_api.core.recurrence import Occurrence, Placement, RecurrenceSet, admit, text_of, upcoming, zone
from pm_api.core.recurrence.errors import RuleEmpty, naming
from pm_api.core.recurrence.zones import to_local, to_utc

A_DAY: Final = timedelta(days=1)
A_SECOND: Final = timedelta(seconds=1)


class Anchor(StrEnum):
    """Which of a task's dates comes again by the rule; the other one keeps its distance."""

    DUE = "due"
    START = "start"


class Mode(StrEnum):
    ON_SCHEDULE = "ON_SCHEDULE"
    AFTER_COMPLETION = "AFTER_COMPLETION"


@dataclass(frozen=True, slots=True)
class Series:
    """How a task comes again. `first` and `slot` are wall times in the zone: of the first task, and of this one, the
    `position`-th of the series.
    """

    rrule: str
    time_zone: str
    anchor: Anchor
    mode: Mode
    first: datetime
    slot: datetime
    all_day: bool
    position: int = 1
    by_user_id: UUID | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Series":
        return cls(
            rrule=kept["rrule"],
            time_zone=kept["timeZone"],
            anchor=Anchor(kept["anchor"]),
            mode=Mode(kept["mode"]),
            first=datetime.fromisoformat(kept["first"]),
            slot=datetime.fromisoformat(kept["slot"]),
            all_day=kept["allDay"],
            position=kept["position"],
            by_user_id=UUID(kept["byUserId"]) if kept.get("byUserId") else None,
        )

    def form(self) -> dict[str, Any]:
        """As a task keeps and shows it."""
        return {
            "rrule": self.rrule,
            "timeZone": self.time_zone,
            "anchor": str(self.anchor),
            "mode": str(self.mode),
            "first": self.first.isoformat(),
            "slot": self.slot.isoformat(),
            "allDay": self.all_day,
            "position": self.position,
            "byUserId": str(self.by_user_id) if self.by_user_id else None,
        }

    def says_the_same(self, other: "Series") -> bool:
        """Whether a person would see no difference."""
        mine = (self.rrule, self.time_zone, self.anchor, self.mode, self.all_day, self.slot)
        return mine == (other.rrule, other.time_zone, other.anchor, other.mode, other.all_day, other.slot)

    def admitted(self, start: datetime | None = None, rrule: str | None = None) -> RecurrenceSet:
        """The calendar's series; raises a RecurrenceRefused."""
        begin = start or self.first
        if self.all_day:
            placement = Placement.on_days(begin, begin + A_DAY, self.time_zone)
        else:
            placement = Placement.timed(begin, begin, self.time_zone)
        with naming(startTime="anchor", endTime="anchor"):
            return admit(placement, rrule=rrule or self.rrule)

    def instant(self, wall: datetime) -> datetime:
        return to_utc(wall, zone(self.time_zone))


def begin(
    rrule: str,
    time_zone: str,
    anchor: Anchor,
    mode: Mode,
    at: date | datetime,
    by_user_id: UUID,
) -> Series:
    """A series that begins with a task whose date this is; raises a RecurrenceRefused."""
    if isinstance(at, datetime):
        wall, all_day = to_local(at, zone(time_zone)).replace(microsecond=0, fold=0), False
    else:
        zone(time_zone)
        wall, all_day = datetime.combine(at, time()), True
    made = Series(rrule, time_zone, anchor, mode, wall, wall, all_day, 1, by_user_id)
    return replace(made, rrule=str(made.admitted().rule))


def words(series: Series) -> str:
    """The rule, for people."""
    return text_of(series.admitted())


def following(series: Series, done_at: datetime | None) -> Series | None:
    """The series as the next task has it, or None when it has come to its end. `done_at` is when this one was done; a
    series that goes on by itself needs none.
    """
    if series.mode is Mode.AFTER_COMPLETION:
        return _after_completion(series, done_at) if done_at is not None else None
    found = _next(series.admitted(), series, series.slot)
    if found is None:
        return None
    return replace(series, slot=found.placement.start, position=series.position + 1)


def _after_completion(series: Series, done_at: datetime) -> Series | None:
    """COUNT counts tasks; UNTIL is the last day on which one may be."""
    rule = series.admitted().rule
    assert rule is not None, "it was admitted with one"
    if rule.count is not None and series.position >= rule.count:
        return None
    day = to_local(done_at, zone(series.time_zone)).date()
    base = datetime.combine(day, series.slot.time())
    try:
        found = _next(series.admitted(base, str(replace(rule, count=None))), series, base)
    except RuleEmpty:
        return None
    if found is None:
        return None
    return replace(series, slot=found.placement.start, position=series.position + 1)


def _next(rule: RecurrenceSet, series: Series, wall: datetime) -> Occurrence | None:
    found = upcoming(rule, series.instant(wall) + A_SECOND, 1, viewer=series.time_zone)
    return found[0] if found else None


def ahead(series: Series, done_at: datetime, most: int) -> list[Series]:
    """What comes after this task, if it and every one after it is done in time; for AFTER_COMPLETION, at `done_at`
    and then when it is due.
    """
    found: list[Series] = []
    present: Series | None = series
    while present is not None and len(found) < most:
        at = done_at if present is series else present.instant(present.slot)
        present = following(present, at)
        if present is not None:
            found.append(present)
    return found


def makes_next_at(series: Series) -> datetime | None:
    """When the next task is made although this one is not done: what starts by the rule when it is to start, what is
    due by the rule when the one before was due. None for what waits until it is done, and at the end.
    """
    if series.mode is Mode.AFTER_COMPLETION:
        return None
    after = following(series, None)
    if after is None:
        return None
    if series.anchor is Anchor.START:
        return series.instant(after.slot)
    return series.instant(series.slot + (A_DAY if series.all_day else timedelta(0)))


@dataclass(frozen=True, slots=True)
class Dates:
    """When a task starts and is due; each a day, a moment, or open."""

    start_on: date | None
    start_at: datetime | None
    due_on: date | None
    due_at: datetime | None


def dates_of_next(series: Series, after: Series, dates: Dates) -> Dates | None:
    """The anchor stands in the next slot, the other date as far from it as it is now, by wall time. None when that
    lies beyond the calendar: there the series is at its end.
    """
    try:
        return _dates_of_next(series, after, dates)
    except OverflowError:
        return None


def _dates_of_next(series: Series, after: Series, dates: Dates) -> Dates:
    place = zone(series.time_zone)
    is_due = series.anchor is Anchor.DUE
    own_day, own_moment = (dates.due_on, dates.due_at) if is_due else (dates.start_on, dates.start_at)
    if own_moment is not None:
        stood = to_local(own_moment, place)
    else:
        stood = datetime.combine(own_day or series.slot.date(), after.slot.time())
    shift = after.slot - stood.replace(fold=0)
    day = after.slot.date() if after.all_day else None
    moment = None if after.all_day else series.instant(after.slot)
    other_day, other_moment = (dates.start_on, dates.start_at) if is_due else (dates.due_on, dates.due_at)
    if other_day is not None:
        other_day += timedelta(days=(after.slot.date() - stood.date()).days)
    if other_moment is not None:
        other_moment = to_utc(to_local(other_moment, place).replace(fold=0) + shift, place)
    if is_due:
        return Dates(other_day, other_moment, day, moment)
    return Dates(day, moment, other_day, other_moment)
