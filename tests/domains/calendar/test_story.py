"""A team's quarter, as its people live it: one story through the whole calendar, over HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Json, key, path_of, refusal
from tests.domains.calendar.halls import Hall
from tests.domains.projects import sites
from tests.support.clock import MovableClock

NEW_YORK = "America/New_York"


@pytest.fixture
async def hall(clock: MovableClock, platform: Platform, new_person: NewPerson) -> Hall:
    clock.move_to(datetime(2027, 2, 1, 12, tzinfo=UTC))
    found = await sites.open_site(platform, new_person)
    return Hall(found.platform, found.new_person, found.workspace, found.owner, found.people, found.member_ids)


async def march(hall: Hall, by: Person | None = None) -> list[tuple[str, str]]:
    shown = await hall.shown("2027-03-01", "2027-04-01", by=by, tz=NEW_YORK)
    return [(one["title"], one["startTime"][:16]) for one in shown]


async def previewed(person: Person, **wanted: Any) -> Json:
    answer = await person.client.post("/api/calendar/recurrence/preview", json=wanted)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_a_quarter(hall: Hall) -> None:
    ann, ben = await hall.person(Role.MEMBER, name="Ann"), await hall.person(Role.MEMBER, name="Ben")
    room = await hall.room(timeZone=NEW_YORK)

    # Ann tries a rule out, and saves what she saw.
    rule = {"rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=6"}
    seen = await previewed(ann, dtstart="2027-03-01T09:00:00", tzid=NEW_YORK, duration="PT30M", **rule)
    assert seen["text"] == "Every week on Monday at 09:00, 6 times"
    weekly = await hall.event(
        ann,
        title="Weekly",
        startTime="2027-03-01T09:00:00-05:00",
        endTime="2027-03-01T09:30:00-05:00",
        attendeeIds=[str(ben.id)],
        resourceIds=[room["id"]],
        **rule,
    )
    whole = await hall.shown("2027-03-01", "2027-05-01", by=ann)
    assert [(one["startTime"], one["endTime"]) for one in whole] == [
        (one["start"], one["end"]) for one in seen["occurrences"]
    ]
    assert weekly["recurrenceText"] == seen["text"]

    # Nobody else gets the room at that time, also after clocks have changed.
    late = {"startTime": "2027-03-15T13:15:00Z", "endTime": "2027-03-15T14:00:00Z"}
    assert refusal(await hall.post(ben, title="Other", resourceIds=[room["id"]], **late)) == (409, "resource_taken")

    # Ben says yes to all and no to one; that one moves, and asks him again.
    third = key(weekly["id"], "20270315T130000Z")
    await hall.respond(ben, weekly["id"], "ACCEPTED")
    await hall.respond(ben, third, "DECLINED", scope="this")
    await hall.patch(
        third,
        ann,
        {"scope": "this"},
        startTime="2027-03-16T15:00:00-04:00",
        endTime="2027-03-16T15:30:00-04:00",
        title="Weekly, on Tuesday",
    )
    assert (await hall.read(third, ben))["myResponse"] == "PENDING"
    assert (await hall.read(key(weekly["id"], "20270322T130000Z"), ben))["myResponse"] == "ACCEPTED"

    # So Ben can have the room on that Monday after all.
    await hall.event(ben, title="Other", resourceIds=[room["id"]], **late)
    await hall.event(
        ben, title="Dentist", visibility="PRIVATE", startTime="2027-03-09", endTime="2027-03-10", allDay=True
    )
    assert await march(hall, ann) == [
        ("Weekly", "2027-03-01T14:00"),
        ("Weekly", "2027-03-08T14:00"),
        ("Busy", "2027-03-09T05:00"),
        ("Other", "2027-03-15T13:15"),
        ("Weekly, on Tuesday", "2027-03-16T19:00"),
        ("Weekly", "2027-03-22T13:00"),
        ("Weekly", "2027-03-29T13:00"),
    ]

    # From the 22nd on it is later; the two series together are still six.
    fourth = key(weekly["id"], "20270322T130000Z")
    later = {"startTime": "2027-03-22T11:00:00-04:00", "endTime": "2027-03-22T11:30:00-04:00"}
    tried = await ann.client.patch(path_of(fourth), params={"scope": "following", "dryRun": "true"}, json=later)
    assert tried.status_code == 200, tried.text
    assert ("Weekly", "2027-03-22T13:00") in await march(hall, ann), "a dry run changes nothing"
    rest = (await hall.patch(fourth, ann, {"scope": "following"}, **later))["event"]
    assert rest["previousSeriesId"] == weekly["id"]
    quarter = await hall.shown("2027-03-01", "2027-05-01", by=ann, tz=NEW_YORK)
    of_both = [one for one in quarter if one["title"].startswith("Weekly")]
    assert [one["startTime"][5:16] for one in of_both] == [
        *("03-01T14:00", "03-08T14:00", "03-16T19:00", "03-22T15:00", "03-29T15:00", "04-05T15:00"),
    ]

    # Whoever follows by token has the same; the agenda too, and search finds it.
    follower = await hall.follower(ann).sync()
    await hall.delete(key(weekly["id"], "20270308T140000Z"), ann, scope="this")
    await follower.sync()
    held = {one["id"] for one in follower.held.values() if one["status"] != "CANCELLED"}
    assert key(weekly["id"], "20270308T140000Z") not in held
    agenda = await ann.client.get(
        "/api/calendar/agenda",
        params={"workspaceId": hall.id, "start": "2027-03-01", "end": "2027-04-01", "tz": NEW_YORK},
    )
    assert [(one["title"], one["startTime"][:16]) for one in agenda.json()["items"]] == await march(hall, ann)
    found = await ben.client.get("/api/search", params={"q": "on tuesday", "workspaceId": hall.id})
    assert [one["id"] for one in found.json()["results"]] == [weekly["id"]]
