"""Rooms themselves, over HTTP."""

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.halls import Hall, Json, open_hall, refusal, room_path

RESOURCES = "/api/calendar/resources"


@pytest.fixture
async def hall(platform: Platform, new_person: NewPerson) -> Hall:
    return await open_hall(platform, new_person)


def body(hall: Hall, **fields: object) -> Json:
    return {"workspaceId": hall.id, "name": "Room 4", **fields}


async def test_a_room_is_made_read_changed_and_deleted(hall: Hall) -> None:
    answer = await hall.owner.client.post(
        RESOURCES, json=body(hall, capacity=12, timeZone="Europe/Berlin", location="Left")
    )
    assert answer.status_code == 201
    room = answer.json()["resource"]
    assert answer.headers["Location"] == room_path(room)
    assert answer.headers["ETag"] == '"1"'
    assert (room["capacity"], room["timeZone"], room["location"], room["isActive"]) == (
        12,
        "Europe/Berlin",
        "Left",
        True,
    )
    read = await hall.owner.client.get(room_path(room))
    assert read.json()["resource"] == room
    same = await hall.owner.client.get(room_path(room), headers={"If-None-Match": read.headers["ETag"]})
    assert same.status_code == 304
    changed = await hall.owner.client.patch(room_path(room), json={"capacity": None, "name": "Room 5"})
    assert (changed.json()["resource"]["capacity"], changed.json()["resource"]["version"]) == (None, 2)
    stale = await hall.owner.client.patch(room_path(room), json={"name": "Six"}, headers={"If-Match": '"1"'})
    assert refusal(stale)[0] == 412
    assert (await hall.owner.client.delete(room_path(room), headers={"If-Match": '"1"'})).status_code == 412
    assert (await hall.owner.client.delete(room_path(room), headers={"If-Match": '"2"'})).status_code == 204
    assert refusal(await hall.owner.client.get(room_path(room))) == (404, "not_found")
    told = [(one["entity"], one["action"]) for one in await hall.feed()]
    assert [one for one in told if one[0] == "calendar_resource"] == [
        ("calendar_resource", action) for action in ("created", "updated", "deleted")
    ]


async def test_a_zone_left_out_is_the_callers(hall: Hall) -> None:
    admin = await hall.person(Role.ADMIN, timeZone="Asia/Tokyo")
    answer = await admin.client.post(RESOURCES, json=body(hall))
    assert answer.json()["resource"]["timeZone"] == "Asia/Tokyo"


async def test_a_name_is_had_once(hall: Hall) -> None:
    room, other = await hall.room("One"), await hall.room("Two")
    assert refusal(await hall.owner.client.post(RESOURCES, json=body(hall, name="oNE"))) == (409, "resource_exists")
    assert refusal(await hall.owner.client.patch(room_path(other), json={"name": "One"})) == (409, "resource_exists")
    assert (await hall.owner.client.patch(room_path(room), json={"name": "One"})).status_code == 200
    elsewhere = await open_hall(hall.platform, hall.new_person)
    await elsewhere.room("One")


async def test_the_list_is_walked_by_pages(hall: Hall) -> None:
    made = [(await hall.room(f"Room {number}", isActive=number % 2 == 0))["id"] for number in range(5)]

    async def walk(**query: object) -> list[str]:
        found: list[str] = []
        cursor: Json = {}
        while True:
            asked = {"workspaceId": hall.id, "limit": 2, **query, **cursor}
            answer = await hall.owner.client.get(RESOURCES, params=asked)
            assert answer.status_code == 200, answer.text
            found += [one["id"] for one in answer.json()["resources"]]
            if answer.json()["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json()["nextCursor"]}

    assert await walk() == made
    assert await walk(active="true") == made[::2]
    assert await walk(active="false") == made[1::2]
    first = await hall.owner.client.get(RESOURCES, params={"workspaceId": hall.id, "limit": 2})
    query = {"workspaceId": hall.id, "active": "true", "cursor": first.json()["nextCursor"]}
    assert refusal(await hall.owner.client.get(RESOURCES, params=query)) == (422, "invalid_cursor")


async def test_a_booked_room_is_not_deleted_unless_it_is_said(hall: Hall) -> None:
    ann, room = await hall.person(Role.MEMBER, name="Ann"), await hall.room()
    made = await hall.booked(room, at=(9, 10), by=ann, title="Planning")
    answer = await hall.owner.client.delete(room_path(room))
    assert refusal(answer) == (409, "resource_booked")
    assert "One event has the room" in answer.json()["detail"]
    assert "?unbook=true" in answer.json()["detail"]
    assert (await hall.owner.client.delete(room_path(room), params={"unbook": "true"})).status_code == 204
    left = await hall.read(made["id"])
    assert left["resources"] == []
    assert left["version"] == made["version"] + 1
    told = (await ann.client.get("/api/notifications")).json()["notifications"]
    [note] = [one for one in told if one["type"] == "calendar.room_lost"]
    assert "• Planning" in note["body"]
    assert ("calendar_event", "updated") in [(one["entity"], one["action"]) for one in await hall.feed()]


async def test_what_is_over_keeps_nobody_from_deleting(hall: Hall) -> None:
    room = await hall.room()
    await hall.event(startTime="2026-01-01T09:00:00Z", endTime="2026-01-01T10:00:00Z", resourceIds=[room["id"]])
    assert (await hall.owner.client.delete(room_path(room))).status_code == 204


async def test_a_room_out_of_use_keeps_what_is_booked(hall: Hall) -> None:
    room = await hall.room()
    made = await hall.booked(room, at=(9, 10))
    await hall.owner.client.patch(room_path(room), json={"isActive": False})
    await hall.patch(made["id"], startTime="2027-03-01T11:00:00Z", endTime="2027-03-01T12:00:00Z")
    assert await hall.busy_room(room) == ["11:00-12:00 BUSY"]
    assert refusal(await hall.book(room, at=(15, 16))) == (422, "invalid_resources")


async def test_the_zone_stays_while_whole_days_lie_by_it(hall: Hall) -> None:
    room = await hall.room()
    made = await hall.event(startTime="2027-03-02", endTime="2027-03-03", allDay=True, resourceIds=[room["id"]])
    answer = await hall.owner.client.patch(room_path(room), json={"timeZone": "Asia/Tokyo"})
    assert refusal(answer) == (409, "resource_booked")
    await hall.delete(made["id"])
    assert (await hall.owner.client.patch(room_path(room), json={"timeZone": "Asia/Tokyo"})).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"name": ""}, "validation_failed"),
        ({"capacity": 0}, "validation_failed"),
        ({"capacity": "12"}, "validation_failed"),
        ({"isActive": "yes"}, "validation_failed"),
        ({"beamer": True}, "validation_failed"),
        ({"timeZone": "Mars/Olympus"}, "time_zone_unknown"),
    ],
)
async def test_what_no_room_may_be(hall: Hall, wrong: Json, code: str) -> None:
    assert refusal(await hall.owner.client.post(RESOURCES, json=body(hall, **wrong))) == (422, code)
    room = await hall.room("Another")
    assert refusal(await hall.owner.client.patch(room_path(room), json=wrong)) == (422, code)


async def test_the_gates(hall: Hall, client: httpx.AsyncClient, new_person: NewPerson) -> None:
    room, stranger, member = await hall.room(), await new_person(), await hall.person(Role.MEMBER)
    listing = {"workspaceId": hall.id}
    assert (await client.get(RESOURCES, params=listing)).status_code == 401
    assert refusal(await stranger.client.get(RESOURCES, params=listing)) == (404, "workspace_not_found")
    assert refusal(await stranger.client.post(RESOURCES, json=body(hall))) == (404, "workspace_not_found")
    for method in ("get", "patch", "delete"):
        fields = {"json": {"name": "Mine"}} if method == "patch" else {}
        assert (await getattr(client, method)(room_path(room), **fields)).status_code == 401
        assert (await getattr(stranger.client, method)(room_path(room), **fields)).status_code == 404
        answer = await getattr(member.client, method)(room_path(room), **fields)
        assert answer.status_code == (200 if method == "get" else 403)
    assert refusal(await member.client.post(RESOURCES, json=body(hall)))[0] == 403
    for role in (Role.VIEWER, Role.GUEST):
        person = await hall.person(role)
        assert (await person.client.get(RESOURCES, params=listing)).status_code == 200
        assert (await person.client.get(room_path(room))).status_code == 200
