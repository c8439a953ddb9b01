"""Reading RRULE, RDATE and EXDATE. Whatever is sent, the work is bounded by its length, and that by 2 KiB."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.errors import (
    CountAndUntil,
    CountOutOfRange,
    DatesMalformed,
    FrequencyUnsupported,
    IntervalOutOfRange,
    PartOutOfRange,
    PartsConflict,
    RuleEmpty,
    RuleMalformed,
    RuleTooLong,
)
from pm_api.core.recurrence.rules import MAX_COUNT, MAX_INTERVAL, WEEKDAYS, Day, Frequency, Rule
from pm_api.core.recurrence.zones import to_local, to_utc

MAX_RULE_BYTES: Final = 2048
MAX_DATES: Final = 1000
FAR: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_DAY: Final = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_MOMENT: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z)?)?", re.ASCII)
_SHORT_FREQUENCIES: Final = frozenset({"HOURLY", "MINUTELY", "SECONDLY"})
_LISTS: Final[Mapping[str, tuple[str, int, int, bool]]] = {
    # part: field, least, greatest, whether it may count from the end
    "BYMONTH": ("months", 1, 12, False),
    "BYWEEKNO": ("week_numbers", 1, 53, True),
    "BYYEARDAY": ("year_days", 1, 366, True),
    "BYMONTHDAY": ("month_days", 1, 31, True),
    "BYHOUR": ("hours", 0, 23, False),
    "BYMINUTE": ("minutes", 0, 59, False),
    "BYSECOND": ("seconds", 0, 59, False),
    "BYSETPOS": ("positions", 1, 366, True),
}
_LEAP_SECOND: Final = 60
_KNOWN: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", *_LISTS})


def parse_rule(text: str, *, place: ZoneInfo | None) -> Rule:
    """A rule from its text, `place` being the zone of the series, or None when it is all-day.

    UNTIL comes back in UTC, or as a date when all-day. Where it is not written as RFC 5545 wants it, what was meant
    is kept: wall time is read in the series' zone, and a date is that whole day. Raises a RecurrenceRefused.
    """
    if len(text) > MAX_RULE_BYTES or len(text.encode(errors="replace")) > MAX_RULE_BYTES:
        raise RuleTooLong
    parts = _parts(text)
    frequency = _frequency(parts)
    if "COUNT" in parts and "UNTIL" in parts:
        raise CountAndUntil
    rule = Rule(
        frequency=frequency,
        interval=_limited(parts.get("INTERVAL", "1"), MAX_INTERVAL, IntervalOutOfRange),
        count=_limited(parts["COUNT"], MAX_COUNT, CountOutOfRange) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"], place) if "UNTIL" in parts else None,
        days=_days(parts["BYDAY"]) if "BYDAY" in parts else (),
        week_start=_week_start(parts.get("WKST", "MO")),
        **{field: _list(name, parts[name]) for name, (field, *_) in _LISTS.items() if name in parts},
    )
    if place is None:
        # RFC 5545 §3.3.10: such parts are to be ignored when DTSTART is a date.
        rule = replace(rule, hours=(), minutes=(), seconds=())
    _check_together(rule)
    return rule


def _parts(text: str) -> dict[str, str]:
    # Some programs, Google's among them, write a last semicolon.
    wanted = text.strip().upper().removeprefix("RRULE:").removesuffix(";")
    parts: dict[str, str] = {}
    for part in wanted.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleMalformed("Each part of the rule is written NAME=VALUE, and parts are joined by semicolons.")
        if name not in _KNOWN:
            raise RuleMalformed(f"The rule has a part that is not known here: {name[:40]!r}.")
        if name in parts:
            raise RuleMalformed(f"{name} stands twice in the rule.")
        parts[name] = value
    return parts


def _frequency(parts: Mapping[str, str]) -> Frequency:
    name = parts.get("FREQ")
    if name is None:
        raise RuleMalformed("The rule has no FREQ.")
    if name in _SHORT_FREQUENCIES:
        raise FrequencyUnsupported
    if name not in Frequency.__members__:
        raise RuleMalformed(f"{name[:40]!r} is not a frequency.")
    return Frequency(name)


def _number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise RuleMalformed(f"{name} holds {text[:40]!r}, which is not a number.")
    return int(text)


def _limited(text: str, most: int, refusal: type[IntervalOutOfRange | CountOutOfRange]) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= most:
        raise refusal
    return int(text)


def _list(name: str, text: str) -> tuple[int, ...]:
    _, least, greatest, from_end = _LISTS[name]
    numbers = {_number(name, one) for one in text.split(",")}
    if name == "BYSECOND" and _LEAP_SECOND in numbers:  # RFC 5545 §3.3.12: who has none takes the one before it
        numbers = numbers - {_LEAP_SECOND} | {_LEAP_SECOND - 1}
    for number in numbers:
        if not least <= (abs(number) if from_end else number) <= greatest:
            ends = f"{least} to {greatest}" + (f" or -{greatest} to -{least}" if from_end else "")
            raise PartOutOfRange(f"{name} holds {number}; it may hold {ends}.")
    return tuple(sorted(numbers))


def _days(text: str) -> tuple[Day, ...]:
    days = set()
    for one in text.split(","):
        found = _DAY.fullmatch(one)
        if not found:
            raise RuleMalformed(f"BYDAY holds {one[:40]!r}, which is not a weekday such as MO or -1FR.")
        ordinal = int(found[1]) if found[1] else 0
        if found[1] and not 1 <= abs(ordinal) <= 53:
            raise PartOutOfRange(f"BYDAY holds {one}; a weekday is counted from 1 to 53 or from -53 to -1.")
        days.add(Day(WEEKDAYS.index(found[2]), ordinal))
    return tuple(sorted(days))


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise RuleMalformed(f"WKST holds {text[:40]!r}, which is not a weekday.")
    return WEEKDAYS.index(text)


def _check_together(rule: Rule) -> None:
    """RFC 5545 §3.3.10, the table of which part goes with which frequency. Raises PartsConflict, PartOutOfRange."""
    frequency, ordinals = rule.frequency, [abs(day.ordinal) for day in rule.days if day.ordinal]
    wrong: tuple[tuple[bool, str], ...] = (
        (bool(rule.week_numbers) and frequency is not Frequency.YEARLY, "BYWEEKNO stands in a yearly rule only."),
        (bool(rule.year_days) and frequency is not Frequency.YEARLY, "BYYEARDAY stands in a yearly rule only."),
        (bool(rule.month_days) and frequency is Frequency.WEEKLY, "BYMONTHDAY cannot stand in a weekly rule."),
        (
            bool(ordinals) and frequency in {Frequency.DAILY, Frequency.WEEKLY},
            "BYDAY counts weekdays (such as 2MO) in monthly and yearly rules only.",
        ),
        (bool(ordinals) and bool(rule.week_numbers), "BYDAY cannot count weekdays (such as 2MO) beside BYWEEKNO."),
        (bool(rule.positions) and not _has_lists(rule), "BYSETPOS needs another BY part to choose from."),
    )
    for is_wrong, sentence in wrong:
        if is_wrong:
            raise PartsConflict(sentence)
    if max(ordinals, default=0) > 5 and (frequency is Frequency.MONTHLY or rule.months):
        raise PartOutOfRange("BYDAY counts a weekday of a month from 1 to 5 or from -5 to -1.")


def _has_lists(rule: Rule) -> bool:
    return any(
        (
            *(rule.months, rule.week_numbers, rule.year_days, rule.month_days, rule.days),
            *(rule.hours, rule.minutes, rule.seconds),
        )
    )


# --- moments ----------------------------------------------------------------------------------------------------


def _moment(text: str, refusal: Callable[[str], Exception]) -> tuple[date, time | None, bool]:
    """Day, time of day if any, and whether it is UTC; as iCalendar writes them."""
    found = _MOMENT.fullmatch(text)
    if not found:
        raise refusal(f"{text[:40]!r} is not a date (YYYYMMDD) or a date with time (YYYYMMDDTHHMMSSZ).")
    day, clock, zulu = found.groups()
    try:
        on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        at = time(int(clock[:2]), int(clock[2:4]), int(clock[4:])) if clock else None
    except ValueError:
        raise refusal(f"{text!r} is not in the calendar.") from None
    return on, at, zulu is not None


def _until(text: str, place: ZoneInfo | None) -> datetime | date:
    on, at, is_utc = _moment(text, RuleMalformed)
    if on.year < 1900:
        raise RuleEmpty("UNTIL is before the first occurrence.")
    if place is None:
        return on
    wall = datetime.combine(on, at if at is not None else time(23, 59, 59))
    if is_utc:
        return wall.replace(tzinfo=UTC)
    try:
        return to_utc(wall, place)
    except OverflowError:  # the last evening of 9999, west of Greenwich
        return FAR


def parse_dates(texts: Iterable[str], *, place: ZoneInfo | None) -> tuple[datetime, ...]:
    """The wall times of an RDATE or EXDATE list, sorted and without doubles; midnights when all-day (`place` None).

    Each text is a moment of iCalendar (`20260301T090000`, with Z for UTC, `20260301` when all-day) or of RFC 3339
    (with offset, or wall time without), or several joined by commas. Raises DatesMalformed.
    """
    found: dict[datetime, datetime] = {}
    for count, one in enumerate((one for text in texts for one in text.split(",")), start=1):
        if count > MAX_DATES:
            raise DatesMalformed(f"There are more than {MAX_DATES} dates.")
        wall = _date_of_list(one.strip(), place)
        found[wall if place is None else to_utc(wall, place)] = wall
    return tuple(found[key] for key in sorted(found))


def _date_of_list(text: str, place: ZoneInfo | None) -> datetime:
    if _MOMENT.fullmatch(text.upper()):
        on, at, is_utc = _moment(text.upper(), DatesMalformed)
        wall = datetime.combine(on, at or time())
        if is_utc:
            wall = wall.replace(tzinfo=UTC)
        has_time = at is not None
    else:
        try:
            wall = datetime.fromisoformat(text[:40])
        except ValueError:
            raise DatesMalformed(f"{text[:40]!r} is not a date, or a date with time.") from None
        has_time = len(text) > 10
    if wall.microsecond or not 1900 <= wall.year < 9000:
        raise DatesMalformed(f"{text!r} is too far away, or has parts of a second.")
    if place is None:
        return _midnight(wall, text)
    if not has_time:
        raise DatesMalformed(f"{text!r} has no time of day, but the series is not all-day.")
    return wall if wall.tzinfo is None else to_local(wall, place)


def _midnight(wall: datetime, text: str) -> datetime:
    if wall.time() != time() or (wall.tzinfo is not None and wall.utcoffset() != timedelta(0)):
        raise DatesMalformed(f"{text!r} has a time of day, but the series is all-day.")
    return wall.replace(tzinfo=None)
