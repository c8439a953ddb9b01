"""Dates added and taken away, overrides, lengths, the bounds of a series, and the names of occurrences."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from pm_api.core.recurrence import (
    Bounds,
    Override,
    Placement,
    RecurrenceSet,
    Span,
    admit,
    bounds,
    expand,
    first_live,
    occurrence_at,
    occurrence_id,
    parse_occurrence_id,
    upcoming,
)
from pm_api.core.recurrence.errors import OccurrenceUnknown, RuleEmpty
from tests.core.recurrence.places import first, on_days, series, starts, timed, utc, wall, walls, window

EVENT = UUID("01890000-0000-7000-8000-000000000001")


def test_the_set_is_the_rule_and_added_dates_without_excluded_ones() -> None:
    found = series(
        "2026-01-05 09:00",
        "FREQ=WEEKLY;COUNT=3",
        rdate=["20260107T120000", "20260112T090000", "20260101T080000"],
        exdate=["20260119T090000", "20260131T090000"],
    )
    assert walls(first(found, 9)) == ["2026-01-01 08:00", "2026-01-05 09:00", "2026-01-07 12:00", "2026-01-12 09:00"]


def test_count_counts_what_is_excluded() -> None:
    found = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=4", exdate=["20260106T090000"])
    assert [one[8:10] for one in walls(first(found, 9))] == ["05", "07", "08"]


@pytest.mark.parametrize(
    "exdate", ["20070311T023000", "20070311T073000Z", "2007-03-11T03:30:00-04:00", "20070311T033000"]
)
def test_an_excluded_date_is_an_instant_however_it_is_written(exdate: str) -> None:
    """The start lies in the gap: 02:30 that never was, 03:30 by the clock, 07:30 in UTC."""
    found = series("2007-03-10 02:30", "FREQ=DAILY;COUNT=3", exdate=[exdate])
    assert starts(first(found, 9)) == ["2007-03-10 07:30Z", "2007-03-12 06:30Z"]


def test_two_wall_times_of_one_instant_are_one_occurrence() -> None:
    found = series("2007-03-10 02:30", "FREQ=DAILY;BYHOUR=2,3;COUNT=6")
    assert starts(first(found, 9)) == [
        *("2007-03-10 07:30Z", "2007-03-10 08:30Z", "2007-03-11 07:30Z", "2007-03-12 06:30Z", "2007-03-12 07:30Z"),
    ]


def test_in_the_gap_order_is_that_of_time() -> None:
    found = series("2007-03-10 02:30", "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30;COUNT=8")
    of_the_day = [one for one in first(found, 9) if one.starts_at.day == 11]
    assert starts(of_the_day) == ["2007-03-11 07:00Z", "2007-03-11 07:30Z"]


def test_the_next_one_is_the_next_in_time_not_on_the_wall() -> None:
    """02:30 is skipped and takes place at 03:30, after what was set for 03:15."""
    found = series("2007-03-10 02:30", "FREQ=DAILY", rdate=["20070311T031500"])
    assert starts(upcoming(found, utc("2007-03-11 00:00"), 1)) == ["2007-03-11 07:15Z"]
    assert starts(upcoming(found, utc("2007-03-11 07:15:01"), 1)) == ["2007-03-11 07:30Z"]


def test_an_added_date_may_be_the_second_pass_of_an_hour() -> None:
    found = series("2026-10-31 12:00", None, rdate=["20261101T063000Z", "20261101T013000"])
    assert starts(first(found, 9)) == ["2026-10-31 16:00Z", "2026-11-01 05:30Z", "2026-11-01 06:30Z"]


# --- overrides --------------------------------------------------------------------------------------------------


def test_an_override_changes_cancels_or_moves_one() -> None:
    weekly = with_overrides(
        series("2026-01-05 09:00", "FREQ=WEEKLY;COUNT=5", zone="UTC"),
        Override(wall("2026-01-12 09:00"), changes={"title": "Budget"}),
        Override(wall("2026-01-19 09:00"), cancelled=True),
        Override(wall("2026-01-26 09:00"), placement=timed("2026-01-02 20:00", zone="America/New_York")),
    )
    found = expand(weekly, window("2026-01-01", "2026-03-01"))
    assert starts(found) == ["2026-01-03 01:00Z", "2026-01-05 09:00Z", "2026-01-12 09:00Z", "2026-02-02 09:00Z"]
    assert [dict(one.override.changes) if one.override else None for one in found] == [
        {},
        None,
        {"title": "Budget"},
        None,
    ]
    assert [one.id(EVENT) for one in found][:2] == [f"{EVENT}_20260126T090000Z", f"{EVENT}_20260105T090000Z"]
    assert starts(upcoming(weekly, utc("2026-01-04"), 2)) == ["2026-01-05 09:00Z", "2026-01-12 09:00Z"]
    moved = occurrence_at(weekly, utc("2026-01-26 09:00"))
    assert moved is not None
    assert moved.starts_at == utc("2026-01-03 01:00")
    assert occurrence_at(weekly, utc("2026-01-19 09:00")) is None
    assert occurrence_at(weekly, utc("2026-01-03 01:00")) is None


def test_an_override_of_what_is_excluded_is_gone() -> None:
    weekly = series("2026-01-05 09:00", "FREQ=WEEKLY;COUNT=3", zone="UTC", exdate=["20260112T090000"])
    both = with_overrides(weekly, Override(wall("2026-01-12 09:00"), changes={"title": "Ghost"}))
    assert len(first(both, 9)) == 2
    assert occurrence_at(both, utc("2026-01-12 09:00")) is None


def test_one_occurrence_may_become_all_day() -> None:
    weekly = with_overrides(
        series("2026-01-05 09:00", "FREQ=WEEKLY;COUNT=2"),
        Override(wall("2026-01-12 09:00"), placement=on_days("2026-01-12")),
    )
    found = expand(weekly, window("2026-01-01", "2026-02-01"), viewer="Asia/Tokyo")
    assert starts(found) == ["2026-01-05 14:00Z", "2026-01-11 15:00Z"]
    assert found[1].key == utc("2026-01-12 14:00")


def test_the_first_live_one_is_neither_excluded_nor_cancelled() -> None:
    weekly = with_overrides(
        series("2026-01-05 09:00", "FREQ=WEEKLY;COUNT=4", zone="UTC", exdate=["20260105T090000"]),
        Override(wall("2026-01-12 09:00"), cancelled=True),
        Override(wall("2026-01-19 09:00"), placement=timed("2026-03-19 09:00", zone="UTC")),
    )
    assert first_live(weekly) == utc("2026-01-19 09:00")


# --- how long it lasts ------------------------------------------------------------------------------------------


def test_an_event_lasts_its_exact_time_in_every_night() -> None:
    """RFC 5545 §3.8.5.3: with DTEND "the same exact duration" holds; clocks go forward in the night of March 8."""
    shift = series("2026-03-06 22:00", "FREQ=DAILY;COUNT=3", end="2026-03-07 06:00")
    lengths = [(one.ends_at - one.starts_at).total_seconds() / 3600 for one in first(shift, 3)]
    assert lengths == [8, 8, 8]
    assert first(shift, 3)[1].ends_at == utc("2026-03-08 11:00")  # 07:00 by the clock


def test_days_that_were_imported_as_a_duration_are_nominal() -> None:
    """RFC 5545 §3.3.6: a day is a day of the calendar, of 23 hours here, and exact time comes after it."""
    placement = Placement(wall("2026-03-07 12:00"), Span(days=1, exact=timedelta(hours=1)), "America/New_York")
    found = expand(RecurrenceSet(placement), window("2026-03-01", "2026-03-31"))
    assert found[0].ends_at - found[0].starts_at == timedelta(hours=24)
    assert found[0].ends_at == utc("2026-03-08 17:00")


def test_a_length_is_not_lost_when_the_first_start_is_in_the_gap() -> None:
    one_hour = timed("2007-03-11 02:30", "2007-03-11 03:30")
    assert one_hour.span == Span(exact=timedelta(hours=1))
    assert timed("2007-03-11 02:30", "2007-03-11 03:00").span == Span(exact=timedelta(minutes=30))


def test_all_day_lasts_days() -> None:
    holiday = admit(on_days("2026-03-07", 3), rrule="FREQ=YEARLY")
    found = expand(holiday, window("2026-03-01", "2026-03-31"), viewer="America/New_York")
    assert (found[0].starts_at, found[0].ends_at) == (utc("2026-03-07 05:00"), utc("2026-03-10 04:00"))


def test_a_midnight_that_never_was_starts_the_day_as_clocks_do() -> None:
    """São Paulo, 2017-10-15: clocks went from 00:00 to 01:00."""
    day = RecurrenceSet(on_days("2017-10-15", zone="America/Sao_Paulo"))
    (found,) = expand(day, window("2017-10-10", "2017-10-20"), viewer="America/Sao_Paulo")
    assert (found.starts_at, found.ends_at) == (utc("2017-10-15 03:00"), utc("2017-10-16 02:00"))


def test_the_day_that_samoa_left_out() -> None:
    daily = series("2011-12-28 09:00", "FREQ=DAILY;COUNT=5", zone="Pacific/Apia")
    assert starts(first(daily, 9)) == [
        *("2011-12-28 19:00Z", "2011-12-29 19:00Z", "2011-12-30 19:00Z", "2011-12-31 19:00Z"),
    ]


# --- bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rrule", "end"),
    [
        (None, "2026-01-05 10:00"),
        ("FREQ=DAILY;COUNT=1", "2026-01-05 10:00"),
        ("FREQ=DAILY;COUNT=1000", "2028-09-30 10:00"),
        ("FREQ=WEEKLY;UNTIL=20260120T000000Z", "2026-01-19 10:00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;UNTIL=21050101T000000Z", "2104-02-29 10:00"),
        ("FREQ=DAILY;UNTIL=25000101T000000Z", "2499-12-31 10:00"),
        ("FREQ=DAILY", None),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", None),
    ],
)
def test_the_end_of_a_series_is_its_last_end_or_never(rrule: str | None, end: str | None) -> None:
    found = bounds(series("2026-01-05 09:00", rrule, zone="UTC"))
    assert found == Bounds(utc("2026-01-05 09:00"), utc(end) if end else None)


def test_bounds_follow_what_was_moved_added_and_taken_away() -> None:
    weekly = series(
        "2026-01-05 09:00", "FREQ=WEEKLY;COUNT=4", zone="UTC", rdate=["20260301T080000"], exdate=["20260126T090000"]
    )
    assert bounds(weekly) == Bounds(utc("2026-01-05 09:00"), utc("2026-03-01 09:00"))
    moved = with_overrides(
        weekly,
        Override(wall("2026-01-05 09:00"), placement=timed("2026-02-01 10:00", zone="UTC")),
        Override(wall("2026-01-12 09:00"), placement=timed("2025-12-24 10:00", "2026-06-01 10:00", zone="UTC")),
    )
    assert bounds(moved) == Bounds(utc("2025-12-24 10:00"), utc("2026-06-01 10:00"))


def test_the_last_ones_of_a_rule_may_be_excluded() -> None:
    last = [f"202601{day}T090000" for day in range(10, 32)]
    assert bounds(series("2026-01-05 09:00", "FREQ=DAILY;UNTIL=20260131", zone="UTC", exdate=last)).ends_at == utc(
        "2026-01-09 10:00"
    )


def test_a_series_without_an_occurrence_left_is_refused() -> None:
    with pytest.raises(RuleEmpty):
        series("2026-01-05 09:00", "FREQ=DAILY;COUNT=2", exdate=["20260105T090000", "20260106T090000"])
    daily = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=1")
    with pytest.raises(RuleEmpty):
        bounds(with_overrides(daily, Override(wall("2026-01-05 09:00"), cancelled=True)))


# --- names ------------------------------------------------------------------------------------------------------


def test_a_name_is_the_event_and_the_original_start() -> None:
    name = occurrence_id(EVENT, utc("2026-03-09 13:00"))
    assert name == f"{EVENT}_20260309T130000Z"
    assert parse_occurrence_id(name) == (EVENT, utc("2026-03-09 13:00"))
    assert parse_occurrence_id(name.upper()) == (EVENT, utc("2026-03-09 13:00"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        str(EVENT),
        f"{EVENT}_20260309",
        f"{EVENT}_20260309T130000",
        f"{EVENT}_20260231T130000Z",
        f"{EVENT}_20260309T250000Z",
        f"{EVENT}_20260309T130000Z ",
        f"{EVENT}_20260309T130000Z\n",
        f"{EVENT}_٢٠٢٦٠٣٠٩T130000Z",
        "x" * 10_000,
    ],
)
def test_another_name_is_not_found(text: str) -> None:
    with pytest.raises(OccurrenceUnknown) as refusal:
        parse_occurrence_id(text)
    assert refusal.value.status == 404


def test_all_day_names_depend_on_nobodys_zone() -> None:
    holiday = admit(on_days("2026-03-07", zone="Asia/Tokyo"), rrule="FREQ=YEARLY")
    for viewer in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        (found,) = expand(holiday, window("2027-03-01", "2027-03-31"), viewer=viewer)
        assert found.key == utc("2027-03-07")


def with_overrides(of: RecurrenceSet, *overrides: Override) -> RecurrenceSet:
    return replace(of, overrides=overrides)


def test_the_second_pass_of_a_wall_time_is_no_occurrence() -> None:
    daily = series("2026-10-31 01:30", "FREQ=DAILY")
    assert occurrence_at(daily, utc("2026-11-01 05:30")) is not None
    assert occurrence_at(daily, utc("2026-11-01 06:30")) is None
