"""Who is told of a message, and who is not."""

from datetime import timedelta
from typing import Any

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    Json,
    a_group,
    a_place,
    a_project,
    create,
    direct,
    message_path,
    path_of,
    read,
    refusal,
    say,
    some_people,
    try_to_say,
)
from tests.identity.teams import join

Told = list[dict[str, Any]]


async def told(person: Person) -> Told:
    answer = await person.client.get("/api/notifications", params={"category": "MESSAGES"})
    assert answer.status_code == 200, answer.text
    found: Told = answer.json()["notifications"]
    return found


async def test_many_messages_in_a_row_are_one_notification(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    talk = await direct(ann, await a_place(platform, ann, bob), bob)
    first, *_, last = [await say(bob, talk, f"Secret {number}") for number in range(4)]
    [one] = await told(ann)
    assert (one["title"], one["type"], one["body"]) == ("Bob wrote to you", "message.direct", "")
    assert one["data"] == {"conversationId": talk["id"], "messageId": first["id"]}
    assert one["link"] == f"/messages/{talk['id']}?message={first['id']}"
    assert await told(bob) == []
    await read(ann, talk, last)
    await say(bob, talk)
    await say(bob, talk)
    assert len(await told(ann)) == 2
    await say(ann, talk, "An answer")
    assert len(await told(bob)) == 1


async def test_of_a_group_only_who_is_called_is_told(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    group = await a_group(ann, await a_place(platform, ann, bob, cid), bob, cid, name="The launch")
    await say(ann, group, mentions=[str(bob.id), str(bob.id), str(ann.id)])
    assert [one["title"] for one in await told(bob)] == ["Ann mentioned you in The launch"]
    assert await told(ann) == await told(cid) == []


async def test_who_is_called_by_a_change_is_told_once(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    group = await a_group(ann, await a_place(platform, ann, bob, cid), bob, cid)
    said = await say(ann, group, mentions=[str(bob.id)])
    both = {"body": "Both of you", "mentions": [str(bob.id), str(cid.id)]}
    for _ in range(2):
        assert (await ann.client.patch(message_path(said), json=both)).status_code == 200
    assert (len(await told(bob)), len(await told(cid))) == (1, 1)


async def test_who_muted_it_is_not_told(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    talk, group = await direct(ann, place, bob), await a_group(ann, place, bob)
    until = platform.clock.now() + timedelta(hours=1)
    for conversation in (talk, group):
        await bob.client.put(path_of(conversation, "/mute"), json={"until": until.isoformat()})
        await say(ann, conversation, mentions=[str(bob.id)])
    assert await told(bob) == []
    platform.clock.advance_business(hours=2)  # type: ignore[attr-defined]
    await say(ann, talk)
    assert len(await told(bob)) == 1


async def test_who_does_not_see_it_is_neither_called_nor_told(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, gus = await some_people(new_person, "Ann", "Bob", "Gus")
    place = await a_place(platform, ann, bob)
    await join(platform, place, gus, Role.GUEST)
    project = await a_project(platform, place, ann)
    channel = await create(ann, place, "CHANNEL", projectId=str(project.id))
    everybody = await create(ann, place, "CHANNEL")
    for conversation, other in ((channel, bob), (channel, gus), (everybody, gus)):
        answer = await try_to_say(ann, conversation, mentions=[str(other.id)])
        assert refusal(answer) == (422, "invalid_mention")
    await say(ann, everybody, mentions=[str(bob.id)])
    assert (len(await told(bob)), await told(gus)) == (1, [])


async def test_what_was_told_is_gone_with_the_membership(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    await say(ann, group, mentions=[str(bob.id)])
    assert len(await told(bob)) == 1
    await ann.client.delete(path_of(group, f"/members/{bob.id}"))
    assert await told(bob) == []


async def test_changes_carry_ids_to_those_who_see_it(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    group = await a_group(ann, place, bob)
    said = await say(ann, group, "Nobody else's")
    await bob.client.put(message_path(said, "/reactions/👍"))
    await ann.client.patch(message_path(said), json={"body": "Changed"})
    await ann.client.delete(message_path(said))

    async def seen_by(person: Person) -> list[tuple[str, str, int]]:
        answer = await person.client.get("/api/changes", params={"workspaceId": place})
        assert "Nobody" not in answer.text
        rows: list[Json] = answer.json()["changes"]
        return [(row["entity"], row["action"], row["version"]) for row in rows if row["entity"] != "member"]

    wanted = [("conversation", "created", 1), ("message", "created", 1), ("message", "reacted", 2)]
    wanted += [("message", "updated", 3), ("message", "deleted", 4)]
    seen = [one for one in await seen_by(ann) if one[0] in ("conversation", "message")]
    assert seen == [one for one in await seen_by(bob) if one[0] in ("conversation", "message")] == wanted
    assert not [one for one in await seen_by(cid) if one[0] in ("conversation", "message")]
    await ann.client.delete(path_of(group, f"/members/{bob.id}"))
    own = (await bob.client.get("/api/changes")).json()["changes"]
    assert [(row["entity"], row["entityId"], row["action"]) for row in own if row["entity"] == "conversation"] == [
        ("conversation", group["id"], "removed")
    ]
    assert not [one for one in await seen_by(bob) if one[0] in ("conversation", "message")]
