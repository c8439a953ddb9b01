"""What is private is Busy to others, administrators too; and nothing tells them more."""

from typing import Any

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal

SECOND = "20260309T130000Z"
SECRET = "Talk about the merger"
MARCH = ("2026-03-01", "2026-03-20")
HIDDEN: Json = {
    "title": "Busy",
    "description": "",
    "location": "",
    "uid": "",
    "project": None,
    "projectId": None,
    "organizer": None,
    "creator": None,
    "attendees": [],
    "myResponse": None,
    "rrule": None,
    "rdate": [],
    "exdate": [],
    "recurrenceText": None,
    "resources": [],
    "reminders": [],
    "previousSeriesId": None,
    "guestsCanInvite": False,
    "allowedActions": [],
    "isMasked": True,
}


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def a_secret(diary: Diary, by: Person | None = None, **fields: Any) -> Json:
    facts = {"title": SECRET, "description": "Of which nobody knows", "location": "Room 13", "guestsCanInvite": True}
    return await diary.series(by, **{"visibility": "PRIVATE", **facts, **fields})


@pytest.mark.parametrize("visibility", ["PRIVATE", "CONFIDENTIAL"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER, Role.ADMIN])
async def test_others_see_busy(diary: Diary, visibility: str, role: Role) -> None:
    ann, other = await diary.person(Role.MEMBER, name="Ann Archer"), await diary.person(role)
    project = await diary.project()
    series = await a_secret(diary, visibility=visibility, projectId=project["id"], attendeeIds=[str(ann.id)])
    await diary.patch(key(series["id"], SECOND), title="Another secret", location="Room 14")
    shown = [
        await diary.read(series["id"], other),
        await diary.read(key(series["id"], SECOND), other),
        *await diary.shown(*MARCH, other),
    ]
    listed = await other.client.get("/api/calendar/events", params={"workspaceId": diary.id})
    shown += listed.json()["events"]
    assert len(shown) == 6
    for one in shown:
        assert {name: one[name] for name in HIDDEN} == HIDDEN
        assert (one["workspaceId"], one["visibility"], one["showAs"]) == (diary.id, visibility, "BUSY")
        text = str(one)
        assert all(word not in text for word in ("ecret", "merger", "Archer", "Room", "FREQ", str(ann.id)))
    assert shown[1]["startTime"] == "2026-03-09T13:00:00.000Z", "when it is, is what they see"
    for reader in (diary.owner, ann):
        assert (await diary.read(series["id"], reader))["title"] == SECRET


@pytest.mark.parametrize("role", [Role.MEMBER, Role.ADMIN])
async def test_what_is_masked_is_changed_by_nobody_else(diary: Diary, role: Role) -> None:
    other = await diary.person(role)
    series = await a_secret(diary)
    for name in (series["id"], key(series["id"], SECOND)):
        for method, body in (("PATCH", {"title": "Known"}), ("DELETE", None)):
            answer = await other.client.request(method, path_of(name), json=body)
            assert refusal(answer) == (403, "event_not_yours")
            dry = await other.client.request(method, path_of(name), json=body, params={"dryRun": "true"})
            assert refusal(dry) == (403, "event_not_yours")
            assert "merger" not in dry.text


async def test_filters_tell_nothing_of_what_is_masked(diary: Diary) -> None:
    ann, other = await diary.person(Role.MEMBER), await diary.person(Role.ADMIN)
    project = await diary.project()
    await a_secret(diary, projectId=project["id"], attendeeIds=[str(ann.id)])
    by = {"projectId": project["id"]}, {"attendeeId": str(ann.id)}
    for query in by:
        for dates in ({"start": MARCH[0], "end": MARCH[1]}, {}):
            asked = {"workspaceId": diary.id, **dates, **query}
            answer = await other.client.get("/api/calendar/events", params=asked)
            assert answer.json()["events"] == []
            answer = await ann.client.get("/api/calendar/events", params=asked)
            assert answer.json()["events"] != []


async def test_a_guest_of_one_occurrence_sees_that_one(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    series = await a_secret(diary)
    await diary.patch(key(series["id"], SECOND), attendeeIds=[str(ann.id)])
    assert [one["title"] for one in await diary.shown(*MARCH, ann)] == ["Busy", SECRET, "Busy"]
    assert (await diary.read(series["id"], ann))["title"] == "Busy"


async def test_what_becomes_private_has_another_tag(diary: Diary) -> None:
    """The version is one for all; what each sees of it is not."""
    other = await diary.person(Role.MEMBER)
    event = await diary.event(title=SECRET)
    seen = await other.client.get(path_of(event["id"]))
    await diary.patch(event["id"], visibility="PRIVATE")
    again = await other.client.get(path_of(event["id"]), headers={"If-None-Match": seen.headers["ETag"]})
    assert again.status_code == 200
    assert again.json()["event"]["title"] == "Busy"
    hers = await diary.owner.client.get(path_of(event["id"]))
    assert hers.headers["ETag"] != again.headers["ETag"]


async def test_who_is_let_out_of_a_project_sees_its_events_no_more(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    project = await diary.project(isPrivate=True)
    await diary.put(project, ann, "MEMBER")
    event = await diary.event(projectId=project["id"])
    assert (await diary.read(event["id"], ann))["title"] == "Standup"
    gone = await diary.owner.client.delete(f"/api/projects/{project['id']}/members/{ann.id}")
    assert gone.status_code in (200, 204), gone.text
    assert refusal(await ann.client.get(path_of(event["id"]))) == (404, "event_not_found")
    assert await diary.shown(*MARCH, ann) == []
    listed = await ann.client.get(
        "/api/calendar/events", params={"workspaceId": diary.id, "projectId": project["id"]}
    )
    assert listed.status_code == 404


async def test_a_key_that_reads_writes_nothing(diary: Diary) -> None:
    event = await diary.event()

    async def with_key(scope: str, method: str, body: Json | None = None) -> tuple[int, str | None]:
        made = await diary.owner.client.post(
            "/api/api-keys", json={"name": scope, "scopes": [scope], "workspaceId": diary.id}
        )
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        answer = await diary.owner.client.request(method, path_of(event["id"]), json=body, headers=headers)
        return answer.status_code, answer.json().get("code")

    assert await with_key("calendar:read", "GET") == (200, None)
    assert await with_key("calendar:read", "PATCH", {"title": "No"}) == (403, "insufficient_scope")
    assert await with_key("task:read", "GET") == (403, "insufficient_scope")
    assert await with_key("calendar:write", "PATCH", {"title": "Yes"}) == (200, None)


async def test_who_is_invited_to_one_occurrence_sees_and_writes_that_one_alone(diary: Diary) -> None:
    """An administrator too; and what it meets tells no more of the others."""
    ann = await diary.person(Role.ADMIN)
    series = await a_secret(diary)
    second, third = key(series["id"], SECOND), key(series["id"], "20260316T130000Z")
    await diary.patch(second, attendeeIds=[str(ann.id)])
    assert (await diary.read(second, ann))["title"] == SECRET
    assert {one["title"] for one in (await diary.read(third, ann), await diary.read(series["id"], ann))} == {"Busy"}
    for name, query in (
        (series["id"], {}),
        (third, {}),
        (second, {"scope": "all"}),
        (second, {"scope": "following"}),
    ):
        answer = await ann.client.patch(path_of(name), params=query, json={"location": "Elsewhere"})
        assert refusal(answer) == (403, "event_not_yours")
        assert refusal(await ann.client.delete(path_of(name), params=query)) == (403, "event_not_yours")
        item = {"action": "update", "id": name, "change": {"location": "Elsewhere"}, **query}
        answer = await ann.client.post("/api/calendar/events/bulk", json={"workspaceId": diary.id, "items": [item]})
        assert answer.status_code == 403
    assert (await diary.patch(second, ann, location="Elsewhere"))["event"]["location"] == "Elsewhere"
    met = []
    for day in ("2026-03-09", "2026-03-16"):
        times = {"startTime": f"{day}T13:00:00Z", "endTime": f"{day}T14:00:00Z"}
        people = {"attendeeIds": [str(diary.owner.id)], "conflictPolicy": "WARN"}
        answer = await diary.post(ann, **times, **people)
        met.append([(one["title"], one["eventId"]) for one in answer.json()["conflicts"] if one["userId"]])
    assert (SECRET, second) in met[0]
    assert met[1] == [("Busy", None)]
