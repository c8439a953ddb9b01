"""Which days of a year or of a month a rule chooses.

A year is one of few kinds (its first weekday and its length, and those of its neighbours), a month one of 28. What
was worked out for one is kept for all like it, as long as one answer takes: looking at a period costs one step, and
only a new kind costs its days.
"""

import calendar
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.rules import Day, Frequency, Rule

MONTH_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Of a common year; January is 1."""


@lru_cache(maxsize=4096)
def resolved(rule: Rule, start: datetime) -> Rule:
    """The rule with what it leaves to DTSTART said out (RFC 5545 §3.3.10, "Information, not contained in the rule").

    A weekday for BYWEEKNO alone is left to DTSTART too, where some libraries take all seven days of the week. A day
    belongs to its calendar year, also when its week counts to the neighbour; only INTERVAL and BYSETPOS ask that.
    """
    frequency = rule.frequency
    if not (rule.days or rule.month_days or rule.year_days):
        if frequency is Frequency.WEEKLY or rule.week_numbers:
            rule = replace(rule, days=(Day(start.weekday()),))
        elif frequency is Frequency.MONTHLY:
            rule = replace(rule, month_days=(start.day,))
        elif frequency is Frequency.YEARLY:
            rule = replace(rule, month_days=(start.day,), months=rule.months or (start.month,))
    return replace(
        rule,
        hours=rule.hours or (start.hour,),
        minutes=rule.minutes or (start.minute,),
        seconds=rule.seconds or (start.second,),
    )


@dataclass(frozen=True, slots=True)
class YearKind:
    """What the days of a year depend on; on its neighbours only where weeks are counted."""

    first_weekday: int
    leap: bool
    leap_before: bool
    leap_after: bool

    @classmethod
    def of(cls, year: int, *, neighbours: bool) -> "YearKind":
        before, after = (neighbours and calendar.isleap(one) for one in (year - 1, year + 1))
        return cls(date(year, 1, 1).weekday(), calendar.isleap(year), before, after)

    @property
    def length(self) -> int:
        return 365 + self.leap

    def week_number(self, index: int, week_start: int) -> tuple[int, int]:
        """The week of the day with this index (1 January is 0), and how many weeks the year of that week has.

        A week belongs to the year in which its fourth day lies (ISO 8601, for any first day of the week).
        """
        weekday = (self.first_weekday + index) % 7
        fourth = index - (weekday - week_start) % 7 + 3
        if fourth < 0:
            before = 365 + self.leap_before
            first = (self.first_weekday - before) % 7
            return (fourth + before) // 7 + 1, _weeks(first, week_start, leap=self.leap_before)
        if fourth >= self.length:
            return 1, _weeks((self.first_weekday + self.length) % 7, week_start, leap=self.leap_after)
        return fourth // 7 + 1, _weeks(self.first_weekday, week_start, leap=self.leap)


def _weeks(first_weekday: int, week_start: int, *, leap: bool) -> int:
    """A year has as many weeks as it has days that are the fourth of a week."""
    fourth = (week_start + 3) % 7
    return 53 if first_weekday == fourth or (leap and (first_weekday + 1) % 7 == fourth) else 52


def chosen_days(rule: Rule, budget: Budget) -> "ChosenDays":
    """The days of a resolved rule, kept in the budget: one answer may walk a rule several times."""
    endless = rule.ending()
    known = budget.kept.get(endless)
    if not isinstance(known, ChosenDays):
        known = budget.kept[endless] = ChosenDays(endless, budget)
    return known


class ChosenDays:
    """The days of one resolved rule."""

    def __init__(self, rule: Rule, budget: Budget) -> None:
        self._rule = rule
        self._budget = budget
        self._plain = frozenset(day.weekday for day in rule.days if not day.ordinal)
        self._month_days = frozenset(rule.month_days)
        self._counted = frozenset((day.weekday, day.ordinal) for day in rule.days if day.ordinal)
        self._years: dict[YearKind, tuple[int, ...]] = {}
        self._months: dict[tuple[int, int], tuple[int, ...]] = {}

    def of_year(self, year: int) -> tuple[int, ...]:
        """Ordinals of the days that a yearly rule chooses, ascending."""
        kind = YearKind.of(year, neighbours=bool(self._rule.week_numbers))
        indexes = self._years.get(kind)
        if indexes is None:
            indexes = self._years[kind] = self._year(kind)
        first = date(year, 1, 1).toordinal()
        return tuple(first + index for index in indexes)

    def of_month(self, year: int, month: int) -> tuple[int, ...]:
        """Ordinals of the days that BYMONTHDAY and BYDAY choose in a month, ascending."""
        first_weekday, length = calendar.monthrange(year, month)
        days = self._months.get((first_weekday, length))
        if days is None:
            days = self._months[first_weekday, length] = self._month(first_weekday, length)
        before = date(year, month, 1).toordinal() - 1
        return tuple(before + day for day in days)

    def _month(self, first_weekday: int, length: int) -> tuple[int, ...]:
        candidates = _month_days(self._rule.month_days, length)
        self._budget.spend(len(candidates))
        return tuple(
            day
            for day in candidates
            if not self._rule.days or self._is_day((first_weekday + day - 1) % 7, day - 1, length)
        )

    def _year(self, kind: YearKind) -> tuple[int, ...]:
        candidates = self._candidates(kind)
        self._budget.spend(len(candidates))
        return tuple(index for index in candidates if self._fits_year(kind, index))

    def _candidates(self, kind: YearKind) -> list[int]:
        """Indexes of all days that may fit, by the part of the rule that names fewest."""
        rule, length = self._rule, kind.length
        if rule.year_days:
            indexes = {day - 1 if day > 0 else length + day for day in rule.year_days}
            return sorted(index for index in indexes if 0 <= index < length)
        if rule.days and not rule.month_days:
            firsts = {(day.weekday - kind.first_weekday) % 7 for day in rule.days}
            return sorted(index for first in firsts for index in range(first, length, 7))
        found: list[int] = []
        first = 0
        for month, days in enumerate(_month_lengths(leap=kind.leap), start=1):
            if not rule.months or month in rule.months:
                found += [first + day - 1 for day in _month_days(rule.month_days, days)]
            first += days
        return found

    def _fits_year(self, kind: YearKind, index: int) -> bool:
        rule = self._rule
        month, month_index, month_length = _MONTHS_OF_DAYS[kind.leap][index]
        if rule.months and month not in rule.months:
            return False
        if rule.month_days and not {month_index + 1, month_index - month_length} & self._month_days:
            return False
        if rule.week_numbers:
            number, weeks = kind.week_number(index, rule.week_start)
            if number not in rule.week_numbers and number - weeks - 1 not in rule.week_numbers:
                return False
        if not rule.days:
            return True
        weekday = (kind.first_weekday + index) % 7
        # With BYMONTH a weekday is counted within its month, without within the year.
        if rule.months:
            return self._is_day(weekday, month_index, month_length)
        return self._is_day(weekday, index, kind.length)

    def _is_day(self, weekday: int, index: int, length: int) -> bool:
        """BYDAY, for the day with this index in a month or year of this length."""
        if weekday in self._plain:
            return True
        return (weekday, index // 7 + 1) in self._counted or (
            weekday,
            -((length - 1 - index) // 7) - 1,
        ) in self._counted


def _month_days(wanted: tuple[int, ...], length: int) -> list[int]:
    """Days of a month of this length by BYMONTHDAY, ascending; those that it has not are left out."""
    if not wanted:
        return list(range(1, length + 1))
    days = {day if day > 0 else length + 1 + day for day in wanted}
    return sorted(day for day in days if 1 <= day <= length)


def _month_lengths(*, leap: bool) -> tuple[int, ...]:
    return (*MONTH_LENGTHS[1:2], 29 if leap else 28, *MONTH_LENGTHS[3:])


_MONTHS_OF_DAYS: Final = {
    leap: tuple(
        (month, index, length)
        for month, length in enumerate(_month_lengths(leap=leap), start=1)
        for index in range(length)
    )
    for leap in (False, True)
}
"""Of each day of a year: its month, its index there, and how many days the month has."""
