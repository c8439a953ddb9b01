"""The agenda: events, tasks and projects in one order, as far as somebody sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Connection, event

from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, expand
from pm_api.domains.calendar import expanding
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, open_diary, refusal

MARCH: Final = {"start": "2026-03-01", "end": "2026-04-01", "tz": "America/New_York"}


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def ask(diary: Diary, by: Person | None = None, **query: Any) -> httpx.Response:
    asked = {"workspaceId": diary.id, **MARCH, **query}
    return await (by or diary.owner).client.get("/api/calendar/agenda", params=asked)


async def items(diary: Diary, by: Person | None = None, limit: int = 200, **query: Any) -> list[Json]:
    """All pages."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        answer = await ask(diary, by, limit=limit, **query, **cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()["items"]
        assert len(page) <= limit
        found += page
        if answer.json()["nextCursor"] is None:
            return found
        assert len(page) == limit
        cursor = {"cursor": answer.json()["nextCursor"]}


def told(found: list[Json]) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["title"], one["startTime"][:16]) for one in found]


async def task(diary: Diary, project: Json, title: str, by: Person | None = None, **fields: Any) -> Json:
    body = {"projectId": project["id"], "title": title, **fields}
    answer = await (by or diary.owner).client.post("/api/tasks", json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["task"]
    return made


@contextmanager
def counting(platform: Platform) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        found.append(statement)

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


# --- tasks and projects ---------------------------------------------------------------------------------------------


async def test_dates_of_tasks_and_projects_stand_where_they_are(diary: Diary) -> None:
    project = await diary.project(name="Relaunch", startsOn="2026-03-02", dueOn="2026-03-31")
    await task(diary, project, "Days", startOn="2026-03-03", dueOn="2026-03-06")
    await task(diary, project, "Moments", startAt="2026-03-03T09:00:00-05:00", dueAt="2026-03-09T17:00:00-04:00")
    await task(diary, project, "Never")
    found = await items(diary)
    assert told(found) == [
        ("PROJECT_START", "Relaunch", "2026-03-02T05:00"),
        ("TASK_START", "Days", "2026-03-03T05:00"),
        ("TASK_START", "Moments", "2026-03-03T14:00"),
        ("TASK_DUE", "Days", "2026-03-06T05:00"),
        ("TASK_DUE", "Moments", "2026-03-09T21:00"),
        ("PROJECT_DUE", "Relaunch", "2026-03-31T04:00"),
    ]
    by_day, moment = found[1], found[2]
    assert (by_day["allDay"], by_day["startDate"], by_day["endDate"]) == (True, "2026-03-03", "2026-03-04")
    assert by_day["endTime"] == "2026-03-04T05:00:00.000Z"
    assert (moment["allDay"], moment["startDate"], moment["endTime"]) == (False, None, moment["startTime"])
    assert by_day["task"]["title"] == "Days"
    assert by_day["version"] == by_day["task"]["version"]
    assert by_day["allowedActions"] == by_day["task"]["allowedActions"] != []
    assert by_day["projectId"] == project["id"]
    ends = found[-1]
    assert (ends["project"]["key"], ends["version"]) == (project["key"], project["version"])
    assert "update" in ends["allowedActions"]


async def test_days_lie_where_the_caller_is(diary: Diary) -> None:
    project = await diary.project()
    await task(diary, project, "Due", dueOn="2026-03-08")
    [there] = await items(diary)
    assert (there["startTime"], there["endTime"]) == ("2026-03-08T05:00:00.000Z", "2026-03-09T04:00:00.000Z")
    [in_tokyo] = await items(diary, tz="Asia/Tokyo")
    assert in_tokyo["startTime"] == "2026-03-07T15:00:00.000Z"
    for start, end, inside in (
        ("2026-03-08T03:00:00Z", "2026-03-08T05:00:00Z", False),
        ("2026-03-08T03:00:00Z", "2026-03-08T05:00:01Z", True),
        ("2026-03-09T03:59:59Z", "2026-03-09T10:00:00Z", True),
        ("2026-03-09T04:00:00Z", "2026-03-09T10:00:00Z", False),
    ):
        assert bool(await items(diary, start=start, end=end)) is inside, (start, end)
    member = await diary.person(Role.MEMBER, timeZone="Asia/Tokyo")
    asked = {"workspaceId": diary.id, "start": "2026-03-01", "end": "2026-04-01"}
    own = (await member.client.get("/api/calendar/agenda", params=asked)).json()
    assert (own["timeZone"], own["items"][0]["startTime"]) == ("Asia/Tokyo", "2026-03-07T15:00:00.000Z")


@pytest.mark.parametrize(("at", "inside"), [("2026-03-09T21:00:00Z", True), ("2026-03-09T22:00:00Z", False)])
async def test_a_moment_is_in_from_the_start_on(diary: Diary, at: str, inside: bool) -> None:
    await task(diary, await diary.project(), "Due", dueAt=at, startAt="2026-03-09T20:59:59Z")
    found = await items(diary, start="2026-03-09T21:00:00Z", end="2026-03-09T22:00:00Z")
    assert bool(found) is inside


async def test_pages_hold_everything_once(diary: Diary) -> None:
    """Many at one moment: the midnight of a day that is also a moment, of every kind."""
    for name in ("One", "Two", "Three"):
        project = await diary.project(name=name, startsOn="2026-03-08", dueOn="2026-03-09")
        for number in range(3):
            await task(diary, project, f"{name} {number}", startOn="2026-03-08", dueAt="2026-03-08T05:00:00Z")
            await task(diary, project, f"{name} {number}", startAt="2026-03-09T04:00:00Z", dueOn="2026-03-09")
    whole = await items(diary)
    assert len(whole) == 6 + 2 * 18
    assert whole == sorted(whole, key=lambda one: (one["startTime"], one["kind"], one["id"]))
    assert len({(one["kind"], one["id"]) for one in whole}) == len(whole)
    for limit in (1, 2, 3, 7):
        assert await items(diary, limit=limit) == whole, limit


async def test_kinds_and_projects_are_chosen(diary: Diary) -> None:
    one = await diary.project(name="One", dueOn="2026-03-10")
    other = await diary.project(name="Other", dueOn="2026-03-11")
    await task(diary, one, "Here", startOn="2026-03-05", dueOn="2026-03-06")
    await task(diary, other, "There", dueOn="2026-03-06")
    assert [each["title"] for each in await items(diary, projectId=one["id"])] == ["Here", "Here", "One"]
    assert [each["title"] for each in await items(diary, types=["PROJECT_DUE"])] == ["One", "Other"]
    chosen = await items(diary, types=["TASK_START", "PROJECT_DUE"], projectId=other["id"])
    assert [each["title"] for each in chosen] == ["Other"]


async def test_what_is_gone_is_not_there(diary: Diary) -> None:
    project = await diary.project(name="Gone", dueOn="2026-03-10")
    made = await task(diary, project, "Gone too", dueOn="2026-03-06")
    template = await diary.project(name="Template", dueOn="2026-03-10", isTemplate=True)
    await task(diary, template, "Of a template", dueOn="2026-03-06")
    assert [one["title"] for one in await items(diary)] == ["Gone too", "Gone"]
    await diary.owner.client.delete(f"/api/tasks/{made['id']}")
    assert [one["title"] for one in await items(diary)] == ["Gone"]
    await diary.owner.client.delete(f"/api/projects/{project['id']}")
    assert await items(diary) == []


async def test_who_does_not_see_a_project_sees_nothing_of_it(diary: Diary) -> None:
    hidden = await diary.project(name="Hidden", isPrivate=True, dueOn="2026-03-10")
    await task(diary, hidden, "Secret", dueOn="2026-03-06")
    opened = await diary.project(name="Open", dueOn="2026-03-12")
    member, guest = await diary.person(Role.MEMBER), await diary.person(Role.GUEST)
    assert [one["title"] for one in await items(diary, member)] == ["Open"]
    assert await items(diary, guest) == []
    assert refusal(await ask(diary, member, projectId=hidden["id"])) == (404, "not_found")
    assert refusal(await ask(diary, guest, projectId=opened["id"]))[0] == 404
    await diary.put(hidden, guest, "VIEWER")
    assert [one["title"] for one in await items(diary, guest)] == ["Secret", "Hidden"]
    assert all(one["allowedActions"] == [] for one in await items(diary, guest))


async def test_a_key_sees_what_it_may_read(diary: Diary) -> None:
    project = await diary.project(name="Relaunch", dueOn="2026-03-10")
    await task(diary, project, "Task", dueOn="2026-03-06")
    for scopes, seen in (
        (["calendar:read"], []),
        (["calendar:read", "task:read"], ["Task"]),
        (["calendar:read", "task:read", "project:read"], ["Task", "Relaunch"]),
    ):
        made = await diary.owner.client.post(
            "/api/api-keys", json={"name": "Reader", "workspaceId": diary.id, "scopes": scopes}
        )
        assert made.status_code == 201, made.text
        answer = await diary.owner.client.get(
            "/api/calendar/agenda",
            params={"workspaceId": diary.id, **MARCH},
            headers={"Authorization": f"Bearer {made.json()['token']}"},
        )
        assert answer.status_code == 200, answer.text
        assert [one["title"] for one in answer.json()["items"]] == seen


# --- events ---------------------------------------------------------------------------------------------------------


async def test_events_stand_among_them(diary: Diary) -> None:
    project = await diary.project(name="Relaunch", dueOn="2026-03-16")
    await task(diary, project, "Report", dueOn="2026-03-09")
    weekly = await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=3", projectId=project["id"])
    await diary.event(title="Day off", startTime="2026-03-09", endTime="2026-03-10", allDay=True, type="REMINDER")
    found = await items(diary)
    assert told(found) == [
        ("EVENT", "Standup", "2026-03-02T14:00"),
        ("EVENT", "Day off", "2026-03-09T04:00"),
        ("TASK_DUE", "Report", "2026-03-09T04:00"),
        ("EVENT", "Standup", "2026-03-09T13:00"),
        ("PROJECT_DUE", "Relaunch", "2026-03-16T04:00"),
        ("EVENT", "Standup", "2026-03-16T13:00"),
    ]
    assert found[0]["id"] == f"{weekly['id']}_20260302T140000Z" == found[0]["event"]["id"]
    assert found[0]["version"] == weekly["version"]
    assert "update" in found[0]["allowedActions"]
    for limit in (1, 2, 4):
        assert await items(diary, limit=limit) == found
    assert [one["title"] for one in await items(diary, types=["EVENT"], projectId=project["id"])] == ["Standup"] * 3
    shown = await diary.shown("2026-03-01", "2026-04-01", tz="America/New_York")
    assert [one["event"] for one in await items(diary, types=["EVENT"])] == shown


async def test_what_began_before_is_there_once_over_all_pages(diary: Diary) -> None:
    await diary.event(title="Long", startTime="2026-02-20T09:00:00Z", endTime="2026-03-20T09:00:00Z")
    await diary.event(title="Longer", startTime="2026-02-10T09:00:00Z", endTime="2026-03-20T09:00:00Z")
    await diary.event(title="Instant", startTime="2026-03-01T05:00:00Z", endTime="2026-03-01T05:00:00Z")
    project = await diary.project()
    await task(diary, project, "Due", dueOn="2026-03-01")
    for limit in (1, 2, 3, 200):
        found = await items(diary, limit=limit)
        assert [one["title"] for one in found] == ["Longer", "Long", "Instant", "Due"]


async def test_a_private_event_is_busy(diary: Diary) -> None:
    admin = await diary.person(Role.ADMIN)
    await diary.event(title="Doctor", visibility="PRIVATE", description="knee")
    [own] = await items(diary)
    assert own["title"] == "Doctor"
    [masked] = await items(diary, admin)
    assert (masked["title"], masked["allowedActions"], masked["projectId"]) == ("Busy", [], None)
    assert masked["event"]["isMasked"] is True
    assert "knee" not in str(masked)


async def test_a_page_costs_the_same_number_of_queries(diary: Diary, platform: Platform) -> None:
    project = await diary.project(name="Relaunch", dueOn="2026-03-10")
    await task(diary, project, "Task", dueOn="2026-03-06")
    await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=3")
    with counting(platform) as few:
        assert len(await items(diary)) == 5
    for number in range(8):
        other = await diary.project(name=f"Project {number}", startsOn="2026-03-03", dueOn="2026-03-20")
        await task(diary, other, "Task", startOn="2026-03-04", dueAt="2026-03-06T10:00:00Z")
        await diary.series(rrule="FREQ=DAILY;COUNT=3", title=f"Daily {number}")
    with counting(platform) as many:
        assert len(await items(diary)) == 5 + 8 * 7
    assert len(many) == len(few)


async def test_a_page_lays_out_what_is_on_it_not_the_year_around(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await diary.series(rrule="FREQ=DAILY", title=f"Daily {number}")
    laid: list[int] = []

    def counted(*arguments: Any, **named: Any) -> list[Occurrence]:
        found = expand(*arguments, **named)
        laid.append(len(found))
        return found

    monkeypatch.setattr(expanding, "expand", counted)
    year: Json = {"start": "2026-03-01", "end": "2027-04-04"}
    page = (await ask(diary, **year, limit=5)).json()
    assert len(page["items"]) == 5
    following = (await ask(diary, **year, limit=5, cursor=page["nextCursor"])).json()
    assert following["items"][0]["startTime"] == "2026-03-03T14:00:00.000Z"
    assert 10 <= sum(laid) < 100, "not over a thousand"


# --- what is refused ------------------------------------------------------------------------------------------------


async def test_who_may_not_is_refused(diary: Diary, client: httpx.AsyncClient, new_person: NewPerson) -> None:
    assert (await client.get("/api/calendar/agenda", params={"workspaceId": diary.id, **MARCH})).status_code == 401
    assert refusal(await ask(diary, await new_person()))[0] == 404
    assert refusal(await ask(diary, workspaceId="00000000-0000-7000-8000-000000000000"))[0] == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"start": "2026-03-01", "end": "2027-04-06"}, "time_range_refused"),
        ({"start": "2026-03-01", "end": "2026-03-01"}, "time_range_refused"),
        ({"tz": "Mars/Olympus"}, "time_zone_unknown"),
        ({"start": "soon"}, "validation_failed"),
        ({"start": "1772323200"}, "validation_failed"),
        ({"end": "2026-03-01T09:00:00"}, "validation_failed"),
        ({"types": "SERMON"}, "validation_failed"),
        ({"cursor": "made-up"}, "invalid_cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused(diary: Diary, query: Json, code: str) -> None:
    assert refusal(await ask(diary, **query)) == (422, code)


async def test_a_cursor_is_of_its_own_question(diary: Diary) -> None:
    project = await diary.project()
    for number in range(3):
        await task(diary, project, "Due", dueOn=f"2026-03-0{number + 1}")
    cursor = (await ask(diary, limit=1)).json()["nextCursor"]
    assert (await ask(diary, limit=1, cursor=cursor)).status_code == 200
    for other in ({"tz": "UTC"}, {"end": "2026-03-30"}, {"types": "TASK_DUE"}, {"projectId": project["id"]}):
        assert refusal(await ask(diary, limit=1, cursor=cursor, **other)) == (422, "invalid_cursor")
