"""What lies in a stretch of time: what is in, in which order, page by page, and which stretches are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, JobContext
from pm_api.core.platform import Platform
from pm_api.domains.calendar.reaching import KNOWN_AHEAD
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, Json, open_diary, refusal
from tests.support.clock import MovableClock

LIST: Final = "/api/calendar/events"
_KNOWN: Final = """
SELECT reached_until, version, (SELECT max(week) FROM calendar_reach WHERE event_id = calendar_events.id) AS last_week
FROM calendar_events WHERE id = :id
"""


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def starts(events: list[Json]) -> list[str]:
    return [one["startTime"].removesuffix(":00.000Z") for one in events]


def titles(events: list[Json]) -> list[str]:
    return [one["title"] for one in events]


async def asked(diary: Diary, **query: Any) -> Any:
    return await diary.owner.client.get(LIST, params={"workspaceId": diary.id, **query})


# --- what must hold (page 40) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "placed"),
    [("2007-03-11T07:30:00Z", "2007-03-11T07:30"), ("2007-11-04T05:30:00Z", "2007-11-04T05:30")],
)
async def test_a_wall_time_in_a_gap_or_twice_is_placed_as_rfc_5545_says(
    diary: Diary, start: str, placed: str
) -> None:
    """02:30 in New York does not exist on 11 March 2007, 01:30 comes twice on 4 November: a daily series meets it."""
    wall = "02:30" if "03-11" in start else "01:30"
    first = datetime.fromisoformat(start) - timedelta(days=2)
    local = datetime.fromisoformat(f"{first:%Y-%m-%d}T{wall}:00-0{'5' if '03-11' in start else '4'}:00")
    await diary.event(
        startTime=local.isoformat(), endTime=(local + timedelta(minutes=15)).isoformat(), rrule="FREQ=DAILY;COUNT=5"
    )
    day = start[:10]
    assert starts(await diary.shown(day, f"{day}T23:59:59Z")) == [placed]


async def test_a_series_keeps_its_time_on_the_wall(diary: Diary) -> None:
    await diary.series()
    assert starts(await diary.shown("2026-03-01", "2026-03-10")) == ["2026-03-02T14:00", "2026-03-09T13:00"]


async def test_what_goes_over_midnight_is_in_both_days(diary: Diary) -> None:
    night: Json = {"startTime": "2026-03-02T23:30:00Z", "endTime": "2026-03-03T00:30:00Z", "timeZone": "UTC"}
    await diary.event(**night, rrule="FREQ=DAILY")
    found = await diary.shown("2026-03-10T00:00:00Z", "2026-03-10T00:15:00Z")
    assert starts(found) == ["2026-03-09T23:30"]


async def test_the_31st_skips_short_months(diary: Diary) -> None:
    day: Json = {"startTime": "2026-01-31T09:00:00Z", "endTime": "2026-01-31T10:00:00Z", "timeZone": "UTC"}
    await diary.event(**day, rrule="FREQ=MONTHLY;BYMONTHDAY=31")
    found = starts(await diary.shown("2026-01-01", "2027-01-01"))
    assert [int(one[5:7]) for one in found] == [1, 3, 5, 7, 8, 10, 12]


async def test_ten_occurrences_are_the_same_week_by_week(diary: Diary) -> None:
    await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10")
    at_once = await diary.shown("2026-03-01", "2026-06-01")
    by_week: list[Json] = []
    monday = datetime(2026, 2, 23, tzinfo=UTC)
    while monday < datetime(2026, 6, 1, tzinfo=UTC):
        by_week += await diary.shown(monday.isoformat(), (monday + timedelta(days=7)).isoformat())
        monday += timedelta(days=7)
    assert by_week == at_once
    assert len(at_once) == 10


async def test_an_end_that_is_a_start_is_included(diary: Diary) -> None:
    await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO;UNTIL=20260316T130000Z")
    assert len(await diary.shown("2026-03-01", "2026-06-01")) == 3


async def test_the_start_is_in_and_the_end_is_not(diary: Diary) -> None:
    await diary.event()
    inside = [("14:00:00", "14:00:01"), ("14:59:59", "15:00:00"), ("13:00:00", "16:00:00"), ("14:10:00", "14:20:00")]
    outside = [("13:00:00", "14:00:00"), ("15:00:00", "16:00:00")]
    for start, end in inside:
        assert await diary.shown(f"2026-03-02T{start}Z", f"2026-03-02T{end}Z"), (start, end)
    for start, end in outside:
        assert not await diary.shown(f"2026-03-02T{start}Z", f"2026-03-02T{end}Z"), (start, end)


# --- days ------------------------------------------------------------------------------------------------------


async def test_whole_days_lie_where_their_reader_is(diary: Diary) -> None:
    await diary.event(startTime="2026-03-02", endTime="2026-03-03", allDay=True)
    # The 2nd of March in Kiritimati begins at ten on the 1st in Greenwich, and in Niue ends at eleven on the 3rd.
    for zone, first, last in (
        ("Pacific/Kiritimati", "2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z"),
        ("Pacific/Niue", "2026-03-02T11:00:00Z", "2026-03-03T11:00:00Z"),
        ("UTC", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"),
    ):
        [there] = await diary.shown(first, last, tz=zone)
        assert there["startTime"] == first.replace("Z", ".000Z")
        before = datetime.fromisoformat(first) - timedelta(hours=1)
        assert await diary.shown(before.isoformat(), first, tz=zone) == []
        after = datetime.fromisoformat(last) + timedelta(hours=1)
        assert await diary.shown(last, after.isoformat(), tz=zone) == []
        [by_date] = await diary.shown("2026-03-02", "2026-03-03", tz=zone)
        assert by_date == there


async def test_a_date_is_its_midnight_in_the_zone_asked_for(diary: Diary) -> None:
    await diary.event()
    assert starts(await diary.shown("2026-03-02", "2026-03-03", tz="Asia/Tokyo")) == ["2026-03-02T14:00"]
    late: Json = {"startTime": "2026-03-02T15:30:00Z", "endTime": "2026-03-02T16:00:00Z"}
    await diary.event(**late)
    assert starts(await diary.shown("2026-03-03", "2026-03-04", tz="Asia/Tokyo")) == ["2026-03-02T15:30"]


# --- order and pages -------------------------------------------------------------------------------------------


async def a_full_calendar(diary: Diary) -> None:
    for hour in range(6):
        moment = f"2026-03-{hour + 1:02}T12:00:00Z"
        await diary.event(title=f"Single {hour}", startTime=moment, endTime=f"2026-03-{hour + 1:02}T13:00:00Z")
    daily: Json = {"startTime": "2026-02-20T12:00:00Z", "endTime": "2026-02-20T12:30:00Z", "timeZone": "UTC"}
    for number in range(2):
        await diary.event(title=f"Daily {number}", rrule="FREQ=DAILY", **daily)
    await diary.event(title="Long", startTime="2026-01-01T00:00:00Z", endTime="2026-04-01T00:00:00Z")
    await diary.event(title="Days", startTime="2026-02-28", endTime="2026-03-10", allDay=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_hold_together_what_one_answer_holds(diary: Diary, limit: int) -> None:
    await a_full_calendar(diary)
    end = "2026-03-03T00:00:00Z" if limit == 1 else "2026-04-15T00:00:00Z"
    whole = (await asked(diary, start="2026-03-01T12:15:00Z", end=end, limit=200)).json()
    assert whole["nextCursor"] is None
    events = whole["events"]
    assert events == sorted(events, key=lambda one: (one["startTime"], one["id"]))
    assert titles(events)[:2] == ["Long", "Days"], "what began before comes first"
    assert await diary.shown("2026-03-01T12:15:00Z", end, limit=limit) == events
    assert len({one["id"] for one in events}) == len(events)


async def test_a_cursor_is_for_the_list_it_came_from(diary: Diary) -> None:
    await a_full_calendar(diary)
    query = {"start": "2026-03-01", "end": "2026-04-01", "limit": 2}
    cursor = (await asked(diary, **query)).json()["nextCursor"]
    for other in ({"end": "2026-04-02"}, {"tz": "Asia/Tokyo"}, {"type": "CALL"}, {"expand": "false"}):
        assert refusal(await asked(diary, **{**query, **other, "cursor": cursor})) == (422, "invalid_cursor")
    assert refusal(await asked(diary, **query, cursor=cursor[:-2] + "AA")) == (422, "invalid_cursor")
    assert (await asked(diary, **query, cursor=cursor)).status_code == 200


async def test_an_event_made_while_somebody_reads_hides_no_other(diary: Diary) -> None:
    await a_full_calendar(diary)
    whole = [one["id"] for one in await diary.shown("2026-03-01", "2026-03-20")]
    seen: list[str] = []
    cursor: Json = {}
    while True:
        answer = await asked(diary, start="2026-03-01", end="2026-03-20", limit=5, **cursor)
        seen += [one["id"] for one in answer.json()["events"]]
        await diary.event(title="New", startTime="2026-03-01T01:00:00Z", endTime="2026-03-01T02:00:00Z")
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
    assert [one for one in seen if one in whole] == whole


async def test_without_a_start_and_an_end_the_events_themselves_are_listed(diary: Diary) -> None:
    await a_full_calendar(diary)
    found: list[Json] = []
    cursor: Json = {}
    while True:
        answer = await asked(diary, limit=3, **cursor)
        found += answer.json()["events"]
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
    assert len(found) == 10
    assert found == sorted(found, key=lambda one: (one["startTime"], one["id"]))
    assert {one["seriesId"] for one in found} == {None}
    assert {one["title"] for one in found if one["rrule"]} == {"Daily 0", "Daily 1"}


async def test_series_that_lie_in_a_stretch_are_listed_unexpanded(diary: Diary) -> None:
    await a_full_calendar(diary)
    query = {"start": "2026-03-04", "end": "2026-03-05", "expand": "false", "limit": 2}
    first = (await asked(diary, **query)).json()
    rest = (await asked(diary, **query, cursor=first["nextCursor"])).json()
    assert titles(first["events"] + rest["events"])[:1] == ["Long"]
    assert sorted(titles(first["events"] + rest["events"])) == ["Daily 0", "Daily 1", "Days", "Long"]
    assert {one["seriesId"] for one in first["events"]} == {None}


# --- filters ---------------------------------------------------------------------------------------------------


async def test_filters_leave_out_the_rest(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    project = await diary.project()
    await diary.event(title="Plain")
    await diary.event(title="Call", type="CALL")
    await diary.event(title="In the project", projectId=project["id"], type="DEADLINE")
    await diary.event(title="With Ann", attendeeIds=[str(ann.id)])
    march = ("2026-03-01", "2026-04-01")
    for when in (march, None):

        async def found(**query: Any) -> list[str]:
            dates = {"start": when[0], "end": when[1]} if when else {}  # noqa: B023
            answer = await asked(diary, **dates, **query)
            assert answer.status_code == 200, answer.text
            return sorted(titles(answer.json()["events"]))

        assert len(await found()) == 4
        assert await found(type="CALL") == ["Call"]
        assert await found(type=["CALL", "DEADLINE"]) == ["Call", "In the project"]
        assert await found(projectId=project["id"]) == ["In the project"]
        assert await found(attendeeId=str(ann.id)) == ["With Ann"]
        assert await found(attendeeId=str(ann.id), type="CALL") == []


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"start": "2026-03-01"}, "validation_failed"),
        ({"end": "2026-03-01"}, "validation_failed"),
        ({"start": "yesterday", "end": "2026-03-01"}, "validation_failed"),
        ({"start": "2026-03-01T00:00:00", "end": "2026-03-02T00:00:00Z"}, "validation_failed"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "time_range_refused"),
        ({"start": "2026-03-01", "end": "2026-03-01"}, "time_range_refused"),
        ({"start": "2026-01-01T00:00:00Z", "end": "2027-02-05T00:00:01Z"}, "time_range_refused"),
        ({"start": "0900-01-01", "end": "0900-02-01"}, "time_range_refused"),
        ({"start": "2026-03-01", "end": "2026-03-02", "tz": "Mars/Olympus"}, "time_zone_unknown"),
        ({"type": "PARTY"}, "validation_failed"),
        ({"limit": 201}, "validation_failed"),
        ({"cursor": "nonsense"}, "invalid_cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused(diary: Diary, query: Json, code: str) -> None:
    assert refusal(await asked(diary, **query)) == (422, code)


async def test_four_hundred_days_may_be_asked_for(diary: Diary) -> None:
    assert (await asked(diary, start="2026-01-01T00:00:00Z", end="2027-02-05T00:00:00Z")).status_code == 200


async def test_over_a_thousand_occurrences_of_one_series_are_refused_and_never_cut(diary: Diary) -> None:
    hours: Json = {"startTime": "2026-03-01T00:00:00Z", "endTime": "2026-03-01T00:10:00Z", "timeZone": "UTC"}
    rule = "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=0"
    await diary.event(**hours, rrule=rule)
    for query in ({}, {"limit": 1}, {"expand": "false"}):
        answer = await asked(diary, start="2026-03-01T00:00:00Z", end="2026-11-06T00:00:01Z", **query)
        assert refusal(answer) == (422, "too_many_occurrences"), "1,001 of them, on whichever page"
    assert len(await diary.shown("2026-03-01T00:00:00Z", "2026-11-06T00:00:00Z")) == 1000
    assert (await asked(diary, start="2026-11-01T00:00:00Z", end="2026-11-30T00:00:00Z")).status_code == 200


# --- for ever --------------------------------------------------------------------------------------------------


async def test_a_series_without_an_end_is_found_however_far_ahead(diary: Diary) -> None:
    await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO")
    for year in (2027, 2029, 2080, 2999):
        found = await diary.shown(f"{year}-03-01", f"{year}-03-31")
        assert len(found) in (4, 5), year


async def test_the_daily_sweep_carries_on_what_is_known(diary: Diary, clock: MovableClock) -> None:
    series = await diary.series(rrule="FREQ=YEARLY")
    platform = diary.platform
    before = await known_of(platform, series)
    assert is_known_from_now(platform, before)
    clock.advance_business(days=30)
    await sweep(platform)
    assert await known_of(platform, series) == before, "it is known far enough"
    clock.advance_business(days=335)
    await sweep(platform)
    after = await known_of(platform, series)
    assert is_known_from_now(platform, after)
    assert after.last_week > before.last_week
    assert after.version == before.version
    await sweep(platform)
    assert await known_of(platform, series) == after


async def sweep(platform: Platform) -> None:
    await PERIODICS["calendar.carry_on"].run(JobContext(platform, "calendar.carry_on"))


async def known_of(platform: Platform, series: Json) -> Any:
    async with platform.database.reading() as session:
        return (await session.execute(text(_KNOWN), {"id": series["id"]})).one()


def is_known_from_now(platform: Platform, found: Any) -> bool:
    return bool(abs(found.reached_until - platform.clock.now() - KNOWN_AHEAD) < timedelta(minutes=10))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("edge", ["0001-01-01", "9999-12-31"])
async def test_a_day_has_a_midnight_wherever_it_is(diary: Diary, edge: str, zone: str) -> None:
    asked = {"workspaceId": diary.id, "start": edge, "end": edge, "tz": zone}
    answer = await diary.owner.client.get("/api/calendar/events", params=asked)
    assert refusal(answer) == (422, "validation_failed")
