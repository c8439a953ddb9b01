"""Members: roles, who may change whose, and the last owner."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, text

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.identity import members
from pm_api.identity.errors.people import AlreadyMember, WorkspaceNotFound
from pm_api.identity.models.people import Member, Scope, ScopeMember
from pm_api.identity.permissions import Role, allows, may_manage
from tests.conftest import NewPerson, Person
from tests.identity.teams import audit_of, join, make_workspace, member_of, somebody_waits_for_a_lock

OWNER, ADMIN, MEMBER, VIEWER = Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER
SYSTEM = Actor(ActorKind.SYSTEM)


def path_of(member_id: object) -> str:
    return f"/api/team/members/{member_id}"


async def listed(person: Person, workspace_id: str, **parameters: Any) -> list[str]:
    answer = await person.client.get("/api/team/members", params={"workspaceId": workspace_id, **parameters})
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["members"]]


async def owners_of(platform: Platform, workspace_id: str) -> int:
    async with platform.database.reading() as session:
        found = select(func.count()).where(Member.workspace_id == UUID(workspace_id), Member.role == OWNER)
        return await session.scalar(found) or 0


# --- the rule --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", Role)
@pytest.mark.parametrize("member", Role)
@pytest.mark.parametrize("new_role", [*Role, None])
def test_who_may_manage_whom(actor: Role, member: Role, new_role: Role | None) -> None:
    if actor is OWNER:
        expected = True
    elif actor is ADMIN:
        expected = member in (MEMBER, VIEWER, Role.GUEST) and new_role is not OWNER
    else:
        expected = False
    assert may_manage(actor, member, new_role) is expected


# --- reading ---------------------------------------------------------------------------------------------------


async def test_members_are_listed_in_the_order_they_joined(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cyd = await new_person(name="Ann"), await new_person(name="Bob"), await new_person(name="Cyd")
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], cyd, VIEWER)
    await join(platform, workspace["id"], bob, MEMBER)
    assert await listed(ann, workspace["id"]) == ["Ann", "Cyd", "Bob"]
    assert await listed(cyd, workspace["id"]) == ["Ann", "Cyd", "Bob"], "a viewer reads"
    member = await member_of(ann, workspace["id"], bob)
    assert (member["email"], member["role"], member["version"]) == (bob.email, "MEMBER", 1)
    assert member["workspaceId"] == workspace["id"]
    assert member["joinedAt"].endswith("Z")


async def test_members_are_searched_by_prefix_and_role(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person(name="Élan 100%_sure")
    bob = await new_person(name="Bob Élan")
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], bob, MEMBER)
    assert await listed(ann, workspace["id"], q="él") == [ann.name]
    assert await listed(ann, workspace["id"], q="ÉLAN 100%_") == [ann.name]
    assert await listed(ann, workspace["id"], q="%") == []
    assert await listed(ann, workspace["id"], q="élan_100") == []
    assert await listed(ann, workspace["id"], q="\\") == []
    assert await listed(ann, workspace["id"], q=bob.email[:8].upper()) == [bob.name]
    assert await listed(ann, workspace["id"], role="MEMBER") == [bob.name]
    assert await listed(ann, workspace["id"], role="MEMBER", q="él") == []


async def test_a_walk_over_members(platform: Platform, new_person: NewPerson) -> None:
    people = [await new_person(name=f"P{number}") for number in range(4)]
    workspace = await make_workspace(people[0])
    for person in people[1:]:
        await join(platform, workspace["id"], person, MEMBER)
    first = await people[0].client.get("/api/team/members", params={"workspaceId": workspace["id"], "limit": 3})
    cursor = first.json()["nextCursor"]
    assert [one["name"] for one in first.json()["members"]] == ["P0", "P1", "P2"]
    assert await listed(people[1], workspace["id"], cursor=cursor) == ["P3"]
    other = await make_workspace(people[0])
    for parameters in (
        {"workspaceId": other["id"]},
        {"workspaceId": workspace["id"], "q": "P"},
        {"workspaceId": workspace["id"], "role": "MEMBER"},
    ):
        answer = await people[0].client.get("/api/team/members", params={**parameters, "cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_the_gate_of_the_list(client: httpx.AsyncClient, new_person: NewPerson) -> None:
    ann, stranger = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    path = "/api/team/members"
    assert (await client.get(path, params={"workspaceId": workspace["id"]})).status_code == 401
    assert (await stranger.client.get(path, params={"workspaceId": workspace["id"]})).status_code == 404
    assert (await ann.client.get(path, params={"workspaceId": str(uuid4())})).status_code == 404
    for parameters in (
        {},
        {"workspaceId": "x"},
        {"workspaceId": workspace["id"], "role": "KING"},
        {"workspaceId": workspace["id"], "limit": "0"},
        {"workspaceId": workspace["id"], "limit": "201"},
        {"workspaceId": workspace["id"], "q": "a\0"},
        {"workspaceId": workspace["id"], "q": "x" * 201},
    ):
        assert (await ann.client.get(path, params=parameters)).status_code == 422, parameters


# --- roles -----------------------------------------------------------------------------------------------------


async def test_an_owner_changes_anyone(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    member_id = await join(platform, workspace["id"], bob, VIEWER)
    for version, role in enumerate(("ADMIN", "OWNER", "MEMBER"), start=2):
        answer = await ann.client.put(path_of(member_id), json={"role": role})
        assert answer.status_code == 200
        assert (answer.json()["member"]["role"], answer.json()["member"]["version"]) == (role, version)
        assert answer.headers["etag"] == f'"{version}"'
    same = await ann.client.put(path_of(member_id), json={"role": "MEMBER"})
    assert same.json()["member"]["version"] == 4
    entries = [one for one in await audit_of(platform, workspace["id"]) if one.action == "member.role_changed"]
    assert [(one.details["before"], one.details["role"]) for one in entries] == [
        ("VIEWER", "ADMIN"),
        ("ADMIN", "OWNER"),
        ("OWNER", "MEMBER"),
    ]
    assert {one.actor_user_id for one in entries} == {ann.id}
    assert {one.details["user_id"] for one in entries} == {str(bob.id)}


@pytest.mark.parametrize(
    ("actor", "member", "new_role", "status", "code"),
    [
        (ADMIN, VIEWER, "MEMBER", 200, None),
        (ADMIN, MEMBER, "ADMIN", 200, None),
        (ADMIN, MEMBER, "OWNER", 403, "role_too_high"),
        (ADMIN, ADMIN, "MEMBER", 403, "role_too_high"),
        (ADMIN, OWNER, "ADMIN", 403, "role_too_high"),
        (MEMBER, VIEWER, "MEMBER", 403, "forbidden"),
        (VIEWER, VIEWER, "ADMIN", 403, "forbidden"),
    ],
)
async def test_others_change_those_below(
    platform: Platform,
    new_person: NewPerson,
    actor: Role,
    member: Role,
    new_role: str,
    status: int,
    code: str | None,
) -> None:
    owner, caller, other = await new_person(), await new_person(), await new_person()
    workspace = await make_workspace(owner)
    await join(platform, workspace["id"], caller, actor)
    member_id = await join(platform, workspace["id"], other, member)
    answer = await caller.client.put(path_of(member_id), json={"role": new_role})
    assert answer.status_code == status
    assert answer.json().get("code") == code
    after = await member_of(owner, workspace["id"], other)
    assert after["role"] == (new_role if status == 200 else member)


async def test_nobody_raises_themselves(platform: Platform, new_person: NewPerson) -> None:
    owner, admin = await new_person(), await new_person()
    workspace = await make_workspace(owner)
    member_id = await join(platform, workspace["id"], admin, ADMIN)
    answer = await admin.client.put(path_of(member_id), json={"role": "OWNER"})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_too_high")


async def test_the_gate_of_a_member(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    ann, bob, stranger = await new_person(), await new_person(), await new_person()
    workspace = await make_workspace(ann)
    member_id = await join(platform, workspace["id"], bob, MEMBER)
    await make_workspace(stranger)
    for method, body in (("PUT", {"role": "VIEWER"}), ("DELETE", None)):
        assert (await client.request(method, path_of(member_id), json=body)).status_code == 401
        assert (await stranger.client.request(method, path_of(member_id), json=body)).status_code == 404
        for wrong in (uuid4(), "x", bob.id):
            assert (await ann.client.request(method, path_of(wrong), json=body)).status_code == 404
        stale = await ann.client.request(method, path_of(member_id), json=body, headers={"If-Match": '"9"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    for wrong_body in ({}, {"role": "KING"}, {"role": None}, {"role": "owner"}, {"role": "MEMBER", "name": "x"}):
        assert (await ann.client.put(path_of(member_id), json=wrong_body)).status_code == 422
    assert (await member_of(ann, workspace["id"], bob))["version"] == 1


# --- the last owner --------------------------------------------------------------------------------------------


async def test_the_last_owner_stays(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], bob, ADMIN)
    mine = (await member_of(ann, workspace["id"], ann))["id"]
    demoted = await ann.client.put(path_of(mine), json={"role": "ADMIN"})
    assert (demoted.status_code, demoted.json()["code"]) == (409, "last_owner")
    left = await ann.client.delete(path_of(mine))
    assert (left.status_code, left.json()["code"]) == (409, "last_owner")
    await ann.client.put(path_of((await member_of(ann, workspace["id"], bob))["id"]), json={"role": "OWNER"})
    assert (await ann.client.delete(path_of(mine))).status_code == 200
    assert await owners_of(platform, workspace["id"]) == 1


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_two_owners_going_at_once_leave_one(
    platform: Platform, new_person: NewPerson, method: str, crossed: bool
) -> None:
    """Each demotes (or removes) themselves, or the other: the workspace's lock lets one through."""
    ann, bob = await new_person(), await new_person()
    for _ in range(3):
        workspace = await make_workspace(ann)
        bobs = await join(platform, workspace["id"], bob, OWNER)
        anns = (await member_of(ann, workspace["id"], ann))["id"]
        targets = (bobs, anns) if crossed else (anns, bobs)
        body = {"role": "MEMBER"} if method == "PUT" else None
        answers = await asyncio.gather(
            *(
                caller.client.request(method, path_of(target), json=body)
                for caller, target in zip((ann, bob), targets, strict=True)
            )
        )
        first, second = sorted(one.status_code for one in answers)
        assert first == 200
        assert second in (403, 404, 409)
        assert await owners_of(platform, workspace["id"]) == 1


async def test_a_role_that_was_just_taken_away_counts_no_more(platform: Platform, new_person: NewPerson) -> None:
    """The guard saw an admin; the service, under the lock, sees a viewer."""
    owner, admin, viewer = await new_person(), await new_person(), await new_person()
    workspace = await make_workspace(owner)
    admins = await join(platform, workspace["id"], admin, ADMIN)
    viewers = await join(platform, workspace["id"], viewer, VIEWER)
    async with platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM workspaces WHERE id = :id FOR UPDATE"), {"id": workspace["id"]})
        late = asyncio.create_task(admin.client.put(path_of(viewers), json={"role": "ADMIN"}))
        await somebody_waits_for_a_lock(platform)
        await session.execute(text("UPDATE workspace_members SET role = 'VIEWER' WHERE id = :id"), {"id": admins})
    answer = await late
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# --- leaving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [ADMIN, MEMBER, VIEWER])
async def test_everybody_may_leave(platform: Platform, new_person: NewPerson, role: Role) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    member_id = await join(platform, workspace["id"], bob, role)
    assert (await bob.client.delete(path_of(member_id))).status_code == 200
    assert (await bob.client.get(f"/api/workspaces/{workspace['id']}")).status_code == 404
    assert (await bob.client.delete(path_of(member_id))).status_code == 404
    last = (await audit_of(platform, workspace["id"]))[-1]
    assert (last.action, last.actor_user_id, last.details["role"]) == ("member.removed", bob.id, role)


@pytest.mark.parametrize(
    ("actor", "member", "status"),
    [
        (OWNER, OWNER, 200),
        (OWNER, ADMIN, 200),
        (ADMIN, MEMBER, 200),
        (ADMIN, VIEWER, 200),
        (ADMIN, ADMIN, 403),
        (ADMIN, OWNER, 403),
        (MEMBER, VIEWER, 403),
        (VIEWER, VIEWER, 403),
    ],
)
async def test_others_remove_those_below(
    platform: Platform, new_person: NewPerson, actor: Role, member: Role, status: int
) -> None:
    founder, caller, other = await new_person(), await new_person(), await new_person()
    workspace = await make_workspace(founder)
    await join(platform, workspace["id"], caller, actor)
    member_id = await join(platform, workspace["id"], other, member)
    answer = await caller.client.delete(path_of(member_id))
    assert answer.status_code == status
    if status == 403:
        lacks = not allows(actor, "member.manage")
        assert answer.json()["code"] == ("forbidden" if lacks else "role_too_high")
        assert not lacks or f"({actor})" in answer.json()["detail"]
    seen = await other.client.get(f"/api/workspaces/{workspace['id']}")
    assert seen.status_code == (404 if status == 200 else 200), "access ends with the membership, at once"


async def test_leaving_takes_one_out_of_every_circle(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspaces = [await make_workspace(ann) for _ in range(2)]
    circles = [uuid4(), uuid4()]
    ids = [await join(platform, one["id"], bob, MEMBER) for one in workspaces]
    async with platform.database.transaction() as session:
        for circle, workspace in zip(circles, workspaces, strict=True):
            session.add(Scope(id=circle, workspace_id=UUID(workspace["id"])))
            await session.flush()
            session.add_all(ScopeMember(scope_id=circle, user_id=one.id) for one in (ann, bob))
    assert (await bob.client.delete(path_of(ids[0]))).status_code == 200
    async with platform.database.reading() as session:
        left = await session.execute(
            select(ScopeMember.scope_id, ScopeMember.user_id).where(ScopeMember.scope_id.in_(circles))
        )
        assert {tuple(row) for row in left} == {(circles[0], ann.id), (circles[1], ann.id), (circles[1], bob.id)}


# --- taking in -------------------------------------------------------------------------------------------------


async def test_taking_in(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace = await make_workspace(ann)
    await join(platform, workspace["id"], bob, MEMBER)
    with pytest.raises(AlreadyMember):
        await join(platform, workspace["id"], bob, ADMIN)
    async with platform.database.transaction() as session:
        with pytest.raises(WorkspaceNotFound):
            await members.add(session, platform, SYSTEM, uuid4(), bob.id, MEMBER)
        with pytest.raises(NotFound):
            await members.add(session, platform, SYSTEM, UUID(workspace["id"]), uuid4(), MEMBER)
    assert (await member_of(ann, workspace["id"], bob))["role"] == "MEMBER"
    last = (await audit_of(platform, workspace["id"]))[-1]
    assert (last.action, last.actor_kind, last.details["role"]) == ("member.added", "system", "MEMBER")
    await ann.client.delete(f"/api/workspaces/{workspace['id']}")
    with pytest.raises(WorkspaceNotFound):
        await join(platform, workspace["id"], await new_person(), MEMBER)
