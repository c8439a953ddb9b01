"""What an event meets of those who take part: told with WARN, refused with REJECT, over HTTP."""

from typing import Any

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
    return await hall.person(Role.MEMBER, name="Bea", timeZone="UTC")


async def write(hall: Hall, policy: str, *people: Person, at: tuple[float, float], **fields: Any) -> Json:
    answer = await hall.post(
        **hours(*at), conflictPolicy=policy, attendeeIds=[str(one.id) for one in people], **fields
    )
    return {"status": answer.status_code, **answer.json()}


def told(answer: Json) -> list[tuple[str, str]]:
    return [(one["title"], one["startTime"][5:16]) for one in answer["conflicts"]]


async def test_warn_writes_and_tells_reject_refuses_allow_says_nothing(hall: Hall, bea: Person) -> None:
    own = await hall.event(bea, **hours(9, 10), title="Dentist")
    allowed = await write(hall, "ALLOW", bea, at=(9, 11))
    assert (allowed["status"], allowed["conflicts"]) == (201, [])
    await hall.delete(allowed["event"]["id"])
    warned = await write(hall, "WARN", bea, at=(9.5, 11))
    assert warned["status"] == 201
    assert warned["conflicts"] == [
        {
            "userId": str(bea.id),
            "resourceId": None,
            "eventId": own["id"],
            "title": "Dentist",
            "startTime": "2027-03-01T09:00:00.000Z",
            "endTime": "2027-03-01T10:00:00.000Z",
        }
    ]
    await hall.delete(warned["event"]["id"])
    rejected = await write(hall, "REJECT", bea, at=(9.5, 11))
    assert (rejected["status"], rejected["code"]) == (409, "calendar_conflict")
    assert rejected["conflicts"] == warned["conflicts"]
    assert (await write(hall, "REJECT", bea, at=(10, 11)))["status"] == 201, "one may begin where the other ends"


async def test_recurring_ones_meet_occurrence_by_occurrence(hall: Hall, bea: Person) -> None:
    series = await hall.event(bea, **hours(9, 10), rrule=WEEKLY, title="Standup")
    single = await write(hall, "REJECT", bea, at=(24 * 7 + 9.5, 24 * 7 + 10), title="Visit")
    assert told(single) == [("Standup", "03-08T09:00")]
    assert single["conflicts"][0]["eventId"] == f"{series['id']}_20270308T090000Z"
    await hall.patch(
        f"{series['id']}_20270308T090000Z",
        by=bea,
        startTime="2027-03-09T09:00:00Z",
        endTime="2027-03-09T10:00:00Z",
    )
    assert (await write(hall, "REJECT", bea, at=(24 * 7 + 9.5, 24 * 7 + 10)))["status"] == 201
    many = await write(hall, "WARN", bea, at=(9, 9.5), rrule="FREQ=DAILY")
    assert len(many["conflicts"]) == 20, "the first 20 of over fifty"
    assert told(many)[:2] == [("Standup", "03-01T09:00"), ("Standup", "03-09T09:00")]


async def test_what_the_caller_may_not_see_is_busy(hall: Hall, bea: Person) -> None:
    await hall.event(bea, **hours(9, 10), title="Doctor", visibility="PRIVATE")
    found = await write(hall, "WARN", bea, at=(9, 10))
    assert told(found) == [("Busy", "03-01T09:00")]
    assert found["conflicts"][0]["eventId"] is None
    assert "Doctor" not in str(found)


async def test_declined_free_and_own_ones_are_none_tentative_ones_are(hall: Hall, bea: Person) -> None:
    declined = await hall.meeting(bea, at=(9, 10), title="Declined")
    await hall.respond(bea, declined["id"], "DECLINED")
    await hall.event(bea, **hours(9, 10), showAs="FREE")
    found = await write(hall, "WARN", bea, at=(9, 10), title="New")
    assert told(found) == [("Declined", "03-01T09:00")], "its organizer has it, Bea has not"
    assert found["conflicts"][0]["userId"] == str(hall.owner.id)
    assert (await write(hall, "REJECT", bea, at=(9, 10), showAs="FREE"))["status"] == 201
    pending = await write(hall, "WARN", bea, at=(9.5, 9.75))
    assert ("New", "03-01T09:00") in told(pending)
    changed = await hall.patch(found["event"]["id"], title="Newer", conflictPolicy="WARN")
    assert all(one["eventId"] != found["event"]["id"] for one in changed["conflicts"])


async def test_a_change_of_one_occurrence_looks_at_that_one_alone(hall: Hall, bea: Person) -> None:
    await hall.event(bea, **hours(9, 10), title="Dentist")
    series = await hall.meeting(bea, at=(9, 10), rrule=WEEKLY)
    second = f"{series['id']}_20270308T090000Z"
    await hall.event(bea, **hours(24 * 7 + 15, 24 * 7 + 16), title="Gym")
    times: Json = {"startTime": "2027-03-08T11:00:00Z", "endTime": "2027-03-08T12:00:00Z"}
    assert (await hall.patch(second, **times, conflictPolicy="REJECT"))["conflicts"] == []
    times = {"startTime": "2027-03-08T15:00:00Z", "endTime": "2027-03-08T16:00:00Z"}
    answer = await hall.owner.client.patch(
        f"/api/calendar/events/{second}", json={**times, "conflictPolicy": "REJECT"}
    )
    assert refusal(answer) == (409, "calendar_conflict")
    assert [one["title"] for one in answer.json()["conflicts"]] == ["Gym"]


async def test_whole_days_lie_where_somebody_is(hall: Hall) -> None:
    anna = await hall.person(Role.MEMBER, name="Anna", timeZone="Pacific/Auckland")
    await hall.event(anna, startTime="2027-03-02", endTime="2027-03-03", allDay=True, title="Holiday")
    assert told(await write(hall, "WARN", anna, at=(12, 13))) == [("Holiday", "03-01T11:00")]
    assert told(await write(hall, "WARN", anna, at=(24 + 12, 24 + 13))) == []


async def test_what_overlaps_itself_a_thousandfold_is_refused_not_reckoned(hall: Hall) -> None:
    """Ten days long, every quarter of an hour: each hour has a thousand, and the answer would take minutes."""
    hours_of_day = ",".join(map(str, range(24)))
    dense: Json = {"rrule": f"FREQ=DAILY;BYHOUR={hours_of_day};BYMINUTE=0,15,30,45", "timeZone": "UTC"}
    long: Json = {"startTime": "2027-03-01T09:00:00Z", "endTime": "2027-03-11T08:00:00Z"}
    room = await hall.room()
    for more in ({"conflictPolicy": "WARN"}, {"resourceIds": [room["id"]]}):
        answer = await hall.post(**dense, **long, **more)
        assert refusal(answer) == (422, "recurrence_rule_too_complex")
    short: Json = {"startTime": "2027-03-01T09:00:00Z", "endTime": "2027-03-01T09:10:00Z"}
    answer = await hall.post(**dense, **short, conflictPolicy="WARN")
    assert answer.status_code == 201, answer.text
