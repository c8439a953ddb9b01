"""A repetition rule as a value, and its canonical text (RFC 5545 §3.3.10)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_INTERVAL: Final = 1000
MAX_COUNT: Final = 1000
MAX_TIMES_A_DAY: Final = 96
"""One every quarter of an hour."""


class Frequency(StrEnum):
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A weekday (Monday is 0); with an ordinal, the nth of its month or year, from the end when negative."""

    weekday: int
    ordinal: int = 0

    def __str__(self) -> str:
        return f"{self.ordinal or ''}{WEEKDAYS[self.weekday]}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One RRULE. Lists are sorted and without doubles; `until` is UTC, or a date when the series is all-day."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | date | None = None
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[Day, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0

    def __str__(self) -> str:
        """Canonical: parsing it gives this rule again, and equal rules have equal texts."""
        parts: list[tuple[str, object]] = [("FREQ", self.frequency)]
        if self.interval != 1:
            parts.append(("INTERVAL", self.interval))
        if self.count is not None:
            parts.append(("COUNT", self.count))
        if self.until is not None:
            parts.append(("UNTIL", until_text(self.until)))
        lists: tuple[tuple[str, Iterable[object]], ...] = (
            ("BYMONTH", self.months),
            ("BYWEEKNO", self.week_numbers),
            ("BYYEARDAY", self.year_days),
            ("BYMONTHDAY", self.month_days),
            ("BYDAY", self.days),
            ("BYHOUR", self.hours),
            ("BYMINUTE", self.minutes),
            ("BYSECOND", self.seconds),
            ("BYSETPOS", self.positions),
        )
        parts += [(name, ",".join(map(str, values))) for name, values in lists if values]
        if self.week_start:
            parts.append(("WKST", WEEKDAYS[self.week_start]))
        return ";".join(f"{name}={value}" for name, value in parts)

    def ending(self, *, count: int | None = None, until: datetime | date | None = None) -> "Rule":
        """The same rule with another end, or with none."""
        return replace(self, count=count, until=until)

    @property
    def endless(self) -> bool:
        return self.count is None and self.until is None


def until_text(until: datetime | date) -> str:
    if isinstance(until, datetime):
        at = until.astimezone(UTC)
        return f"{at:%Y%m%dT%H%M%S}Z"
    return f"{until:%Y%m%d}"
