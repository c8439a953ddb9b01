"""Weeks of the year, on every day where a week may belong to the neighbour."""

from datetime import date, timedelta

import pytest

from pm_api.core.recurrence.periods import YearKind
from tests.core.recurrence.oracles import week_numbers


def turn_of(year: int) -> list[date]:
    return [date(year, 12, 22) + timedelta(days=number) for number in range(21)]


def week_of(day: date, week_start: int) -> tuple[int, int]:
    index = (day - date(day.year, 1, 1)).days
    return YearKind.of(day.year, neighbours=True).week_number(index, week_start)


@pytest.mark.parametrize("week_start", range(7))
def test_weeks_are_counted_by_their_fourth_day(week_start: int) -> None:
    """Over every kind of year, and around a century that has no leap day."""
    for year in (*range(1990, 2020), *range(2097, 2105)):
        for day in turn_of(year):
            number, weeks = week_of(day, week_start)
            assert (number, number - weeks - 1) == week_numbers(day, week_start), day


def test_weeks_from_monday_are_those_of_iso_8601() -> None:
    for year in range(1970, 2110):
        for day in turn_of(year):
            assert week_of(day, 0)[0] == day.isocalendar().week, day
            assert week_of(day, 0)[1] == date(day.isocalendar().year, 12, 28).isocalendar().week


def test_kinds_are_few() -> None:
    assert len({YearKind.of(year, neighbours=False) for year in range(1600, 2400)}) == 14
    assert len({YearKind.of(year, neighbours=True) for year in range(1600, 2400)}) <= 35
