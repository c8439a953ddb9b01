"""What becomes of a person's part in a calendar when they leave it, or are gone; and what they get of it before."""

from typing import Any

import pytest
from sqlalchemy import text

from pm_api.core.personal import Leaving, endings, files
from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.domains.calendar.test_attendees import AT_NINE, SECOND, answer, responses, told


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def remove(diary: Diary, person: Person, to: Person | None = None) -> Json:
    member = diary.member_ids[person.id]
    query = {"reassignTo": str(diary.member_ids[to.id])} if to is not None else {}
    answered = await diary.owner.client.delete(f"/api/team/members/{member}", params=query)
    assert answered.status_code == 200, answered.text
    left = answered.json()["removal"]["leftBehind"]
    return next((one for one in left if one["kind"] == "calendar_events"), {})


async def organizer(diary: Diary, event: Json) -> str:
    name: str = (await diary.read(event["id"]))["organizer"]["name"]
    return name


async def count(platform: Platform, statement: str, **values: Any) -> int:
    async with platform.database.reading() as session:
        found: int = (await session.execute(text(statement), values)).scalar_one()
        return found


async def test_events_go_to_who_comes_to_them(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    cat, vic = await diary.person(Role.MEMBER, name="Cat"), await diary.person(Role.VIEWER, name="Vic")
    people = [str(one.id) for one in (ann, vic, ben, cat)]
    accepted = await diary.event(by=ann, **AT_NINE, attendeeIds=people)
    await answer(cat, accepted["id"], response="ACCEPTED")
    asked = await diary.series(by=ann, **AT_NINE, attendeeIds=people)
    await answer(ben, asked["id"], response="DECLINED")
    alone = await diary.event(by=ann, **AT_NINE)
    made_by_ben = await diary.event(by=ben, **AT_NINE)
    await diary.patch(made_by_ben["id"], by=ben, organizerId=str(ann.id))
    past = await diary.event(by=ann, startTime="2020-03-02T09:00:00Z", endTime="2020-03-02T10:00:00Z")
    left = await remove(diary, ann)
    assert (left["count"], left["reassigned"], left["canBeReassigned"]) == (4, 0, True)
    assert await organizer(diary, accepted) == "Cat", "who said that they come"
    assert await organizer(diary, asked) == "Cat", "neither a viewer, nor who said no"
    assert await organizer(diary, alone) == "Olga Owner"
    assert await organizer(diary, made_by_ben) == "Ben", "whoever made it"
    assert await organizer(diary, past) == "Ann", "what was, was theirs"
    assert responses(await diary.read(accepted["id"])) == {"Vic": "PENDING", "Ben": "PENDING", "Cat": "ACCEPTED"}
    assert ("handed_over", "You organize 2 more events now") in await told(cat)
    assert ("handed_over", "You organize an event now") in await told(ben)
    assert (await diary.patch(asked["id"], by=cat, title="Mine"))["event"]["title"] == "Mine"


async def test_whoever_removes_them_says_who_takes_over(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    project = await diary.project(isPrivate=True)
    await diary.put(project, ann, "MEMBER")
    open_one = await diary.event(by=ann, **AT_NINE)
    unseen = await diary.event(by=ann, **AT_NINE, projectId=project["id"])
    private = await diary.event(by=ann, **AT_NINE, visibility="PRIVATE", attendeeIds=[str(diary.owner.id)])
    left = await remove(diary, ann, to=ben)
    assert (left["count"], left["reassigned"]) == (3, 1)
    assert await organizer(diary, open_one) == "Ben"
    assert await organizer(diary, unseen) == "Olga Owner", "who does not see it does not get it"
    assert await organizer(diary, private) == "Olga Owner", "nor who sees no more of it than Busy"


async def test_what_they_alone_could_read_is_gone(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    secret = await diary.event(by=ann, **AT_NINE, title="Doctor", visibility="PRIVATE")
    past: Json = {"startTime": "2020-03-02T09:00:00Z", "endTime": "2020-03-02T10:00:00Z"}
    before = await diary.event(by=ann, **past, title="Doctor", visibility="CONFIDENTIAL")
    assert (await diary.read(secret["id"]))["title"] == "Busy"
    await remove(diary, ann)
    for one in (secret, before):
        assert refusal(await diary.owner.client.get(path_of(one["id"]))) == (404, "event_not_found")


async def test_invitations_reminders_and_snoozes_end(diary: Diary, platform: Platform) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    await answer(ann, key(event["id"], SECOND), response="DECLINED")
    chosen = await ann.client.put(path_of(event["id"], "/reminders"), json={"reminders": [{"minutesBefore": 5}]})
    assert chosen.status_code == 200
    none = await ann.client.put(path_of(key(event["id"], SECOND), "/reminders"), json={"reminders": []})
    assert none.status_code == 200, none.text
    put = await ann.client.post(path_of(key(event["id"], SECOND), "/snooze"), json={"minutes": 5})
    assert put.status_code == 200
    before = await diary.read(event["id"])
    await remove(diary, ann)
    after = await diary.read(event["id"])
    assert (after["attendees"], after["version"]) == ([], before["version"] + 1)
    for table in ("calendar_attendees", "calendar_reminders", "calendar_snoozes"):
        assert await count(platform, f"SELECT count(*) FROM {table} WHERE user_id = :id", id=ann.id) == 0


async def test_addresses_of_who_is_gone_are_forgotten(diary: Diary, platform: Platform) -> None:
    event = await diary.event(**AT_NINE, attendees=[{"email": "gone@example.org"}, {"email": "old@example.org"}])
    follower = await diary.follower().sync()
    gone = Leaving(diary.owner.id, "gone@example.org", "Gone", former=("old@example.org",))
    [ending] = [one for one in endings() if one.name == "calendar"]
    for _ in range(2):
        await ending.run(platform, gone)
    assert (await diary.read(event["id"]))["attendees"] == []
    assert (await follower.sync()).held[event["id"]] == await diary.read(event["id"])
    assert follower.times_expired == 0
    where = "WHERE email IN ('gone@example.org', 'old@example.org')"
    for table in ("calendar_attendees", "calendar_letters"):
        assert await count(platform, f"SELECT count(*) FROM {table} {where}") == 0


async def test_they_get_what_is_theirs(diary: Diary, platform: Platform) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    project = await diary.project()
    await diary.event(by=ann, **AT_NINE, title="Seen")
    hidden = await diary.event(by=ann, **AT_NINE, title="Hidden", projectId=project["id"])
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    await answer(ann, key(event["id"], SECOND), response="DECLINED", comment="On holiday.")
    await diary.owner.client.patch(f"/api/projects/{project['id']}", json={"isPrivate": True})
    found: dict[str, list[Any]] = {}
    async with platform.database.reading() as session:
        for file in files():
            if file.name.startswith("calendar/"):
                found[file.name] = []
                after: Any = None
                while True:
                    rows, after = await file.read(session, ann.id, after, 1)
                    found[file.name] += rows
                    if after is None:
                        break
    assert [one.get("title") for one in found["calendar/events.json"]] == ["Seen", None]
    assert str(found["calendar/events.json"][1]["id"]) == hidden["id"]
    [said] = found["calendar/answers.json"]
    assert (said["response"], said["comment"]) == ("DECLINED", "On holiday.")
    [invited] = found["calendar/invitations.json"]
    assert str(invited["eventId"]) == event["id"]
