"""Workspaces: their life, their slugs, their owners."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as repository
from pm_api.identity.workspaces import slug_of
from pm_api.registry import MODULES
from tests.conftest import NewPerson, Person
from tests.identity.teams import (
    audit_of,
    join,
    make_workspace,
    member_of,
    somebody_waits_for_a_lock,
    unique_slug,
)
from tests.support.clock import MovableClock

assert MODULES, "subscribers of identity's events are registered"


def path_of(workspace: dict[str, Any], step: str = "") -> str:
    return f"/api/workspaces/{workspace['id']}{step}"


async def announced(platform: Platform, workspace_id: str) -> list[tuple[str, str, int]]:
    """(event, action, version) of what was told about a workspace, in order."""
    async with platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT entrypoint, payload FROM pgqueuer WHERE entrypoint LIKE '%.changed>%' ORDER BY id")
        )
    # Every subscriber has a job of its own for an event.
    events = {(row[0].split(">")[0], (event := orjson.loads(row[1]))["id"]): event for row in rows}
    return [
        (name, event["action"], event["version"])
        for (name, _), event in events.items()
        if event.get("workspace_id") == workspace_id
    ]


# --- creating --------------------------------------------------------------------------------------------------


async def test_the_creator_owns_it(person: Person, platform: Platform) -> None:
    slug = unique_slug()
    answer = await person.client.post("/api/workspaces", json={"name": "  Acme  ", "slug": slug, "description": "D"})
    assert answer.status_code == 201
    made = answer.json()["workspace"]
    assert answer.headers["location"] == path_of(made)
    assert answer.headers["etag"] == '"1-OWNER"'
    assert (made["name"], made["slug"], made["description"], made["role"]) == ("Acme", slug, "D", "OWNER")
    assert (made["version"], made["archivedAt"], made["deletedAt"]) == (1, None, None)
    read = await person.client.get(answer.headers["location"])
    assert read.json() == answer.json()
    assert read.headers["etag"] == '"1-OWNER"'
    assert [(one.action, one.actor_user_id) for one in await audit_of(platform, made["id"])] == [
        ("workspace.created", person.id),
        ("member.added", person.id),
    ]
    assert await announced(platform, made["id"]) == [
        ("workspace.changed", "created", 1),
        ("member.changed", "added", 1),
    ]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Launch", "acme-launch"),
        ("  Grüße & Küsse!! 2026 ", "grusse-kusse-2026"),
        ("日本", "workspace"),
        ("--", "workspace"),
        ("x", "workspace"),
        ("a" * 100, "a" * 50),
        ("a" * 49 + " b", "a" * 49),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


async def test_a_made_slug_gives_way_to_one_in_use(person: Person) -> None:
    name = f"Team {uuid4().hex[:10]}"
    answers = await asyncio.gather(*(person.client.post("/api/workspaces", json={"name": name}) for _ in range(6)))
    assert [one.status_code for one in answers] == [201] * 6
    slugs = {one.json()["workspace"]["slug"] for one in answers}
    assert len(slugs) == 6
    assert slug_of(name) in slugs
    assert all(slug.startswith(slug_of(name)) for slug in slugs)


async def test_a_race_for_a_slug_has_one_winner(new_person: NewPerson) -> None:
    people = [await new_person() for _ in range(2)]
    wanted = {"name": "Acme", "slug": unique_slug()}
    answers = await asyncio.gather(
        *(people[number % 2].client.post("/api/workspaces", json=wanted) for number in range(6))
    )
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409, 409]
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"slug_taken"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "a"),
        ("slug", "Acme"),
        ("slug", "a--b"),
        ("slug", "-ab"),
        ("slug", "ab-"),
        ("slug", "ab\n"),
        ("slug", "a" * 61),
        ("name", ""),
        ("name", "   "),
        ("name", None),
        ("name", "x" * 101),
        ("name", 7),
        ("description", "x" * 2001),
        ("colour", "red"),
    ],
)
async def test_wrong_fields_are_named(person: Person, field: str, value: object) -> None:
    answer = await person.client.post("/api/workspaces", json={"name": "Acme", field: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [one["pointer"] for one in answer.json()["details"]] == [f"/{field}"]


# --- the gate --------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "", None, "VIEWER"),
    ("PATCH", "", {"description": "new"}, "ADMIN"),
    ("DELETE", "", None, "OWNER"),
    ("POST", "/archive", None, "ADMIN"),
    ("POST", "/unarchive", None, "ADMIN"),
    ("POST", "/restore", None, "OWNER"),
    ("POST", "/transfer", {"userId": str(UUID(int=1))}, "OWNER"),
]


@pytest.mark.parametrize(("method", "step", "body", "least"), ROUTES)
async def test_the_gate_of_each_route(
    client: httpx.AsyncClient,
    platform: Platform,
    new_person: NewPerson,
    method: str,
    step: str,
    body: dict[str, Any] | None,
    least: str,
) -> None:
    owner, stranger = await new_person(), await new_person()
    workspace = await make_workspace(owner)
    people = {role: await new_person() for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER)}
    for role, member in people.items():
        await join(platform, workspace["id"], member, role)
    if step == "/restore":
        assert (await owner.client.delete(path_of(workspace))).status_code == 204
    path = path_of(workspace, step)
    assert (await client.request(method, path, json=body)).status_code == 401
    foreign = await stranger.client.request(method, path, json=body)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "workspace_not_found")
    for wrong in (str(uuid4()), "not-an-id"):
        assert (await owner.client.request(method, f"/api/workspaces/{wrong}{step}", json=body)).status_code == 404
    refused = [role for role in people if list(Role).index(role) > list(Role).index(Role(least))]
    for role in refused:
        answer = await people[role].client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role
    for role in set(people) - set(refused):
        assert (await people[role].client.request(method, path, json=body)).status_code in (200, 409), role


# --- reading ---------------------------------------------------------------------------------------------------


async def test_an_etag_saves_reading_again(person: Person) -> None:
    workspace = await make_workspace(person)
    for known in ('"1-OWNER"', 'W/"1-OWNER"', '"7", "1-OWNER"', "*"):
        answer = await person.client.get(path_of(workspace), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1-OWNER"'), known
    assert (await person.client.get(path_of(workspace), headers={"If-None-Match": '"2"'})).status_code == 200


async def test_a_new_role_is_seen_through_the_etag(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], bob, Role.VIEWER)
    before = await bob.client.get(path_of(workspace))
    assert before.json()["workspace"]["role"] == "VIEWER"
    member = await member_of(ann, workspace["id"], bob)
    assert (await ann.client.put(f"/api/team/members/{member['id']}", json={"role": "ADMIN"})).status_code == 200
    after = await bob.client.get(path_of(workspace), headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["workspace"]["role"] == "ADMIN"


async def test_a_form_that_is_open_survives_comings_and_goings(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    form = (await ann.client.get(path_of(workspace))).headers["etag"]
    member_id = await join(platform, workspace["id"], bob, Role.VIEWER)
    assert (await ann.client.put(f"/api/team/members/{member_id}", json={"role": "MEMBER"})).status_code == 200
    assert (await ann.client.delete(f"/api/team/members/{member_id}")).status_code == 200
    for tag, expected in ((form, 200), (form, 412), ('"2"', 200), ('"2"', 412), ('"3-"', 422), ('"3-own"', 422)):
        body = {"name": f"Acme {tag} {expected}".replace('"', "")}
        answer = await ann.client.patch(path_of(workspace), json=body, headers={"If-Match": tag})
        assert answer.status_code == expected, (tag, answer.text)


async def names_of(person: Person, **parameters: Any) -> list[str]:
    answer = await person.client.get("/api/workspaces", params=parameters)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["workspaces"]]


async def test_a_walk_meets_every_workspace_once(person: Person) -> None:
    for number in range(5):
        await make_workspace(person, name=f"W{number}")
    met: list[str] = []
    cursor: str | None = None
    for turn in range(4):
        parameters: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = (await person.client.get("/api/workspaces", params=parameters)).json()
        met += [one["name"] for one in answer["workspaces"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
        await make_workspace(person, name=f"meanwhile {turn}")
    assert met == ["W4", "W3", "W2", "W1", "W0"]
    assert turn == 2


async def test_lists_are_of_the_caller_and_filtered(new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    await make_workspace(bob, name="not Ann's")
    await make_workspace(ann, name="in use")
    archived = await make_workspace(ann, name="archived")
    deleted = await make_workspace(ann, name="deleted")
    assert (await ann.client.post(path_of(archived, "/archive"))).status_code == 200
    assert (await ann.client.delete(path_of(deleted))).status_code == 204
    assert await names_of(ann) == ["archived", "in use"]
    assert await names_of(ann, archived=True) == ["archived"]
    assert await names_of(ann, archived=False) == ["in use"]
    assert await names_of(ann, deleted=True) == ["deleted"]


async def test_listing_needs_a_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/workspaces")).status_code == 401
    assert (await client.post("/api/workspaces", json={"name": "x"})).status_code == 401


# --- changing --------------------------------------------------------------------------------------------------


async def test_patch_changes_the_fields_sent(person: Person, platform: Platform) -> None:
    workspace = await make_workspace(person, description="old")
    answer = await person.client.patch(path_of(workspace), json={"name": "New"}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200
    changed = answer.json()["workspace"]
    assert (changed["name"], changed["description"], changed["slug"]) == ("New", "old", workspace["slug"])
    assert (changed["version"], answer.headers["etag"]) == (2, '"2-OWNER"')
    cleared = await person.client.patch(path_of(workspace), json={"description": None})
    assert cleared.json()["workspace"]["description"] is None
    same = await person.client.patch(path_of(workspace), json={"name": "New"})
    assert same.json()["workspace"]["version"] == 3, "nothing changed"
    assert (await person.client.patch(path_of(workspace), json={})).json()["workspace"]["version"] == 3
    fields = [one.details["fields"] for one in await audit_of(platform, workspace["id"]) if "fields" in one.details]
    assert fields == [["name"], ["description"]]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "Second"}), ("DELETE", None)])
async def test_a_stale_reader_changes_nothing(person: Person, method: str, body: dict[str, Any] | None) -> None:
    workspace = await make_workspace(person)
    first = await person.client.patch(path_of(workspace), json={"name": "First"})
    for tag, status, code in (('"1"', 412, "precondition_failed"), ("abc", 422, "invalid_if_match")):
        answer = await person.client.request(method, path_of(workspace), headers={"If-Match": tag}, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await person.client.get(path_of(workspace))).json() == first.json()
    willing = await person.client.request(method, path_of(workspace), headers={"If-Match": "*"}, json=body)
    assert willing.status_code in (200, 204)


async def test_two_writers_with_one_version_have_one_winner(person: Person) -> None:
    workspace = await make_workspace(person)
    answers = await asyncio.gather(
        *(
            person.client.patch(path_of(workspace), json={"name": f"N{number}"}, headers={"If-Match": '"1"'})
            for number in range(4)
        )
    )
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412]


@pytest.mark.parametrize("body", [{"name": None}, {"slug": None}, {"slug": "No"}, {"name": ""}, {"version": 3}])
async def test_a_wrong_patch_is_refused(person: Person, body: dict[str, Any]) -> None:
    workspace = await make_workspace(person)
    answer = await person.client.patch(path_of(workspace), json=body)
    assert answer.status_code == 422
    assert answer.json()["details"][0]["pointer"] == f"/{next(iter(body))}"


async def test_a_slug_in_use_is_refused_and_a_race_has_one_winner(person: Person) -> None:
    first, second, third = [await make_workspace(person) for _ in range(3)]
    taken = await person.client.patch(path_of(first), json={"slug": second["slug"], "name": "Not this"})
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    assert (await person.client.get(path_of(first))).json()["workspace"] == first
    wanted = {"slug": unique_slug()}
    answers = await asyncio.gather(
        *(person.client.patch(path_of(one), json=wanted) for one in (first, second, third))
    )
    assert sorted(one.status_code for one in answers) == [200, 409, 409]


async def test_archive_and_back(person: Person, platform: Platform) -> None:
    workspace = await make_workspace(person)
    early = await person.client.post(path_of(workspace, "/unarchive"))
    assert (early.status_code, early.json()["code"]) == (409, "invalid_transition")
    archived = await person.client.post(path_of(workspace, "/archive"))
    assert archived.json()["workspace"]["archivedAt"].endswith("Z")
    assert archived.headers["etag"] == '"2-OWNER"'
    twice = await person.client.post(path_of(workspace, "/archive"))
    assert (twice.status_code, twice.json()["code"]) == (409, "invalid_transition")
    assert (await person.client.patch(path_of(workspace), json={"name": "Still"})).status_code == 200
    back = await person.client.post(path_of(workspace, "/unarchive"))
    assert back.json()["workspace"]["archivedAt"] is None
    assert await announced(platform, workspace["id"]) == [
        ("workspace.changed", "created", 1),
        ("member.changed", "added", 1),
        ("workspace.changed", "archived", 2),
        ("workspace.changed", "updated", 3),
        ("workspace.changed", "unarchived", 4),
    ]


# --- deleting --------------------------------------------------------------------------------------------------


async def test_a_deleted_workspace_is_gone_for_everybody(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    member_id = await join(platform, workspace["id"], bob, Role.ADMIN)
    assert (await ann.client.delete(path_of(workspace), headers={"If-Match": '"1-OWNER"'})).status_code == 204
    for person in (ann, bob):
        assert (await person.client.get(path_of(workspace))).status_code == 404
        assert (await person.client.patch(path_of(workspace), json={"name": "x"})).status_code == 404
        assert (
            await person.client.get("/api/team/members", params={"workspaceId": workspace["id"]})
        ).status_code == 404
        assert (await person.client.delete(f"/api/team/members/{member_id}")).status_code == 404
        assert (await person.client.get("/api/auth/me")).json()["workspaces"] == []
    assert (await ann.client.delete(path_of(workspace))).status_code == 404
    taken = await ann.client.post("/api/workspaces", json={"name": "x", "slug": workspace["slug"]})
    assert taken.status_code == 409, "its slug waits for it"


async def test_an_owner_restores_within_30_days(person: Person, platform: Platform, clock: MovableClock) -> None:
    workspace = await make_workspace(person)
    living = await person.client.post(path_of(workspace, "/restore"))
    assert (living.status_code, living.json()["code"]) == (409, "invalid_transition"), "nothing to restore"
    await person.client.delete(path_of(workspace))
    clock.shift_to(timedelta(days=29, hours=23))
    restored = await person.client.post(path_of(workspace, "/restore"))
    assert restored.status_code == 200
    assert restored.json()["workspace"]["deletedAt"] is None
    assert (await person.client.get(path_of(workspace))).headers["etag"] == restored.headers["etag"] == '"3-OWNER"'
    await person.client.delete(path_of(workspace))
    clock.shift_to(clock.offset + timedelta(days=30, seconds=5))
    late = await person.client.post(path_of(workspace, "/restore"))
    assert (late.status_code, late.json()["code"]) == (410, "restore_expired")
    actions = [one.action for one in await audit_of(platform, workspace["id"])]
    assert actions[2:] == ["workspace.deleted", "workspace.restored", "workspace.deleted"]


# --- handing over ----------------------------------------------------------------------------------------------


async def test_transfer_makes_the_other_owner_and_the_caller_admin(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], bob, Role.VIEWER)
    answer = await ann.client.post(path_of(workspace, "/transfer"), json={"userId": str(bob.id)})
    assert answer.status_code == 200
    assert answer.json()["workspace"]["role"] == "ADMIN"
    assert (await member_of(ann, workspace["id"], ann))["role"] == "ADMIN"
    assert (await member_of(ann, workspace["id"], bob))["role"] == "OWNER"
    again = await ann.client.post(path_of(workspace, "/transfer"), json={"userId": str(bob.id)})
    assert again.status_code == 403
    entries = [
        (one.action, one.details.get("before"), one.details.get("role"))
        for one in await audit_of(platform, workspace["id"])
    ]
    assert entries[3:] == [
        ("member.role_changed", "VIEWER", "OWNER"),
        ("member.role_changed", "OWNER", "ADMIN"),
        ("workspace.transferred", None, None),
    ]


async def test_transfer_needs_another_member(new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    stranger = await ann.client.post(path_of(workspace, "/transfer"), json={"userId": str(bob.id)})
    assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")
    self = await ann.client.post(path_of(workspace, "/transfer"), json={"userId": str(ann.id)})
    assert (self.status_code, self.json()["code"]) == (409, "invalid_transition")
    assert (await ann.client.post(path_of(workspace, "/transfer"), json={"userId": "x"})).status_code == 422
    assert (await member_of(ann, workspace["id"], ann))["role"] == "OWNER"


async def test_two_transfers_at_once_leave_one_owner(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cyd = await new_person(), await new_person(), await new_person()
    workspace = await make_workspace(ann)
    for member in (bob, cyd):
        await join(platform, workspace["id"], member, Role.MEMBER)
    answers = await asyncio.gather(
        *(ann.client.post(path_of(workspace, "/transfer"), json={"userId": str(heir.id)}) for heir in (bob, cyd))
    )
    assert sorted(one.status_code for one in answers) == [200, 403]
    roles = [(await member_of(ann, workspace["id"], one))["role"] for one in (ann, bob, cyd)]
    assert sorted(roles) == ["ADMIN", "MEMBER", "OWNER"]


# --- under the lock --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "step", "body", "least"), [one for one in ROUTES if one[0] != "GET"])
async def test_a_role_that_was_just_taken_away_counts_no_more(
    platform: Platform, new_person: NewPerson, method: str, step: str, body: dict[str, Any] | None, least: str
) -> None:
    """The guard saw the role; the service, under the lock, sees a member."""
    owner, other = await new_person(), await new_person()
    workspace = await make_workspace(owner)
    member_id = await join(platform, workspace["id"], other, Role(least))
    if step == "/unarchive":
        await owner.client.post(path_of(workspace, "/archive"))
    if step == "/restore":
        await owner.client.delete(path_of(workspace))
    async with platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM workspaces WHERE id = :id FOR UPDATE"), {"id": workspace["id"]})
        late = asyncio.create_task(other.client.request(method, path_of(workspace, step), json=body))
        await somebody_waits_for_a_lock(platform)
        await session.execute(text("UPDATE workspace_members SET role = 'MEMBER' WHERE id = :id"), {"id": member_id})
    answer = await late
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "MEMBER" in answer.json()["detail"]


async def test_the_lock_lets_a_foreign_key_be_checked(person: Person, platform: Platform) -> None:
    """Opening an account checks its key on the workspace while somebody holds the workspace's lock."""
    workspace = await make_workspace(person)
    async with platform.database.reading() as locked, platform.database.reading() as opening:
        assert await repository.lock_workspace(locked, UUID(workspace["id"])) is not None
        check = "SELECT 1 FROM workspaces WHERE id = :id FOR KEY SHARE NOWAIT"
        await opening.execute(text(check), {"id": workspace["id"]})
