"""Moments, durations and offsets as iCalendar writes them (RFC 5545 §3.3.4 to §3.3.6, §3.3.14)."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pm_api.core.recurrence import Span

_MOMENT: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z?))?", re.ASCII)
_DURATION: Final = re.compile(
    r"([+-]?)P(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,7})H)?(?:([0-9]{1,8})M)?(?:([0-9]{1,9})S)?)?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2})([0-9]{2})([0-9]{2})?", re.ASCII)


class NotThat(ValueError):
    """It is not what its property holds; says so in a sentence."""


def moment_of(text: str) -> date | datetime:
    """A date; or wall time, naive; or UTC, with a zone. Raises NotThat."""
    found = _MOMENT.fullmatch(text.strip().upper())
    if found is None:
        raise NotThat(f"{text[:40]!r} is not a date, nor a date with time")
    day, clock, zulu = found.groups()
    try:
        on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        if clock is None:
            return on
        # A leap second is the one before it, to those who have none (§3.3.12).
        at = time(int(clock[:2]), int(clock[2:4]), min(int(clock[4:]), 59) if clock[4:] == "60" else int(clock[4:]))
    except ValueError:
        raise NotThat(f"{text[:40]!r} is not in the calendar") from None
    return datetime.combine(on, at, UTC if zulu else None)


def span_of(text: str) -> Span:
    """Nominal days and exact time, together. Raises NotThat for what is no duration, or goes backwards."""
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()[1:]):
        raise NotThat(f"{text[:40]!r} is no duration")
    sign, weeks, days, hours, minutes, seconds = (one or "0" for one in found.groups())
    exact = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    span = Span(int(weeks) * 7 + int(days), exact)
    if sign == "-" and not span.is_zero:
        raise NotThat(f"{text[:40]!r} goes backwards")
    return span


def ahead_of(text: str) -> timedelta:
    """How long before something a trigger lies; below zero when after it. A day is 24 hours. Raises NotThat."""
    stripped = text.strip()
    sign = stripped[:1] if stripped[:1] in ("+", "-") else ""
    rest = stripped.removeprefix(sign)
    if rest[:1] in ("+", "-"):
        raise NotThat(f"{text[:40]!r} is no duration")
    span = span_of(rest)
    after = timedelta(days=span.days) + span.exact
    return after if sign == "-" else -after


def offset_of(text: str) -> timedelta:
    """Raises NotThat."""
    found = _OFFSET.fullmatch(text.strip())
    if found is None:
        raise NotThat(f"{text[:40]!r} is no offset from UTC")
    sign, hours, minutes, seconds = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    if offset >= timedelta(hours=24):
        raise NotThat(f"{text[:40]!r} is no offset from UTC")
    return -offset if sign == "-" else offset


def written_date(day: date) -> str:
    return f"{day.year:04}{day:%m%d}"


def written_wall(wall: datetime) -> str:
    return f"{wall.year:04}{wall:%m%dT%H%M%S}"


def written_utc(instant: datetime) -> str:
    return f"{written_wall(instant.astimezone(UTC))}Z"


def written_span(span: Span) -> str:
    seconds = int(span.exact.total_seconds())
    days = f"{span.days}D" if span.days else ""
    return f"P{days}T{seconds}S" if seconds or not days else f"P{days}"


def written_offset(offset: timedelta) -> str:
    total = int(offset.total_seconds())
    sign, total = ("-", -total) if total < 0 else ("+", total)
    seconds = f"{total % 60:02}" if total % 60 else ""
    return f"{sign}{total // 3600:02}{total // 60 % 60:02}{seconds}"
