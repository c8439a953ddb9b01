"""What somebody sees before saving: the next occurrences, the rule in words and what may surprise."""

from dataclasses import replace
from datetime import date

import pytest

from pm_api.core.recurrence import RecurrenceSet, Surprise, admit, preview, try_out
from pm_api.core.recurrence.errors import IntervalOutOfRange
from tests.core.recurrence.places import on_days, series, starts, timed, utc, walls

NOW = utc("2026-01-01")


def warned(of: RecurrenceSet) -> list[tuple[Surprise, str, tuple[date, ...]]]:
    return [(one.kind, one.text, one.days) for one in preview(of, most=1, after=NOW).warnings]


def test_the_next_ones_and_the_rule_in_words() -> None:
    found = preview(series("2026-01-05 09:00", "BYDAY=FR,MO;FREQ=WEEKLY"), most=3, after=utc("2026-02-01"))
    assert found.rule == "FREQ=WEEKLY;BYDAY=MO,FR"
    assert found.text == "Every week on Monday and Friday at 09:00"
    assert walls(found.occurrences) == ["2026-02-02 09:00", "2026-02-06 09:00", "2026-02-09 09:00"]
    assert found.warnings == ()


def test_fewer_are_left_than_asked_for() -> None:
    found = preview(series("2026-01-05 09:00", "FREQ=DAILY;COUNT=3"), most=10, after=utc("2026-01-06"))
    assert walls(found.occurrences) == ["2026-01-06 09:00", "2026-01-07 09:00"]
    assert (
        preview(series("2026-01-05 09:00", "FREQ=DAILY;COUNT=3"), most=10, after=utc("2027-01-06")).occurrences == ()
    )


def test_an_all_day_series_is_placed_where_its_viewer_is() -> None:
    found = preview(admit(on_days("2026-01-05"), rrule="FREQ=WEEKLY"), most=2, after=NOW, viewer="Asia/Tokyo")
    assert starts(found.occurrences) == ["2026-01-04 15:00Z", "2026-01-11 15:00Z"]


def test_changes_of_clocks_are_warned_of() -> None:
    assert warned(series("2026-01-01 02:30", "FREQ=DAILY")) == [
        (
            Surprise.GAP,
            "On 8 March 2026 clocks go forward and skip 02:30: it takes place at 03:30.",
            (date(2026, 3, 8),),
        ),
        (
            Surprise.GAP,
            "On 14 March 2027 clocks go forward and skip 02:30: it takes place at 03:30.",
            (date(2027, 3, 14),),
        ),
    ]
    overlaps = warned(series("2026-01-01 01:30", "FREQ=WEEKLY;BYDAY=SU,TH"))
    assert overlaps[0] == (
        Surprise.OVERLAP,
        "On 1 November 2026 clocks go back and show 01:30 twice: the first one counts.",
        (date(2026, 11, 1),),
    )
    assert [one[2][0].year for one in overlaps] == [2026, 2027]


@pytest.mark.parametrize(
    ("start", "rrule", "zone"),
    [
        ("2026-01-01 02:30", "FREQ=WEEKLY;BYDAY=TH", "America/New_York"),  # clocks change on Sundays
        ("2026-01-01 03:00", "FREQ=DAILY", "America/New_York"),  # the first minute that is there again
        ("2026-01-01 02:00", "FREQ=DAILY;UNTIL=20260307T235959", "America/New_York"),
        ("2026-01-01 02:30", "FREQ=DAILY", "Asia/Kolkata"),
    ],
)
def test_nothing_is_warned_of_where_nothing_happens(start: str, rrule: str, zone: str) -> None:
    gaps = [one for one in warned(series(start, rrule, zone=zone)) if one[0] is Surprise.GAP]
    assert gaps == []


@pytest.mark.parametrize(
    ("start", "zone", "shown"),
    [
        ("2026-03-08 02:30", "America/New_York", "03:30"),
        ("2026-03-29 02:30", "Europe/Berlin", "03:30"),
        ("2026-10-04 02:30", "Australia/Sydney", "03:30"),
        ("2026-10-04 02:15", "Australia/Lord_Howe", "02:45"),
        ("2026-04-24 00:30", "Africa/Cairo", "01:30"),
    ],
)
@pytest.mark.parametrize("rrule", ["FREQ=DAILY;COUNT=3", None])
def test_the_first_occurrence_may_itself_be_skipped_by_clocks(
    start: str, zone: str, shown: str, rrule: str | None
) -> None:
    of = series(start, rrule, zone=zone)
    [(kind, text, days)] = warned(of)
    assert kind is Surprise.GAP
    assert text.endswith(f"skip {start[-5:]}: it takes place at {shown}.")
    assert days == (date.fromisoformat(start[:10]),)
    later = preview(of, most=1, after=utc("2026-12-01"))
    assert later.warnings == ()


def test_the_second_pass_of_an_hour_that_was_chosen_is_not_told_to_be_the_first() -> None:
    of = series("2026-11-01 01:30", None)
    assert [one[0] for one in warned(of)] == [Surprise.OVERLAP]
    second = replace(of, placement=of.placement.at(of.placement.start.replace(fold=1)))
    assert warned(second) == []


def test_an_excluded_day_is_not_warned_of() -> None:
    found = warned(series("2026-01-01 02:30", "FREQ=DAILY", exdate=["20260308T023000"]))
    assert [one[2] for one in found] == [(date(2027, 3, 14),)]


def test_a_day_that_is_left_out_wholly_is_told() -> None:
    samoa = series("2011-12-01 09:00", "FREQ=DAILY;COUNT=60", zone="Pacific/Apia")
    found = preview(samoa, most=1, after=utc("2011-12-01")).warnings
    assert [one.text for one in found] == [
        "On 30 December 2011 clocks go forward and skip 09:00: it takes place at 31 December 2011, 09:00."
    ]


@pytest.mark.parametrize(
    ("start", "rrule", "texts"),
    [
        (
            "2026-01-31 09:00",
            "FREQ=MONTHLY",
            ["There is no 31st in February, April, June, September, November: nothing takes place there."],
        ),
        ("2026-01-30 09:00", "FREQ=MONTHLY", ["There is no 30th in February: nothing takes place there."]),
        ("2028-02-29 09:00", "FREQ=YEARLY", ["February has a 29th in leap years only."]),
        ("2026-01-29 09:00", "FREQ=MONTHLY;BYMONTH=1,3", []),
        ("2026-01-31 09:00", "FREQ=MONTHLY;BYMONTHDAY=-1", []),
        (
            "2026-01-01 09:00",
            "FREQ=MONTHLY;BYMONTHDAY=-31",
            [
                (
                    "There is no 31st to last day in February, April, June, September, November: "
                    "nothing takes place there."
                ),
            ],
        ),
        (
            "2026-03-30 09:00",
            "FREQ=MONTHLY;BYDAY=5MO",
            ["Not every month has five Mondays; those without are skipped."],
        ),
        (
            "2028-12-31 09:00",
            "FREQ=YEARLY;BYYEARDAY=366",
            ["Only leap years have 366 days; other years are skipped."],
        ),
        ("2026-12-28 09:00", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", ["Most years have no week 53; they are skipped."]),
        ("2026-01-31 09:00", "FREQ=WEEKLY", []),
        ("2026-01-31 09:00", "FREQ=DAILY", []),
    ],
)
def test_dates_that_are_skipped_are_told(start: str, rrule: str, texts: list[str]) -> None:
    found = preview(series(start, rrule, zone="UTC"), most=1, after=NOW).warnings
    assert [one.text for one in found] == texts
    assert {one.kind for one in found} <= {Surprise.SKIPPED}


def test_what_is_told_as_skipped_is_skipped() -> None:
    """Five months a year for a 31st, and a leap year's day."""
    monthly = preview(series("2026-01-31 09:00", "FREQ=MONTHLY", zone="UTC"), most=14, after=NOW).occurrences
    assert {one.starts_at.month for one in monthly} == {1, 3, 5, 7, 8, 10, 12}
    yearly = preview(series("2028-02-29 09:00", "FREQ=YEARLY", zone="UTC"), most=3, after=NOW).occurrences
    assert [one.starts_at.year for one in yearly] == [2028, 2032, 2036]


def test_a_start_that_does_not_fit_is_told_and_kept() -> None:
    found = preview(series("2026-01-06 09:00", "FREQ=WEEKLY;BYDAY=MO"), most=2, after=NOW)
    assert walls(found.occurrences) == ["2026-01-06 09:00", "2026-01-12 09:00"]
    assert [(one.kind, one.text) for one in found.warnings] == [
        (Surprise.START, "6 January 2026 does not fit the rule; it is kept as the first occurrence.")
    ]


def test_a_rule_on_its_way_may_be_empty() -> None:
    """BYMONTHDAY=30 is typed before its month is changed."""
    found = try_out(timed("2026-01-05 09:00"), rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", most=3, after=NOW)
    assert found.occurrences == ()
    assert found.text == "Never"
    assert [one.kind for one in found.warnings] == [Surprise.EMPTY]
    assert "no occurrence" in found.warnings[0].text
    with pytest.raises(IntervalOutOfRange):
        try_out(timed("2026-01-05 09:00"), rrule="FREQ=DAILY;INTERVAL=0", most=3, after=NOW)
    assert try_out(timed("2026-01-05 09:00"), rrule="FREQ=DAILY", most=3, after=NOW).text == "Every day at 09:00"
