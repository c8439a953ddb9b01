"""Whose time is taken, over HTTP."""

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.halls import Hall, Json, hours, open_hall, refusal

WEEKLY = "FREQ=WEEKLY;BYDAY=MO"


@pytest.fixture
async def hall(platform: Platform, new_person: NewPerson) -> Hall:
    return await open_hall(platform, new_person)


@pytest.fixture
async def bea(hall: Hall) -> Person:
    return await hall.person(Role.MEMBER, name="Bea")


async def test_who_holds_is_busy_who_has_not_answered_tentative_and_who_declined_free(
    hall: Hall, bea: Person
) -> None:
    made = await hall.meeting(bea, at=(9, 10))
    assert await hall.busy(hall.owner) == ["09:00-10:00 BUSY"]
    assert await hall.busy(bea) == ["09:00-10:00 TENTATIVE"]
    for response, wanted in (
        ("TENTATIVE", ["09:00-10:00 TENTATIVE"]),
        ("ACCEPTED", ["09:00-10:00 BUSY"]),
        ("DECLINED", []),
    ):
        await hall.respond(bea, made["id"], response)
        assert await hall.busy(bea) == wanted


async def test_what_overlaps_is_put_together_and_the_strongest_holds(hall: Hall) -> None:
    await hall.event(**hours(9, 11))
    await hall.event(**hours(10, 12))
    await hall.event(**hours(12, 13))
    await hall.event(**hours(8, 18), showAs="TENTATIVE")
    await hall.event(**hours(16, 20), showAs="OOO")
    await hall.event(**hours(21, 22), showAs="FREE")
    await hall.event(**hours(23, 24), type="REMINDER")
    assert await hall.busy(hall.owner) == [
        "08:00-09:00 TENTATIVE",
        "09:00-13:00 BUSY",
        "13:00-16:00 TENTATIVE",
        "16:00-20:00 OOO",
    ]
    cut = await hall.busy(hall.owner, start="2027-03-01T09:30:00Z", end="2027-03-01T13:00:00Z")
    assert cut == ["09:30-13:00 BUSY"]
    assert await hall.busy(hall.owner, start="2027-03-01T20:00:00Z", end="2027-03-01T21:00:00Z") == []


async def test_series_count_by_occurrence_moved_and_cancelled_ones_where_they_are(hall: Hall) -> None:
    made = await hall.event(**hours(9, 10), rrule=WEEKLY)
    second, third = (f"{made['id']}_202703{day}T090000Z" for day in ("08", "15"))
    await hall.patch(second, startTime="2027-03-09T15:00:00Z", endTime="2027-03-09T16:30:00Z")
    await hall.delete(third, scope="this")
    found = await hall.busy(hall.owner, end="2027-03-29T00:00:00Z")
    assert found == ["09:00-10:00 BUSY", "03-09 15:00-03-09 16:30 BUSY", "03-22 09:00-03-22 10:00 BUSY"]


async def test_answers_and_what_it_is_to_the_time_count_by_occurrence(hall: Hall, bea: Person) -> None:
    made = await hall.meeting(bea, at=(9, 10), rrule=WEEKLY)
    await hall.respond(bea, made["id"], "ACCEPTED")
    await hall.respond(bea, f"{made['id']}_20270308T090000Z", "DECLINED")
    await hall.patch(f"{made['id']}_20270315T090000Z", query={"scope": "this"}, showAs="FREE")
    span = {"end": "2027-03-23T00:00:00Z"}
    assert await hall.busy(bea, **span) == ["09:00-10:00 BUSY", "03-22 09:00-03-22 10:00 BUSY"]
    assert await hall.busy(hall.owner, **span) == [
        "09:00-10:00 BUSY",
        "03-08 09:00-03-08 10:00 BUSY",
        "03-22 09:00-03-22 10:00 BUSY",
    ]


async def test_a_day_is_the_day_of_each_persons_own_zone(hall: Hall) -> None:
    anna = await hall.person(Role.MEMBER, name="Anna", timeZone="Pacific/Auckland")
    carl = await hall.person(Role.MEMBER, name="Carl", timeZone="America/New_York")
    made = await hall.event(
        startTime="2027-03-02", endTime="2027-03-03", allDay=True, attendeeIds=[str(anna.id), str(carl.id)]
    )
    for one in (anna, carl):
        await hall.respond(one, made["id"], "ACCEPTED")
    span = {"start": "2027-03-01T00:00:00Z", "end": "2027-03-05T00:00:00Z"}
    assert await hall.busy(anna, **span) == ["11:00-03-02 11:00 BUSY"]
    assert await hall.busy(carl, **span) == ["03-02 05:00-03-03 05:00 BUSY"]


async def test_who_cannot_be_told_of_fails_nobody_else(hall: Hall, bea: Person, new_person: NewPerson) -> None:
    stranger = await new_person()
    await hall.event(**hours(9, 10))
    found = await hall.free_busy(stranger, hall.owner, bea)
    assert [one["userId"] for one in found["people"]] == [str(one.id) for one in (stranger, hall.owner, bea)]
    assert [[error["code"] for error in one["errors"]] for one in found["people"]] == [["person_not_found"], [], []]
    assert [len(one["busy"]) for one in found["people"]] == [0, 1, 0]
    [room] = (await hall.free_busy(rooms=({"id": str(stranger.id)},)))["resources"]
    assert [error["code"] for error in room["errors"]] == ["resource_not_found"]


async def test_what_is_out_of_sight_takes_time_and_tells_nothing_else(hall: Hall, bea: Person) -> None:
    project = await hall.project(isPrivate=True)
    await hall.event(**hours(9, 10), title="Secret plans", projectId=project["id"])
    await hall.event(**hours(11, 12), title="Doctor", visibility="PRIVATE")
    found = await hall.free_busy(hall.owner, by=bea)
    assert [one["start"][11:16] for one in found["people"][0]["busy"]] == ["09:00", "11:00"]
    assert "Secret" not in str(found)
    assert "Doctor" not in str(found)
    assert set(found["people"][0]) == {"userId", "busy", "errors"}
    assert set(found["people"][0]["busy"][0]) == {"start", "end", "status"}
    await hall.owner.client.delete(f"/api/projects/{project['id']}")
    found = await hall.free_busy(hall.owner, by=bea)
    assert [one["start"][11:16] for one in found["people"][0]["busy"]] == ["11:00"], "its project was deleted"


async def test_a_guest_asks_for_those_of_their_projects(hall: Hall, bea: Person) -> None:
    guest = await hall.person(Role.GUEST)
    project = await hall.project(isPrivate=True)
    await hall.put(project, guest, "MEMBER")
    await hall.event(**hours(9, 10))
    found = await hall.free_busy(hall.owner, bea, guest, by=guest)
    assert [[error["code"] for error in one["errors"]] for one in found["people"]] == [[], ["person_not_found"], []]
    assert len(found["people"][0]["busy"]) == 1


async def test_a_dense_series_and_a_long_event_are_told_too(hall: Hall) -> None:
    dense = "FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE=0,15,30,45"
    await hall.event(**hours(0, 0.25), rrule=dense)
    span = {"end": "2027-05-02T00:00:00Z"}
    assert await hall.busy(hall.owner, **span) == ["00:00-05-02 00:00 BUSY"]
    await hall.event(startTime="2020-01-01T00:00:00Z", endTime="2030-01-01T00:00:00Z", timeZone="UTC", showAs="OOO")
    assert await hall.busy(hall.owner, **span) == ["00:00-05-02 00:00 OOO"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"end": "2027-03-01T00:00:00Z"},
        {"end": "2027-05-03T00:00:01Z"},
        {"start": "2027-03-01"},
        {"userIds": []},
        {"userIds": ["x"]},
        {"userIds": ["00000000-0000-0000-0000-000000000000"] * 51},
        {"unknown": 1},
    ],
)
async def test_what_cannot_be_asked(hall: Hall, wrong: Json) -> None:
    answer = await hall.owner.client.post("/api/calendar/free-busy", json={**body(hall), **wrong})
    assert refusal(answer) == (422, "validation_failed")


async def test_the_gates(hall: Hall, client: httpx.AsyncClient, new_person: NewPerson) -> None:
    assert refusal(await client.post("/api/calendar/free-busy", json=body(hall)))[0] == 401
    stranger = await new_person()
    answer = await stranger.client.post("/api/calendar/free-busy", json=body(hall))
    assert refusal(answer) == (404, "workspace_not_found")
    for role in (Role.VIEWER, Role.GUEST):
        person = await hall.person(role)
        assert (await person.client.post("/api/calendar/free-busy", json=body(hall))).status_code == 200


def body(hall: Hall) -> Json:
    return {
        "workspaceId": hall.id,
        "userIds": [str(hall.owner.id)],
        "start": "2027-03-01T00:00:00Z",
        "end": "2027-03-02T00:00:00Z",
    }
