"""A time that suits a group, over HTTP."""

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.halls import Hall, Json, hours, open_hall, refusal

PATH = "/api/calendar/find-time"


@pytest.fixture
async def hall(platform: Platform, new_person: NewPerson) -> Hall:
    return await open_hall(platform, new_person)


@pytest.fixture
async def bea(hall: Hall) -> Person:
    return await hall.person(Role.MEMBER, name="Bea", timeZone="UTC")


def body(hall: Hall, *people: Person, **fields: object) -> Json:
    return {
        "workspaceId": hall.id,
        "attendees": [{"userId": str(one.id)} for one in people or (hall.owner,)],
        "durationMinutes": 60,
        "start": "2027-03-01T00:00:00Z",
        "end": "2027-03-02T00:00:00Z",
        "timeZone": "UTC",
        "limit": 50,
        **fields,
    }


async def ask(hall: Hall, *people: Person, by: Person | None = None, **fields: object) -> Json:
    answer = await (by or hall.owner).client.post(PATH, json=body(hall, *people, **fields))
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["findTime"]
    assert bool(found["slots"]) == (found["noneFound"] is None)
    for one in found["slots"]:
        assert one["score"] == sum(one["parts"].values())
    return found


def starts(found: Json) -> list[str]:
    return sorted(one["start"][11:16] for one in found["slots"])


async def test_times_lie_where_all_are_free_and_work(hall: Hall, bea: Person) -> None:
    carl = await hall.person(Role.MEMBER, name="Carl", timeZone="America/New_York")  # works 14:00 to 22:00 UTC
    await hall.event(bea, **hours(14.5, 15.5))
    found = await ask(hall, bea, carl)
    assert starts(found) == ["15:30", "16:00"], "Bea works to five, Carl from two"
    assert [one["start"][11:16] for one in found["slots"]] == ["15:30", "16:00"], "the sooner first"
    assert found == await ask(hall, bea, carl), "the same question has the same answer"
    own = {"days": {"monday": [{"start": "06:00", "end": "10:00"}]}}
    assert (await carl.client.put("/api/calendar/working-hours", json=own)).status_code == 200
    assert starts(await ask(hall, bea, carl)) == ["11:00", "11:30", "12:00", "12:30", "13:00", "13:30"]


async def test_who_blocks_is_told_and_who_is_optional_does_not(hall: Hall, bea: Person) -> None:
    carl = await hall.person(Role.MEMBER, name="Carl", timeZone="UTC")
    await hall.event(carl, **hours(0, 24), showAs="OOO")
    attendees = [{"userId": str(bea.id)}, {"userId": str(carl.id), "optional": True}]
    found = await ask(hall, attendees=attendees)
    best = found["slots"][0]
    assert best["start"] == "2027-03-01T09:00:00.000Z"
    assert best["blockers"] == [{"userId": str(carl.id), "optional": True, "reason": "OOO"}]
    assert best["parts"] == {"attendance": 40, "workingHours": 20, "sooner": best["parts"]["sooner"]}


async def test_what_is_not_answered_is_no_obstacle_and_costs_points(hall: Hall, bea: Person) -> None:
    await hall.meeting(bea, at=(9, 12))
    found = await ask(hall, bea)
    assert found["slots"][0]["start"][11:16] == "12:00"
    early = next(one for one in found["slots"] if one["start"][11:16] == "09:00")
    assert [one["reason"] for one in early["blockers"]] == ["TENTATIVE"]
    assert early["score"] < found["slots"][0]["score"]


async def test_buffers_quorum_and_any_hour(hall: Hall, bea: Person) -> None:
    await hall.event(bea, **hours(10, 16))
    assert starts(await ask(hall, bea)) == ["09:00", "16:00"]
    found = await ask(hall, bea, bufferBeforeMinutes=15)
    assert starts(found) == ["09:00"]
    assert starts(await ask(hall, bea, bufferAfterMinutes=15)) == ["16:00"]
    carl = await hall.person(Role.MEMBER, name="Carl", timeZone="UTC")
    assert starts(await ask(hall, bea, carl, quorum=1, durationMinutes=420)) == ["09:00", "09:30", "10:00"]
    assert "03:00" in starts(await ask(hall, bea, outsideWorkingHours=True))


async def test_one_of_the_rooms_has_to_be_free(hall: Hall, bea: Person) -> None:
    small, large = await hall.room("Small"), await hall.room("Large")
    await hall.booked(small, at=(9, 16))
    await hall.booked(large, at=(9, 12), rrule="FREQ=WEEKLY;COUNT=2")
    found = await ask(hall, bea, resourceIds=[small["id"], large["id"]])
    assert starts(found)[0] == "12:00"
    free = {one["start"][11:16]: one["freeResourceIds"] for one in found["slots"]}
    assert free["12:00"] == [large["id"]]
    assert free["16:00"] == [small["id"], large["id"]]
    day: Json = {"start": "2027-03-01T09:00:00Z", "end": "2027-03-01T16:00:00Z"}
    none = (await ask(hall, bea, resourceIds=[small["id"]], **day))["noneFound"]
    assert none["code"] == "NO_ROOM"
    assert none["obstacles"] == [{"userId": None, "resourceId": small["id"], "reason": "BUSY", "times": 13}]
    early = (await ask(hall, bea, resourceIds=[small["id"]], end="2027-03-01T16:00:00Z"))["noneFound"]
    assert early["code"] == "NOT_AT_ONE_TIME", "the room is free at night"


async def test_when_there_is_none_it_says_why(hall: Hall, bea: Person) -> None:
    await hall.event(bea, **hours(0, 24))
    found = (await ask(hall, bea))["noneFound"]
    assert (found["code"], found["tried"]) == ("NOT_ENOUGH_ATTENDEES", 47)
    assert found["obstacles"] == [{"userId": str(bea.id), "resourceId": None, "reason": "BUSY", "times": 47}]
    assert "enough of them" in found["text"]
    short = (await ask(hall, bea, end="2027-03-01T00:30:00Z"))["noneFound"]
    assert (short["code"], short["tried"]) == ("WINDOW_TOO_SHORT", 0)


async def test_steps_count_from_midnight_of_the_zone(hall: Hall, bea: Person) -> None:
    found = await ask(hall, bea, timeZone="Asia/Kathmandu", stepMinutes=60, outsideWorkingHours=True)
    assert {one["start"][14:16] for one in found["slots"]} == {"15"}, "its hours begin at a quarter past"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"attendees": []}, "validation_failed"),
        ({"durationMinutes": 0}, "validation_failed"),
        ({"durationMinutes": "60"}, "validation_failed"),
        ({"end": "2027-03-01T00:00:00Z"}, "validation_failed"),
        ({"end": "2027-04-02T00:00:00Z"}, "validation_failed"),
        ({"end": "2027-04-01T00:00:00Z", "stepMinutes": 5}, "validation_failed"),
        ({"quorum": 2}, "validation_failed"),
        ({"timeZone": "Mars/Olympus"}, "time_zone_unknown"),
        ({"attendees": [{"userId": "00000000-0000-0000-0000-000000000001"}]}, "attendees_unknown"),
        ({"resourceIds": ["00000000-0000-0000-0000-000000000001"]}, "invalid_resources"),
    ],
)
async def test_what_cannot_be_asked(hall: Hall, wrong: Json, code: str) -> None:
    answer = await hall.owner.client.post(PATH, json={**body(hall), **wrong})
    assert refusal(answer) == (422, code)


async def test_an_attendee_is_named_once(hall: Hall, bea: Person) -> None:
    answer = await hall.owner.client.post(PATH, json=body(hall, bea, bea))
    assert refusal(answer) == (422, "validation_failed")


async def test_the_gates(hall: Hall, client: httpx.AsyncClient, new_person: NewPerson) -> None:
    assert (await client.post(PATH, json=body(hall))).status_code == 401
    stranger = await new_person()
    assert refusal(await stranger.client.post(PATH, json=body(hall))) == (404, "workspace_not_found")
    guest = await hall.person(Role.GUEST)
    assert refusal(await guest.client.post(PATH, json=body(hall))) == (422, "attendees_unknown")
    assert (await guest.client.post(PATH, json=body(hall, guest))).status_code == 200


async def test_who_cannot_be_worked_out_fails_nobody_else(hall: Hall, bea: Person) -> None:
    """Forty days long, every quarter of an hour; what else she has counts, and the others' too."""
    carl = await hall.person(Role.MEMBER, name="Carl", timeZone="UTC")
    hours_of_day = ",".join(map(str, range(24)))
    dense: Json = {"rrule": f"FREQ=DAILY;BYHOUR={hours_of_day};BYMINUTE=0,15,30,45", "timeZone": "UTC"}
    long: Json = {"startTime": "2027-02-01T09:00:00Z", "endTime": "2027-03-13T08:00:00Z"}
    await hall.event(bea, **dense, **long)
    await hall.event(bea, **hours(9, 10))
    await hall.event(carl, **hours(10, 16))
    found = await ask(hall, bea, carl)
    assert [(one["userId"], [each["code"] for each in one["errors"]]) for one in found["unknown"]] == [
        (str(bea.id), ["recurrence_rule_too_complex"])
    ]
    assert starts(found) == ["16:00"]
    [slot] = found["slots"]
    assert slot["blockers"] == [{"userId": str(bea.id), "optional": False, "reason": "UNKNOWN"}]
    assert slot["parts"]["attendance"] == 45, "she may come: half of hers"
    assert found == await ask(hall, bea, carl)
    assert (await ask(hall, carl))["unknown"] == []
    none = await ask(hall, bea, carl, end="2027-03-01T16:00:00Z")
    assert none["noneFound"]["code"] == "NOT_ENOUGH_ATTENDEES"
    assert {one["userId"] for one in none["noneFound"]["obstacles"]} == {str(bea.id), str(carl.id)}
    assert [one["userId"] for one in none["unknown"]] == [str(bea.id)]
