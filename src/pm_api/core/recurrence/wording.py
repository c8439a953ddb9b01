"""A rule in plain English: "Every 2 weeks on Monday and Friday at 09:00, until 24 December 2026"."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from itertools import product
from typing import Final

from pm_api.core.recurrence.periods import resolved
from pm_api.core.recurrence.placement import Placement
from pm_api.core.recurrence.rules import Day, Frequency, Rule
from pm_api.core.recurrence.zones import to_local

WEEKDAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH_NAMES: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS: Final = {
    Frequency.DAILY: "day",
    Frequency.WEEKLY: "week",
    Frequency.MONTHLY: "month",
    Frequency.YEARLY: "year",
}
_WORKDAYS: Final = tuple(Day(weekday) for weekday in range(5))
_WEEKEND: Final = (Day(5), Day(6))
_ALL_DAYS: Final = tuple(Day(weekday) for weekday in range(7))
_MOST_LISTED: Final = 8
"""Of a longer list the first are named, and the number of the others."""


def describe(rule: Rule, placement: Placement) -> str:
    """One sentence without a full stop. What the rule leaves to the start is taken from there."""
    full = resolved(rule, placement.start)
    text = _what(full)
    if not placement.all_day:
        text += f" at {_clock_times(full)}"
    if rule.frequency is Frequency.WEEKLY and rule.interval > 1 and rule.week_start and len(full.days) > 1:
        text += f", weeks starting on {WEEKDAY_NAMES[rule.week_start]}"
    return text + _ending(rule, placement)


def written_day(day: date) -> str:
    """`24 December 2026`."""
    return f"{day.day} {MONTH_NAMES[day.month - 1]} {day.year}"


def written_time(at: time) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def ordinal(number: int) -> str:
    """`1st`, `last`, `2nd to last`."""
    if number == -1:
        return "last"
    if number < 0:
        return f"{ordinal(-number)} to last"
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _what(full: Rule) -> str:
    every = _every(full)
    if full.positions and full.frequency is not Frequency.DAILY:
        return _chosen_by_position(full)
    match full.frequency:
        case Frequency.DAILY:
            return _daily(full) + _in_months(full)
        case Frequency.WEEKLY:
            if full.days == _WORKDAYS and full.interval == 1:
                return "Every weekday" + _in_months(full)
            return f"{every} on {_day_list(full.days)}{_in_months(full)}"
        case Frequency.MONTHLY:
            return f"{every} on {_days_of_month(full)}{_in_months(full)}"
        case Frequency.YEARLY:
            return _yearly(full)


def _every(rule: Rule) -> str:
    unit = _UNITS[rule.frequency]
    return f"Every {unit}" if rule.interval == 1 else f"Every {rule.interval} {unit}s"


def _daily(full: Rule) -> str:
    if full.interval > 1:
        numbers = f"the {_day_numbers(full.month_days, 'or')}" if full.month_days else ""
        return f"{_every(full)}{_if_it_is(numbers, _one_of(full))}"
    if full.month_days:
        return f"On {_days_of_month(full, of=' of every month' if not full.months else '')}"
    if not full.days:
        return _every(full)
    return "Every weekday" if full.days == _WORKDAYS else f"Every {_listed(map(_name, full.days))}"


def _if_it_is(*limits: str) -> str:
    """What must hold of days that other parts have chosen already."""
    given = [limit for limit in limits if limit]
    return f" if it is {' and '.join(given)}" if given else ""


def _one_of(full: Rule) -> str:
    """BYDAY as a limit: `a Monday or a Tuesday`."""
    if full.days == _WORKDAYS:
        return "a weekday"
    return _listed((_with_article(day) for day in _counted_forwards(full.days)), "or")


def _in_months(full: Rule) -> str:
    return f" in {_listed(MONTH_NAMES[month - 1] for month in full.months)}" if full.months else ""


def _days_of_month(full: Rule, *, of: str = "", last: str = "and") -> str:
    """`the 15th`, `the 2nd Tuesday`, `the 13th if it is a Friday`."""
    if not full.month_days:
        return f"{_day_list(full.days, every='every ')}{of}"
    return f"the {_day_numbers(full.month_days, last)}{of}{_if_it_is(_one_of(full))}"


def _day_numbers(days: tuple[int, ...], last: str = "and") -> str:
    """`1st, 15th and last day`; three in a row and more are `7th to 13th`."""
    words: list[str] = []
    ahead = [day for day in days if day > 0]
    while ahead:
        run = next((length for length in range(len(ahead), 2, -1) if ahead[length - 1] == ahead[0] + length - 1), 1)
        words.append(f"{ordinal(ahead[0])} to {ordinal(ahead[run - 1])}" if run > 1 else ordinal(ahead[0]))
        del ahead[:run]
    return _listed([*words, *(f"{ordinal(day)} day" for day in days if day < 0)], last)


def _yearly(full: Rule) -> str:
    every = _every(full)
    if full.year_days:
        numbers = _listed(ordinal(day) for day in _forwards(full.year_days))
        limits = _if_it_is(_month_day_limit(full), _one_of(full))
        return f"{every} on the {numbers} day of the year{limits}{_in_months(full)}"
    if full.week_numbers:
        weeks = _listed(
            f"week {week}" if week > 0 else f"the {ordinal(week)} week" for week in _forwards(full.week_numbers)
        )
        days = f" on {_day_list(full.days)}" if full.days else ""
        return f"{every} in {weeks}{days}{_if_it_is(_month_day_limit(full))}{_in_months(full)}"
    if full.month_days and full.months and not full.days and min(full.month_days) > 0:
        if len(full.months) == 1:
            return f"{every} on {_listed(map(str, full.month_days))} {MONTH_NAMES[full.months[0] - 1]}"
        dates = (f"{day} {MONTH_NAMES[month - 1]}" for month, day in product(full.months, full.month_days))
        return f"{every} on {_listed(dates)}"
    if full.months or full.month_days:
        months = _listed(MONTH_NAMES[month - 1] for month in full.months) if full.months else "every month"
        return f"{every} on {_days_of_month(full, of=f' of {months}')}"
    of_year = " of the year" if any(day.ordinal for day in full.days) else ""
    return f"{every} on {_day_list(full.days, every='every ')}{of_year}"


def _month_day_limit(full: Rule) -> str:
    if not full.month_days:
        return ""
    return f"the {_day_numbers(full.month_days, 'or')} of a month"


def _chosen_by_position(full: Rule) -> str:
    """BYSETPOS: `Every month on the last weekday`, or the list it chooses from."""
    every, which = _every(full), _listed(ordinal(one) for one in _forwards(full.positions))
    alone = not (full.month_days or full.year_days or full.week_numbers) and len(_times(full)) == 1
    group = {_WORKDAYS: "weekday", _WEEKEND: "weekend day", _ALL_DAYS: "day"}.get(full.days) if alone else None
    period = _UNITS[full.frequency]
    if group is None and alone and full.days and not any(day.ordinal for day in full.days):
        group = _name(full.days[0]) if len(full.days) == 1 else f"day that is {_one_of(full)}"
    if group is not None:
        otherwise = " of the year" if full.frequency is Frequency.YEARLY else ""
        return f"{every} on the {which} {group}{_in_months(full) or otherwise}"
    plain = replace(full, positions=(), interval=1)
    return f"{every} on the {which} of these in the {period}: {_lower_first(_what(plain))}"


def _clock_times(full: Rule) -> str:
    times = _listed(_times(full))
    if full.positions and full.frequency is Frequency.DAILY:
        return f"the {_listed(ordinal(one) for one in _forwards(full.positions))} of {times}"
    return times


def _times(full: Rule) -> list[str]:
    return [written_time(time(*clock)) for clock in product(full.hours, full.minutes, full.seconds)]


def _ending(rule: Rule, placement: Placement) -> str:
    if rule.count is not None:
        return ", once" if rule.count == 1 else f", {rule.count} times"
    if rule.until is None:
        return ""
    until = rule.until
    if isinstance(until, datetime):
        place = placement.place
        until = to_local(until, place) if place is not None and until.year < 9000 else until.astimezone(UTC)
    return f", until {written_day(until)}"


# --- words ------------------------------------------------------------------------------------------------------


def _forwards(numbers: Iterable[int]) -> list[int]:
    """Counted from the front first, then from the end."""
    return sorted(numbers, key=lambda number: (number < 0, number))


def _name(day: Day) -> str:
    name = WEEKDAY_NAMES[day.weekday]
    return f"{ordinal(day.ordinal)} {name}" if day.ordinal else name


def _with_article(day: Day) -> str:
    return f"the {_name(day)}" if day.ordinal else f"a {_name(day)}"


def _day_list(days: tuple[Day, ...], *, every: str = "") -> str:
    """`Monday and Friday`; where the period is longer than a week, `every Monday` or `the 1st Monday`."""
    known = {_WORKDAYS: "every weekday", _ALL_DAYS: "every day"}.get(days)
    if known:
        return known
    return _listed(f"the {_name(day)}" if day.ordinal else f"{every}{_name(day)}" for day in _counted_forwards(days))


def _counted_forwards(days: tuple[Day, ...]) -> list[Day]:
    """By number first, those counted from the end last; one number's days in the order of the week."""
    return sorted(days, key=lambda day: (day.ordinal < 0, day.ordinal, day.weekday))


def _listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    all_words = list(words)
    if not all_words:
        return ""
    if len(all_words) > _MOST_LISTED:
        return f"{', '.join(all_words[:_MOST_LISTED])} {last} {len(all_words) - _MOST_LISTED} more"
    if len(all_words) == 1:
        return all_words[0]
    return f"{', '.join(all_words[:-1])} {last} {all_words[-1]}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
