"""Rules in plain English, for a series that starts on Tuesday, 31 March 2026, 09:00 in New York."""

from typing import Final

import pytest

from pm_api.core.recurrence import describe, text_of, zone
from pm_api.core.recurrence.parsing import parse_rule
from pm_api.core.recurrence.wording import ordinal
from tests.core.recurrence.places import on_days, series, timed

PLACE: Final = timed("2026-03-31 09:00")
SAID: Final = (
    ("FREQ=DAILY", "Every day at 09:00"),
    ("FREQ=DAILY;INTERVAL=3;COUNT=5", "Every 3 days at 09:00, 5 times"),
    ("FREQ=DAILY;BYMONTH=1", "Every day in January at 09:00"),
    ("FREQ=DAILY;BYDAY=MO,TU", "Every Monday and Tuesday at 09:00"),
    ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "Every weekday at 09:00"),
    ("FREQ=DAILY;BYMONTHDAY=13;BYDAY=FR", "On the 13th of every month if it is a Friday at 09:00"),
    ("FREQ=DAILY;INTERVAL=2;BYMONTHDAY=1,15;BYMONTH=6", "Every 2 days if it is the 1st or 15th in June at 09:00"),
    (
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
        "Every day at 09:00, 09:20, 09:40, 10:00, 10:20, 10:40, 11:00, 11:20 and 16 more",
    ),
    ("FREQ=DAILY;BYHOUR=9,10;BYSETPOS=-1", "Every day at the last of 09:00 and 10:00"),
    ("FREQ=WEEKLY", "Every week on Tuesday at 09:00"),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "Every weekday at 09:00"),
    ("FREQ=WEEKLY;BYDAY=SA,SU", "Every week on Saturday and Sunday at 09:00"),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;UNTIL=20261224T170000Z",
        "Every 2 weeks on Monday and Friday at 09:00, until 24 December 2026",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT=4",
        "Every 2 weeks on Tuesday and Sunday at 09:00, weeks starting on Sunday, 4 times",
    ),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", "Every week on the 1st weekday at 09:00"),
    ("FREQ=WEEKLY;BYMONTH=6,7;BYDAY=TU", "Every week on Tuesday in June and July at 09:00"),
    ("FREQ=MONTHLY", "Every month on the 31st at 09:00"),
    ("FREQ=MONTHLY;BYMONTHDAY=-1", "Every month on the last day at 09:00"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-1", "Every month on the 1st and last day at 09:00"),
    ("FREQ=MONTHLY;BYMONTHDAY=-3", "Every month on the 3rd to last day at 09:00"),
    (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "Every 18 months on the 10th to 15th at 09:00, 10 times",
    ),
    ("FREQ=MONTHLY;BYDAY=2TU", "Every month on the 2nd Tuesday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=1SU,-1SU", "Every month on the 1st Sunday and the last Sunday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=TU", "Every month on every Tuesday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "Every month on the 13th if it is a Friday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "Every month on the last weekday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1", "Every month on the last day at 09:00"),
    (
        "FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3",
        "Every month on the 3rd day that is a Tuesday, a Wednesday or a Thursday at 09:00",
    ),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2", "Every month on the 2nd Monday at 09:00"),
    ("FREQ=MONTHLY;BYDAY=5MO", "Every month on the 5th Monday at 09:00"),
    ("FREQ=MONTHLY;BYMONTH=1,3;BYMONTHDAY=30,31", "Every month on the 30th and 31st in January and March at 09:00"),
    (
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "Every month on the 7th to 13th if it is a Saturday at 09:00",
    ),
    ("FREQ=YEARLY", "Every year on 31 March at 09:00"),
    ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24,25", "Every year on 24 and 25 December at 09:00"),
    ("FREQ=YEARLY;INTERVAL=2;BYMONTH=1,2,3", "Every 2 years on 31 January, 31 February and 31 March at 09:00"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "Every year on 29 February at 09:00"),
    ("FREQ=YEARLY;BYMONTHDAY=-1", "Every year on the last day of every month at 09:00"),
    ("FREQ=YEARLY;BYYEARDAY=1,100,200", "Every year on the 1st, 100th and 200th day of the year at 09:00"),
    ("FREQ=YEARLY;BYYEARDAY=-1", "Every year on the last day of the year at 09:00"),
    ("FREQ=YEARLY;BYYEARDAY=366", "Every year on the 366th day of the year at 09:00"),
    ("FREQ=YEARLY;BYDAY=20MO", "Every year on the 20th Monday of the year at 09:00"),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "Every year in week 20 on Monday at 09:00"),
    ("FREQ=YEARLY;BYWEEKNO=20", "Every year in week 20 on Tuesday at 09:00"),
    (
        "FREQ=YEARLY;BYWEEKNO=1,-1;BYDAY=MO,TU",
        "Every year in week 1 and the last week on Monday and Tuesday at 09:00",
    ),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "Every year on every Thursday of March at 09:00"),
    ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "Every year on the 4th Thursday of November at 09:00"),
    (
        "FREQ=YEARLY;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8;INTERVAL=4",
        "Every 4 years on the 2nd to 8th of November if it is a Tuesday at 09:00",
    ),
    ("FREQ=YEARLY;BYMONTH=10;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", "Every year on the 1st weekday in October at 09:00"),
    ("FREQ=YEARLY;BYDAY=MO", "Every year on every Monday at 09:00"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-29", "Every year on the 29th to last day of February at 09:00"),
    (
        "FREQ=YEARLY;BYYEARDAY=60;BYDAY=SU;BYMONTHDAY=1",
        "Every year on the 60th day of the year if it is the 1st of a month and a Sunday at 09:00",
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=1,15;BYHOUR=9,17;BYSETPOS=-1",
        "Every month on the last of these in the month: every month on the 1st and 15th at 09:00 and 17:00",
    ),
    ("FREQ=WEEKLY;COUNT=1", "Every week on Tuesday at 09:00, once"),
    ("FREQ=DAILY;UNTIL=20260402T020000Z", "Every day at 09:00, until 1 April 2026"),
    ("FREQ=DAILY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR", "Every 2 days if it is a weekday at 09:00"),
    (
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=100,-1",
        "Every year on the 100th and last weekday of the year at 09:00",
    ),
)


@pytest.mark.parametrize(("rrule", "text"), SAID)
def test_a_rule_in_words(rrule: str, text: str) -> None:
    assert describe(parse_rule(rrule, place=zone("UTC")), PLACE) == text


def test_every_part_of_a_rule_is_in_the_table() -> None:
    for part in (
        *("FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "INTERVAL", "COUNT", "UNTIL", "WKST"),
        *("BYMONTH=", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSETPOS"),
    ):
        assert any(part in rrule for rrule, _ in SAID), part
    assert len({text for _, text in SAID}) >= len(SAID) - 5, "different rules read differently"


@pytest.mark.parametrize(
    ("rrule", "text"),
    [
        ("FREQ=WEEKLY", "Every week on Tuesday"),
        ("FREQ=YEARLY;UNTIL=20300101", "Every year on 31 March, until 1 January 2030"),
    ],
)
def test_what_is_all_day_has_no_time_of_day(rrule: str, text: str) -> None:
    assert describe(parse_rule(rrule, place=None), on_days("2026-03-31")) == text


def test_an_end_is_told_by_the_clock_of_the_series() -> None:
    """20260402T020000Z is still the first of April in New York."""
    assert describe(parse_rule("FREQ=DAILY;UNTIL=20260402T020000Z", place=zone("UTC")), PLACE).endswith(
        "until 1 April 2026"
    )
    assert "9999" in describe(parse_rule("FREQ=DAILY;UNTIL=99991231", place=zone("UTC")), PLACE)


def test_dates_that_were_added_and_excluded_are_counted() -> None:
    assert text_of(series("2026-03-31 09:00", None)) == "Once"
    both = series(
        "2026-03-31 09:00", "FREQ=WEEKLY", rdate=["20260401T090000", "20260402T090000"], exdate=["20260407T090000"]
    )
    assert text_of(both) == "Every week on Tuesday at 09:00, and on 2 more dates, except on 1 date"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st")),
        *((102, "102nd"), (111, "111th"), (-1, "last"), (-2, "2nd to last"), (-11, "11th to last")),
    ],
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text
