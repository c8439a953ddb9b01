"""The instances of a rule in wall time, from any moment on, in bounded work.

Written on periods instead of on dateutil's rrule: that one walks from DTSTART to every window, never ends on
INTERVAL=0, and searches barren years inside one `next()`, where nothing can count or stop it. Here the period before
the wanted moment is found by division, and every step is paid for. In the tests dateutil is the independent witness.

Everything happens without zones: a rule says wall times, and only what comes out is placed on the time line.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.periods import MONTH_LENGTHS, chosen_days, resolved
from pm_api.core.recurrence.rules import Frequency, Rule
from pm_api.core.recurrence.zones import LARGEST_CHANGE, to_local, to_utc

HORIZON: Final = datetime(9000, 1, 1)  # noqa: DTZ001  # wall time
"""Nothing is looked for from here on; an end behind it is no end."""
_CYCLE: Final = {Frequency.WEEKLY: 20_871, Frequency.MONTHLY: 4_800, Frequency.YEARLY: 400}
"""Periods in 400 years, after which days and weekdays repeat. A rule barren for so many periods stays barren."""
_MONTH_WALK_BELOW: Final = 31
"""A daily rule limited to months or days of the month goes month by month if several of its days lie in one."""


class Walk:
    """The instances of one rule without its end, every step paid from the budget."""

    def __init__(self, rule: Rule, start: datetime, budget: Budget) -> None:
        self._rule = resolved(rule, start)
        self._start = start.replace(fold=0)
        self._budget = budget
        self._chosen = chosen_days(self._rule, budget)
        clocks = product(self._rule.hours, self._rule.minutes, self._rule.seconds)
        self._times = tuple(time(*clock) for clock in clocks)
        self._weekdays = frozenset(day.weekday for day in self._rule.days)
        alike = rule.frequency is Frequency.DAILY or (rule.frequency is Frequency.WEEKLY and not rule.months)
        # Where all chosen periods are alike, one that BYSETPOS leaves empty speaks for all.
        self._patience = 1 if alike else _CYCLE[rule.frequency]

    def between(self, earliest: datetime, latest: datetime) -> Iterator[datetime]:
        """Ascending, from the start or `earliest` up to and with `latest`."""
        earliest, latest = max(earliest, self._start), min(latest, HORIZON)
        if self._never():
            return
        barren = 0
        for days in self._periods(earliest.date(), latest.toordinal()):
            self._budget.spend()
            barren += 1
            for instance in self._instances(days):
                if instance > latest:
                    return
                self._budget.spend()
                barren = 0
                if instance >= earliest:
                    yield instance
            if barren > self._patience:
                return

    def _never(self) -> bool:
        """What can be said without looking: no such day in any of the months, no such place in any week, weekdays or
        months that the interval always steps over.
        """
        rule, start = self._rule, self._start
        if rule.months and rule.month_days:
            longest = max(29 if month == 2 else MONTH_LENGTHS[month] for month in rule.months)
            if all(abs(day) > longest for day in rule.month_days):
                return True
        if rule.frequency is Frequency.DAILY and self._weekdays:
            return self._weekdays.isdisjoint((start.weekday() + step * rule.interval) % 7 for step in range(7))
        if rule.frequency is Frequency.WEEKLY and rule.positions:
            return min(map(abs, rule.positions)) > len(self._weekdays) * len(self._times)
        if rule.frequency is Frequency.MONTHLY and rule.months:
            return all((start.month - 1 + step * rule.interval) % 12 + 1 not in rule.months for step in range(12))
        return False

    def _instances(self, days: tuple[int, ...]) -> Iterator[datetime]:
        """The wall times of one period: its days with each time of day, or those that BYSETPOS names among them."""
        times = self._times
        if not self._rule.positions:
            for day in days:
                on = date.fromordinal(day)
                for at in times:
                    yield datetime.combine(on, at)
            return
        size = len(days) * len(times)
        chosen = {position - 1 if position > 0 else size + position for position in self._rule.positions}
        for index in sorted(chosen):
            if 0 <= index < size:
                yield datetime.combine(date.fromordinal(days[index // len(times)]), times[index % len(times)])

    def _periods(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        """The chosen days of each period from that of `earliest` on, until one begins after the ordinal `last`."""
        match self._rule.frequency:
            case Frequency.YEARLY:
                return self._years(earliest, last)
            case Frequency.MONTHLY:
                return self._months(earliest, last)
            case Frequency.WEEKLY:
                return self._weeks(earliest, last)
            case Frequency.DAILY:
                limited = self._rule.months or self._rule.month_days
                if limited and self._rule.interval < _MONTH_WALK_BELOW:
                    return self._days_by_month(earliest, last)
                return self._days(earliest, last)

    def _years(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        first, interval = self._start.year, self._rule.interval
        year = first + (earliest.year - first) // interval * interval
        while date(year, 1, 1).toordinal() <= last:
            yield self._chosen.of_year(year)
            year += interval

    def _months(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        first, interval = _month_number(self._start), self._rule.interval
        number = first + (_month_number(earliest) - first) // interval * interval
        while _first_of(number).toordinal() <= last:
            if self._rule.months and number % 12 + 1 not in self._rule.months:
                self._budget.spend()
            else:
                yield self._chosen.of_month(number // 12, number % 12 + 1)
            number += interval

    def _weeks(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        rule = self._rule
        offsets = sorted((weekday - rule.week_start) % 7 for weekday in self._weekdays)
        first = self._start.toordinal() - (self._start.weekday() - rule.week_start) % 7
        step = 7 * rule.interval
        number = (earliest.toordinal() - first) // step
        while (monday := first + number * step) <= last:
            days = [monday + offset for offset in offsets]
            if rule.months:
                days = [day for day in days if date.fromordinal(day).month in rule.months]
            yield tuple(days)
            number += 1
            if not days:
                month = self._next_month(_month_number(date.fromordinal(monday + 6)))
                number = max(number, (_first_of(month).toordinal() - first) // step)

    def _days(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        first, interval = self._start.toordinal(), self._rule.interval
        day = first + (earliest.toordinal() - first) // interval * interval
        while day <= last:
            if self._fits(day):
                yield (day,)
            else:
                self._budget.spend()
            day += interval

    def _fits(self, day: int) -> bool:
        """BYMONTH, BYMONTHDAY and BYDAY of a daily rule."""
        rule = self._rule
        if self._weekdays and (day - 1) % 7 not in self._weekdays:
            return False
        if not (rule.months or rule.month_days):
            return True
        on = date.fromordinal(day)
        if rule.months and on.month not in rule.months:
            return False
        return not rule.month_days or day in self._chosen.of_month(on.year, on.month)

    def _days_by_month(self, earliest: date, last: int) -> Iterator[tuple[int, ...]]:
        first, interval = self._start.toordinal(), self._rule.interval
        number = _month_number(earliest)
        while _first_of(number).toordinal() <= last:
            number = self._next_month(number)
            days = self._chosen.of_month(number // 12, number % 12 + 1)
            self._budget.spend(1 + len(days))
            yield from ((day,) for day in days if (day - first) % interval == 0)
            number += 1

    def _next_month(self, number: int) -> int:
        """This month or the first after it that is one of BYMONTH's."""
        months = self._rule.months
        return number + min((month - 1 - number) % 12 for month in months) if months else number


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _first_of(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def instances(
    rule: Rule,
    start: datetime,
    place: ZoneInfo | None,
    budget: Budget,
    *,
    earliest: datetime,
    latest: datetime = HORIZON,
    counted_end: datetime | None = None,
) -> Iterator[datetime]:
    """The wall times of a series by its rule, ascending by wall time, between two wall times (both included).

    DTSTART is the first of them and counts, also when it does not fit the rule (RFC 5545 §3.8.5.3; its example of
    Friday the 13th has to exclude it). `place` is None when all-day. `counted_end`, if known, is the last wall time
    of a COUNT rule, and saves counting from the start.
    """
    walk = Walk(rule, start, budget)
    if rule.count is not None and counted_end is None:
        counted = _counted(walk, start, rule.count, latest)
        yield from (wall for wall in counted if wall >= earliest)
        return
    if rule.count is not None:
        assert counted_end is not None
        latest = min(latest, counted_end)
    if rule.until is not None:
        latest = min(latest, last_wall(rule, place))
    if earliest <= start <= latest and _in_time(rule, start, place):
        yield start
    for wall in walk.between(earliest, latest):
        if wall != start and _in_time(rule, wall, place):
            yield wall


def _counted(walk: Walk, start: datetime, count: int, latest: datetime) -> Iterator[datetime]:
    left = count - 1
    if start <= latest:
        yield start
    for wall in walk.between(start, latest) if left else ():
        if wall != start:
            yield wall
            left -= 1
            if not left:
                return


def last_wall(rule: Rule, place: ZoneInfo | None) -> datetime:
    """A wall time after which a rule with UNTIL has nothing; up to a change of clocks too late."""
    until = rule.until
    if isinstance(until, datetime):
        if until.year >= HORIZON.year:
            return HORIZON
        return to_local(until, place or ZoneInfo("UTC")) + LARGEST_CHANGE
    assert until is not None
    return min(datetime.combine(until, time()), HORIZON)


def _in_time(rule: Rule, wall: datetime, place: ZoneInfo | None) -> bool:
    """UNTIL, which is included; compared on the time line, since wall times may come twice."""
    if rule.until is None:
        return True
    if isinstance(rule.until, datetime):
        return (to_utc(wall, place) if place is not None else wall.replace(tzinfo=UTC)) <= rule.until
    return wall.date() <= rule.until


def fits(rule: Rule, start: datetime) -> bool:
    """Whether the start is itself a day and time that the rule says."""
    return next(Walk(rule, start, Budget()).between(start, start), None) is not None


def first_instance(rule: Rule, start: datetime, budget: Budget) -> datetime | None:
    """The first wall time from the start on that the rule says by itself, whatever ends it. What the rule leaves to
    DTSTART and the count of its intervals are the same from there on.
    """
    return next(Walk(rule, start, budget).between(start, HORIZON), None)


def has_instance(rule: Rule, start: datetime, place: ZoneInfo | None, budget: Budget) -> bool:
    """Whether the rule says any day at all, DTSTART not being one by itself. COUNT does not matter."""
    latest = HORIZON if rule.until is None else last_wall(rule, place)
    return any(_in_time(rule, wall, place) for wall in Walk(rule, start, budget).between(start, latest))
