"""`POST /api/calendar/recurrence/preview`: what the RFC says, what must hold, and rules that are meant to hurt."""

import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from types import FrameType
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.core.recurrence.zones import to_utc, zone
from pm_api.domains.calendar.previewing import preview
from pm_api.domains.calendar.schemas.previews import RulePreviewRequest
from tests.conftest import NewPerson, Person, register
from tests.core.recurrence.test_hostile_rules import EMPTY, HOSTILE
from tests.core.recurrence.test_rfc_examples import FOR_EVER, STARTS_AT, WHOLE, at_nine
from tests.domains.calendar.diaries import open_diary

PATH: Final = "/api/calendar/recurrence/preview"
NEW_YORK: Final = "America/New_York"
Json = dict[str, Any]

MALFORMED: Final = "recurrence_rule_malformed"
INTERVAL: Final = "recurrence_interval_out_of_range"
COUNT: Final = "recurrence_count_out_of_range"
PART: Final = "recurrence_part_out_of_range"
CONFLICT: Final = "recurrence_parts_conflict"

MORE_HOSTILE: Final = (
    ("FREQ=DAILY;INTERVAL=1001", INTERVAL),
    ("FREQ=DAILY;INTERVAL=1e3", INTERVAL),
    ("FREQ=DAILY;INTERVAL=²", INTERVAL),
    ("FREQ=DAILY;INTERVAL=0x10", INTERVAL),
    ("FREQ=DAILY;COUNT=1001", COUNT),
    ("FREQ=DAILY;COUNT=-5", COUNT),
    ("FREQ=DAILY;COUNT=1.5", COUNT),
    ("FREQ=DAILY;COUNT=NaN", COUNT),
    ("FREQ=DAILY;COUNT=5;UNTIL=20270101T000000Z", "recurrence_count_and_until"),
    ("FREQ=DAILY;UNTIL=20261301T000000Z", MALFORMED),
    ("FREQ=DAILY;UNTIL=20260230T000000Z", MALFORMED),
    ("FREQ=DAILY;UNTIL=tomorrow", MALFORMED),
    ("FREQ=FORTNIGHTLY", MALFORMED),
    ("FREQ=MILLISECONDLY", MALFORMED),
    ("FREQ=SECONDLY;BYSECOND=0;COUNT=1", "recurrence_frequency_unsupported"),
    ("INTERVAL=2", MALFORMED),
    ("FREQ=DAILY;FREQ=WEEKLY", MALFORMED),
    ("FREQ=DAILY;X-EVIL=1", MALFORMED),
    ("FREQ=DAILY;BYEASTER=0", MALFORMED),
    ("FREQ=DAILY;RSCALE=CHINESE", MALFORMED),
    ("FREQ=DAILY;;", MALFORMED),
    ("FREQ", MALFORMED),
    ("FREQ=DAILY BYDAY=MO", MALFORMED),
    ("FREQ=DAILY;BYDAY=XX", MALFORMED),
    ("FREQ=DAILY;BYDAY=MO,,TU", MALFORMED),
    ("FREQ=MONTHLY;BYDAY=6MO", PART),
    ("FREQ=YEARLY;BYDAY=54MO", PART),
    ("FREQ=YEARLY;BYDAY=0MO", PART),
    ("FREQ=YEARLY;BYMONTH=13", PART),
    ("FREQ=YEARLY;BYMONTH=0", PART),
    ("FREQ=YEARLY;BYMONTHDAY=32", PART),
    ("FREQ=YEARLY;BYMONTHDAY=0", PART),
    ("FREQ=YEARLY;BYYEARDAY=367", PART),
    ("FREQ=YEARLY;BYWEEKNO=54;BYDAY=MO", PART),
    ("FREQ=DAILY;BYHOUR=24", PART),
    ("FREQ=DAILY;BYMINUTE=60", PART),
    ("FREQ=DAILY;BYSECOND=61", PART),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", PART),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", PART),
    ("FREQ=MONTHLY;BYSETPOS=1", CONFLICT),
    ("FREQ=MONTHLY;BYWEEKNO=5", CONFLICT),
    ("FREQ=MONTHLY;BYYEARDAY=5", CONFLICT),
    ("FREQ=WEEKLY;BYMONTHDAY=5", CONFLICT),
    ("FREQ=WEEKLY;BYDAY=2MO", CONFLICT),
    ("FREQ=DAILY;BYDAY=-1FR", CONFLICT),
    ("FREQ=YEARLY;BYWEEKNO=5;BYDAY=2MO", CONFLICT),
    ("FREQ=DAILY;WKST=8", MALFORMED),
    ("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY", MALFORMED),
    ("FREQ=DAILY\r\nEXRULE:FREQ=DAILY", MALFORMED),
    ("FREQ=DAILY;BYMONTHDAY=" + "9" * 1000, MALFORMED),
    ("FREQ=DAILY;BYMONTHDAY=--1", MALFORMED),
    ("🗓️", MALFORMED),
    ("FREQ=DAILY;BYMONTHDAY=" + "é" * 1100, "recurrence_rule_too_long"),
)
REFUSED: Final = (
    *((rrule, code) for rrule, code in HOSTILE if code not in {None, EMPTY} and len(rrule) <= 12_000),
    *MORE_HOSTILE,
)


@pytest.fixture(scope="module")
async def person(app: FastAPI) -> AsyncIterator[Person]:
    """One for all: a preview leaves nothing behind."""
    caller = await register(app)
    yield caller
    await caller.client.aclose()


async def ask(person: Person, **wanted: Any) -> httpx.Response:
    return await person.client.post(PATH, json={"tzid": NEW_YORK, **wanted})


async def shown(person: Person, **wanted: Any) -> Json:
    answer = await ask(person, **wanted)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def starts(person: Person, **wanted: Any) -> list[str]:
    """Without seconds: `1997-09-02 13:00`."""
    return [one["start"][:16].replace("T", " ") for one in (await shown(person, **wanted))["occurrences"]]


def in_utc(walls: list[str]) -> list[str]:
    return [f"{to_utc(datetime.fromisoformat(one), zone(NEW_YORK)):%Y-%m-%d %H:%M}" for one in walls]


# --- RFC 5545 §3.8.5.3 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "rrule", "dates"), [one[1:] for one in WHOLE], ids=[one[0] for one in WHOLE])
async def test_an_example_that_ends(person: Person, start: str, rrule: str, dates: list[str]) -> None:
    found = await shown(person, dtstart=start.replace(" ", "T") + ":00", rrule=rrule)
    assert [one["start"][:16].replace("T", " ") for one in found["occurrences"]] == in_utc(dates)
    assert found["hasMore"] is False


@pytest.mark.parametrize(("start", "rrule", "dates"), [one[1:] for one in FOR_EVER], ids=[one[0] for one in FOR_EVER])
async def test_an_example_for_ever(person: Person, start: str, rrule: str, dates: list[str]) -> None:
    found = await shown(person, dtstart=start.replace(" ", "T"), rrule=f"RRULE:{rrule}", count=len(dates))
    assert [one["start"][:16].replace("T", " ") for one in found["occurrences"]] == in_utc(dates)
    assert found["hasMore"] is True


@pytest.mark.parametrize("exdate", ["19970902T090000", ["1997-09-02T09:00:00"], ["19970902T130000Z"]])
async def test_every_friday_the_13th(person: Person, exdate: Any) -> None:
    found = await starts(
        person, dtstart="19970902T090000", rrule="FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", exdate=exdate, count=5
    )
    assert found == in_utc(at_nine("1998-02: 13; 1998-03: 13; 1998-11: 13; 1999-08: 13; 2000-10: 13"))


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z",
        "FREQ=MINUTELY;INTERVAL=15;COUNT=6",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
    ],
)
async def test_the_examples_below_a_day_are_refused(person: Person, rrule: str) -> None:
    answer = await ask(person, dtstart=STARTS_AT.replace(" ", "T"), rrule=rrule)
    assert (answer.status_code, answer.json()["code"]) == (422, "recurrence_frequency_unsupported")


# --- what must hold ---------------------------------------------------------------------------------------------


async def test_the_gap_and_the_overlap(person: Person) -> None:
    assert await starts(person, dtstart="2007-03-11T02:30:00") == ["2007-03-11 07:30"]
    assert await starts(person, dtstart="2007-11-04T01:30:00") == ["2007-11-04 05:30"]
    spring = await shown(person, dtstart="2007-03-10T02:30:00", rrule="FREQ=DAILY;COUNT=3")
    assert [one["start"] for one in spring["occurrences"]] == [
        *("2007-03-10T07:30:00.000Z", "2007-03-11T07:30:00.000Z", "2007-03-12T06:30:00.000Z"),
    ]
    [gap] = spring["warnings"]
    assert (gap["code"], gap["dates"]) == ("DST_GAP", ["2007-03-11"])
    assert "skip 02:30" in gap["detail"]
    autumn = await shown(person, dtstart="2007-11-03T01:30:00", rrule="FREQ=DAILY;COUNT=3")
    assert [(one["code"], one["dates"]) for one in autumn["warnings"]] == [("DST_OVERLAP", ["2007-11-04"])]


async def test_weekly_in_new_york_keeps_its_wall_time(person: Person) -> None:
    found = await starts(person, dtstart="2026-02-23T09:00:00", rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=4")
    assert found == ["2026-02-23 14:00", "2026-03-02 14:00", "2026-03-09 13:00", "2026-03-16 13:00"]


async def test_the_31st_skips_short_months_and_says_so(person: Person) -> None:
    found = await shown(person, dtstart="2026-01-31T09:00:00", rrule="FREQ=MONTHLY;BYMONTHDAY=31;COUNT=4")
    days = [one["start"][:10] for one in found["occurrences"]]
    assert days == ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]
    assert [one["code"] for one in found["warnings"]] == ["SKIPPED_DATES"]
    assert found["text"] == "Every month on the 31st at 09:00, 4 times"


@pytest.mark.parametrize("until", ["20260108T140000Z", "20260108T090000", "20260108"])
async def test_until_equal_to_a_start_is_included(person: Person, until: str) -> None:
    found = await starts(person, dtstart="2026-01-05T09:00:00", rrule=f"FREQ=DAILY;UNTIL={until}")
    assert found == [f"2026-01-0{day} 14:00" for day in range(5, 9)]


async def test_a_rule_without_an_occurrence_is_told(person: Person) -> None:
    never = await shown(person, dtstart="2026-01-05T09:00:00", rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    assert (never["occurrences"], never["text"]) == ([], "Never")
    assert [one["code"] for one in never["warnings"]] == ["EMPTY"]
    excluded = await shown(person, dtstart="2026-01-05T09:00:00", exdate=["20260105T090000"])
    assert [one["code"] for one in excluded["warnings"]] == ["EMPTY"]


async def test_a_series_begins_with_what_its_rule_says(person: Person) -> None:
    """As libical, dateutil, rrule.js, ical.js and lib-recur have it; RFC 5545 leaves it open."""
    found = await shown(person, dtstart="1997-09-02T09:00:00", rrule="FREQ=YEARLY;BYMONTH=1,3;COUNT=3")
    assert [one["start"][:10] for one in found["occurrences"]] == ["1998-01-02", "1998-03-02", "1999-01-02"]
    [warning] = found["warnings"]
    assert (warning["code"], warning["dates"]) == ("START_OUTSIDE_RULE", ["1997-09-02"])


async def test_a_thousand_and_no_more(person: Person) -> None:
    found = await shown(person, dtstart="2026-01-05T09:00:00", rrule="FREQ=DAILY")
    assert len(found["occurrences"]) == 1000
    assert found["hasMore"] is True
    whole = await shown(person, dtstart="2026-01-05T09:00:00", rrule="FREQ=DAILY;COUNT=1000")
    assert whole["occurrences"] == found["occurrences"]
    assert whole["hasMore"] is False


async def test_from_a_moment_on(person: Person) -> None:
    wanted = {"dtstart": "2026-01-05T09:00:00", "rrule": "FREQ=DAILY;COUNT=10"}
    everything = await starts(person, **wanted)
    assert await starts(person, **wanted, after="2026-01-08T09:00:00-05:00") == everything[3:]
    assert await starts(person, **wanted, after="2026-01-08T14:00:01Z", count=2) == everything[4:6]


# --- how times are written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtstart",
    [
        "2026-03-02T09:00:00",
        "2026-03-02T09:00",
        "20260302T090000",
        "2026-03-02T14:00:00Z",
        "20260302T140000Z",
        "2026-03-02T15:00:00+01:00",
    ],
)
async def test_one_moment_in_many_forms(person: Person, dtstart: str) -> None:
    found = await starts(person, dtstart=dtstart, rrule="FREQ=WEEKLY;COUNT=2")
    assert found == ["2026-03-02 14:00", "2026-03-09 13:00"]


async def test_a_wall_time_without_a_zone_is_of_the_callers(new_person: NewPerson) -> None:
    tokyo = await new_person(timeZone="Asia/Tokyo")
    for dtstart in ("2026-03-02T09:00:00", "20260302T090000"):
        found = await shown(tokyo, dtstart=dtstart, tzid=None, rrule="FREQ=DAILY;COUNT=2;", rdate=None, exdate=None)
        assert [one["start"] for one in found["occurrences"]] == [
            *("2026-03-02T00:00:00.000Z", "2026-03-03T00:00:00.000Z"),
        ]
    [midnight] = (await shown(tokyo, dtstart="2026-03-02", tzid=None, allDay=False))["occurrences"]
    assert midnight["start"] == "2026-03-01T15:00:00.000Z"
    [instant] = (await shown(tokyo, dtstart="2026-03-02T09:00:00Z", tzid=None))["occurrences"]
    assert instant["start"] == "2026-03-02T09:00:00.000Z"


@pytest.mark.parametrize("dtstart", ["2026-03-08", "20260308"])
async def test_a_day_is_all_day(person: Person, dtstart: str) -> None:
    found = await shown(person, dtstart=dtstart, rrule="FREQ=WEEKLY;COUNT=2")
    assert found["occurrences"] == [
        {
            "start": "2026-03-08T05:00:00.000Z",
            "end": "2026-03-09T04:00:00.000Z",
            "startDate": "2026-03-08",
            "endDate": "2026-03-09",
        },
        {
            "start": "2026-03-15T04:00:00.000Z",
            "end": "2026-03-16T04:00:00.000Z",
            "startDate": "2026-03-15",
            "endDate": "2026-03-16",
        },
    ]
    anywhere = await person.client.post(PATH, json={"dtstart": dtstart})
    assert [one["start"] for one in anywhere.json()["occurrences"]] == ["2026-03-08T00:00:00.000Z"]
    [midnight] = (await shown(person, dtstart=dtstart, allDay=False))["occurrences"]
    assert (midnight["start"], midnight["startDate"]) == ("2026-03-08T05:00:00.000Z", None)
    written = f"{dtstart}T09:30:00" if "-" in dtstart else f"{dtstart}T093000"
    [day] = (await shown(person, dtstart=written, allDay=True))["occurrences"]
    assert (day["startDate"], day["endDate"]) == ("2026-03-08", "2026-03-09")


@pytest.mark.parametrize(
    ("lasting", "end"),
    [
        ({}, "2026-03-07 22:00"),
        ({"dtend": "2026-03-08T06:00:00"}, "2026-03-08 10:00"),  # seven hours: clocks change
        ({"dtend": "20260308T100000Z"}, "2026-03-08 10:00"),
        ({"duration": "PT8H"}, "2026-03-08 06:00"),
        ({"duration": "P1D"}, "2026-03-08 21:00"),  # by the calendar, so 23 hours
        ({"duration": "P1W"}, "2026-03-14 21:00"),
        ({"duration": "P1DT30M"}, "2026-03-08 21:30"),
    ],
)
async def test_how_long_it_lasts(person: Person, lasting: Json, end: str) -> None:
    start = "2026-03-07T23:00:00" if "dtend" in lasting else "2026-03-07T17:00:00"
    [found] = (await shown(person, dtstart=start, **lasting))["occurrences"]
    assert found["end"][:16].replace("T", " ") == end


async def test_an_all_day_end_is_exclusive(person: Person) -> None:
    for lasting in ({"dtend": "2026-03-11"}, {"duration": "P3D"}, {"duration": "PT49H"}):
        [found] = (await shown(person, dtstart="2026-03-08", **lasting))["occurrences"]
        assert (found["startDate"], found["endDate"]) == ("2026-03-08", "2026-03-11")


async def test_added_and_excluded_dates(person: Person) -> None:
    found = await shown(
        person,
        dtstart="2026-01-05T09:00:00",
        rrule="FREQ=WEEKLY;COUNT=3",
        rdate="20260107T090000,20260108T140000Z",
        exdate=["2026-01-12T14:00:00Z"],
    )
    assert [one["start"][:10] for one in found["occurrences"]] == [
        *("2026-01-05", "2026-01-07", "2026-01-08", "2026-01-19"),
    ]
    assert found["text"].endswith(", and on 2 more dates, except on 1 date")


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"dtstart": "yesterday"}, "/dtstart"),
        ({"dtstart": "2026-02-30T09:00:00"}, "/dtstart"),
        ({"dtstart": "20260230T090000"}, "/dtstart"),
        ({"dtstart": "2026-02-03T09:00:00", "dtend": "2026-02-03"}, "/dtend"),
        ({"dtstart": "2026-02-03T09:00:00", "dtend": "2026-02-03T08:59:59"}, "/dtend"),
        ({"dtstart": "2026-02-03", "dtend": "2026-02-02"}, "/dtend"),
        ({"dtstart": "2026-02-03T09:00:00", "duration": "an hour"}, "/duration"),
        ({"dtstart": "2026-02-03T09:00:00", "duration": "PT"}, "/duration"),
        ({"dtstart": "2026-02-03T09:00:00", "duration": "-PT1H"}, "/duration"),
        ({"dtstart": "2026-02-03T09:00:00", "dtend": "2026-02-03T10:00:00", "duration": "PT1H"}, "/duration"),
        ({"dtstart": "2026-02-03T09:00:00", "count": 0}, "/count"),
        ({"dtstart": "2026-02-03T09:00:00", "count": 1001}, "/count"),
        ({"dtstart": "2026-02-03T09:00:00", "after": "2026-02-03"}, "/after"),
        ({"dtstart": "2026-02-03T09:00:00", "rule": "FREQ=DAILY"}, "/rule"),
        ({"rrule": "FREQ=DAILY"}, "/dtstart"),
    ],
)
async def test_what_cannot_be_read_is_pointed_at(person: Person, wanted: Json, pointer: str) -> None:
    answer = await ask(person, **wanted)
    assert answer.status_code == 422, answer.text
    assert [one["pointer"] for one in answer.json()["details"]] == [pointer]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"dtstart": "2026-02-03T09:00:00", "tzid": "Mars/Olympus"}, "time_zone_unknown"),
        ({"dtstart": "1812-02-03T09:00:00"}, "recurrence_start_out_of_range"),
        ({"dtstart": "9999-12-31T23:59:59-05:00"}, "recurrence_start_out_of_range"),
        ({"dtstart": "0001-01-01T00:00:00+14:00"}, "recurrence_start_out_of_range"),
        ({"dtstart": "2026-02-03T09:00:00.5"}, "recurrence_start_out_of_range"),
        ({"dtstart": "2026-02-03T09:00:00", "duration": "P200000W"}, "recurrence_start_out_of_range"),
        ({"dtstart": "2026-02-03T09:00:00", "dtend": "9999-12-31T23:59:59"}, "recurrence_start_out_of_range"),
        ({"dtstart": "2026-02-03T09:00:00", "rdate": "soon"}, "recurrence_dates_malformed"),
        ({"dtstart": "2026-02-03T09:00:00", "exdate": ["2026-02-03"]}, "recurrence_dates_malformed"),
    ],
)
async def test_what_no_series_may_be_is_refused(person: Person, wanted: Json, code: str) -> None:
    answer = await ask(person, **wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


async def test_only_who_signed_in_is_answered(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json={"dtstart": "2026-02-03"})).status_code == 401


# --- rules that are meant to hurt -------------------------------------------------------------------------------


def test_fifty_and_more_are_refused() -> None:
    assert len({rrule for rrule, _ in REFUSED}) >= 50


async def test_hostile_rules_are_answered_by_a_problem(person: Person) -> None:
    longest = 0.0
    for rrule, code in REFUSED:
        begun = time.process_time()
        answer = await ask(person, dtstart="2026-01-05T09:00:00", rrule=rrule)
        longest = max(longest, time.process_time() - begun)
        assert (answer.status_code, answer.json()["code"]) == (422, code), rrule[:80]
        assert answer.headers["content-type"] == "application/problem+json"
    told = f"{len(REFUSED)} hostile rules refused, each in at most {longest * 1000:.1f} ms of processor time"
    print(told)  # noqa: T201  # seconds are told, not asserted: `pytest -s` shows them


async def test_no_hostile_rule_becomes_an_event(platform: Platform, new_person: NewPerson) -> None:
    """Nor does an empty one, which a preview only warns of; and the preview and the event refuse alike."""
    diary = await open_diary(platform, new_person)
    at: Json = {"startTime": "2026-01-05T09:00:00-05:00", "endTime": "2026-01-05T10:00:00-05:00"}
    for rrule, code in (*REFUSED, *((rrule, code) for rrule, code in HOSTILE if code == EMPTY)):
        answer = await diary.post(rrule=rrule, **at)
        assert (answer.status_code, answer.json()["code"]) == (422, code), rrule[:80]


def test_no_rule_costs_more_than_its_steps() -> None:
    """In calls of functions, which are the same on every machine: what a refusal costs, and what is let in."""
    for rrule, code in (*HOSTILE, *MORE_HOSTILE):
        if len(rrule) > 12_000:
            continue
        calls, refusal = calls_of(rrule)
        assert refusal == (None if code == EMPTY else code), rrule[:80]
        assert calls <= (350_000 if refusal or code == EMPTY else 2_000_000), rrule[:80]


def calls_of(rrule: str) -> tuple[int, str | None]:
    wanted = RulePreviewRequest.model_validate({"dtstart": "2026-01-05T09:00:00", "tzid": NEW_YORK, "rrule": rrule})
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        preview(wanted)
    except ApiError as refusal:
        return calls, refusal.code
    finally:
        sys.setprofile(before)
    return calls, None
