"""Two witnesses that share no code with what they judge: dateutil, and a reading of the RFC day by day.

dateutil's rrule differs from RFC 5545 in these places, which the naive reader covers alone:
- DTSTART that does not fit the rule is no occurrence there;
- of a weekly rule with BYSETPOS the first week begins at DTSTART;
- weekdays with and without a number in one BYDAY are intersected, not united;
- BYWEEKNO without BYDAY is all seven days there; of the days that a year shares with a week of its neighbours, those
  of weeks 52 and 53 are miscounted (1 January 2011 is in ISO week 52 of 2010, there in week 53).
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import product

from dateutil.rrule import rruleset, rrulestr

from pm_api.core.recurrence.rules import Frequency, Rule


def dateutil_agrees_on(rule: Rule) -> bool:
    mixed = len({bool(day.ordinal) for day in rule.days}) > 1
    weekly_positions = rule.frequency is Frequency.WEEKLY and bool(rule.positions)
    edge_weeks = {number for number in rule.week_numbers if abs(number) > 51}
    return not (mixed or weekly_positions or edge_weeks or (rule.week_numbers and not rule.days))


def by_dateutil(
    rule: Rule, start: datetime, rdates: tuple[datetime, ...], exdates: tuple[datetime, ...], until: datetime
) -> list[datetime]:
    """The set in wall time, up to and with `until`."""
    found = rruleset()
    text = str(rule) if rule.until is None else str(rule).replace("Z", "", 1)
    found.rrule(rrulestr(text, dtstart=start))  # type: ignore[arg-type]
    for one in rdates:
        found.rdate(one)
    for one in exdates:
        found.exdate(one)
    return list(found.between(start - timedelta(days=40_000), until, inc=True))


# --- the naive reading ------------------------------------------------------------------------------------------


def by_reading(rule: Rule, start: datetime, until: datetime) -> list[datetime]:
    """DTSTART and every instance of the rule up to and with `until`, looking at every single day. UNTIL in UTC."""
    found = [start]
    found += [instance for instance in _instances(rule, start, until) if instance > start]
    if rule.count is not None:
        found = found[: rule.count]
    if isinstance(rule.until, datetime):
        found = [one for one in found if one <= rule.until.replace(tzinfo=None)]
    return [one for one in found if one <= until]


def _instances(rule: Rule, start: datetime, until: datetime) -> Iterator[datetime]:
    clocks = sorted(
        time(*clock)
        for clock in product(
            rule.hours or (start.hour,), rule.minutes or (start.minute,), rule.seconds or (start.second,)
        )
    )
    number: int | None = None
    members: list[datetime] = []
    day = _period_start(rule, start.date())
    while day <= until.date() + timedelta(days=367):
        period = _period(rule, day)
        if period != number:
            yield from _positioned(rule, members)
            number, members = period, []
        if (period - _period(rule, start.date())) % rule.interval == 0 and _fits(rule, start.date(), day):
            members += [datetime.combine(day, clock) for clock in clocks]
        day += timedelta(days=1)
    yield from _positioned(rule, members)


def _positioned(rule: Rule, members: list[datetime]) -> list[datetime]:
    if not rule.positions:
        return members
    return [
        one
        for index, one in enumerate(members)
        if index + 1 in rule.positions or index - len(members) in rule.positions
    ]


def _period_start(rule: Rule, day: date) -> date:
    match rule.frequency:
        case Frequency.YEARLY:
            return day.replace(month=1, day=1)
        case Frequency.MONTHLY:
            return day.replace(day=1)
        case Frequency.WEEKLY:
            while day.weekday() != rule.week_start:
                day -= timedelta(days=1)
            return day
        case Frequency.DAILY:
            return day


def _period(rule: Rule, day: date) -> int:
    begin = _period_start(rule, day)
    match rule.frequency:
        case Frequency.YEARLY:
            return begin.year
        case Frequency.MONTHLY:
            return begin.year * 12 + begin.month
        case Frequency.WEEKLY:
            return begin.toordinal() // 7
        case Frequency.DAILY:
            return begin.toordinal()


def _fits(rule: Rule, start: date, day: date) -> bool:
    month_length = _length(day.replace(day=1), months=1)
    year_length = _length(date(day.year, 1, 1), months=12)
    year_day = (day - date(day.year, 1, 1)).days + 1
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not {day.day, day.day - month_length - 1} & set(rule.month_days):
        return False
    if rule.year_days and not {year_day, year_day - year_length - 1} & set(rule.year_days):
        return False
    if rule.week_numbers and not set(week_numbers(day, rule.week_start)) & set(rule.week_numbers):
        return False
    if rule.days:
        within_month = rule.frequency is Frequency.MONTHLY or rule.months
        index, length = (day.day, month_length) if within_month else (year_day, year_length)
        return any(
            one.weekday == day.weekday() and one.ordinal in {0, (index + 6) // 7, -((length - index) // 7 + 1)}
            for one in rule.days
        )
    return _as_start(rule, start, day)


def _as_start(rule: Rule, start: date, day: date) -> bool:
    """What a rule without BYDAY leaves to DTSTART."""
    if rule.month_days or rule.year_days or rule.frequency is Frequency.DAILY:
        return True
    if rule.week_numbers or rule.frequency is Frequency.WEEKLY:
        return day.weekday() == start.weekday()
    if rule.frequency is Frequency.MONTHLY or rule.months:
        return day.day == start.day
    return (day.month, day.day) == (start.month, start.day)


def _length(first: date, *, months: int) -> int:
    number = first.year * 12 + first.month - 1 + months
    return (date(number // 12, number % 12 + 1, 1) - first).days


def _first_week(year: int, week_start: int) -> date:
    """The first day of week 1: the first week with four days or more in the year."""
    day = date(year - 1, 12, 25)
    while day.weekday() != week_start or (day + timedelta(days=3)).year != year:
        day += timedelta(days=1)
    return day


def week_numbers(day: date, week_start: int) -> tuple[int, int]:
    year = max(one for one in (day.year - 1, day.year, day.year + 1) if _first_week(one, week_start) <= day)
    number = (day - _first_week(year, week_start)).days // 7 + 1
    weeks = (_first_week(year + 1, week_start) - _first_week(year, week_start)).days // 7
    return number, number - weeks - 1
