"""Every example of RFC 5545 §3.8.5.3 with the dates that stand there; "..." is read on as the text says."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest

from pm_api.core.recurrence import RecurrenceSet, Window, admit, expand
from pm_api.core.recurrence.errors import FrequencyUnsupported
from pm_api.core.recurrence.sets import MAX_OCCURRENCES
from pm_api.core.recurrence.zones import to_utc, zone
from tests.core.recurrence.places import NEW_YORK, first, timed

STARTS_AT: Final = "1997-09-02 09:00"


def days(text: str) -> list[str]:
    """`1997-09: 2 4-6; 1997-10: 1` as days."""
    found = []
    for month in text.split(";"):
        head, _, rest = month.partition(":")
        for one in rest.split():
            start, _, end = one.partition("-")
            found += [f"{head.strip()}-{day:02d}" for day in range(int(start), int(end or start) + 1)]
    return found


def at_nine(text: str) -> list[str]:
    return [f"{day} 09:00" for day in days(text)]


def by_steps(start: str, until: str, step: int) -> list[str]:
    """`start`, and every `step` days up to, not with, `until`."""
    at, end = datetime.fromisoformat(start), datetime.fromisoformat(until)
    found = []
    while at < end:
        found.append(f"{at:%Y-%m-%d} 09:00")
        at += timedelta(days=step)
    return found


WHOLE: Final = (
    # name, DTSTART, RRULE, all dates
    ("daily for 10 occurrences", STARTS_AT, "FREQ=DAILY;COUNT=10", at_nine("1997-09: 2-11")),
    (
        "daily until December 24, 1997",
        STARTS_AT,
        "FREQ=DAILY;UNTIL=19971224T000000Z",
        at_nine("1997-09: 2-30; 1997-10: 1-31; 1997-11: 1-30; 1997-12: 1-23"),
    ),
    (
        "every 10 days, 5 occurrences",
        STARTS_AT,
        "FREQ=DAILY;INTERVAL=10;COUNT=5",
        at_nine("1997-09: 2 12 22; 1997-10: 2 12"),
    ),
    (
        "every day in January, for 3 years, said yearly",
        "1998-01-01 09:00",
        "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
        at_nine("1998-01: 1-31; 1999-01: 1-31; 2000-01: 1-31"),
    ),
    (
        "every day in January, for 3 years, said daily",
        "1998-01-01 09:00",
        "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1",
        at_nine("1998-01: 1-31; 1999-01: 1-31; 2000-01: 1-31"),
    ),
    (
        "weekly for 10 occurrences",
        STARTS_AT,
        "FREQ=WEEKLY;COUNT=10",
        at_nine("1997-09: 2 9 16 23 30; 1997-10: 7 14 21 28; 1997-11: 4"),
    ),
    (
        "weekly until December 24, 1997",
        STARTS_AT,
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        at_nine("1997-09: 2 9 16 23 30; 1997-10: 7 14 21 28; 1997-11: 4 11 18 25; 1997-12: 2 9 16 23"),
    ),
    (
        "weekly on Tuesday and Thursday for five weeks, by UNTIL",
        STARTS_AT,
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        at_nine("1997-09: 2 4 9 11 16 18 23 25 30; 1997-10: 2"),
    ),
    (
        "weekly on Tuesday and Thursday for five weeks, by COUNT",
        STARTS_AT,
        "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        at_nine("1997-09: 2 4 9 11 16 18 23 25 30; 1997-10: 2"),
    ),
    (
        "every other week on Monday, Wednesday and Friday until December 24, 1997",
        "1997-09-01 09:00",
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        at_nine(
            "1997-09: 1 3 5 15 17 19 29; 1997-10: 1 3 13 15 17 27 29 31; 1997-11: 10 12 14 24 26 28; "
            "1997-12: 8 10 12 22"
        ),
    ),
    (
        "every other week on Tuesday and Thursday, for 8 occurrences",
        STARTS_AT,
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        at_nine("1997-09: 2 4 16 18 30; 1997-10: 2 14 16"),
    ),
    (
        "monthly on the first Friday for 10 occurrences",
        "1997-09-05 09:00",
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        at_nine(
            "1997-09: 5; 1997-10: 3; 1997-11: 7; 1997-12: 5; 1998-01: 2; 1998-02: 6; 1998-03: 6; 1998-04: 3; "
            "1998-05: 1; 1998-06: 5"
        ),
    ),
    (
        "monthly on the first Friday until December 24, 1997",
        "1997-09-05 09:00",
        "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
        at_nine("1997-09: 5; 1997-10: 3; 1997-11: 7; 1997-12: 5"),
    ),
    (
        "every other month on the first and last Sunday of the month for 10 occurrences",
        "1997-09-07 09:00",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        at_nine("1997-09: 7 28; 1997-11: 2 30; 1998-01: 4 25; 1998-03: 1 29; 1998-05: 3 31"),
    ),
    (
        "monthly on the second-to-last Monday of the month for 6 months",
        "1997-09-22 09:00",
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        at_nine("1997-09: 22; 1997-10: 20; 1997-11: 17; 1997-12: 22; 1998-01: 19; 1998-02: 16"),
    ),
    (
        "monthly on the 2nd and 15th of the month for 10 occurrences",
        STARTS_AT,
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        at_nine("1997-09: 2 15; 1997-10: 2 15; 1997-11: 2 15; 1997-12: 2 15; 1998-01: 2 15"),
    ),
    (
        "monthly on the first and last day of the month for 10 occurrences",
        "1997-09-30 09:00",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        at_nine("1997-09: 30; 1997-10: 1 31; 1997-11: 1 30; 1997-12: 1 31; 1998-01: 1 31; 1998-02: 1"),
    ),
    (
        "every 18 months on the 10th thru 15th of the month for 10 occurrences",
        "1997-09-10 09:00",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        at_nine("1997-09: 10-15; 1999-03: 10-13"),
    ),
    (
        "yearly in June and July for 10 occurrences",
        "1997-06-10 09:00",
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        at_nine("; ".join(f"{year}-06: 10; {year}-07: 10" for year in range(1997, 2002))),
    ),
    (
        "every other year on January, February, and March for 10 occurrences",
        "1997-03-10 09:00",
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        at_nine(
            "1997-03: 10; " + "; ".join(f"{year}-01: 10; {year}-02: 10; {year}-03: 10" for year in (1999, 2001, 2003))
        ),
    ),
    (
        "every third year on the 1st, 100th, and 200th day for 10 occurrences",
        "1997-01-01 09:00",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        at_nine(
            "1997-01: 1; 1997-04: 10; 1997-07: 19; 2000-01: 1; 2000-04: 9; 2000-07: 18; "
            "2003-01: 1; 2003-04: 10; 2003-07: 19; 2006-01: 1"
        ),
    ),
    (
        "the third instance into the month of one of Tuesday, Wednesday, or Thursday, for the next 3 months",
        "1997-09-04 09:00",
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
        at_nine("1997-09: 4; 1997-10: 7; 1997-11: 6"),
    ),
    (
        "the days generated make a difference because of WKST: Monday",
        "1997-08-05 09:00",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
        at_nine("1997-08: 5 10 19 24"),
    ),
    (
        "the days generated make a difference because of WKST: Sunday",
        "1997-08-05 09:00",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
        at_nine("1997-08: 5 17 19 31"),
    ),
    (
        "an invalid date (i.e., February 30) is ignored",
        "2007-01-15 09:00",
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        at_nine("2007-01: 15 30; 2007-02: 15; 2007-03: 15 30"),
    ),
)

FOR_EVER: Final = (
    # name, DTSTART, RRULE, the dates that are shown before "..."
    ("every other day", STARTS_AT, "FREQ=DAILY;INTERVAL=2", by_steps("1997-09-02", "1997-12-04", 2)),
    (
        "every other week",
        STARTS_AT,
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        at_nine("1997-09: 2 16 30; 1997-10: 14 28; 1997-11: 11 25; 1997-12: 9 23; 1998-01: 6 20; 1998-02: 3 17"),
    ),
    (
        "monthly on the third-to-the-last day of the month",
        "1997-09-28 09:00",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        at_nine("1997-09: 28; 1997-10: 29; 1997-11: 28; 1997-12: 29; 1998-01: 29; 1998-02: 26"),
    ),
    (
        "every Tuesday, every other month",
        STARTS_AT,
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        at_nine("1997-09: 2 9 16 23 30; 1997-11: 4 11 18 25; 1998-01: 6 13 20 27; 1998-03: 3 10 17 24 31"),
    ),
    (
        "every 20th Monday of the year",
        "1997-05-19 09:00",
        "FREQ=YEARLY;BYDAY=20MO",
        at_nine("1997-05: 19; 1998-05: 18; 1999-05: 17"),
    ),
    (
        "Monday of week number 20",
        "1997-05-12 09:00",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        at_nine("1997-05: 12; 1998-05: 11; 1999-05: 17"),
    ),
    (
        "every Thursday in March",
        "1997-03-13 09:00",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        at_nine("1997-03: 13 20 27; 1998-03: 5 12 19 26; 1999-03: 4 11 18 25"),
    ),
    (
        "every Thursday, but only during June, July, and August",
        "1997-06-05 09:00",
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        at_nine(
            "1997-06: 5 12 19 26; 1997-07: 3 10 17 24 31; 1997-08: 7 14 21 28; "
            "1998-06: 4 11 18 25; 1998-07: 2 9 16 23 30; 1998-08: 6 13 20 27; "
            "1999-06: 3 10 17 24; 1999-07: 1 8 15 22 29; 1999-08: 5 12 19 26"
        ),
    ),
    (
        "the first Saturday that follows the first Sunday of the month",
        "1997-09-13 09:00",
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        at_nine(
            "1997-09: 13; 1997-10: 11; 1997-11: 8; 1997-12: 13; 1998-01: 10; 1998-02: 7; 1998-03: 7; "
            "1998-04: 11; 1998-05: 9; 1998-06: 13"
        ),
    ),
    (
        "U.S. Presidential Election day",
        "1996-11-05 09:00",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        at_nine("1996-11: 5; 2000-11: 7; 2004-11: 2"),
    ),
    (
        "the second-to-last weekday of the month",
        "1997-09-29 09:00",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        at_nine("1997-09: 29; 1997-10: 30; 1997-11: 27; 1997-12: 30; 1998-01: 29; 1998-02: 26; 1998-03: 30"),
    ),
    (
        "every 20 minutes from 9:00 AM to 4:40 PM every day",
        STARTS_AT,
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
        [
            f"1997-09-{day:02d} {hour:02d}:{minute:02d}"
            for day in (2, 3)
            for hour in range(9, 17)
            for minute in (0, 20, 40)
        ],
    ),
)


def of(start: str, rrule: str, exdate: tuple[str, ...] = ()) -> RecurrenceSet:
    return admit(timed(start), rrule=rrule, exdate=exdate)


def in_new_york(dates: list[str]) -> list[datetime]:
    """The text's "9:00 AM EDT" and "EST" are what the zone table makes of it."""
    return [to_utc(datetime.fromisoformat(one), zone(NEW_YORK)) for one in dates]


@pytest.mark.parametrize(("start", "rrule", "dates"), [one[1:] for one in WHOLE], ids=[one[0] for one in WHOLE])
def test_a_series_that_ends(start: str, rrule: str, dates: list[str]) -> None:
    found = first(of(start, rrule), MAX_OCCURRENCES)
    assert [one.starts_at for one in found] == in_new_york(dates)


@pytest.mark.parametrize(("start", "rrule", "dates"), [one[1:] for one in FOR_EVER], ids=[one[0] for one in FOR_EVER])
def test_a_series_for_ever(start: str, rrule: str, dates: list[str]) -> None:
    found = first(of(start, rrule), len(dates))
    assert [one.starts_at for one in found] == in_new_york(dates)


@pytest.mark.parametrize(("start", "rrule"), [one[1:3] for one in (*WHOLE, *FOR_EVER)])
def test_the_same_seen_through_windows(start: str, rrule: str) -> None:
    """Forty days through one window, and through windows of 23 hours one after the other."""
    whole = of(start, rrule)
    begin = whole.placement.key(whole.placement.start)
    asked = Window(begin, begin + timedelta(days=40))
    edges = [min(begin + timedelta(hours=23) * number, asked.end) for number in range(43)]
    pieces = {
        one.key for early, late in pairwise(edges) if early < late for one in expand(whole, Window(early, late))
    }
    assert pieces == {one.key for one in expand(whole, asked)}


def test_every_friday_the_13th() -> None:
    """DTSTART does not fit, counts as the first, and is excluded."""
    found = first(of(STARTS_AT, "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ("19970902T090000",)), 5)
    dates = at_nine("1998-02: 13; 1998-03: 13; 1998-11: 13; 1999-08: 13; 2000-10: 13")
    assert [one.starts_at for one in found] == in_new_york(dates)


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z",
        "FREQ=MINUTELY;INTERVAL=15;COUNT=6",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
    ],
)
def test_the_examples_below_a_day_are_refused(rrule: str) -> None:
    with pytest.raises(FrequencyUnsupported):
        of(STARTS_AT, rrule)


def test_offsets_are_those_of_the_text() -> None:
    """1997: daylight time until October 25, standard time from October 26 on."""
    found = {
        one.placement.start.date().isoformat(): one.starts_at.hour for one in first(of(STARTS_AT, "FREQ=DAILY"), 60)
    }
    assert found["1997-10-25"] == 13
    assert found["1997-10-26"] == 14


def test_the_list_is_whole() -> None:
    """The section has 42 rules: those that end, those for ever, Friday the 13th, and four below a day."""
    assert len(WHOLE) + len(FOR_EVER) + 1 + 4 == 42
    assert len({str(admit(timed(start), rrule=rrule).rule) for _, start, rrule, _ in WHOLE}) == len(WHOLE)
