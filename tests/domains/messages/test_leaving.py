"""What is left in conversations of who leaves a workspace, or for good."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import PASSWORD, NewPerson, Person
from tests.domains.account.leavers import ACCOUNT, EXPORT, build_export, found_anywhere, new_leaver, sweep
from tests.domains.billing.subscribing import Shop, open_shop
from tests.domains.messages.talking import (
    Json,
    a_group,
    a_place,
    create,
    direct,
    listed,
    message_path,
    path_of,
    say,
    some_people,
)
from tests.domains.storage.boxes import uploaded
from tests.identity.teams import join, make_workspace, member_of
from tests.support.queue import work_off


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def test_nothing_they_said_is_left_and_the_places_where_they_said_it_are(shop: Shop) -> None:
    platform = shop.till.platform
    friend = await shop.person()
    leaver = await new_leaver(shop)
    zo, mark = leaver.person, leaver.mark
    place = (await make_workspace(friend))["id"]
    await join(platform, place, zo, Role.MEMBER)
    alone = (await make_workspace(zo, name="Alone"))["id"]
    talk, group, channel = await direct(zo, place, friend), await a_group(zo, place, friend, name="Ours"), None
    channel = await create(friend, place, "CHANNEL")
    notes = await a_group(zo, alone, name=f"{mark}'s notes")
    said = await say(zo, talk, f"I am {mark}")
    await zo.client.patch(message_path(said), json={"body": f"Indeed I am {mark}"})
    answer = await say(friend, talk, "Welcome")
    await zo.client.put(message_path(answer, "/reactions/👍"))
    await say(zo, channel, f"Yours, {mark}", mentions=[str(friend.id)])
    file = await uploaded(zo, b"Yours", f"{mark}.txt", workspaceId=place)
    await say(zo, group, f"Ours, {mark}", fileIds=[file["id"]])
    await say(zo, notes, f"Dear {mark}")
    tables = {one.split(":")[0] for one in await found_anywhere(platform, [mark])}
    assert {
        f"public.{one}" for one in ("messages", "message_revisions", "conversations", "search_documents")
    } <= tables

    gone = await zo.client.request("DELETE", ACCOUNT, json={"password": PASSWORD})
    assert gone.status_code == 202, gone.text
    await shop.move(days=7, minutes=1)
    await sweep(platform, "account.erase_due")
    assert await found_anywhere(platform, [mark]) == []
    shown = (await listed(friend, talk))["messages"]
    assert [(one["body"], one["deletedAt"] is None) for one in shown] == [("Welcome", True), ("", False)]
    assert shown[1]["author"] == {"id": str(zo.id), "name": "Deleted user", "avatar": None}
    assert shown[0]["reactions"] == []
    async with platform.database.reading() as session:
        for table, column in (("message_reactions", "user_id"), ("conversation_readers", "user_id")):
            left = text(f"SELECT count(*) FROM {table} WHERE {column} = :id")
            assert await session.scalar(left, {"id": zo.id}) == 0, table
    await work_off(platform, "member.changed>messages")
    members = (await friend.client.get(path_of(group, "/members"))).json()["members"]
    assert [(one["userId"], one["isAdmin"]) for one in members] == [(str(friend.id), True)]


async def test_what_is_left_behind_is_told_and_a_group_gets_another_admin(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    group = await a_group(bob, place, cid)
    for _ in range(2):
        await say(bob, group)
    member = await member_of(ann, place, bob)
    answer = await ann.client.delete(f"/api/team/members/{member['id']}")
    left = {one["kind"]: one["count"] for one in answer.json()["removal"]["leftBehind"]}
    assert (left["messages"], left["message_groups"]) == (2, 1)
    await work_off(platform, "member.changed>messages", about=place)
    await work_off(platform, "member.changed>messages", about=place)
    members = (await cid.client.get(path_of(group, "/members"))).json()["members"]
    assert [(one["name"], one["isAdmin"]) for one in members] == [("Cid", True)]
    assert (await cid.client.patch(path_of(group), json={"name": "Mine"})).status_code == 200
    assert [one["author"]["name"] for one in (await listed(cid, group))["messages"]] == ["Bob", "Bob"]


async def exported(platform: Platform, person: Person) -> dict[str, list[Json]]:
    made = (await person.client.post(EXPORT)).json()["export"]
    await build_export(platform, made["id"])
    answer = await person.client.get(f"/api/user/exports/{made['id']}/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = [one for one in archive.namelist() if one.startswith("messages/")]
        return {name: json.loads(archive.read(name)) for name in names}


async def test_an_export_holds_what_one_said_and_nothing_of_others(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    talk = await direct(ann, place, bob)
    hostile = "=cmd|' /C calc'!A0 <script>\u202e"
    said = await say(ann, talk, hostile)
    await ann.client.patch(message_path(said), json={"body": "Changed"})
    await say(bob, talk, "Bob's secret")
    await ann.client.put(message_path(said, "/reactions/👍"))
    files = await exported(platform, ann)
    assert [one["body"] for one in files["messages/messages.json"]] == ["Changed"]
    assert [one["body"] for one in files["messages/history.json"]] == [hostile]
    assert [one["emoji"] for one in files["messages/reactions.json"]] == ["👍"]
    assert [UUID(one["id"]) for one in files["messages/conversations.json"]] == [UUID(talk["id"])]
    assert "secret" not in json.dumps(files)
