"""What a rule and a list of dates may say, what is refused and how, and the canonical text."""

import pytest

from pm_api.core.errors import ApiError, Unprocessable
from pm_api.core.recurrence import Placement, admit, zone
from pm_api.core.recurrence import errors as refusals
from pm_api.core.recurrence.parsing import parse_dates, parse_rule
from pm_api.core.recurrence.placement import Span
from pm_api.core.recurrence.rules import Day, Frequency, Rule
from tests.core.recurrence.places import NEW_YORK, on_days, timed, utc, wall

PLACE = zone(NEW_YORK)


def test_a_rule_is_read_whole() -> None:
    rule = parse_rule(
        "RRULE:FREQ=YEARLY;INTERVAL=2;COUNT=5;BYMONTH=12,1;BYMONTHDAY=-1,31,1,1;BYDAY=MO,-1FR,+2TU;BYHOUR=9;"
        "BYMINUTE=30,0;BYSECOND=0;BYSETPOS=-1,1;WKST=SU",
        place=PLACE,
    )
    assert rule == Rule(
        Frequency.YEARLY,
        interval=2,
        count=5,
        months=(1, 12),
        month_days=(-1, 1, 31),
        days=(Day(0), Day(1, 2), Day(4, -1)),
        hours=(9,),
        minutes=(0, 30),
        seconds=(0,),
        positions=(-1, 1),
        week_start=6,
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("freq=daily", "FREQ=DAILY"),
        ("RRULE:FREQ=DAILY;INTERVAL=1;WKST=MO", "FREQ=DAILY"),
        (" BYDAY=FR,MO;FREQ=WEEKLY ", "FREQ=WEEKLY;BYDAY=MO,FR"),
        ("COUNT=010;FREQ=DAILY", "FREQ=DAILY;COUNT=10"),
        ("FREQ=DAILY;COUNT=2;", "FREQ=DAILY;COUNT=2"),
        ("FREQ=DAILY;BYSECOND=59,60,0", "FREQ=DAILY;BYSECOND=0,59"),
        ("FREQ=MONTHLY;BYDAY=+1MO,1MO,-1MO", "FREQ=MONTHLY;BYDAY=-1MO,1MO"),
        ("FREQ=DAILY;UNTIL=20260301T120000Z", "FREQ=DAILY;UNTIL=20260301T120000Z"),
        ("FREQ=DAILY;UNTIL=20260301T120000", "FREQ=DAILY;UNTIL=20260301T170000Z"),
        ("FREQ=DAILY;UNTIL=20260401", "FREQ=DAILY;UNTIL=20260402T035959Z"),
        ("FREQ=DAILY;UNTIL=99991231", "FREQ=DAILY;UNTIL=99991231T235959Z"),
    ],
)
def test_equal_rules_have_one_text(text: str, canonical: str) -> None:
    rule = parse_rule(text, place=PLACE)
    assert str(rule) == canonical
    assert parse_rule(canonical, place=PLACE) == rule


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("FREQ=DAILY;UNTIL=20260301", "FREQ=DAILY;UNTIL=20260301"),
        ("FREQ=DAILY;UNTIL=20260301T000000Z", "FREQ=DAILY;UNTIL=20260301"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=1,2;BYSECOND=3", "FREQ=DAILY"),
    ],
)
def test_an_all_day_rule_ends_on_a_day_and_has_no_times(text: str, canonical: str) -> None:
    """RFC 5545 §3.3.10: times of day in the rule of a DATE are ignored."""
    assert str(parse_rule(text, place=None)) == canonical


REFUSED = [
    ("", refusals.RuleMalformed),
    ("FREQ", refusals.RuleMalformed),
    ("FREQ=", refusals.RuleMalformed),
    (";", refusals.RuleMalformed),
    ("FREQ=DAILY;;", refusals.RuleMalformed),
    ("FREQ=DAILY;;COUNT=2", refusals.RuleMalformed),
    ("FREQ=FORTNIGHTLY", refusals.RuleMalformed),
    ("COUNT=3", refusals.RuleMalformed),
    ("FREQ=DAILY;FREQ=DAILY", refusals.RuleMalformed),
    ("FREQ=DAILY;BYDAY=MO;BYDAY=TU", refusals.RuleMalformed),
    ("FREQ=DAILY;BYEASTER=0", refusals.RuleMalformed),
    ("FREQ=MONTHLY;RSCALE=GREGORIAN;SKIP=FORWARD", refusals.RuleMalformed),
    ("FREQ=DAILY\nRRULE:FREQ=WEEKLY", refusals.RuleMalformed),
    ("FREQ=WEEKLY;BYDAY=XX", refusals.RuleMalformed),
    ("FREQ=WEEKLY;BYDAY=MO,", refusals.RuleMalformed),
    ("FREQ=WEEKLY;WKST=1", refusals.RuleMalformed),
    ("FREQ=MONTHLY;BYMONTHDAY=1-5", refusals.RuleMalformed),
    ("FREQ=MONTHLY;BYMONTHDAY=1_0", refusals.RuleMalformed),
    ("FREQ=MONTHLY;BYMONTHDAY=١", refusals.RuleMalformed),
    ("FREQ=DAILY;UNTIL=tomorrow", refusals.RuleMalformed),
    ("FREQ=DAILY;UNTIL=2026-03-01", refusals.RuleMalformed),
    ("FREQ=DAILY;UNTIL=20260231", refusals.RuleMalformed),
    ("FREQ=DAILY;UNTIL=20260301T250000Z", refusals.RuleMalformed),
    ("FREQ=DAILY;UNTIL=00000101", refusals.RuleMalformed),
    ("FREQ=HOURLY", refusals.FrequencyUnsupported),
    ("FREQ=MINUTELY", refusals.FrequencyUnsupported),
    ("FREQ=SECONDLY", refusals.FrequencyUnsupported),
    ("FREQ=DAILY;INTERVAL=0", refusals.IntervalOutOfRange),
    ("FREQ=DAILY;INTERVAL=-1", refusals.IntervalOutOfRange),
    ("FREQ=DAILY;INTERVAL=1001", refusals.IntervalOutOfRange),
    ("FREQ=DAILY;INTERVAL=1.5", refusals.IntervalOutOfRange),
    ("FREQ=DAILY;INTERVAL=9999999999999999999999", refusals.IntervalOutOfRange),
    ("FREQ=DAILY;COUNT=0", refusals.CountOutOfRange),
    ("FREQ=DAILY;COUNT=-1", refusals.CountOutOfRange),
    ("FREQ=DAILY;COUNT=1001", refusals.CountOutOfRange),
    ("FREQ=DAILY;COUNT=two", refusals.CountOutOfRange),
    ("FREQ=DAILY;COUNT=2;UNTIL=20260301T000000Z", refusals.CountAndUntil),
    ("FREQ=YEARLY;BYMONTH=13", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYMONTH=-1", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYMONTHDAY=32", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYMONTHDAY=0", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYYEARDAY=367", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYWEEKNO=54", refusals.PartOutOfRange),
    ("FREQ=DAILY;BYHOUR=24", refusals.PartOutOfRange),
    ("FREQ=DAILY;BYMINUTE=60", refusals.PartOutOfRange),
    ("FREQ=DAILY;BYSECOND=61", refusals.PartOutOfRange),
    ("FREQ=DAILY;BYDAY=MO;BYSETPOS=0", refusals.PartOutOfRange),
    ("FREQ=DAILY;BYDAY=MO;BYSETPOS=367", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYDAY=0MO", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYDAY=54MO", refusals.PartOutOfRange),
    ("FREQ=MONTHLY;BYDAY=6MO", refusals.PartOutOfRange),
    ("FREQ=YEARLY;BYMONTH=2;BYDAY=-6MO", refusals.PartOutOfRange),
    ("FREQ=WEEKLY;BYDAY=1MO", refusals.PartsConflict),
    ("FREQ=DAILY;BYDAY=-1MO", refusals.PartsConflict),
    ("FREQ=MONTHLY;BYWEEKNO=20", refusals.PartsConflict),
    ("FREQ=MONTHLY;BYYEARDAY=100", refusals.PartsConflict),
    ("FREQ=WEEKLY;BYMONTHDAY=13", refusals.PartsConflict),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", refusals.PartsConflict),
    ("FREQ=DAILY;BYSETPOS=1", refusals.PartsConflict),
    ("FREQ=DAILY;UNTIL=00010101T000000Z", refusals.RuleEmpty),
    ("FREQ=DAILY" + " " * 2048, refusals.RuleTooLong),
    ("FREQ=DAILY;BYHOUR=" + ",".join(["9"] * 1100), refusals.RuleTooLong),
    ("é" * 1025, refusals.RuleTooLong),
]


@pytest.mark.parametrize(("text", "refusal"), REFUSED)
def test_another_rule_is_refused_with_its_reason(text: str, refusal: type[ApiError]) -> None:
    with pytest.raises(refusal) as refused:
        parse_rule(text, place=PLACE)
    assert refused.type is refusal
    sentence = refused.value.detail
    assert sentence[0].isupper() or sentence[0] == "'"
    assert sentence.endswith(".")
    assert len(sentence) < 200


def test_every_refusal_has_a_code_and_is_a_422() -> None:
    kinds = {
        one
        for one in vars(refusals).values()
        if isinstance(one, type) and issubclass(one, refusals.RecurrenceRefused)
    }
    kinds.remove(refusals.RecurrenceRefused)
    assert kinds == {*refusals.ADMISSION, *refusals.EXPANSION}
    assert len(kinds) == len({one.code for one in kinds}) == 16
    assert all(issubclass(one, Unprocessable) and one.status == 422 for one in kinds)
    assert {refusal for _, refusal in REFUSED} <= kinds
    assert all(one().detail.endswith(".") for one in (*kinds, refusals.OccurrenceUnknown))


# --- dates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], []),
        (["20260301T090000"], ["2026-03-01 09:00"]),
        (["20260301T140000Z"], ["2026-03-01 09:00"]),
        (["2026-03-01T14:00:00Z", "2026-03-01T09:00:00-05:00", "2026-03-01T09:00"], ["2026-03-01 09:00"]),
        (["20260302T090000,20260301T090000", "20260301T090000"], ["2026-03-01 09:00", "2026-03-02 09:00"]),
    ],
)
def test_dates_are_wall_times_of_the_series(texts: list[str], found: list[str]) -> None:
    assert parse_dates(texts, place=PLACE) == tuple(wall(one) for one in found)


@pytest.mark.parametrize("text", ["20260301", "2026-03-01", "20260301T000000", "20260301T000000Z"])
def test_dates_of_an_all_day_series_are_midnights(text: str) -> None:
    assert parse_dates([text], place=None) == (wall("2026-03-01"),)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "20260231T090000", "20260301", "2026-03-01", "20260301T090000/PT1H", "2026-03-01T09:00:00.5"),
        *("00010101T000000", "99991231T235959", "2026-03-01T09:00:00+99:00", "1" * 5000),
    ],
)
def test_another_date_is_refused(text: str) -> None:
    with pytest.raises(refusals.DatesMalformed):
        parse_dates([text], place=PLACE)


@pytest.mark.parametrize("text", ["20260301T090000", "2026-03-01T00:00:00-05:00"])
def test_a_time_of_day_is_refused_when_all_day(text: str) -> None:
    with pytest.raises(refusals.DatesMalformed):
        parse_dates([text], place=None)


def test_a_thousand_dates_are_the_most() -> None:
    dates = [f"{2000 + number // 300}{number % 12 + 1:02d}{number % 25 + 1:02d}T090000" for number in range(1001)]
    assert parse_dates(dates[:1000], place=PLACE)
    for wrong in (dates, [",".join(dates)]):
        with pytest.raises(refusals.DatesMalformed):
            parse_dates(wrong, place=PLACE)


# --- what they are laid upon --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "placement",
    [
        timed("1899-12-31 09:00"),
        timed("9999-12-30 09:00"),
        timed("2026-03-01 09:00", "2026-03-01 08:00"),
        timed("2026-03-01 09:00", "2127-03-01 08:00"),
        timed("2026-03-01 09:00:00.5", "2026-03-01 10:00"),
        on_days("2026-03-01", 0),
        on_days("2026-03-01 09:00"),
        Placement(utc("2026-03-01"), Span(days=1), "UTC", all_day=True),
        Placement(wall("2026-03-01"), Span(days=10**9), "UTC", all_day=True),
    ],
)
def test_a_start_or_a_length_that_cannot_be_is_refused(placement: Placement) -> None:
    with pytest.raises(refusals.StartOutOfRange):
        admit(placement, rrule="FREQ=DAILY;COUNT=2")
