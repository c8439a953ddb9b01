"""Events over HTTP: made, read, changed, replaced, deleted, and what is refused to whom."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import HOUR, Diary, Json, key, lasting_diary, open_diary, path_of, refusal
from tests.domains.projects import sites

GET, POST, PATCH, PUT, DELETE = "GET", "POST", "PATCH", "PUT", "DELETE"
WHOLE: Json = {"title": "Another", "type": "CALL", **HOUR}
OF_AN_EVENT: list[tuple[str, Json | None]] = [
    (GET, None),
    (PATCH, {"title": "Another"}),
    (PUT, WHOLE),
    (DELETE, None),
]
WRITES = [one for one in OF_AN_EVENT if one[0] != GET]
NAMES = [method for method, _ in OF_AN_EVENT]
SECOND = "20260309T130000Z"


@pytest.fixture(scope="module")
async def empty(app: FastAPI) -> AsyncIterator[Diary]:
    """In which nothing stays."""
    async with lasting_diary(app) as opened:
        yield opened


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def fields_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["pointer"] for one in answer.json()["details"]]


# --- made and read ---------------------------------------------------------------------------------------------


async def test_an_event_is_made_and_read(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann Archer")
    project = await diary.project()
    answer = await diary.post(
        title="  Sprint planning ",
        description="What comes **next**.",
        location="Room 4",
        projectId=project["id"],
        attendeeIds=[str(ann.id)],
        attendees=[{"email": "gil@example.org", "name": "Gil Guest", "optional": True}],
        reminders=[{"minutesBefore": 10}],
        guestsCanInvite=True,
    )
    assert answer.status_code == 201, answer.text
    event = answer.json()["event"]
    assert answer.json()["conflicts"] == []
    assert answer.headers["Location"] == path_of(event["id"])
    assert answer.headers["ETag"].startswith('"1-')
    people = [(one["user"] and one["user"]["name"], one["email"], one["response"]) for one in event["attendees"]]
    assert people == [("Ann Archer", None, "PENDING"), (None, "gil@example.org", "PENDING")]
    assert [one["optional"] for one in event["attendees"]] == [False, True]
    assert event["project"] == {"id": project["id"], "name": project["name"], "color": project["color"]}
    assert event["organizer"] == event["creator"] == {"id": str(diary.owner.id), "name": "Olga Owner", "avatar": None}
    shown = {name: event[name] for name in ("title", "description", "location", "type", "timeZone", "visibility")}
    assert shown == {
        "title": "Sprint planning",
        "description": "What comes **next**.",
        "location": "Room 4",
        "type": "MEETING",
        "timeZone": "America/New_York",
        "visibility": "DEFAULT",
    }
    assert (event["startTime"], event["endTime"]) == ("2026-03-02T14:00:00.000Z", "2026-03-02T15:00:00.000Z")
    assert (event["version"], event["sequence"], event["showAs"]) == (1, 0, "BUSY")
    assert (event["uid"], event["isMasked"], event["guestsCanInvite"]) == (f"{event['id']}@pm_api", False, True)
    assert event["reminders"] == [{"minutesBefore": 10, "channel": "IN_APP"}]
    assert event["allowedActions"] == ["update", "delete", "invite"]
    assert (event["seriesId"], event["originalStartTime"], event["isException"]) == (None, None, False)
    assert (event["rrule"], event["rdate"], event["exdate"], event["recurrenceText"]) == (None, [], [], None)

    read = await diary.owner.client.get(path_of(event["id"]))
    assert read.json() == {"event": event}
    assert read.headers["ETag"] == answer.headers["ETag"]
    again = await diary.owner.client.get(path_of(event["id"]), headers={"If-None-Match": read.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert await diary.shown("2026-03-01", "2026-04-01") == [event]
    hers = await diary.read(event["id"], ann)
    assert hers["myResponse"] == "PENDING"
    assert hers["reminders"] == []
    assert hers["allowedActions"] == ["invite", "respond"]


@pytest.mark.parametrize(
    ("kind", "shown_as"), [("MEETING", "BUSY"), ("CALL", "BUSY"), ("DEADLINE", "FREE"), ("REMINDER", "FREE")]
)
async def test_what_is_no_meeting_takes_no_time(diary: Diary, kind: str, shown_as: str) -> None:
    assert (await diary.event(type=kind))["showAs"] == shown_as


async def test_without_a_zone_it_lies_in_that_of_the_callers_settings(diary: Diary) -> None:
    changed = await diary.owner.client.patch("/api/user/settings", json={"timeZone": "Asia/Tokyo"})
    assert changed.status_code == 200, changed.text
    body = diary.body()
    del body["timeZone"]
    answer = await diary.owner.client.post("/api/calendar/events", json=body)
    assert answer.json()["event"]["timeZone"] == "Asia/Tokyo"


async def test_a_part_of_a_second_is_no_part_of_an_event(diary: Diary) -> None:
    event = await diary.event(startTime="2026-03-02T09:00:00.999Z", endTime="2026-03-02T09:30:00.001Z")
    assert (event["startTime"], event["endTime"]) == ("2026-03-02T09:00:00.000Z", "2026-03-02T09:30:00.000Z")


async def test_an_instant_is_an_event_too(diary: Diary) -> None:
    moment = "2026-03-02T09:00:00Z"
    event = await diary.event(startTime=moment, endTime=moment, type="DEADLINE")
    assert event["startTime"] == event["endTime"]
    assert [one["id"] for one in await diary.shown(moment, "2026-03-02T09:00:01Z")] == [event["id"]]
    assert await diary.shown("2026-03-02T08:00:00Z", moment) == []


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-03-02", "2026-03-04", "2026-03-02", "2026-03-04"),
        ("2026-03-02", "2026-03-02", "2026-03-02", "2026-03-03"),
        # Ten in the evening in New York, when it is the next day already in Greenwich.
        ("2026-03-03T03:00:00Z", "2026-03-03T04:00:00Z", "2026-03-02", "2026-03-03"),
        ("2026-03-02T05:00:00Z", "2026-03-04T05:00:00Z", "2026-03-02", "2026-03-04"),
    ],
)
async def test_an_all_day_event_takes_days(diary: Diary, start: str, end: str, first: str, last: str) -> None:
    event = await diary.event(startTime=start, endTime=end, allDay=True)
    assert (event["startDate"], event["endDate"], event["allDay"]) == (first, last, True)
    tokyo = await diary.owner.client.get(path_of(event["id"]), params={"tz": "Asia/Tokyo"})
    there = tokyo.json()["event"]
    assert there["startTime"] == f"{int(first[:4])}-03-01T15:00:00.000Z", "midnight of 2 March in Tokyo"
    assert (there["startDate"], there["endDate"]) == (first, last)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"title": "   "}, "validation_failed"),
        ({"titel": "A typo"}, "validation_failed"),
        ({"type": "PARTY"}, "validation_failed"),
        ({"endTime": "2026-03-02T08:59:59-05:00"}, "validation_failed"),
        ({"endTime": "2026-03-03"}, "validation_failed"),
        ({"startTime": "2026-03-02", "endTime": "2026-03-03"}, "validation_failed"),
        ({"startTime": "2026-03-02T09:00:00", "endTime": "2026-03-02T10:00:00"}, "validation_failed"),
        ({"allDay": "yes"}, "validation_failed"),
        ({"timeZone": "Mars/Olympus"}, "time_zone_unknown"),
        ({"timeZone": "../../etc/passwd"}, "time_zone_unknown"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "recurrence_interval_out_of_range"),
        ({"rrule": "FREQ=DAILY;COUNT=2;UNTIL=20270101"}, "recurrence_count_and_until"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "recurrence_rule_empty"),
        ({"rrule": "FREQ=WEEKLY;COUNT=1", "exdate": ["2026-03-02T09:00:00"]}, "recurrence_rule_empty"),
        ({"exdate": ["someday"]}, "recurrence_dates_malformed"),
        ({"startTime": "1800-01-01T00:00:00Z", "endTime": "1800-01-01T01:00:00Z"}, "recurrence_start_out_of_range"),
        ({"startTime": "2026-01-01T00:00:00Z", "endTime": "2226-01-01T00:00:00Z"}, "recurrence_start_out_of_range"),
        ({"attendeeIds": [str(uuid4())]}, "attendee_cannot_see"),
        ({"reminders": [{"minutesBefore": 40_321}]}, "validation_failed"),
    ],
)
async def test_what_cannot_be_is_refused(empty: Diary, wrong: Json, code: str) -> None:
    assert refusal(await empty.post(**wrong)) == (422, code)
    assert await empty.shown("2026-03-01", "2026-04-01") == [], "and nothing of it stays"


async def test_a_repeated_call_makes_one_event(diary: Diary) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = [
        await diary.owner.client.post("/api/calendar/events", json=diary.body(), headers=headers) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert len(await diary.shown("2026-03-01", "2026-04-01")) == 1


# --- changed ---------------------------------------------------------------------------------------------------


async def test_a_change_writes_the_fields_sent_and_nothing_else(diary: Diary) -> None:
    event = await diary.event(description="Old words", reminders=[{"minutesBefore": 5}])
    changed = (await diary.patch(event["id"], title="Retrospective"))["event"]
    assert changed == {**event, "title": "Retrospective", "version": 2, "updatedAt": changed["updatedAt"]}
    assert changed["sequence"] == 0, "it takes place when it did"
    same = (await diary.patch(event["id"], title="Retrospective"))["event"]
    assert same == changed, "what changes nothing is no version"


@pytest.mark.parametrize(
    ("sent", "start", "end", "zone"),
    [
        ({"startTime": "2026-03-03T15:00:00Z"}, "2026-03-03T15:00", "2026-03-03T16:00", "America/New_York"),
        ({"endTime": "2026-03-02T16:30:00Z"}, "2026-03-02T14:00", "2026-03-02T16:30", "America/New_York"),
        ({"timeZone": "Europe/Berlin"}, "2026-03-02T08:00", "2026-03-02T09:00", "Europe/Berlin"),
        (
            {"timeZone": "Europe/Berlin", "startTime": "2026-03-02T14:00:00Z"},
            "2026-03-02T14:00",
            "2026-03-02T15:00",
            "Europe/Berlin",
        ),
        ({"allDay": True}, "2026-03-02T00:00", "2026-03-03T00:00", "America/New_York"),
    ],
)
async def test_a_time_that_is_sent_alone_takes_the_rest_along(
    diary: Diary, sent: Json, start: str, end: str, zone: str
) -> None:
    event = await diary.event()
    changed = (await diary.patch(event["id"], **sent))["event"]
    assert (changed["startTime"], changed["endTime"]) == (f"{start}:00.000Z", f"{end}:00.000Z")
    assert (changed["timeZone"], changed["sequence"]) == (zone, 1)


async def test_days_and_times_become_each_other(diary: Diary) -> None:
    event = await diary.event(startTime="2026-03-02T20:00:00-05:00", endTime="2026-03-03T08:00:00-05:00")
    days = (await diary.patch(event["id"], allDay=True))["event"]
    assert (days["startDate"], days["endDate"]) == ("2026-03-02", "2026-03-04"), "both days it touches"
    longer = (await diary.patch(event["id"], endTime="2026-03-06"))["event"]
    assert (longer["startDate"], longer["endDate"]) == ("2026-03-02", "2026-03-06")
    moved = (await diary.patch(event["id"], startTime="2026-03-10"))["event"]
    assert (moved["startDate"], moved["endDate"]) == ("2026-03-10", "2026-03-14")
    timed = (await diary.patch(event["id"], allDay=False, startTime="2026-03-10T13:00:00Z"))["event"]
    assert timed["startDate"] is None
    assert (timed["startTime"], timed["endTime"]) == ("2026-03-10T13:00:00.000Z", "2026-03-14T13:00:00.000Z")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"endTime": "2026-03-02T08:59:59-05:00"}, "/endTime"),
        ({"startTime": "2026-03-03T09:00:00Z", "endTime": "2026-03-03T08:00:00Z"}, "/endTime"),
        ({"startTime": "2026-03-02"}, "/startTime"),
        ({"title": None}, "/title"),
        ({"startTime": None}, "/startTime"),
    ],
)
async def test_a_change_into_what_cannot_be_is_refused(diary: Diary, wrong: Json, field: str) -> None:
    event = await diary.event()
    answer = await diary.owner.client.patch(path_of(event["id"]), json=wrong)
    assert fields_of(answer) == [field]
    assert await diary.read(event["id"]) == event


async def test_the_second_of_two_equal_times_on_the_wall_is_kept(diary: Diary) -> None:
    """On 1 November 2026 clocks in New York show 01:30 twice; an event that does not recur may be at the second."""
    first: Json = {"startTime": "2026-11-01T05:30:00Z", "endTime": "2026-11-01T06:00:00Z"}
    event = await diary.event(**first)
    later = (await diary.patch(event["id"], startTime="2026-11-01T06:30:00Z"))["event"]
    assert (later["startTime"], later["endTime"]) == ("2026-11-01T06:30:00.000Z", "2026-11-01T07:00:00.000Z")
    assert await diary.read(event["id"]) == later
    assert (await diary.shown("2026-11-01T06:30:00Z", "2026-11-01T06:31:00Z"))[0]["id"] == event["id"]
    titled = (await diary.patch(event["id"], title="Still there"))["event"]
    assert titled["startTime"] == later["startTime"]


async def test_whoever_read_an_older_version_does_not_write(diary: Diary) -> None:
    event = await diary.event()
    await diary.patch(event["id"], title="Another")
    for method, body in WRITES:
        answer = await diary.owner.client.request(
            method, path_of(event["id"]), json=body, headers={"If-Match": '"1-ABC"'}
        )
        assert refusal(answer) == (412, "precondition_failed")
    assert (await diary.read(event["id"]))["title"] == "Another"
    current = (await diary.owner.client.get(path_of(event["id"]))).headers["ETag"]
    answer = await diary.owner.client.delete(path_of(event["id"]), headers={"If-Match": current})
    assert answer.status_code == 204


async def test_a_replacement_gives_what_is_left_out_its_default(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    project = await diary.project()
    event = await diary.series(
        projectId=project["id"],
        attendeeIds=[str(ann.id)],
        description="Words",
        location="Room",
        showAs="OOO",
        visibility="PRIVATE",
        guestsCanInvite=True,
        reminders=[{"minutesBefore": 5}],
        exdate=["2026-03-09T09:00:00"],
    )
    answer = await diary.owner.client.put(path_of(event["id"]), json={**WHOLE, "workspaceId": diary.id})
    assert answer.status_code == 200, answer.text
    now = answer.json()["event"]
    gone = ("description", "location", "project", "rrule", "attendees", "reminders", "exdate", "guestsCanInvite")
    assert {name: now[name] for name in gone} == {
        "description": "",
        "location": "",
        "project": None,
        "rrule": None,
        "attendees": [],
        "reminders": [],
        "exdate": [],
        "guestsCanInvite": False,
    }
    assert (now["title"], now["type"], now["showAs"], now["visibility"]) == ("Another", "CALL", "BUSY", "DEFAULT")
    assert now["timeZone"] == "UTC", "that of the caller's settings"
    assert (now["id"], now["uid"], now["version"]) == (event["id"], event["uid"], 2)
    other = await diary.owner.client.put(path_of(event["id"]), json={**WHOLE, "workspaceId": str(uuid4())})
    assert refusal(other) == (422, "workspace_of_event_fixed")


async def test_another_holds_it(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann Archer")
    event = await diary.event()
    assert (await diary.patch(event["id"], organizerId=str(ann.id)))["event"]["organizer"]["name"] == "Ann Archer"
    assert (await diary.patch(event["id"], ann, title="Mine now"))["event"]["title"] == "Mine now"
    viewer = await diary.person(Role.VIEWER)
    answer = await diary.owner.client.patch(path_of(event["id"]), json={"organizerId": str(viewer.id)})
    assert refusal(answer) == (422, "organizer_cannot_see")


async def test_a_deleted_event_is_gone(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    event = await diary.series(attendeeIds=[str(ann.id)], reminders=[{"minutesBefore": 5}])
    await diary.patch(key(event["id"], SECOND), title="Another")
    assert (await diary.delete(event["id"])).status_code == 204
    for method, body in OF_AN_EVENT:
        answer = await diary.owner.client.request(method, path_of(event["id"]), json=body)
        assert refusal(answer) == (404, "event_not_found")
    assert await diary.shown("2026-03-01", "2026-06-01") == []
    told = [one for one in await diary.feed() if one["entityId"] == event["id"]]
    assert [(one["action"], one["version"]) for one in told] == [("created", 1), ("updated", 2), ("deleted", 3)]


# --- who -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "body"), OF_AN_EVENT, ids=NAMES)
async def test_a_stranger_finds_nothing(diary: Diary, client: httpx.AsyncClient, method: str, body: Any) -> None:
    event = await diary.event()
    stranger = await diary.new_person()
    anonymous = await client.request(method, path_of(event["id"]), json=body)
    assert refusal(anonymous) == (401, "unauthorized")
    for path in (path_of(event["id"]), path_of(str(uuid4())), path_of("nonsense"), path_of(key(event["id"], "2026"))):
        answer = await stranger.client.request(method, path, json=body)
        assert refusal(answer) == (404, "event_not_found"), path


async def test_the_calendar_of_others_is_not_there(diary: Diary, client: httpx.AsyncClient) -> None:
    stranger = await diary.new_person()
    asked = {"workspaceId": diary.id}
    assert refusal(await client.get("/api/calendar/events", params=asked)) == (401, "unauthorized")
    assert refusal(await client.post("/api/calendar/events", json=diary.body())) == (401, "unauthorized")
    listed = await stranger.client.get("/api/calendar/events", params=asked)
    assert refusal(listed) == (404, "workspace_not_found")
    assert refusal(await diary.post(stranger)) == (404, "workspace_not_found")
    assert (await diary.owner.client.get("/api/calendar/events")).status_code == 422
    elsewhere = await diary.post(projectId=str(uuid4()))
    assert elsewhere.status_code == 404


@pytest.mark.parametrize(
    ("role", "makes", "edits"),
    [(Role.VIEWER, False, False), (Role.MEMBER, True, False), (Role.ADMIN, True, True)],
)
async def test_who_may_make_and_change_events(diary: Diary, role: Role, makes: bool, edits: bool) -> None:
    somebody = await diary.person(role)
    event = await diary.event(attendeeIds=[str(somebody.id)])
    assert (await diary.post(somebody)).status_code == (201 if makes else 403)
    assert (await diary.read(event["id"], somebody))["title"] == event["title"]
    for method, body in WRITES:
        answer = await somebody.client.request(method, path_of(event["id"]), json=body)
        assert answer.status_code in ((200, 204) if edits else (403,)), (method, answer.text)
    if role is Role.MEMBER:
        answer = await somebody.client.patch(path_of(event["id"]), json={"title": "Mine"})
        assert refusal(answer) == (403, "event_not_yours")


async def test_a_guest_keeps_the_calendar_of_their_project_alone(diary: Diary) -> None:
    guest = await diary.person(Role.GUEST)
    project = await diary.project()
    await diary.put(project, guest, "MEMBER")
    ours = await diary.event(title="Of all")
    event = await diary.event(title="Of the project", projectId=project["id"])
    assert [one["title"] for one in await diary.shown("2026-03-01", "2026-04-01", guest)] == ["Of the project"]
    assert (await guest.client.get(path_of(ours["id"]))).status_code == 404
    assert (await diary.post(guest)).status_code == 403
    mine = await diary.event(guest, title="Mine", projectId=project["id"])
    assert (await diary.patch(mine["id"], guest, title="Still mine"))["event"]["title"] == "Still mine"
    assert (await guest.client.patch(path_of(event["id"]), json={"title": "Not mine"})).status_code == 403
    out = await guest.client.patch(path_of(mine["id"]), json={"projectId": None})
    assert out.status_code == 403, "they would not see it there"


# --- projects --------------------------------------------------------------------------------------------------


async def test_what_is_in_an_archived_project_is_read_alone(diary: Diary) -> None:
    project = await diary.project()
    event = await diary.event(projectId=project["id"])
    archived = await diary.owner.client.post(sites.path_of(project, "/archive"))
    assert archived.status_code == 200, archived.text
    assert (await diary.read(event["id"]))["allowedActions"] == []
    for method, body in WRITES:
        answer = await diary.owner.client.request(method, path_of(event["id"]), json=body)
        assert refusal(answer) == (409, "project_archived"), method
    assert refusal(await diary.post(projectId=project["id"])) == (409, "project_archived")
    free = await diary.event()
    answer = await diary.owner.client.patch(path_of(free["id"]), json={"projectId": project["id"]})
    assert refusal(answer) == (409, "project_archived")


async def test_what_is_in_a_deleted_project_is_not_there(diary: Diary) -> None:
    project = await diary.project()
    event = await diary.event(projectId=project["id"])
    gone = await diary.owner.client.delete(sites.path_of(project))
    assert gone.status_code in (200, 204), gone.text
    for method, body in OF_AN_EVENT:
        answer = await diary.owner.client.request(method, path_of(event["id"]), json=body)
        assert refusal(answer) == (404, "event_not_found"), method
    assert await diary.shown("2026-03-01", "2026-04-01") == []
    assert (await diary.post(projectId=project["id"])).status_code == 404


async def test_an_event_moves_between_projects_with_those_who_see_it_there(diary: Diary) -> None:
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    private = await diary.project(isPrivate=True)
    await diary.put(private, bob, "MEMBER")
    event = await diary.event(attendeeIds=[str(ann.id)])
    answer = await diary.owner.client.patch(path_of(event["id"]), json={"projectId": private["id"]})
    assert refusal(answer) == (422, "attendee_cannot_see")
    moved = (await diary.patch(event["id"], projectId=private["id"], attendeeIds=[]))["event"]
    assert moved["projectId"] == private["id"]
    assert (await ann.client.get(path_of(event["id"]))).status_code == 404
    assert [one["id"] for one in await diary.shown("2026-03-01", "2026-04-01", bob)] == [event["id"]]
    last = [one for one in await diary.feed(ann) if one["entityId"] == event["id"]][-1]
    assert last["action"] == "deleted", "for those who do not see it any more"
    back = (await diary.patch(event["id"], projectId=None))["event"]
    assert (back["projectId"], (await diary.read(event["id"], ann))["title"]) == (None, event["title"])
