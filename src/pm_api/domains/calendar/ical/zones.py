"""Time zones told to calendar programs: VTIMEZONE (RFC 5545 §3.6.5), exact over the whole of a span.

What a zone did in the past is listed, change by change; from the year on in which it follows a yearly rule, that rule
is written, for ever. Both are read off the zone itself and checked against it, so that no table is kept here.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from pm_api.core.recurrence.rules import WEEKDAYS
from pm_api.core.recurrence.zones import Change, changes, to_local, zone
from pm_api.domains.calendar.ical import times
from pm_api.domains.calendar.ical.lines import escaped, line

HORIZON: Final = 2066
"""A yearly rule is taken for one when it holds up to here: all weekdays and leap years have come round behind 2037,
where the tables end and the zones' own rules begin.
"""
EARLIEST: Final = 1901
LATEST_LISTED: Final = 2110
"""Up to here changes are listed of a zone that follows no yearly rule, such as Morocco's, which goes by the moon."""
UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC", "Etc/Zulu", "Etc/UCT", "Zulu", "UCT", "Etc/Universal", "Universal"})


@dataclass(frozen=True, slots=True)
class _Yearly:
    """What happens once in every year: from which local time on which offset."""

    rule: str
    days: tuple[tuple[int, int], ...]
    """Month and day of each year from the first one to the horizon."""


@lru_cache(maxsize=512)
def vtimezone(name: str, first_year: int, last_year: int | None) -> str:
    """The component of an IANA zone for what lies between two years, both in; None is for ever."""
    place = zone(name)
    begin = max(EARLIEST, first_year - 1)
    end = LATEST_LISTED if last_year is None else max(last_year + 1, begin + 1)
    regular = _regular_from(name)
    listed_to = end if regular is None else min(end, max(regular, begin) - 1)
    listed = [one for year in range(begin, listed_to + 1) for one in _changes_of(name, year)]
    start = datetime(begin, 1, 1, tzinfo=UTC)
    offset = start.astimezone(place).utcoffset() or timedelta()
    parts = [line("BEGIN", "VTIMEZONE"), line("TZID", escaped(name)), line("X-LIC-LOCATION", escaped(name))]
    # What holds when it begins, whether or not anything ever changes.
    parts += _observance(name, [Change(start, offset, offset)])
    alike: dict[tuple[timedelta, timedelta, str], list[Change]] = {}
    for change in listed:
        alike.setdefault((change.before, change.after, _abbreviation(name, change)), []).append(change)
    for same in alike.values():
        parts += _observance(name, same)
    if regular is not None and end >= regular:
        year = max(regular, begin)
        for change, rule in zip(_changes_of(name, year), _rules_of(name, regular), strict=True):
            parts += _observance(name, [change], rule.rule)
    parts.append(line("END", "VTIMEZONE"))
    return "".join(parts)


def _observance(name: str, alike: Sequence[Change], rule: str | None = None) -> list[str]:
    first = alike[0]
    moment = first.instant.astimezone(zone(name))
    kind = "DAYLIGHT" if moment.dst() else "STANDARD"
    parts = [
        line("BEGIN", kind),
        line("DTSTART", times.written_wall(_onset(first))),
        line("TZOFFSETFROM", times.written_offset(first.before)),
        line("TZOFFSETTO", times.written_offset(first.after)),
        line("TZNAME", escaped(_abbreviation(name, first))),
    ]
    if rule is not None:
        parts.append(line("RRULE", rule))
    parts += [line("RDATE", times.written_wall(_onset(one))) for one in alike[1:]]
    return [*parts, line("END", kind)]


def _onset(change: Change) -> datetime:
    """The local time of a change is told by the clock that it ends."""
    return change.instant.replace(tzinfo=None) + change.before


def _abbreviation(name: str, change: Change) -> str:
    return change.instant.astimezone(zone(name)).tzname() or name


@lru_cache(maxsize=4096)
def _changes_of(name: str, year: int) -> Sequence[Change]:
    """By the local year of each."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    found = changes(zone(name), begin - timedelta(days=2), end + timedelta(days=2))
    return [one for one in found if _onset(one).year == year]


@lru_cache(maxsize=512)
def _rules_of(name: str, year: int) -> Sequence[_Yearly]:
    """Empty when it changes no more; raises _Irregular."""
    by_year = [_changes_of(name, one) for one in range(year, HORIZON + 1)]
    if any(len(one) != len(by_year[0]) for one in by_year):
        raise _Irregular
    return [_yearly([one[place] for one in by_year]) for place in range(len(by_year[0]))]


class _Irregular(Exception):
    """The zone follows no yearly rule in these years."""


@lru_cache(maxsize=512)
def _regular_from(name: str) -> int | None:
    """The first year from which on it does the same each year."""
    years = range(EARLIEST, HORIZON - 27)
    at = bisect_left(years, 1, key=lambda year: _is_regular(name, year))
    return years[at] if at < len(years) else None


def _is_regular(name: str, year: int) -> bool:
    try:
        _rules_of(name, year)
    except _Irregular:
        return False
    return True


def _yearly(same: Sequence[Change]) -> _Yearly:
    onsets = [_onset(one) for one in same]
    first = onsets[0]
    if any(
        (one.month, one.time()) != (first.month, first.time())
        or (change.before, change.after) != (same[0].before, same[0].after)
        for one, change in zip(onsets, same, strict=True)
    ):
        raise _Irregular
    return _Yearly(_rule_for(onsets), tuple((one.month, one.day) for one in onsets))


def _rule_for(onsets: Sequence[datetime]) -> str:
    """One weekday of a month, counted from either end, or one within a week, or a day of a month."""
    first, month = onsets[0], onsets[0].month
    days = {one.day for one in onsets}
    if len(days) == 1:
        return f"FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={first.day}"
    if len({one.weekday() for one in onsets}) > 1:
        raise _Irregular
    weekday = WEEKDAYS[first.weekday()]
    from_end = {(monthrange(one.year, month)[1] - one.day) // 7 for one in onsets}
    from_start = {(one.day - 1) // 7 for one in onsets}
    if len(from_start) == 1:
        return f"FREQ=YEARLY;BYMONTH={month};BYDAY={from_start.pop() + 1}{weekday}"
    if from_end == {0}:
        return f"FREQ=YEARLY;BYMONTH={month};BYDAY=-1{weekday}"
    lowest = max(days) - 6
    if min(days) < lowest or not all(_within(one.date(), lowest) for one in onsets):
        raise _Irregular
    within = ",".join(str(day) for day in range(lowest, lowest + 7))
    return f"FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={within};BYDAY={weekday}"


def _within(day: date, lowest: int) -> bool:
    return lowest <= day.day <= lowest + 6


def wall_before_gap(key: datetime, name: str) -> datetime | None:
    """The wall time, skipped by the clocks, that is read as this instant; None when no clock was set forward then."""
    place = zone(name)
    before = (key - timedelta(hours=30)).astimezone(place).utcoffset() or timedelta()
    offsets = {before}
    for hours in (1, 2, 3, 24):
        offsets.add((key - timedelta(hours=hours)).astimezone(place).utcoffset() or timedelta())
    shown = to_local(key, place)
    for offset in sorted(offsets):
        wall = key.astimezone(UTC).replace(tzinfo=None) + offset
        if wall != shown and wall.replace(tzinfo=place).astimezone(UTC) == key.astimezone(UTC):
            return wall
    return None
