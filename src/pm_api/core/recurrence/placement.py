"""Where something lies in time: its wall-clock start, how long it lasts, its zone; and ranges of time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.errors import StartOutOfRange, WindowRefused
from pm_api.core.recurrence.zones import is_gap, to_local, to_utc, zone

MAX_WINDOW: Final = timedelta(days=400)
MAX_SPAN: Final = timedelta(days=36_525)
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Span:
    """How long one occurrence lasts: nominal days, then exact time, as RFC 5545 §3.3.6 adds a DURATION.

    An event is stored with a start and an end, which is DTSTART and DTEND; §3.8.5.3 says that then "the same exact
    duration will apply to all the members of the generated recurrence set". So a night shift of eight hours has eight
    hours in every night, also when clocks change in it, and every client that reads our .ics agrees. Days count by
    the calendar only when all-day, or when something was imported with a DURATION in days.
    """

    days: int = 0
    exact: timedelta = _NOTHING

    @classmethod
    def between(cls, start: datetime, end: datetime, place: ZoneInfo | None) -> "Span":
        """The exact time from one wall time to the other; whole days when all-day (`place` None, end exclusive).

        When clocks skip the start, both are read with the offset before the gap: from 02:30 to 03:30 is an hour.
        """
        if place is None:
            return cls(days=(end - start).days)
        if is_gap(start, place):
            return cls(exact=end - start)
        return cls(exact=to_utc(end, place) - to_utc(start, place))

    @property
    def is_zero(self) -> bool:
        return not self.days and not self.exact

    @property
    def longest(self) -> timedelta:
        """No occurrence lasts longer, whatever clocks do."""
        return timedelta(days=self.days + bool(self.days)) + self.exact


@dataclass(frozen=True, slots=True)
class Placement:
    """Wall-clock start, span and zone of an event or of one occurrence.

    An all-day one starts at midnight, lasts whole days and lies wherever its viewer is: the zone is only where it was
    made.
    """

    start: datetime
    span: Span
    zone: str
    all_day: bool = False

    @classmethod
    def timed(cls, start: datetime, end: datetime, zone_name: str) -> "Placement":
        """From wall time to wall time; raises ZoneUnknown."""
        return cls(start, Span.between(start, end, zone(zone_name)), zone_name)

    @classmethod
    def on_days(cls, first: datetime, end: datetime, zone_name: str) -> "Placement":
        """All-day, from the first midnight up to, not with, the day that starts at the other."""
        return cls(first, Span.between(first, end, None), zone_name, all_day=True)

    def check(self) -> None:
        """Raises StartOutOfRange, ZoneUnknown."""
        zone(self.zone)
        if self.start.tzinfo is not None or self.start.microsecond or not 1900 <= self.start.year < 3000:
            raise StartOutOfRange
        if not 0 <= self.span.days < MAX_SPAN.days or not _NOTHING <= self.span.exact <= MAX_SPAN:
            raise StartOutOfRange("An occurrence ends after it starts, and lasts 100 years at most.", field="endTime")
        if self.all_day and (self.start.time() != time() or self.span.exact or not self.span.days):
            raise StartOutOfRange("What is all-day starts at midnight and lasts whole days.")

    @property
    def place(self) -> ZoneInfo | None:
        """The zone that wall times are read in; None when all-day."""
        return None if self.all_day else zone(self.zone)

    def at(self, start: datetime) -> "Placement":
        """The same at another wall time."""
        return Placement(start, self.span, self.zone, self.all_day)

    def key(self, wall: datetime) -> datetime:
        """What names the occurrence that was to start at this wall time: its instant, or midnight UTC of its day when
        all-day, so that a name depends on nobody's zone.
        """
        return self.keys()(wall)

    def keys(self) -> Callable[[datetime], datetime]:
        """`key`, for many."""
        place = self.place
        return _as_utc if place is None else partial(to_utc, place=place)

    def wall(self, key: datetime) -> datetime:
        """The wall time of an instant as `key` gives it."""
        place = self.place
        return key.astimezone(UTC).replace(tzinfo=None) if place is None else to_local(key, place)

    def starts_at(self, viewer: ZoneInfo) -> datetime:
        """In UTC; only all-day ones depend on the viewer."""
        return to_utc(self.start, self.place or viewer)

    def ends_at(self, viewer: ZoneInfo) -> datetime:
        """In UTC, exclusive."""
        if not self.span.days:
            return self.starts_at(viewer) + self.span.exact
        return to_utc(self.start + timedelta(days=self.span.days), self.place or viewer) + self.span.exact


def _as_utc(day: datetime) -> datetime:
    return day.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of time: the start is in it, the end is not."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise WindowRefused("A range of time is given with offsets from UTC.")
        if self.start.year <= 1800 or self.end.year >= 9200:
            raise WindowRefused("The range is outside of the calendar.")
        if not self.start < self.end <= self.start + MAX_WINDOW:
            raise WindowRefused

    def meets(self, start: datetime, end: datetime) -> bool:
        """What lasts is in when it has begun before the end and goes on after the start; an instant when it is one of
        the range.
        """
        if start == end:
            return self.start <= start < self.end
        return self.start < end and self.end > start
