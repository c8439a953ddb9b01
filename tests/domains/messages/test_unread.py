"""What is unread: what others said after the place one has read up to, without what was deleted."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from pm_api.core.platform import Platform
from pm_api.domains.messages.rules import COUNTED, EXAMINED
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    Json,
    a_group,
    a_place,
    a_project,
    conversations_of,
    create,
    direct,
    got,
    message_path,
    path_of,
    read,
    refusal,
    say,
    some_people,
    unread,
)
from tests.identity.teams import join
from tests.support.queue import work_off

NOTHING = {"conversations": [], "unread": 0, "hasMoreUnread": False}


async def counted(person: Person, conversation: Json) -> tuple[int, bool]:
    shown = await got(person, conversation)
    return shown["unread"], shown["hasMoreUnread"]


async def crowd_of_messages(platform: Platform, conversation: Json, author: Person, count: int) -> None:
    """As if somebody had said so much."""
    async with platform.database.transaction() as session:
        values = {"id": UUID(conversation["id"]), "author": author.id, "count": count}
        await session.execute(
            text(
                "INSERT INTO messages (id, workspace_id, scope_id, conversation_id, number, author_user_id, body,"
                " mentions, created_at, updated_at)"
                " SELECT gen_random_uuid(), workspace_id, scope_id, id, last_number + n, :author, 'x', '[]',"
                " active_at, active_at FROM conversations, generate_series(1, :count) n WHERE id = :id"
            ),
            values,
        )
        await session.execute(
            text("UPDATE conversations SET last_number = last_number + :count WHERE id = :id"), values
        )


async def test_own_and_deleted_ones_do_not_count(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    said = [await say(one, group) for one in (bob, ann, bob, bob)]
    assert await counted(ann, group) == (3, False)
    assert await counted(bob, group) == (1, False)
    await bob.client.delete(message_path(said[2]))
    await bob.client.delete(message_path(said[2]))
    assert await counted(ann, group) == (2, False)
    state = await read(ann, group, said[0])
    assert (state["readNumber"], state["unread"]) == (1, 1)
    await bob.client.delete(message_path(said[0]))  # what was read changes nothing
    assert await counted(ann, group) == (1, False)


async def test_reading_never_goes_back(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group, other = await a_group(ann, place, bob), await a_group(ann, place, bob)
    said = [await say(bob, group) for _ in range(3)]
    assert (await read(ann, group, said[2]))["readNumber"] == 3
    assert (await read(ann, group, said[0]))["readNumber"] == 3
    elsewhere = await say(bob, other)
    body = {"upToMessageId": elsewhere["id"]}
    assert refusal(await ann.client.post(path_of(group, "/read"), json=body)) == (404, "not_found")
    assert await unread(ann, place) == {
        "conversations": [
            {
                "conversationId": other["id"],
                "readNumber": 0,
                "unread": 1,
                "hasMoreUnread": False,
                "isMuted": False,
                "mutedUntil": None,
            }
        ],
        "unread": 1,
        "hasMoreUnread": False,
    }


async def test_muted_ones_are_flagged_and_not_added_up(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group, talk = await a_group(ann, place, bob), await direct(ann, place, bob)
    for conversation in (group, group, talk):
        await say(bob, conversation)
    assert (await unread(ann, place))["unread"] == 3
    await ann.client.put(path_of(group, "/mute"), json={})
    found = await unread(ann, place)
    assert found["unread"] == 1
    assert {one["conversationId"]: (one["unread"], one["isMuted"]) for one in found["conversations"]} == {
        group["id"]: (2, True),
        talk["id"]: (1, False),
    }
    assert await unread(bob, place) == NOTHING


async def test_more_than_99_are_not_counted_out(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group, other = await a_group(ann, place, bob), await a_group(ann, place, bob)
    await crowd_of_messages(platform, group, bob, COUNTED)
    assert await counted(ann, group) == (99, False)
    await say(bob, other)
    assert {**(await unread(ann, place)), "conversations": []} == {**NOTHING, "unread": 99, "hasMoreUnread": True}
    await say(bob, group)
    assert await counted(ann, group) == (99, True)


async def test_a_long_talk_to_oneself_hides_no_answer(platform: Platform, new_person: NewPerson) -> None:
    """Who says very much without reading: only so many are examined, and that there may be more is told."""
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    await say(bob, group)
    await crowd_of_messages(platform, group, ann, EXAMINED)
    last = await say(bob, group)
    assert await counted(ann, group) == (1, True)
    assert [one["conversationId"] for one in (await unread(ann, place))["conversations"]] == [group["id"]]
    assert (await read(ann, group, last))["unread"] == 0
    assert await unread(ann, place) == NOTHING


async def test_who_has_read_all_before_has_read_ones_own_too(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    for _ in range(3):
        await say(ann, group)
    assert (await got(ann, group))["readNumber"] == 3
    await say(bob, group)
    await say(ann, group)
    shown = await got(ann, group)
    assert (shown["readNumber"], shown["unread"]) == (3, 1)


async def test_who_joins_the_workspace_has_nothing_unread_from_before(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob, late = await some_people(new_person, "Ann", "Bob", "Lea")
    place = await a_place(platform, ann, bob)
    channel, quiet = await create(ann, place, "CHANNEL"), await create(ann, place, "CHANNEL")
    private = await a_project(platform, place, ann)
    hidden = await create(ann, place, "CHANNEL", projectId=str(private.id))
    for conversation in (channel, channel, hidden):
        await say(ann, conversation)
    await join(platform, place, late, Role.MEMBER)
    await say(ann, channel)
    await work_off(platform, "member.changed>messages", about=place)
    assert await counted(late, channel) == (1, False)
    assert await counted(bob, channel) == (3, False)  # who was there before has all of it unread
    assert [one["id"] for one in await conversations_of(late, place)] == [channel["id"], quiet["id"]]


async def test_unread_is_told_in_one_query_however_many_there_are(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)

    async def statements() -> list[str]:
        seen: list[str] = []

        def note(*arguments: Any) -> None:
            seen.append(arguments[2])

        engine = platform.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            await unread(ann, place)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return [one for one in seen if "conversations" in one]

    await say(bob, await a_group(ann, place, bob))
    assert len(await statements()) == 1
    for _ in range(8):
        await say(bob, await a_group(ann, place, bob))
    assert len(await statements()) == 1
    assert (await unread(ann, place))["unread"] == 9


@pytest.mark.parametrize("step", ["read", "muted"])
async def test_where_one_is_is_told_to_oneself_alone(platform: Platform, new_person: NewPerson, step: str) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    said = await say(bob, group)
    if step == "read":
        await read(ann, group, said)
        await read(ann, group, said)
    else:
        await ann.client.put(path_of(group, "/mute"), json={})
    for one, wanted in ((ann, [step]), (bob, [])):
        rows = (await one.client.get("/api/changes")).json()["changes"]
        assert [row["action"] for row in rows if row["entity"] == "read_state"] == wanted
    for one in (ann, bob):
        rows = (await one.client.get("/api/changes", params={"workspaceId": place})).json()["changes"]
        assert not [row for row in rows if row["entity"] == "read_state"]
