"""`following`: two series that together are the one. The property at random stands in test_properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pm_api.core.recurrence import Override, RecurrenceSet, Split, admit, split, text_of
from pm_api.core.recurrence.errors import OccurrenceUnknown
from tests.core.recurrence.places import first, on_days, series, timed, utc, wall, walls


def both(parts: Split) -> tuple[RecurrenceSet, RecurrenceSet]:
    assert parts.before is not None
    return parts.before, parts.after


def rule(of: RecurrenceSet) -> str:
    return str(of.rule)


def test_count_is_divided() -> None:
    before, after = both(
        split(series("2026-01-05 09:00", "FREQ=DAILY;COUNT=10", zone="UTC"), utc("2026-01-08 09:00"))
    )
    assert (rule(before), rule(after)) == ("FREQ=DAILY;COUNT=3", "FREQ=DAILY;COUNT=7")
    assert after.placement.start == wall("2026-01-08 09:00")
    assert before.counted_end == wall("2026-01-07 09:00")
    assert after.counted_end == wall("2026-01-14 09:00")


def test_until_is_cut_in_utc() -> None:
    endless = series("2026-02-23 09:00", "FREQ=WEEKLY;BYDAY=MO")
    before, after = both(split(endless, utc("2026-03-09 13:00")))
    assert rule(before) == "FREQ=WEEKLY;UNTIL=20260309T035959Z;BYDAY=MO"
    assert text_of(before) == "Every week on Monday at 09:00, until 8 March 2026"
    assert rule(after) == "FREQ=WEEKLY;BYDAY=MO"
    ending = series("2026-02-23 09:00", "FREQ=WEEKLY;UNTIL=20260401T000000Z")
    before, after = both(split(ending, utc("2026-03-09 13:00")))
    assert rule(before) == "FREQ=WEEKLY;UNTIL=20260309T035959Z"
    assert rule(after) == "FREQ=WEEKLY;UNTIL=20260401T000000Z"


def test_until_is_cut_between_two_of_one_day() -> None:
    before, after = both(split(series("2026-02-23 09:00", "FREQ=DAILY;BYHOUR=9,15"), utc("2026-03-09 19:00")))
    assert rule(before) == "FREQ=DAILY;UNTIL=20260309T185959Z;BYHOUR=9,15"
    assert walls(first(before, 99))[-1] == "2026-03-09 09:00"
    assert walls(first(after, 2)) == ["2026-03-09 15:00", "2026-03-10 09:00"]


def test_a_zone_that_gets_another_offset_changes_neither_part() -> None:
    """As if New York's clocks stood otherwise by an hour: the zone table may change after the cut."""
    before, _ = both(split(series("2026-01-05 09:00", "FREQ=DAILY"), utc("2026-01-12 14:00")))
    for other in ("America/Halifax", "America/Chicago"):
        moved = replace(before, placement=replace(before.placement, zone=other))
        assert walls(first(moved, 99)) == walls(first(before, 99))


def test_all_day_is_cut_by_days() -> None:
    before, after = both(split(admit(on_days("2026-01-05"), rrule="FREQ=DAILY"), utc("2026-01-08")))
    assert (rule(before), rule(after)) == ("FREQ=DAILY;UNTIL=20260107", "FREQ=DAILY")
    assert [one[:10] for one in walls(first(before, 9))] == ["2026-01-05", "2026-01-06", "2026-01-07"]


def test_dates_and_overrides_go_with_their_side() -> None:
    whole = series(
        "2026-01-05 09:00",
        "FREQ=WEEKLY;COUNT=6",
        zone="UTC",
        rdate=["20260106T100000", "20260207T100000"],
        exdate=["20260112T090000", "20260202T090000"],
    )
    early = Override(wall("2026-01-19 09:00"), placement=timed("2026-05-01 09:00", zone="UTC"))
    late = Override(wall("2026-02-09 09:00"), placement=timed("2026-01-01 09:00", zone="UTC"))
    parts = split(replace(whole, overrides=(early, late)), utc("2026-01-26 09:00"))
    before, after = both(parts)
    assert (before.rdates, after.rdates) == ((wall("2026-01-06 10:00"),), (wall("2026-02-07 10:00"),))
    assert (before.exdates, after.exdates) == ((wall("2026-01-12 09:00"),), (wall("2026-02-02 09:00"),))
    assert (before.overrides, after.overrides) == ((early,), (late,))
    assert (rule(before), rule(after)) == ("FREQ=WEEKLY;COUNT=3", "FREQ=WEEKLY;COUNT=3")
    # An answer goes where its original start goes, wherever the occurrence is now.
    assert not parts.moves(utc("2026-01-19 09:00"))
    assert parts.moves(utc("2026-01-26 09:00"))


def test_an_interval_stays_in_step() -> None:
    whole = series("2026-01-06 09:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", zone="UTC")
    before, after = both(split(whole, utc("2026-01-18 09:00")))
    assert walls(first(before, 9)) == ["2026-01-06 09:00"]
    assert walls(first(after, 4)) == ["2026-01-18 09:00", "2026-01-20 09:00", "2026-02-01 09:00", "2026-02-03 09:00"]


def test_a_cut_at_an_added_date_keeps_the_rule_in_step() -> None:
    """The rule goes on from its own next day: the added date is none of its days."""
    whole = series("2026-01-05 09:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4", zone="UTC", rdate=["20260113T141700"])
    before, after = both(split(whole, utc("2026-01-13 14:17")))
    assert walls(first(before, 9)) == ["2026-01-05 09:00"]
    assert walls(first(after, 9)) == ["2026-01-13 14:17", "2026-01-19 09:00", "2026-02-02 09:00", "2026-02-16 09:00"]
    assert (rule(before), rule(after)) == ("FREQ=WEEKLY;INTERVAL=2;COUNT=1", "FREQ=WEEKLY;INTERVAL=2;COUNT=3")


def test_a_cut_behind_the_rule_leaves_only_added_dates() -> None:
    whole = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=2", zone="UTC", rdate=["20260201T100000", "20260301T110000"])
    before, after = both(split(whole, utc("2026-02-01 10:00")))
    assert rule(before) == "FREQ=DAILY;COUNT=2"
    assert (after.rule, after.rdates) == (None, (wall("2026-03-01 11:00"),))
    assert walls(first(after, 9)) == ["2026-02-01 10:00", "2026-03-01 11:00"]


def test_a_cut_at_the_start_of_a_series_with_earlier_added_dates() -> None:
    whole = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=3", zone="UTC", rdate=["20260101T100000", "20260102T100000"])
    before, after = both(split(whole, utc("2026-01-05 09:00")))
    assert (before.rule, walls(first(before, 9))) == (None, ["2026-01-01 10:00", "2026-01-02 10:00"])
    assert rule(after) == "FREQ=DAILY;COUNT=3"


def test_a_start_that_does_not_fit_counts_once() -> None:
    """DTSTART is a Tuesday, the rule says Mondays."""
    whole = series("2026-01-06 09:00", "FREQ=WEEKLY;BYDAY=MO;COUNT=4", zone="UTC")
    before, after = both(split(whole, utc("2026-01-19 09:00")))
    assert walls(first(before, 9)) == ["2026-01-06 09:00", "2026-01-12 09:00"]
    assert walls(first(after, 9)) == ["2026-01-19 09:00", "2026-01-26 09:00"]
    before, after = both(
        split(series("2026-01-06 09:00", "FREQ=WEEKLY;BYDAY=MO", zone="UTC"), utc("2026-01-12 09:00"))
    )
    assert (before.rule, walls(first(before, 9))) == (None, ["2026-01-06 09:00"])
    assert walls(first(after, 2)) == ["2026-01-12 09:00", "2026-01-19 09:00"]


def test_the_first_that_lives_is_the_first() -> None:
    """What lies before the cut is excluded or cancelled: nothing would be left of that part."""
    whole = replace(
        series("2026-01-05 09:00", "FREQ=DAILY;COUNT=5", zone="UTC", exdate=["20260105T090000"]),
        overrides=(Override(wall("2026-01-06 09:00"), cancelled=True),),
    )
    parts = split(whole, utc("2026-01-07 09:00"))
    assert parts.before is None
    assert parts.after == whole


@pytest.mark.parametrize("key", ["2026-01-06 10:00", "2026-01-04 09:00", "2026-01-10 09:00", "2026-01-07 09:00"])
def test_there_must_be_an_occurrence_to_cut_at(key: str) -> None:
    whole = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=5", zone="UTC", exdate=["20260107T090000"])
    with pytest.raises(OccurrenceUnknown):
        split(whole, utc(key))
    cancelled = replace(whole, overrides=(Override(wall("2026-01-08 09:00"), cancelled=True),))
    with pytest.raises(OccurrenceUnknown):
        split(cancelled, utc("2026-01-08 09:00"))


@pytest.mark.parametrize("end", ["", ";COUNT=30", ";UNTIL=20070315T120000Z"])
@pytest.mark.parametrize(
    ("zone", "start", "rrule"),
    [
        ("America/New_York", "2007-03-09 01:30", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,30"),
        ("America/New_York", "2007-11-02 00:30", "FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE=0,30"),
        ("Pacific/Apia", "2011-12-28 09:00", "FREQ=DAILY;BYHOUR=9,21"),
        ("Australia/Lord_Howe", "2007-10-26 02:00", "FREQ=DAILY;BYHOUR=1,2;BYMINUTE=0,10,20,30,40"),
    ],
)
def test_a_cut_among_clocks_that_change_keeps_the_union(zone: str, start: str, rrule: str, end: str) -> None:
    """In a gap wall times do not come in the order of time, and two of them may be one instant."""
    if end.startswith(";UNTIL"):
        end = f";UNTIL={wall(start) + timedelta(days=5):%Y%m%dT%H%M%S}Z"
    whole = series(start, rrule + end, zone=zone)
    some = first(whole, 30)
    for one in some[1:]:
        before, after = both(split(whole, one.key))
        early, late = first(before, 100), first(after, 30)
        assert early == [each for each in some if each.key < one.key]
        assert (early + late)[:30] == some
        assert late[0].key == one.key


def test_every_cut_of_a_long_count_can_be_put_together() -> None:
    whole = series("2026-01-05 09:00", "FREQ=MONTHLY;BYDAY=MO,2TU,-1FR;COUNT=60")
    every = first(whole, 100)
    assert len(every) == 60
    for number, one in enumerate(every[1:], start=1):
        before, after = both(split(whole, one.key))
        assert (before.rule and before.rule.count, after.rule and after.rule.count) == (number, 60 - number)
        assert first(before, 100) + first(after, 100) == every


def test_parts_may_be_cut_again() -> None:
    rest: RecurrenceSet = series("2026-01-05 09:00", "FREQ=DAILY;COUNT=9", zone="UTC")
    pieces = []
    for day in (7, 8, 12):
        before, rest = both(split(rest, datetime(2026, 1, day, 9, tzinfo=UTC)))
        pieces.append(rule(before))
    assert [*pieces, rule(rest)] == [
        *("FREQ=DAILY;COUNT=2", "FREQ=DAILY;COUNT=1", "FREQ=DAILY;COUNT=4", "FREQ=DAILY;COUNT=2"),
    ]
