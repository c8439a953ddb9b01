"""Relative dates: read, and worked out against a clock that is handed in."""

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.zones import to_local, to_utc
from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.filtering.terms import Base, Relative, Unit

_BASES: Final = {one.casefold(): one for one in Base}
_WRITTEN: Final = re.compile(r"\s*([A-Za-z]+)\s*(?:([+-])\s*(\d{1,4})\s*([hdwmHDWM]))?\s*", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
EARLIEST: Final = 1900
LATEST: Final = 2999
A_DATE: Final = "a day (2026-01-31), a time with its offset, or today, now, startOfWeek, endOfMonth and the like ± 7d"


def base_named(word: str) -> Base | None:
    return _BASES.get(word.casefold())


def read_date(text: str) -> date | datetime | Relative | None:
    """What a text says of a date; None when it says none."""
    if _DAY.fullmatch(text) or _MOMENT.fullmatch(text):
        return _absolute(text)
    found = _WRITTEN.fullmatch(text)
    base = base_named(found[1]) if found else None
    if found is None or base is None:
        return None
    if found[3] is None:
        return Relative(base)
    return relative(base, found[2], found[3], found[4])


def relative(base: Base, sign: str, digits: str, unit: str) -> Relative:
    """Nothing from it is the base itself, in whatever unit."""
    amount = -int(digits) if sign == "-" else int(digits)
    return Relative(base, amount, Unit(unit.lower())) if amount else Relative(base)


def _absolute(text: str) -> date | datetime | None:
    try:
        if len(text) == len("2026-01-31"):
            found = date.fromisoformat(text)
            return found if EARLIEST <= found.year <= LATEST else None
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC) if EARLIEST <= moment.year <= LATEST else None
    except ValueError:
        return None


def resolve(value: date | datetime | Relative, now: datetime, zone: ZoneInfo) -> date | datetime:
    """A day or an instant; raises InvalidFilter beyond the calendar."""
    if not isinstance(value, Relative):
        return value
    try:
        found = _counted(value, now, zone)
        if not EARLIEST <= found.year <= LATEST:
            raise InvalidFilter(f"{value} lies beyond the calendar.", expected=A_DATE)
    except (OverflowError, ValueError):
        raise InvalidFilter(f"{value} lies beyond the calendar.", expected=A_DATE) from None
    return found


def _counted(value: Relative, now: datetime, zone: ZoneInfo) -> date | datetime:
    if value.base is Base.NOW:
        if value.unit is Unit.HOURS:
            return now + timedelta(hours=value.amount)
        local = to_local(now, zone)
        return to_utc(datetime.combine(_moved(local.date(), value), local.time()).replace(fold=local.fold), zone)
    day = _day_of(value.base, to_local(now, zone).date())
    if value.unit is Unit.HOURS and value.amount:
        return start_of(day, zone) + timedelta(hours=value.amount)
    return _moved(day, value)


def _day_of(base: Base, today: date) -> date:
    monday = today - timedelta(days=today.weekday())
    first = today.replace(day=1)
    return {
        Base.YESTERDAY: today - timedelta(days=1),
        Base.TOMORROW: today + timedelta(days=1),
        Base.START_OF_WEEK: monday,
        Base.END_OF_WEEK: monday + timedelta(days=6),
        Base.START_OF_MONTH: first,
        Base.END_OF_MONTH: first.replace(day=calendar.monthrange(first.year, first.month)[1]),
    }.get(base, today)


def _moved(day: date, value: Relative) -> date:
    if value.unit is Unit.MONTHS:
        return months_later(day, value.amount)
    return day + timedelta(days=value.amount * (7 if value.unit is Unit.WEEKS else 1))


def months_later(day: date, months: int) -> date:
    """The same day of another month, or its last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there."""
    return to_utc(datetime.combine(day, time()), zone)
