"""Who is invited and what they answer: members over HTTP, for series and single occurrences; and who is told."""

from typing import Any
from uuid import uuid4

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal

AT_NINE: Json = {"startTime": "2030-03-04T09:00:00Z", "endTime": "2030-03-04T10:00:00Z", "timeZone": "UTC"}
AT_TEN: Json = {"startTime": "2030-03-04T10:00:00Z", "endTime": "2030-03-04T11:00:00Z"}
FIRST, SECOND, THIRD = "20300304T090000Z", "20300311T090000Z", "20300318T090000Z"
ACCEPTED: Json = {"response": "ACCEPTED"}
DECLINED: Json = {"response": "DECLINED"}


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def answer(person: Person, event_id: str, **said: Any) -> Json:
    given = await person.client.post(path_of(event_id, "/respond"), json=said)
    assert given.status_code == 200, given.text
    found: Json = given.json()["event"]
    assert given.headers["ETag"].startswith(f'"{found["version"]}-')
    return found


def responses(event: Json) -> Json:
    """What everybody answered, by their name or address."""
    return {(one["user"] or {"name": one["email"]})["name"]: one["response"] for one in event["attendees"]}


async def told(person: Person) -> list[tuple[str, str]]:
    """Types and titles of what somebody was told of the calendar, oldest first."""
    found = await person.client.get("/api/notifications", params={"limit": 100})
    assert found.status_code == 200, found.text
    listed = [one for one in found.json()["notifications"] if one["type"].startswith("calendar.")]
    return [(one["type"].removeprefix("calendar."), one["title"]) for one in reversed(listed)]


async def invite(by: Person, event_id: str, **whom: Any) -> tuple[int, str]:
    found = await by.client.post(path_of(event_id, "/attendees"), json=whom)
    return found.status_code, found.json().get("code", "")


# --- answers ---------------------------------------------------------------------------------------------------


async def test_somebody_invited_answers_and_the_organizer_is_told(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann Archer")
    event = await diary.event(**AT_NINE, attendeeIds=[str(ann.id), str(diary.owner.id)])
    assert responses(event) == {"Ann Archer": "PENDING", "Olga Owner": "ACCEPTED"}
    assert event["myResponse"] == "ACCEPTED"
    assert await told(ann) == [("invited", "Olga Owner invited you: Standup")]
    found = await answer(
        ann,
        event["id"],
        response="TENTATIVE",
        comment="I may be late.",
        proposedStartTime="2030-03-04T11:00:00+01:00",
        proposedEndTime="2030-03-04T12:00:00+01:00",
    )
    assert found["myResponse"] == "TENTATIVE"
    assert found["version"] == event["version"] + 1
    [own] = [one for one in found["attendees"] if one["user"]["id"] == str(ann.id)]
    assert (own["comment"], own["proposedStartTime"]) == ("I may be late.", "2030-03-04T10:00:00.000Z")
    assert await told(diary.owner) == [("answered", "Ann Archer may come: Standup")]
    again = await answer(
        ann,
        event["id"],
        response="TENTATIVE",
        comment="I may be late.",
        proposedStartTime="2030-03-04T10:00:00Z",
        proposedEndTime="2030-03-04T11:00:00Z",
    )
    assert again["version"] == found["version"], "the same answer changes nothing"
    back = await answer(ann, event["id"], response="PENDING")
    [own] = [one for one in back["attendees"] if one["user"]["id"] == str(ann.id)]
    assert (own["response"], own["comment"], own["proposedStartTime"]) == ("PENDING", "", None)
    assert await told(ann) == [("invited", "Olga Owner invited you: Standup")], "nobody is told of what they did"


async def test_an_occurrence_has_an_answer_of_its_own(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    await answer(ann, event["id"], **ACCEPTED)
    found = await answer(ann, key(event["id"], SECOND), **DECLINED, comment="On holiday.")
    assert (found["id"], found["myResponse"]) == (key(event["id"], SECOND), "DECLINED")
    shown = await diary.shown("2030-03-01", "2030-03-20", by=ann, tz="UTC")
    assert [one["myResponse"] for one in shown] == ["ACCEPTED", "DECLINED", "ACCEPTED"]
    assert (await diary.read(event["id"], by=ann))["myResponse"] == "ACCEPTED", "the series is as it was"
    await answer(ann, event["id"], response="TENTATIVE")
    shown = await diary.shown("2030-03-01", "2030-03-20", by=ann, tz="UTC")
    assert {one["myResponse"] for one in shown} == {"TENTATIVE"}, "an answer for all is one for all"


async def test_everybody_answers_for_themselves_alone(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    event = await diary.event(**AT_NINE, attendeeIds=[str(ann.id)])
    path = path_of(event["id"], "/respond")
    for person in (ben, diary.owner):
        assert refusal(await person.client.post(path, json=ACCEPTED)) == (403, "not_invited")
    assert refusal(await ann.client.post(path, json={**ACCEPTED, "attendeeId": str(uuid4())})) == (
        422,
        "validation_failed",
    )
    assert responses(await diary.read(event["id"])) == {"Ann": "PENDING"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "validation_failed"),
        ({"response": "MAYBE"}, "validation_failed"),
        ({**ACCEPTED, "comment": "x" * 2001}, "validation_failed"),
        ({**ACCEPTED, "proposedStartTime": "2030-03-04T09:00:00Z"}, "invalid_proposal"),
        (
            {**ACCEPTED, "proposedStartTime": "2030-03-04T09:00:00Z", "proposedEndTime": "2030-03-04T08:00:00Z"},
            "invalid_proposal",
        ),
        (
            {**ACCEPTED, "proposedStartTime": "2330-03-04T09:00:00Z", "proposedEndTime": "2330-03-04T10:00:00Z"},
            "invalid_proposal",
        ),
    ],
)
async def test_answers_that_are_none(diary: Diary, said: Json, code: str) -> None:
    event = await diary.event(**AT_NINE, attendeeIds=[str(diary.owner.id)])
    assert refusal(await diary.owner.client.post(path_of(event["id"], "/respond"), json=said)) == (422, code)


async def test_answers_need_an_event_in_sight(diary: Diary, platform: Platform, new_person: NewPerson) -> None:
    elsewhere = await open_diary(platform, new_person)
    event = await diary.series(**AT_NINE, attendeeIds=[str(diary.owner.id)])
    path = path_of(event["id"], "/respond")
    assert refusal(await elsewhere.owner.client.post(path, json=ACCEPTED)) == (404, "event_not_found")
    stranger = await new_person()
    stranger.client.headers.pop("Authorization")
    assert (await stranger.client.post(path, json=ACCEPTED)).status_code == 401
    for name in (str(uuid4()), "nothing", key(event["id"], "20300305T090000Z")):
        assert (await diary.owner.client.post(path_of(name, "/respond"), json=ACCEPTED)).status_code == 404


async def test_who_only_reads_answers_where_they_are_invited(diary: Diary) -> None:
    viewer = await diary.person(Role.VIEWER, name="Vic")
    event = await diary.event(**AT_NINE, attendeeIds=[str(viewer.id)], guestsCanInvite=True)
    assert (await answer(viewer, event["id"], **ACCEPTED))["myResponse"] == "ACCEPTED"
    assert await invite(viewer, event["id"], email="x@example.org") == (403, "forbidden")
    guest = await diary.person(Role.GUEST, name="Gus")
    project = await diary.project()
    await diary.put(project, guest, "MEMBER")
    event = await diary.event(**AT_NINE, projectId=project["id"], attendeeIds=[str(guest.id)])
    assert (await answer(guest, event["id"], **DECLINED))["myResponse"] == "DECLINED"


async def test_an_archived_project_takes_no_answers(diary: Diary) -> None:
    project = await diary.project()
    event = await diary.event(**AT_NINE, projectId=project["id"], attendeeIds=[str(diary.owner.id)])
    archived = await diary.owner.client.post(f"/api/projects/{project['id']}/archive")
    assert archived.status_code == 200, archived.text
    given = await diary.owner.client.post(path_of(event["id"], "/respond"), json=DECLINED)
    assert refusal(given) == (409, "project_archived")


# --- another time ----------------------------------------------------------------------------------------------


async def test_another_time_asks_the_others_again(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    people = [str(one.id) for one in (ann, ben, diary.owner)]
    event = await diary.series(**AT_NINE, attendeeIds=people)
    await answer(ann, event["id"], **ACCEPTED)
    await answer(ben, key(event["id"], SECOND), **DECLINED)
    renamed = (await diary.patch(event["id"], title="Sprint planning"))["event"]
    assert responses(renamed)["Ann"] == "ACCEPTED", "another title asks nobody"
    assert renamed["sequence"] == 0
    moved = (await diary.patch(event["id"], **AT_TEN))["event"]
    assert responses(moved) == {"Ann": "PENDING", "Ben": "PENDING", "Olga Owner": "ACCEPTED"}
    assert moved["sequence"] == 1
    shown = await diary.shown("2030-03-01", "2030-03-20", by=ben, tz="UTC")
    assert {one["myResponse"] for one in shown} == {"PENDING"}, "what was said of another time is not said of this"
    assert [kind for kind, _ in await told(ann)] == ["invited", "moved"]
    assert "moved" not in [kind for kind, _ in await told(diary.owner)]


async def test_one_occurrence_at_another_time_asks_for_that_alone(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id), str(diary.owner.id)])
    await answer(ann, event["id"], **ACCEPTED)
    second: Json = {"startTime": "2030-03-11T15:00:00Z", "endTime": "2030-03-11T16:00:00Z"}
    await diary.patch(key(event["id"], SECOND), query={"scope": "this"}, **second)
    shown = await diary.shown("2030-03-01", "2030-03-20", by=ann, tz="UTC")
    assert [one["myResponse"] for one in shown] == ["ACCEPTED", "PENDING", "ACCEPTED"]
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [one["myResponse"] for one in shown] == ["ACCEPTED"] * 3, "the organizer comes"
    assert await told(ann) == [
        ("invited", "Olga Owner invited you: Standup"),
        ("moved", "Olga Owner moved Standup"),
    ]


async def test_what_is_cancelled_is_told_to_who_was_to_come(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    await diary.delete(key(event["id"], SECOND), scope="this")
    assert await told(ann) == [
        ("invited", "Olga Owner invited you: Standup"),
        ("cancelled", "Olga Owner cancelled Standup"),
    ]
    await diary.delete(event["id"])
    assert [kind for kind, _ in await told(ann)] == ["invited", "cancelled", "cancelled"]
    assert await told(ben) == [], "who was not invited"


async def test_nobody_is_told_of_what_is_over(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER, name="Ann")
    past: Json = {"startTime": "2020-03-02T09:00:00Z", "endTime": "2020-03-02T10:00:00Z"}
    event = await diary.event(**past, attendeeIds=[str(ann.id)])
    await diary.patch(event["id"], startTime="2020-03-03T09:00:00Z", endTime="2020-03-03T10:00:00Z")
    await diary.delete(event["id"])
    assert await told(ann) == []


# --- who is invited --------------------------------------------------------------------------------------------


async def test_one_more_and_one_less(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    event = await diary.event(**AT_NINE)
    added = await diary.owner.client.post(
        path_of(event["id"], "/attendees"), json={"userId": str(ann.id), "optional": True}
    )
    assert added.status_code == 201, added.text
    assert added.headers["Location"] == path_of(event["id"])
    [own] = added.json()["event"]["attendees"]
    assert (own["user"]["name"], own["optional"], own["response"]) == ("Ann", True, "PENDING")
    assert await invite(diary.owner, event["id"], userId=str(ann.id)) == (409, "already_invited_to_event")
    assert await invite(diary.owner, event["id"], email=ann.email.upper()) == (409, "already_invited_to_event")
    assert await invite(diary.owner, event["id"], email=ben.email) == (201, "")
    found = await diary.read(event["id"])
    assert [one["user"]["name"] for one in found["attendees"]] == ["Ann", "Ben"], "an address of a member is theirs"
    gone = await diary.owner.client.delete(path_of(event["id"], f"/attendees/{own['id']}"))
    assert gone.status_code == 204, gone.text
    assert responses(await diary.read(event["id"])) == {"Ben": "PENDING"}
    assert await told(ann) == [
        ("invited", "Olga Owner invited you: Standup"),
        ("uninvited", "Standup goes on without you"),
    ]
    for name in (own["id"], str(uuid4())):
        again = await diary.owner.client.delete(path_of(event["id"], f"/attendees/{name}"))
        assert refusal(again) == (404, "attendee_not_found")


async def test_who_may_invite(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    admin = await diary.person(Role.ADMIN, name="Ada")
    event = await diary.event(**AT_NINE, attendeeIds=[str(ann.id)])
    assert await invite(ann, event["id"], email="a@example.org") == (403, "may_not_invite")
    assert await invite(admin, event["id"], email="a@example.org") == (201, "")
    await diary.patch(event["id"], guestsCanInvite=True)
    assert await invite(ann, event["id"], email="b@example.org") == (201, "")
    assert await invite(ben, event["id"], email="c@example.org") == (403, "may_not_invite"), "not a guest"
    rows = (await diary.read(event["id"]))["attendees"]
    of_ann, of_outsider = (row["id"] for row in rows[:2])
    refused = await ann.client.delete(path_of(event["id"], f"/attendees/{of_outsider}"))
    assert refusal(refused) == (403, "may_not_invite")
    assert (await ann.client.delete(path_of(event["id"], f"/attendees/{of_ann}"))).status_code == 204, "oneself"
    for bad in ({}, {"userId": str(ann.id), "email": ann.email}, {"email": "nothing"}):
        assert (await invite(diary.owner, event["id"], **bad))[0] == 422


async def test_only_who_sees_it_is_invited_as_a_member(diary: Diary, new_person: NewPerson) -> None:
    stranger, guest = await new_person(), await diary.person(Role.GUEST)
    event = await diary.event(**AT_NINE)
    for person in (stranger, guest):
        assert await invite(diary.owner, event["id"], userId=str(person.id)) == (422, "attendee_cannot_see")
        made = await diary.post(**AT_NINE, attendeeIds=[str(person.id)])
        assert refusal(made) == (422, "attendee_cannot_see")
    assert await invite(diary.owner, event["id"], email=stranger.email) == (201, ""), "as somebody outside"
    [row] = (await diary.read(event["id"]))["attendees"]
    assert (row["user"], row["email"]) == (None, stranger.email)


async def test_one_occurrence_has_guests_of_its_own(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    event = await diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    second = key(event["id"], SECOND)
    assert await invite(diary.owner, second, userId=str(ben.id)) == (201, "")
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [sorted(responses(one)) for one in shown] == [["Ann"], ["Ann", "Ben"], ["Ann"]]
    assert refusal(await ben.client.post(path_of(event["id"], "/respond"), json=ACCEPTED)) == (403, "not_invited")
    await answer(ben, second, **ACCEPTED)
    of_ann = next(one["id"] for one in shown[1]["attendees"] if one["user"]["name"] == "Ann")
    assert (await diary.owner.client.delete(path_of(second, f"/attendees/{of_ann}"))).status_code == 204
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [responses(one) for one in shown] == [{"Ann": "PENDING"}, {"Ben": "ACCEPTED"}, {"Ann": "PENDING"}]
    assert await invite(diary.owner, second, userId=str(ann.id)) == (201, ""), "and back"
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [sorted(responses(one)) for one in shown] == [["Ann"], ["Ann", "Ben"], ["Ann"]]


async def test_at_most_300_are_invited(diary: Diary) -> None:
    crowd = [{"email": f"guest-{number}@example.org"} for number in range(300)]
    event = await diary.event(**AT_NINE, attendees=crowd)
    assert len(event["attendees"]) == 300
    assert await invite(diary.owner, event["id"], email="one-more@example.org") == (422, "too_many_attendees")
    made = await diary.post(**AT_NINE, attendees=crowd, attendeeIds=[str(diary.owner.id)])
    assert refusal(made) == (422, "too_many_attendees")


async def test_who_stays_keeps_their_answer_when_the_list_is_written(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    event = await diary.event(**AT_NINE, attendeeIds=[str(ann.id), str(ben.id)], attendees=[{"email": "g@x.org"}])
    await answer(ann, event["id"], **ACCEPTED)
    changed = (await diary.patch(event["id"], attendeeIds=[str(ann.id)], attendees=[{"email": "g@x.org"}]))["event"]
    assert responses(changed) == {"Ann": "ACCEPTED", "g@x.org": "PENDING"}
    assert [kind for kind, _ in await told(ben)] == ["invited", "uninvited"]
    same = (await diary.patch(event["id"], attendeeIds=[str(ann.id)]))["event"]
    assert (responses(same), same["version"]) == (responses(changed), changed["version"]), "nobody came or went"


# --- the organizer ---------------------------------------------------------------------------------------------


async def test_it_is_handed_over(diary: Diary) -> None:
    ann, viewer = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.VIEWER)
    event = await diary.event(**AT_NINE, attendeeIds=[str(ann.id)])
    refused = await diary.owner.client.patch(path_of(event["id"]), json={"organizerId": str(viewer.id)})
    assert refusal(refused) == (422, "organizer_cannot_see")
    changed = (await diary.patch(event["id"], organizerId=str(ann.id)))["event"]
    assert changed["organizer"]["name"] == "Ann"
    assert responses(changed) == {"Ann": "ACCEPTED"}
    assert ("handed_over", "You organize Standup now") in await told(ann)
    assert (await diary.patch(event["id"], by=ann, title="Mine now"))["event"]["title"] == "Mine now"


# --- what is private -------------------------------------------------------------------------------------------


async def test_nobody_learns_of_a_private_event_by_being_told(diary: Diary) -> None:
    ann, ben = await diary.person(Role.MEMBER, name="Ann"), await diary.person(Role.MEMBER, name="Ben")
    admin = await diary.person(Role.ADMIN, name="Ada")
    event = await diary.event(**AT_NINE, title="Layoffs", visibility="PRIVATE", attendeeIds=[str(ann.id)])
    assert await invite(admin, event["id"], email="x@example.org") == (403, "may_not_invite"), "it is Busy to them"
    await diary.patch(event["id"], **AT_TEN)
    await answer(ann, event["id"], **ACCEPTED)
    [row] = (await diary.read(event["id"]))["attendees"]
    assert (await diary.owner.client.delete(path_of(event["id"], f"/attendees/{row['id']}"))).status_code == 204
    assert (await told(ann))[-1] == ("uninvited", "An event goes on without you")
    assert (await diary.read(event["id"], by=ann))["title"] == "Busy"
    await diary.delete(event["id"])
    assert await told(ben) == await told(admin) == []
