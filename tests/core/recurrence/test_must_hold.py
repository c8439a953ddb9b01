"""The sentences under "Must hold" of the calendar's page, each as a test; and the range query's own rules."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pm_api.core.recurrence import Override, RecurrenceSet, Window, admit, expand, occurrence_at, split, upcoming
from pm_api.core.recurrence.errors import TooManyOccurrences, WindowRefused
from tests.core.recurrence.places import HOUR, WEEK, first, on_days, series, starts, timed, utc, wall, walls, window


def test_a_start_in_the_gap_is_read_with_the_offset_before_it() -> None:
    found = first(series("2007-03-10 02:30", "FREQ=DAILY;COUNT=3"), 3)
    assert starts(found) == ["2007-03-10 07:30Z", "2007-03-11 07:30Z", "2007-03-12 06:30Z"]


def test_a_start_that_comes_twice_is_the_first() -> None:
    found = first(series("2007-11-03 01:30", "FREQ=DAILY;COUNT=3"), 3)
    assert starts(found) == ["2007-11-03 05:30Z", "2007-11-04 05:30Z", "2007-11-05 06:30Z"]


def test_weekly_in_new_york_keeps_its_wall_time_over_the_change() -> None:
    found = first(series("2026-02-23 09:00", "FREQ=WEEKLY;BYDAY=MO"), 4)
    assert starts(found) == ["2026-02-23 14:00Z", "2026-03-02 14:00Z", "2026-03-09 13:00Z", "2026-03-16 13:00Z"]


def test_what_began_yesterday_is_in_range_just_after_midnight() -> None:
    daily = series("2026-01-05 23:30", "FREQ=DAILY", end="2026-01-06 00:30", zone="UTC")
    found = expand(daily, window("2026-02-10 00:00", "2026-02-10 00:15"))
    assert starts(found) == ["2026-02-09 23:30Z"]
    assert [one.ends_at for one in found] == [utc("2026-02-10 00:30")]


def test_the_31st_skips_short_months() -> None:
    found = first(series("2026-01-31 09:00", "FREQ=MONTHLY;BYMONTHDAY=31"), 7)
    assert [one[:10] for one in walls(found)] == [
        *("2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31", "2026-10-31", "2026-12-31"),
    ]


@pytest.mark.parametrize(
    "rrule", ["FREQ=DAILY;COUNT=10", "FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10", "FREQ=MONTHLY;COUNT=10"]
)
@pytest.mark.parametrize("counted", [True, False])
def test_count_asked_week_by_week_gives_the_same_ten(rrule: str, counted: bool) -> None:
    ten = series("2026-01-05 09:00", rrule, zone="UTC")
    ten = ten if counted else replace(ten, counted_end=None)
    at_once = [one.key for one in expand(ten, window("2026-01-01", "2027-02-01"))]
    monday, by_week = utc("2026-01-01"), []
    while monday < utc("2027-02-01"):
        by_week += [one.key for one in expand(ten, Window(monday, monday + WEEK))]
        monday += WEEK
    assert len(at_once) == 10
    assert by_week == at_once


def test_a_moved_occurrence_leaves_its_old_week_and_is_once_in_the_new() -> None:
    weekly = series("2026-01-05 09:00", "FREQ=WEEKLY", zone="UTC")
    moved = with_override(weekly, Override(wall("2026-01-12 09:00"), placement=timed("2026-01-20 15:00", zone="UTC")))
    assert expand(moved, window("2026-01-12", "2026-01-19")) == []
    found = expand(moved, window("2026-01-19", "2026-01-26"))
    assert starts(found) == ["2026-01-19 09:00Z", "2026-01-20 15:00Z"]
    assert [one.key for one in found] == [utc("2026-01-19 09:00"), utc("2026-01-12 09:00")]
    assert len(expand(moved, window("2026-01-01", "2026-02-02"))) == 4


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260108T140000Z", "2026-01-08"),
        ("20260108T135959Z", "2026-01-07"),
        ("20260108T090000", "2026-01-08"),
        ("20260108", "2026-01-08"),
    ],
)
def test_until_equal_to_a_start_is_included(until: str, last: str) -> None:
    """In UTC, as wall time of the series, or as a whole day there."""
    found = first(series("2026-01-05 09:00", f"FREQ=DAILY;UNTIL={until}"), 10)
    assert walls(found)[-1] == f"{last} 09:00"


def test_following_the_first_is_all() -> None:
    weekly = series("2026-01-05 09:00", "FREQ=WEEKLY;COUNT=5")
    parts = split(weekly, first(weekly, 1)[0].key)
    assert parts.before is None
    assert parts.after == weekly
    assert parts.moves(utc("2020-01-01"))


# --- the range query --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "inside"),
    [
        (("2026-01-05 08:00", "2026-01-05 09:00"), False),  # ends as it starts
        (("2026-01-05 08:00", "2026-01-05 09:00:01"), True),
        (("2026-01-05 10:00", "2026-01-05 11:00"), False),  # starts as it ends
        (("2026-01-05 09:59:59", "2026-01-05 11:00"), True),
        (("2026-01-05 09:20", "2026-01-05 09:30"), True),  # within it
        (("2026-01-01 00:00", "2026-02-01 00:00"), True),
    ],
)
def test_a_range_is_half_open(asked: tuple[str, str], inside: bool) -> None:
    once = series("2026-01-05 09:00", None, zone="UTC")
    assert bool(expand(once, window(*asked))) is inside


@pytest.mark.parametrize(
    ("asked", "inside"),
    [
        (("2026-01-05 08:00", "2026-01-05 09:00"), False),
        (("2026-01-05 09:00", "2026-01-05 09:01"), True),
        (("2026-01-05 08:59:59", "2026-01-05 09:00:01"), True),
        (("2026-01-05 09:00:01", "2026-01-05 10:00"), False),
    ],
)
def test_what_has_no_length_is_in_from_the_start_on(asked: tuple[str, str], inside: bool) -> None:
    reminder = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=1", end="2026-01-05 09:00", zone="UTC")
    assert bool(expand(reminder, window(*asked))) is inside


@pytest.mark.parametrize(
    ("viewer", "start", "end"),
    [
        ("UTC", "2026-03-08 00:00", "2026-03-09 00:00"),
        ("America/New_York", "2026-03-08 05:00", "2026-03-09 04:00"),  # 23 hours: clocks change
        ("Asia/Tokyo", "2026-03-07 15:00", "2026-03-08 15:00"),
    ],
)
def test_an_all_day_event_lies_where_its_viewer_is(viewer: str, start: str, end: str) -> None:
    whole_day = RecurrenceSet(on_days("2026-03-08"))
    (found,) = expand(whole_day, window("2026-03-01", "2026-03-31"), viewer=viewer)
    assert (found.starts_at, found.ends_at) == (utc(start), utc(end))
    assert found.key == utc("2026-03-08")
    assert expand(whole_day, Window(utc(end), utc(end) + HOUR), viewer=viewer) == []
    assert expand(whole_day, Window(utc(start) - HOUR, utc(start)), viewer=viewer) == []
    assert expand(whole_day, Window(utc(end) - HOUR, utc(end)), viewer=viewer) == [found]


def test_a_window_of_400_days_is_the_longest() -> None:
    daily = series("2026-01-05 09:00", "FREQ=DAILY", zone="UTC")
    begin = utc("2026-01-05")
    assert len(expand(daily, Window(begin, begin + timedelta(days=400)))) == 400
    for wrong in (begin + timedelta(days=400, seconds=1), begin, begin - HOUR):
        with pytest.raises(WindowRefused):
            Window(begin, wrong)
    with pytest.raises(WindowRefused):
        Window(begin.replace(tzinfo=None), utc("2026-02-01"))


def test_what_lasts_for_days_is_in_range_to_its_end() -> None:
    """Sixty days, begun long before the range: of exact time, and by the calendar."""
    tour = series("2026-01-05 09:00", "FREQ=YEARLY", end="2026-03-06 09:00", zone="UTC")
    assert starts(expand(tour, window("2031-03-06 08:00", "2031-03-07"))) == ["2031-01-05 09:00Z"]
    assert expand(tour, window("2031-03-06 09:00", "2031-03-07")) == []
    holidays = admit(on_days("2026-01-05", 60), rrule="FREQ=YEARLY")
    found = expand(holidays, window("2031-03-06 04:00", "2031-03-06 05:00"), viewer="America/New_York")
    assert [one.key for one in found] == [utc("2031-01-05")]
    assert expand(holidays, window("2031-03-06 05:00", "2031-03-07"), viewer="America/New_York") == []


def test_over_1000_occurrences_are_refused_not_cut() -> None:
    five_a_day = series("2026-01-01 08:00", "FREQ=DAILY;BYHOUR=8,10,12,14,16", zone="UTC")
    assert len(expand(five_a_day, window("2026-01-01", "2026-07-20"))) == 1000
    with pytest.raises(TooManyOccurrences):
        expand(five_a_day, window("2026-01-01", "2026-07-20 08:01"))


def test_it_is_ordered_by_start_then_by_key() -> None:
    daily = series("2026-01-05 09:00", "FREQ=DAILY", zone="UTC")
    moved = with_override(daily, Override(wall("2026-01-05 09:00"), placement=timed("2026-01-07 09:00", zone="UTC")))
    found = expand(moved, window("2026-01-05", "2026-01-09"))
    assert [(one.starts_at.day, one.key.day) for one in found] == [(6, 6), (7, 5), (7, 7), (8, 8)]


def test_an_occurrence_is_found_by_its_original_start_before_it_exists() -> None:
    weekly = series("2026-01-05 09:00", "FREQ=WEEKLY")
    found = occurrence_at(weekly, utc("2031-06-02 13:00"))
    assert found is not None
    assert walls([found]) == ["2031-06-02 09:00"]
    assert found == upcoming(weekly, utc("2031-06-02"), 1)[0]
    for none in ("2031-06-02 14:00", "2031-06-03 13:00", "2025-12-29 14:00", "2031-06-02 13:00:01"):
        assert occurrence_at(weekly, utc(none)) is None


def with_override(of: RecurrenceSet, *overrides: Override) -> RecurrenceSet:
    return replace(of, overrides=overrides)
