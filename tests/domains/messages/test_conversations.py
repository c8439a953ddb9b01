"""/api/conversations: who speaks where."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    NOWHERE,
    Json,
    a_group,
    a_place,
    a_project,
    ask_direct,
    conversations_of,
    create,
    direct,
    got,
    listed,
    path_of,
    refusal,
    say,
    some_people,
    try_to_say,
)
from tests.identity.teams import join, member_of

ROUTES = [
    ("POST", "/api/conversations"),
    ("POST", "/api/conversations/direct"),
    ("GET", "/api/conversations"),
    ("GET", "/api/conversations/unread"),
    ("GET", f"/api/conversations/{NOWHERE}"),
    ("PATCH", f"/api/conversations/{NOWHERE}"),
    ("POST", f"/api/conversations/{NOWHERE}/archive"),
    ("POST", f"/api/conversations/{NOWHERE}/restore"),
    ("GET", f"/api/conversations/{NOWHERE}/members"),
    ("POST", f"/api/conversations/{NOWHERE}/members"),
    ("DELETE", f"/api/conversations/{NOWHERE}/members/{NOWHERE}"),
    ("POST", f"/api/conversations/{NOWHERE}/leave"),
    ("POST", f"/api/conversations/{NOWHERE}/read"),
    ("PUT", f"/api/conversations/{NOWHERE}/mute"),
    ("DELETE", f"/api/conversations/{NOWHERE}/mute"),
]
OF_ONE = [
    ("GET", ""),
    ("PATCH", ""),
    ("POST", "/archive"),
    ("POST", "/restore"),
    ("GET", "/members"),
    ("POST", "/members"),
    ("DELETE", f"/members/{NOWHERE}"),
    ("POST", "/leave"),
    ("POST", "/read"),
    ("PUT", "/mute"),
    ("DELETE", "/mute"),
]
BODIES: dict[tuple[str, str], Json] = {
    ("PATCH", ""): {"name": "New"},
    ("POST", "/members"): {"userIds": [str(NOWHERE)]},
    ("POST", "/read"): {"upToMessageId": str(NOWHERE)},
    ("PUT", "/mute"): {},
}


async def call(person: Person, conversation: Json, method: str, step: str) -> httpx.Response:
    return await person.client.request(method, path_of(conversation, step), json=BODIES.get((method, step)))


# --- who may ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient, method: str, path: str) -> None:
    assert refusal(await client.request(method, path)) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "step"), OF_ONE)
async def test_a_conversation_of_others_is_not_there(
    platform: Platform, new_person: NewPerson, method: str, step: str
) -> None:
    """For a member of the workspace, its admin and a stranger alike."""
    ann, bob, admin, stranger = await some_people(new_person, "Ann", "Bob", "Ada", "Sid")
    place = await a_place(platform, ann, bob)
    await join(platform, place, admin, Role.ADMIN)
    group = await a_group(ann, place)
    for one in (bob, admin, stranger):
        assert refusal(await call(one, group, method, step)) == (404, "not_found")
    assert refusal(await call(bob, {"id": str(uuid4())}, method, step)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "step"), [("PATCH", ""), ("POST", "/archive"), ("POST", "/restore"), ("POST", "/members")]
)
async def test_who_is_only_in_a_group_does_not_manage_it(
    platform: Platform, new_person: NewPerson, method: str, step: str
) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    assert refusal(await call(bob, group, method, step)) == (403, "forbidden")
    removal = await bob.client.delete(path_of(group, f"/members/{ann.id}"))
    assert refusal(removal) == (403, "forbidden")


async def test_a_viewer_and_a_guest_create_none(platform: Platform, new_person: NewPerson) -> None:
    ann, vera, gus = await some_people(new_person, "Ann", "Vera", "Gus")
    place = await a_place(platform, ann, vera, role=Role.VIEWER)
    await join(platform, place, gus, Role.GUEST)
    body = {"workspaceId": place, "kind": "GROUP", "name": "Ours"}
    for one in (vera, gus):
        assert refusal(await one.client.post("/api/conversations", json=body)) == (403, "forbidden")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "DIRECT"},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 121},
        {"name": "a\u0000b"},
        {"name": None},
        {"memberIds": ["x"]},
        {"memberIds": [str(uuid4()) for _ in range(251)]},
        {"projectId": str(NOWHERE)},
        {"kind": "CHANNEL", "memberIds": [str(NOWHERE)]},
        {"scopeId": str(NOWHERE)},
    ],
)
async def test_a_wrong_body_is_refused(platform: Platform, person: Person, change: Json) -> None:
    place = await a_place(platform, person)
    body = {"workspaceId": place, "kind": "GROUP", "name": "Ours", **change}
    answer = await person.client.post("/api/conversations", json=body)
    assert refusal(answer) == (422, "validation_failed")
    assert await conversations_of(person, place) == []


@pytest.mark.parametrize(
    ("method", "step", "body"),
    [
        ("PATCH", "", {"name": None}),
        ("PATCH", "", {"kind": "CHANNEL"}),
        ("POST", "/members", {"userIds": []}),
        ("POST", "/members", {}),
        ("POST", "/read", {}),
        ("POST", "/read", {"upToMessageId": 5}),
        ("PUT", "/mute", {"until": "tomorrow"}),
    ],
)
async def test_a_wrong_change_is_refused(
    platform: Platform, person: Person, method: str, step: str, body: Json
) -> None:
    group = await a_group(person, await a_place(platform, person))
    answer = await person.client.request(method, path_of(group, step), json=body)
    assert refusal(answer) == (422, "validation_failed")
    assert await got(person, group) == group


# --- direct ones -----------------------------------------------------------------------------------------------


async def test_two_people_have_one_conversation(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    first = await ask_direct(ann, place, bob.id)
    assert first.status_code == 201
    made = first.json()["conversation"]
    assert first.headers["location"] == f"/api/conversations/{made['id']}"
    assert (made["kind"], made["other"]) == ("DIRECT", {"id": str(bob.id), "name": "Bob", "avatar": None})
    again = await ask_direct(bob, place, ann.id)
    assert (again.status_code, again.json()["conversation"]["id"]) == (200, made["id"])
    assert again.json()["conversation"]["other"] == {"id": str(ann.id), "name": "Ann", "avatar": None}
    elsewhere = await a_place(platform, ann, bob)
    assert (await direct(ann, elsewhere, bob))["id"] != made["id"]


async def test_opened_by_both_at_once_it_is_still_one(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    answers = await asyncio.gather(
        *(ask_direct(*pair) for _ in range(6) for pair in ((ann, place, bob.id), (bob, place, ann.id)))
    )
    assert len({one.json()["conversation"]["id"] for one in answers}) == 1
    assert sorted(one.status_code for one in answers) == [200] * 11 + [201]


async def test_viewers_speak_in_their_direct_conversations(platform: Platform, new_person: NewPerson) -> None:
    ann, vera = await some_people(new_person, "Ann", "Vera")
    place = await a_place(platform, ann, vera, role=Role.VIEWER)
    talk = await direct(vera, place, ann)
    await say(vera, talk, "Hello")
    channel = await create(ann, place, "CHANNEL")
    assert refusal(await try_to_say(vera, channel)) == (403, "forbidden")
    assert await got(vera, channel) == {**channel, "memberCount": 1}


async def test_nobody_speaks_with_strangers_or_with_themselves(platform: Platform, new_person: NewPerson) -> None:
    ann, stranger = await some_people(new_person, "Ann", "Sid")
    place = await a_place(platform, ann)
    for other_id in (stranger.id, ann.id, NOWHERE):
        assert refusal(await ask_direct(ann, place, other_id)) == (422, "invalid_members")
    assert refusal(await ask_direct(stranger, place, ann.id)) == (404, "workspace_not_found")


async def test_a_guest_speaks_with_people_of_their_projects_alone(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, gus, gil = await some_people(new_person, "Ann", "Bob", "Gus", "Gil")
    place = await a_place(platform, ann, bob)
    for one in (gus, gil):
        await join(platform, place, one, Role.GUEST)
    project = await a_project(platform, place, ann, gus)
    stranger = await new_person()
    for other_id in (bob.id, gil.id, gus.id, stranger.id):
        assert refusal(await ask_direct(gus, place, other_id)) == (403, "no_shared_project")
    talk = await direct(gus, place, ann)
    await say(gus, talk, "Hello")
    async with platform.database.transaction() as session:
        await session.execute(text("UPDATE projects SET deleted_at = created_at WHERE id = :id"), {"id": project.id})
    assert refusal(await ask_direct(gus, place, ann.id)) == (403, "no_shared_project")
    await say(gus, talk, "Still here")  # what is begun goes on
    assert (await direct(bob, place, gus))["other"]["name"] == "Gus"  # members may write to a guest


@pytest.mark.parametrize(("method", "step"), [("PATCH", ""), ("POST", "/archive"), ("POST", "/members")])
async def test_a_direct_conversation_stays_as_it_is(
    platform: Platform, new_person: NewPerson, method: str, step: str
) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    talk = await direct(ann, place, bob)
    assert refusal(await call(ann, talk, method, step)) == (409, "fixed_conversation")  # the workspace's owner
    assert refusal(await call(bob, talk, method, step)) == (403, "forbidden")
    for one in (ann, bob):
        assert refusal(await call(one, talk, "POST", "/leave")) == (409, "fixed_conversation")


# --- groups ----------------------------------------------------------------------------------------------------


async def test_a_group_is_its_members(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    group = await a_group(bob, place, ann)
    assert (group["kind"], group["memberCount"], group["projectId"], group["other"]) == ("GROUP", 2, None, None)
    await say(bob, group, "Before")
    added = await bob.client.post(path_of(group, "/members"), json={"userIds": [str(cid.id), str(ann.id)]})
    assert (added.status_code, added.json()["conversation"]["memberCount"]) == (200, 3)
    members = (await cid.client.get(path_of(group, "/members"))).json()["members"]
    assert {(one["name"], one["isAdmin"]) for one in members} == {("Ann", False), ("Bob", True), ("Cid", False)}
    seen = await got(cid, group)
    assert (seen["lastNumber"], seen["unread"], seen["readNumber"]) == (1, 0, 1)
    assert (await got(ann, group))["unread"] == 1
    gone = await bob.client.delete(path_of(group, f"/members/{cid.id}"))
    assert gone.status_code == 204
    assert refusal(await cid.client.get(path_of(group))) == (404, "not_found")
    again = await bob.client.delete(path_of(group, f"/members/{cid.id}"))
    assert refusal(again) == (404, "not_found")


async def test_members_are_paged(platform: Platform, new_person: NewPerson) -> None:
    people = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, *people)
    group = await a_group(people[0], place, *people[1:])
    seen, cursor = [], None
    for _ in range(3):
        params = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        page = (await people[1].client.get(path_of(group, "/members"), params=params)).json()
        seen += [one["userId"] for one in page["members"]]
        cursor = page["nextCursor"]
    assert cursor is None
    assert seen == sorted(str(one.id) for one in people)
    wrong = await people[1].client.get(path_of(group, "/members"), params={"cursor": "x"})
    assert refusal(wrong) == (422, "invalid_cursor")


async def test_when_its_last_admin_leaves_another_manages_it(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    group = await a_group(bob, place)
    await bob.client.post(path_of(group, "/members"), json={"userIds": [str(cid.id)]})
    await bob.client.post(path_of(group, "/members"), json={"userIds": [str(ann.id)]})
    assert (await bob.client.post(path_of(group, "/leave"))).status_code == 204
    assert refusal(await bob.client.get(path_of(group))) == (404, "not_found")
    members = (await ann.client.get(path_of(group, "/members"))).json()["members"]
    assert {(one["name"], one["isAdmin"]) for one in members} == {("Ann", False), ("Cid", True)}


async def test_only_members_of_the_workspace_are_put_in(platform: Platform, new_person: NewPerson) -> None:
    ann, stranger = await some_people(new_person, "Ann", "Sid")
    place = await a_place(platform, ann)
    body = {"workspaceId": place, "kind": "GROUP", "name": "Ours", "memberIds": [str(stranger.id)]}
    assert refusal(await ann.client.post("/api/conversations", json=body)) == (422, "invalid_members")
    group = await a_group(ann, place)
    added = await ann.client.post(path_of(group, "/members"), json={"userIds": [str(stranger.id)]})
    assert refusal(added) == (422, "invalid_members")
    assert (await got(ann, group))["memberCount"] == 1


async def test_a_group_has_at_most_250_members(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    group = await a_group(ann, place)
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
                " SELECT gen_random_uuid(), gen_random_uuid() || '@crowd.example', 'Crowd', 'en', 'UTC', now(), now()"
                " FROM generate_series(1, 248)"
            )
        )
        await session.execute(
            text(
                "INSERT INTO scope_members (scope_id, user_id) SELECT c.scope_id, u.id FROM conversations c, users u"
                " WHERE c.id = :id AND u.email LIKE '%@crowd.example'"
            ),
            {"id": UUID(group["id"])},
        )
    both = {"userIds": [str(bob.id), str(cid.id)]}
    assert refusal(await ann.client.post(path_of(group, "/members"), json=both)) == (409, "too_many_members")
    one = {"userIds": [str(bob.id)]}
    assert (await ann.client.post(path_of(group, "/members"), json=one)).status_code == 200
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "DELETE FROM scope_members WHERE user_id IN (SELECT id FROM users WHERE email LIKE '%@crowd.example')"
            )
        )
        await session.execute(text("DELETE FROM users WHERE email LIKE '%@crowd.example'"))


async def test_who_is_removed_from_the_workspace_sees_nothing_and_comes_back_to_what_was_theirs(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    talk, group = await direct(ann, place, bob), await a_group(ann, place, bob)
    said = await say(bob, talk, "Hello")
    member = await member_of(ann, place, bob)
    assert (await ann.client.delete(f"/api/team/members/{member['id']}")).status_code == 200
    for path in (path_of(talk), path_of(group), f"/api/messages/{said['id']}"):
        assert refusal(await bob.client.get(path)) == (404, "not_found")
    assert refusal(await try_to_say(bob, talk)) == (404, "not_found")
    await join(platform, place, bob, Role.MEMBER)
    assert refusal(await bob.client.get(path_of(talk))) == (404, "not_found")
    assert (await direct(bob, place, ann))["id"] == talk["id"]
    assert [one["body"] for one in (await listed(bob, talk))["messages"]] == ["Hello"]
    assert refusal(await bob.client.get(path_of(group))) == (404, "not_found")


# --- channels --------------------------------------------------------------------------------------------------


async def test_a_projects_channel_is_for_who_sees_the_project(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cid, gus, vera = await some_people(new_person, "Ann", "Bob", "Cid", "Gus", "Vera")
    place = await a_place(platform, ann, bob, cid, vera)
    await join(platform, place, gus, Role.GUEST)
    project = await a_project(platform, place, ann, bob, gus)
    await put_into(platform, project.scope_id, vera, "VIEWER")
    channel = await create(bob, place, "CHANNEL", projectId=str(project.id))
    assert channel["projectId"] == str(project.id)
    for one in (ann, bob, gus):
        await say(one, channel, f"Hello from {one.name}")
    assert refusal(await try_to_say(vera, channel)) == (403, "forbidden")
    assert len((await listed(vera, channel))["messages"]) == 3
    assert refusal(await cid.client.get(path_of(channel))) == (404, "not_found")
    assert [one["id"] for one in await conversations_of(gus, place)] == [channel["id"]]
    assert await conversations_of(cid, place) == []
    # Managed by the project's admin, not by who created it.
    assert refusal(await bob.client.patch(path_of(channel), json={"name": "Mine"})) == (403, "forbidden")
    assert (await ann.client.patch(path_of(channel), json={"name": "Ours"})).status_code == 200
    body = {"workspaceId": place, "kind": "CHANNEL", "name": "x", "projectId": str(project.id)}
    assert refusal(await cid.client.post("/api/conversations", json=body)) == (404, "not_found")
    assert refusal(await vera.client.post("/api/conversations", json=body)) == (403, "forbidden")
    for step, wanted in (("/members", {"userIds": [str(cid.id)]}), ("/leave", None)):
        assert refusal(await ann.client.post(path_of(channel, step), json=wanted)) == (409, "fixed_conversation")


async def put_into(platform: Platform, scope_id: UUID, person: Person, role: str) -> None:
    async with platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO scope_members (scope_id, user_id, role) VALUES (:scope, :user, :role)"),
            {"scope": scope_id, "user": person.id, "role": role},
        )


async def test_the_workspaces_channel_is_for_all_but_guests(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, gus = await some_people(new_person, "Ann", "Bob", "Gus")
    place = await a_place(platform, ann, bob)
    await join(platform, place, gus, Role.GUEST)
    channel = await create(bob, place, "CHANNEL", name="Everybody")
    await say(ann, channel)
    assert [one["name"] for one in await conversations_of(bob, place)] == ["Everybody"]
    assert refusal(await gus.client.get(path_of(channel))) == (404, "not_found")
    assert await conversations_of(gus, place) == []
    assert (await bob.client.post(path_of(channel, "/archive"))).status_code == 200  # its creator manages it


async def test_a_deleted_project_takes_its_channels_along_and_an_archived_one_silences_them(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    project = await a_project(platform, place, ann, bob, is_open=True)
    channel = await create(ann, place, "CHANNEL", projectId=str(project.id))
    said = await say(bob, channel)

    async def becomes(change: str) -> None:
        async with platform.database.transaction() as session:
            await session.execute(text(f"UPDATE projects SET {change} WHERE id = :id"), {"id": project.id})

    await becomes("archived_at = created_at, status = 'ARCHIVED'")
    reaction = f"/api/messages/{said['id']}/reactions/👍"
    for answer in (
        await try_to_say(bob, channel),
        await bob.client.patch(f"/api/messages/{said['id']}", json={"body": "Other"}),
        await bob.client.delete(f"/api/messages/{said['id']}"),
        await bob.client.put(reaction),
        await ann.client.patch(path_of(channel), json={"name": "Other"}),
    ):
        assert refusal(answer) == (409, "project_archived")
    assert len((await listed(ann, channel))["messages"]) == 1
    await becomes("archived_at = NULL, status = 'ACTIVE', deleted_at = created_at")
    for answer in (
        await ann.client.get(path_of(channel)),
        await ann.client.get(f"/api/messages/{said['id']}"),
        await ann.client.get("/api/messages", params={"conversationId": channel["id"]}),
        await try_to_say(ann, channel),
        await ann.client.put(reaction),
    ):
        assert refusal(answer) == (404, "not_found")
    assert await conversations_of(ann, place) == []
    await becomes("deleted_at = NULL")
    await say(ann, channel)


# --- lists and changes -----------------------------------------------------------------------------------------


async def test_what_was_last_active_comes_first_and_pages_hold(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    groups = [await a_group(ann, place, name=f"Group {number}") for number in range(5)]
    channel = await create(ann, place, "CHANNEL", name="All")
    await say(ann, groups[2])
    seen: list[str] = []
    cursor = None
    while True:
        params: Json = {"workspaceId": place, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await ann.client.get("/api/conversations", params=params)).json()
        seen += [one["name"] for one in page["conversations"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == ["Group 2", "All", "Group 4", "Group 3", "Group 1", "Group 0"]
    assert [one["id"] for one in await conversations_of(ann, place, kind="CHANNEL")] == [channel["id"]]
    assert await conversations_of(ann, place, projectId=str(uuid4())) == []
    for wrong in ({"kind": "TALK"}, {"projectId": "x"}, {"archived": "perhaps"}, {"cursor": "x"}):
        query: Json = {"workspaceId": place, **wrong}
        assert (await ann.client.get("/api/conversations", params=query)).status_code == 422
    assert refusal(await bob.client.get("/api/conversations", params={"workspaceId": str(uuid4())})) == (
        404,
        "workspace_not_found",
    )


async def test_an_archived_one_is_read_and_nothing_more(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    said = await say(bob, group)
    archived = await ann.client.post(path_of(group, "/archive"))
    assert (archived.status_code, archived.headers["etag"]) == (200, '"2"')
    refused: list[Any] = [
        await try_to_say(bob, group),
        await bob.client.patch(f"/api/messages/{said['id']}", json={"body": "Other"}),
        await bob.client.delete(f"/api/messages/{said['id']}"),
        await bob.client.put(f"/api/messages/{said['id']}/reactions/👍"),
        await ann.client.patch(path_of(group), json={"name": "Other"}),
        await ann.client.post(path_of(group, "/members"), json={"userIds": [str(bob.id)]}),
    ]
    assert [refusal(one) for one in refused] == [(409, "conversation_archived")] * 6
    assert await conversations_of(bob, place) == []
    assert [one["id"] for one in await conversations_of(bob, place, archived=True)] == [group["id"]]
    assert len((await listed(bob, group))["messages"]) == 1
    restored = await ann.client.post(path_of(group, "/restore"))
    assert restored.json()["conversation"]["archivedAt"] is None
    await say(bob, group)


async def test_a_name_is_changed_by_who_read_it_last(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    stale = {"If-Match": '"7"'}
    answer = await person.client.patch(path_of(group), json={"name": "Other"}, headers=stale)
    assert refusal(answer) == (412, "precondition_failed")
    fresh = await person.client.patch(path_of(group), json={"name": "Other"}, headers={"If-Match": '"1"'})
    assert (fresh.json()["conversation"]["name"], fresh.headers["etag"]) == ("Other", '"2"')
    same = await person.client.patch(path_of(group), json={"name": "Other"})
    assert same.headers["etag"] == '"2"'
    tag = (await person.client.get(path_of(group))).headers["etag"]
    assert (await person.client.get(path_of(group), headers={"If-None-Match": tag})).status_code == 304
    await say(person, group)
    spoken = await person.client.get(path_of(group), headers={"If-None-Match": tag})
    assert (spoken.status_code, spoken.json()["conversation"]["lastNumber"]) == (200, 1)
    again = await person.client.patch(path_of(group), json={"name": "Third"}, headers={"If-Match": tag})
    assert (again.status_code, again.json()["conversation"]["version"]) == (200, 3), "messages do not count"


async def test_muting_ends_by_itself_or_by_hand(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    until = platform.clock.now() + timedelta(hours=1)
    muted = await person.client.put(path_of(group, "/mute"), json={"until": until.isoformat()})
    assert muted.json()["readState"]["isMuted"] is True
    platform.clock.advance_business(hours=2)  # type: ignore[attr-defined]
    seen = await got(person, group)
    assert (seen["isMuted"], seen["mutedUntil"]) == (False, None)
    assert (await person.client.put(path_of(group, "/mute"), json={})).json()["readState"]["isMuted"] is True
    platform.clock.advance_business(days=1000)  # type: ignore[attr-defined]
    async with platform.database.reading() as session:
        assert await session.scalar(
            text("SELECT is_muted FROM conversation_readers WHERE conversation_id = :id"), {"id": UUID(group["id"])}
        )
    platform.clock.advance_business(days=-1000)  # type: ignore[attr-defined]
    ended = await person.client.delete(path_of(group, "/mute"))
    assert ended.json()["readState"] == {
        "conversationId": group["id"],
        "readNumber": 0,
        "unread": 0,
        "hasMoreUnread": False,
        "isMuted": False,
        "mutedUntil": None,
    }
    for wrong in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        answer = await person.client.put(path_of(group, "/mute"), json={"until": wrong})
        assert refusal(answer) == (422, "invalid_mute")


async def test_a_key_that_only_reads_changes_nothing_in_its_makers_name(
    platform: Platform, client: httpx.AsyncClient, new_person: NewPerson
) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    said = await say(bob, group)
    direct_with = {"workspaceId": place, "userId": str(bob.id)}
    calls: list[tuple[str, str, Json | None]] = [
        ("POST", "/api/conversations/direct", direct_with),
        ("POST", path_of(group, "/read"), {"upToMessageId": said["id"]}),
        ("PUT", path_of(group, "/mute"), {}),
        ("DELETE", path_of(group, "/mute"), None),
        ("POST", path_of(group, "/leave"), None),
    ]
    for scopes, refused in ((["message:read"], True), (["message:write"], False)):
        made = await ann.client.post("/api/api-keys", json={"name": "Nightly", "scopes": scopes})
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        assert (await client.get(path_of(group), headers=headers)).status_code == 200
        for method, path, body in calls:
            answer = await client.request(method, path, json=body, headers=headers)
            if refused:
                assert refusal(answer) == (403, "insufficient_scope"), path
                assert answer.json()["scope"] == "message:write"
            else:
                assert answer.status_code < 300, answer.text
