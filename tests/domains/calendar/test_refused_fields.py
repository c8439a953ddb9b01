"""A refusal names the field of the request that it is about, so that a form can mark it, and says what to do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI

from tests.domains.calendar.diaries import Diary, lasting_diary, path_of


@pytest.fixture(scope="module")
async def diary(app: FastAPI) -> AsyncIterator[Diary]:
    async with lasting_diary(app) as opened:
        yield opened


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    for one in answer.json()["details"]:
        assert one["detail"]
        assert "function" not in one["detail"]
    return [one["pointer"] for one in answer.json()["details"]]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"startTime": "soon"}, "/startTime"),
        ({"startTime": "0001-01-01"}, "/startTime"),
        ({"endTime": "9999-12-31T23:59:59Z"}, "/endTime"),
        ({"startTime": "1812-03-02T09:00:00Z"}, "/startTime"),
        ({"endTime": "2026-03-01T09:00:00Z"}, "/endTime"),
        ({"endTime": "2226-03-01T09:00:00Z"}, "/endTime"),
        ({"timeZone": "Mars/Olympus"}, "/timeZone"),
        ({"rrule": ""}, "/rrule"),
        ({"rrule": "FREQ=HOURLY"}, "/rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=2;UNTIL=20270101"}, "/rrule"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "/rrule"),
        ({"rrule": "FREQ=DAILY", "rdate": ["soon"]}, "/rdate"),
        ({"rrule": "FREQ=DAILY", "exdate": ["soon"]}, "/exdate"),
        ({"rrule": "FREQ=DAILY;COUNT=1", "exdate": ["2026-03-02T09:00:00"]}, "/exdate"),
    ],
)
async def test_an_event_is_refused_by_the_field(diary: Diary, fields: dict[str, Any], pointer: str) -> None:
    assert pointers(await diary.post(**fields)) == [pointer]
    event = await diary.event()
    if fields.keys() != {"startTime"} or "18" not in fields["startTime"]:
        answer = await diary.owner.client.patch(path_of(event["id"]), json=fields)
        assert pointers(answer) == [pointer]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"dtstart": "1812-02-03T09:00:00"}, "/dtstart"),
        ({"tzid": "Mars/Olympus"}, "/tzid"),
        ({"duration": "P200000W"}, "/duration"),
        ({"dtend": "9999-12-31T23:59:59"}, "/dtend"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "/rrule"),
        ({"rdate": "soon"}, "/rdate"),
        ({"rdate": ["20260201T090000", 5]}, "/rdate/1"),
        ({"exdate": ["soon"]}, "/exdate"),
    ],
)
async def test_a_preview_is_refused_by_the_field(diary: Diary, fields: dict[str, Any], pointer: str) -> None:
    body = {"dtstart": "2026-02-03T09:00:00", "tzid": "Europe/Berlin", "rrule": "FREQ=DAILY;COUNT=3", **fields}
    assert pointers(await diary.owner.client.post("/api/calendar/recurrence/preview", json=body)) == [pointer]


@pytest.mark.parametrize("path", ["/api/calendar/events", "/api/calendar/agenda"])
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"tz": "Mars/Olympus"}, "/tz"),
        ({"start": "soon"}, "/start"),
        ({"start": "0001-01-01"}, "/start"),
        ({"end": "9999-12-31"}, "/end"),
        ({"end": "2029-01-01"}, "/end"),
    ],
)
async def test_a_range_is_refused_by_the_field(diary: Diary, path: str, query: dict[str, str], pointer: str) -> None:
    asked = {"workspaceId": diary.id, "start": "2026-03-01", "end": "2026-04-01", **query}
    assert pointers(await diary.owner.client.get(path, params=asked)) == [pointer]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"proposedStartTime": "2026-03-02T09:00:00Z"}, "/proposedEndTime"),
        ({"proposedEndTime": "2026-03-02T09:00:00Z"}, "/proposedStartTime"),
        (
            {"proposedStartTime": "2026-03-02T09:00:00Z", "proposedEndTime": "2026-03-01T09:00:00Z"},
            "/proposedEndTime",
        ),
        (
            {"proposedStartTime": "2526-03-02T09:00:00Z", "proposedEndTime": "2526-03-02T10:00:00Z"},
            "/proposedStartTime",
        ),
    ],
)
async def test_a_proposal_is_refused_by_the_field(diary: Diary, fields: dict[str, str], pointer: str) -> None:
    event = await diary.event(attendeeIds=[str(diary.owner.id)])
    answer = await diary.owner.client.post(path_of(event["id"]) + "/respond", json={"response": "ACCEPTED", **fields})
    assert answer.json()["code"] == "invalid_proposal"
    assert pointers(answer) == [pointer]


async def test_a_working_hour_is_refused_in_words(diary: Diary) -> None:
    days = {"monday": [{"start": "9am", "end": "17:00"}]}
    answer = await diary.owner.client.put("/api/calendar/working-hours", json={"days": days})
    assert pointers(answer) == ["/days/monday/0/start"]
    assert "HH:MM" in answer.json()["error"]
    assert "[" not in answer.json()["error"]


async def test_an_empty_rule_is_refused_in_words(diary: Diary) -> None:
    answer = await diary.post(rrule="")
    assert "FREQ=WEEKLY" in answer.json()["error"]
    assert "character" not in answer.json()["error"]


async def test_one_that_was_taken_out_says_how_it_comes_back(diary: Diary) -> None:
    series = await diary.series()
    one = f"{series['id']}_20260309T130000Z"
    await diary.delete(one)
    client = diary.owner.client
    for answer in (
        await client.patch(path_of(one), json={"title": "Other"}),
        await client.delete(path_of(one)),
        await client.post(path_of(one) + "/respond", json={"response": "ACCEPTED"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "occurrence_not_found")
        assert "PUT brings it back" in answer.json()["detail"]
    back = await client.put(
        path_of(one),
        json={
            "title": "Standup",
            "type": "MEETING",
            "startTime": "2026-03-09T13:00:00Z",
            "endTime": "2026-03-09T14:00:00Z",
        },
    )
    assert back.status_code == 200, back.text


async def test_one_beyond_a_split_says_where_to_look(diary: Diary) -> None:
    series = await diary.series()
    await diary.patch(f"{series['id']}_20260316T130000Z", query={"scope": "following"}, title="Later")
    gone = await diary.owner.client.get(path_of(f"{series['id']}_20260323T130000Z"))
    assert (gone.status_code, gone.json()["code"]) == (404, "occurrence_not_found")
    assert "previousSeriesId" in gone.json()["detail"]
    never = await diary.owner.client.get(path_of(f"{series['id']}_20260303T130000Z"))
    assert "previousSeriesId" not in never.json()["detail"]
