"""Who is told what, once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.errors import Conflict
from pm_api.core.platform import Platform
from pm_api.domains.notifications import service
from pm_api.domains.notifications.enums import Category
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as repository
from tests.conftest import NewPerson, Person
from tests.domains.changes.events import listen
from tests.domains.changes.people import new_caller, new_scope, new_workspace
from tests.domains.notifications.telling import changes_of, listed, tell, titles, told, unread
from tests.identity.teams import join, make_workspace
from tests.support.server import serve


async def rows_of(platform: Platform, dedup_key: str) -> int:
    async with platform.database.reading() as session:
        found = await session.execute(
            text("SELECT count(*) FROM notifications WHERE dedup_key = :key"), {"key": dedup_key}
        )
        count: int = found.scalar_one()
        return count


async def test_it_is_read_as_it_was_told(platform: Platform, person: Person) -> None:
    place = await make_workspace(person)
    shown = await told(
        platform,
        person,
        type="credits.cap_reached",
        title="Grüße 🎉",
        body="x" * 2000,
        reason="You own it.",
        data={"available": 20, "of": [1, None, {"deep": 0.5}]},
        link="/workspaces/acme/credits?tab=caps#top",
        workspace_id=place["id"],
    )
    assert shown.pop("id")
    assert shown.pop("createdAt").endswith("Z")
    assert shown == {
        "workspaceId": place["id"],
        "category": "CREDITS",
        "type": "credits.cap_reached",
        "reason": "You own it.",
        "title": "Grüße 🎉",
        "body": "x" * 2000,
        "data": {"available": 20, "of": [1, None, {"deep": 0.5}]},
        "link": "/workspaces/acme/credits?tab=caps#top",
        "readAt": None,
        "archivedAt": None,
        "snoozedUntil": None,
        "wokenAt": None,
        "version": 1,
    }


async def test_twenty_at_once_tell_each_receiver_one_time(platform: Platform, new_person: NewPerson) -> None:
    people = [await new_person() for _ in range(3)]
    ids = [one.id for one in people]
    key = uuid4().hex
    orders = [ids if number % 2 else ids[::-1] for number in range(20)]
    told_now = await asyncio.gather(*(tell(platform, order, dedup_key=key) for order in orders))
    assert sorted(told_now) == [0] * 19 + [3]
    assert await rows_of(platform, key) == 3
    for one in people:
        assert len(await listed(one)) == 1
        assert [change["action"] for change in await changes_of(one)] == ["created"]


async def test_it_stays_told_when_it_was_read_and_put_away(platform: Platform, person: Person) -> None:
    shown = await told(platform, person, dedup_key="low-balance-1")
    await person.client.post(f"/api/notifications/{shown['id']}/archive")
    assert await tell(platform, [person.id], dedup_key="low-balance-1") == 0
    assert await tell(platform, [person.id], dedup_key="low-balance-2") == 1


async def test_only_those_not_told_yet_are_told(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    key = uuid4().hex
    assert await tell(platform, [ann.id], dedup_key=key, title="first") == 1
    assert await tell(platform, [bob.id, ann.id, bob.id], dedup_key=key, title="second") == 1
    assert (await titles(ann), await titles(bob)) == (["first"], ["second"])


async def test_nobody_is_told_of_what_they_did(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    assert await tell(platform, [ann.id, bob.id], actor_user_id=ann.id) == 1
    assert await tell(platform, [ann.id], actor_user_id=ann.id) == 0
    assert (await listed(ann), len(await listed(bob))) == ([], 1)
    assert await changes_of(ann) == []
    assert [change["actorUserId"] for change in await changes_of(bob)] == [str(ann.id)]


async def test_who_is_no_member_is_not_told(platform: Platform, new_person: NewPerson) -> None:
    owner, member, stranger = [await new_person() for _ in range(3)]
    place = await make_workspace(owner)
    await join(platform, place["id"], member, Role.VIEWER)
    everybody = [owner.id, member.id, stranger.id, uuid4()]
    assert await tell(platform, everybody, workspace_id=place["id"]) == 2
    assert [len(await listed(one)) for one in (owner, member, stranger)] == [1, 1, 0]
    assert await changes_of(stranger) == []
    await owner.client.delete(f"/api/workspaces/{place['id']}")
    assert await tell(platform, everybody, workspace_id=place["id"]) == 0


async def test_of_a_circle_only_those_in_it_are_told(platform: Platform) -> None:
    inside, outside = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, inside, outside)
    scope_id = await new_scope(platform, workspace_id, inside)
    key = uuid4().hex
    both = [inside.id, outside.id]
    assert await tell(platform, both, workspace_id=workspace_id, scope_id=scope_id, dedup_key=key) == 1
    async with platform.database.reading() as session:
        found = await session.execute(text("SELECT user_id FROM notifications WHERE dedup_key = :key"), {"key": key})
        assert found.scalars().all() == [inside.id]


async def test_what_is_rolled_back_was_not_told(platform: Platform, person: Person) -> None:
    async def fail() -> None:
        async with platform.database.transaction() as session:
            told_now = await service.notify(
                session,
                platform,
                user_ids=[person.id],
                category=Category.BILLING,
                type="billing.failed",
                dedup_key="once",
                title="t",
                body="b",
                reason="r",
            )
            assert told_now == 1
            raise Conflict

    with pytest.raises(Conflict):
        await fail()
    assert (await listed(person), await changes_of(person), await unread(person)) == ([], [], 0)
    assert await tell(platform, [person.id], dedup_key="once") == 1


async def test_words_are_cut_to_fit(platform: Platform, person: Person) -> None:
    shown = await told(platform, person, title="t" * 201, body="b" * 2001, reason="r" * 198 + " " * 200)
    assert shown["title"] == "t" * 199 + "…"
    assert shown["body"] == "b" * 1999 + "…"
    assert shown["reason"] == "r" * 198 + "…"


@pytest.mark.parametrize(
    "fields",
    [
        {"user_ids": [uuid4() for _ in range(1001)]},
        {"dedup_key": ""},
        {"dedup_key": "k" * 201},
        {"type": "Low Balance"},
        {"type": "a" * 101},
        {"link": "credits"},
        {"link": "//elsewhere.example"},
        {"link": "/\\elsewhere.example"},
        {"link": "https://elsewhere.example"},
        {"link": "/a b"},
        {"link": "/" + "a" * 500},
        {"data": {"text": "x" * 4096}},
        {"data": {"text": "\x00"}},
        {"title": "\x00"},
        {"category": "WEATHER"},
        {"scope_id": uuid4()},
    ],
)
async def test_what_nobody_may_send_is_refused(platform: Platform, person: Person, fields: dict[str, Any]) -> None:
    receivers = fields.get("user_ids", [person.id])
    with pytest.raises(ValueError, match=r"."):
        await tell(platform, receivers, **{name: value for name, value in fields.items() if name != "user_ids"})
    assert await listed(person) == []


async def crowd(platform: Platform, size: int) -> list[UUID]:
    """Users without anything else."""
    async with platform.database.transaction() as session:
        made = await session.execute(
            text(
                "INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
                " SELECT gen_random_uuid(), gen_random_uuid() || '@example.com', 'n', 'en', 'UTC', :now, :now"
                " FROM generate_series(1, :size) RETURNING id"
            ),
            {"now": platform.clock.now(), "size": size},
        )
        return list(made.scalars())


async def test_a_thousand_are_told_in_one_call(platform: Platform) -> None:
    key = uuid4().hex
    assert await tell(platform, await crowd(platform, 1000), dedup_key=key) == 1000
    assert await rows_of(platform, key) == 1000


async def test_two_who_tell_the_same_crowd_do_not_wait_for_each_other(platform: Platform) -> None:
    """In the order they come, one would hold the first and want the last, the other the other way round."""
    people = await crowd(platform, 300)
    for _ in range(4):
        key = uuid4().hex
        told_now = await asyncio.gather(
            *(tell(platform, people[:: 1 if number % 2 else -1], dedup_key=key) for number in range(8))
        )
        assert sorted(told_now) == [0] * 7 + [300]


async def test_ids_may_come_from_rows_that_were_read(platform: Platform, new_person: NewPerson) -> None:
    """The driver has a kind of UUID of its own, which is not written as JSON."""
    ann, bob = await new_person(), await new_person()
    async with platform.database.reading() as session:
        read = {id: await repository.user_by_id(session, id) for id in (ann.id, bob.id)}
    receiver, actor = [row.id for row in read.values() if row is not None]
    assert await tell(platform, [receiver], actor_user_id=actor) == 1
    assert [change["actorUserId"] for change in await changes_of(ann)] == [str(bob.id)]


async def test_it_arrives_on_the_receivers_open_stream(platform: Platform, app: Any, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    headers = {"Authorization": f"Bearer {ann.access_token}"}
    async with serve(app) as address, listen(address, headers) as events:
        await events.expect("ready")
        assert await tell(platform, [bob.id]) == 1
        shown = await told(platform, ann)
        change = (await events.expect("change")).data
    assert (change["entity"], change["entityId"], change["action"]) == ("notification", shown["id"], "created")
    assert (change["workspaceId"], change["version"], change["actorUserId"]) == (None, 1, None)
    assert [one["entityId"] for one in await changes_of(ann)] == [shown["id"]]
