"""Short ways to say a series and a moment."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from pm_api.core.recurrence import Occurrence, Placement, RecurrenceSet, Window, admit, upcoming
from pm_api.core.recurrence.sets import EARLIEST

NEW_YORK: Final = "America/New_York"
HOUR: Final = timedelta(hours=1)
WEEK: Final = timedelta(days=7)


def wall(text: str) -> datetime:
    """`2026-03-08` or `2026-03-08 02:30`, without a zone."""
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str) -> Window:
    return Window(utc(start), utc(end))


def timed(start: str, end: str | None = None, zone: str = NEW_YORK) -> Placement:
    return Placement.timed(wall(start), wall(end) if end else wall(start) + HOUR, zone)


def on_days(first: str, days: int = 1, zone: str = NEW_YORK) -> Placement:
    return Placement.on_days(wall(first), wall(first) + timedelta(days=days), zone)


def series(
    start: str,
    rrule: str | None,
    *,
    zone: str = NEW_YORK,
    end: str | None = None,
    rdate: Iterable[str] = (),
    exdate: Iterable[str] = (),
) -> RecurrenceSet:
    return admit(timed(start, end, zone), rrule=rrule, rdate=rdate, exdate=exdate)


def walls(found: Iterable[Occurrence]) -> list[str]:
    return [f"{one.placement.start:%Y-%m-%d %H:%M}" for one in found]


def starts(found: Iterable[Occurrence]) -> list[str]:
    return [f"{one.starts_at:%Y-%m-%d %H:%M}Z" for one in found]


def first(of: RecurrenceSet, most: int) -> list[Occurrence]:
    return upcoming(of, EARLIEST, most)
