"""Circles within a workspace: who sees what is in them, what they are there, and what of it they are told."""

import asyncio
from contextlib import AsyncExitStack
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Scope, ScopeMember
from pm_api.identity.permissions import RANK, Role, standing_in_scope
from pm_api.identity.repository import circles
from pm_api.identity.repository import people as repository
from pm_api.identity.repository.people import is_guest, scopes_seen, visible_scope
from tests.conftest import NewPerson, Person
from tests.domains.changes.events import listen
from tests.domains.changes.people import Caller, new_caller, new_scope, new_workspace
from tests.domains.changes.writing import note
from tests.domains.projects.sites import Site, open_site, path_of, read
from tests.support.server import serve

OWN_ROLES = (None, "VIEWER", "MEMBER", "ADMIN")


@pytest.mark.parametrize(("role", "is_open", "own"), list(product(Role, (True, False), ("outside", *OWN_ROLES))))
async def test_the_predicate_and_the_role_say_the_same(
    platform: Platform, role: Role, is_open: bool, own: str | None
) -> None:
    """The pure rule, the query of guards, and the predicate of lists."""
    owner, person = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, person)
    inside = own != "outside"
    scope_id = await new_scope(platform, workspace_id)
    async with platform.database.transaction() as session:
        await circles.set_open(session, scope_id, is_open=is_open)
        member = await repository.member_by_user(session, workspace_id, person.id)
        assert member is not None
        member.role = role
        if inside:
            await circles.put_companion(session, scope_id, person.id, own, platform.clock.now())
    expected = standing_in_scope(role, is_open=is_open, is_member=inside, own_role=own if inside else None)
    async with platform.database.reading() as session:
        found = await repository.role_in_scope(session, scope_id, person.id, role)
        seen = await session.scalar(select(visible_scope(Scope.id, person.id)).where(Scope.id == scope_id))
        listed = scope_id in set(await session.scalars(scopes_seen(workspace_id, person.id)))
        guest = await session.scalar(select(is_guest(workspace_id, person.id)))
    assert found == expected
    assert seen == listed == (expected is not None)
    assert guest == (role is Role.GUEST)
    if expected is not None and RANK[role] >= RANK[Role.ADMIN]:
        assert expected is role, "administrators are what they are"
    if not is_open and not inside:
        assert expected is None, "what is private is its own people's, whoever asks"


async def test_nobody_outside_the_workspace_sees_an_open_circle(platform: Platform) -> None:
    owner, stranger = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner)
    await new_workspace(platform, stranger)
    scope_id = await new_scope(platform, workspace_id)
    async with platform.database.transaction() as session:
        await circles.set_open(session, scope_id, is_open=True)
    async with platform.database.reading() as session:
        for person, expected in ((owner, True), (stranger, False)):
            seen = await session.scalar(select(visible_scope(Scope.id, person.id)).where(Scope.id == scope_id))
            assert seen is expected


async def test_putting_in_twice_counts_as_one(platform: Platform) -> None:
    owner, person = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, person)
    scope_id = await new_scope(platform, workspace_id)

    async def put(role: str) -> None:
        async with platform.database.transaction() as session:
            await circles.put_companion(session, scope_id, person.id, role, platform.clock.now())

    await asyncio.gather(*(put(role) for role in ("VIEWER", "MEMBER", "ADMIN") * 4))
    async with platform.database.transaction() as session:
        [found] = await circles.companions(session, scope_id)
        assert (found.user.id, found.version) == (person.id, 12)
        assert await circles.count_companions(session, [scope_id]) == {scope_id: 1}
        assert await circles.count_in_role(session, scope_id, found.role or "", but=person.id) == 0
        assert await circles.drop_companion(session, scope_id, person.id)
        assert not await circles.drop_companion(session, scope_id, person.id)
        assert await circles.count_companions(session, [scope_id]) == {}


# --- every way to look says the same ---------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.lists(
        st.tuples(
            st.booleans(),  # open
            st.booleans(),  # deleted
            st.lists(st.sampled_from(("outside", *OWN_ROLES[1:])), min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
    roles=st.lists(st.sampled_from(list(Role)), min_size=4, max_size=4),
)
async def test_lists_changes_and_doors_show_the_same(platform: Platform, data: Any, roles: Any) -> None:
    """Over random memberships: what somebody is shown in a list, told in a feed, and let in to by id."""
    owner = await new_caller(platform)
    people = [await new_caller(platform) for _ in roles]
    workspace_id = await new_workspace(platform, owner, *people)
    async with platform.database.transaction() as session:
        for person, role in zip(people, roles, strict=True):
            member = await repository.member_by_user(session, workspace_id, person.id)
            assert member is not None
            member.role = role
    made = [await a_project(platform, workspace_id, owner, people, number, *one) for number, one in enumerate(data)]
    for place, (person, role) in enumerate(zip(people, roles, strict=True)):
        expected = {
            project_id
            for project_id, (is_open, deleted, owns) in zip(made, data, strict=True)
            if not deleted and (owns[place] != "outside" or (is_open and role is not Role.GUEST))
        }
        scope = person.within(workspace_id, role)
        async with platform.database.reading() as session:
            by_list = {one.id for one in await projects.projects(session, scope, made)}
            by_door = {one for one in made if await projects.project(session, scope, one) is not None}
            feed = await changes.read(session, scope, after=None, limit=200)
        assert by_list == by_door == expected
        # A deleted project's own change is told to whoever saw it: that it is gone.
        told = {row.entity_id for row in feed.rows if row.entity == "project"}
        gone = {one for one, (_, deleted, _) in zip(made, data, strict=True) if deleted}
        assert told - gone == expected


async def a_project(
    platform: Platform,
    workspace_id: UUID,
    owner: Caller,
    people: list[Caller],
    number: int,
    is_open: bool,
    deleted: bool,
    owns: list[str],
) -> UUID:
    now = platform.clock.now()
    scope_id = await new_scope(platform, workspace_id)
    project_id = platform.randomness.uuid()
    async with platform.database.transaction() as session:
        await circles.set_open(session, scope_id, is_open=is_open)
        for person, own in zip(people, owns, strict=True):
            if own != "outside":
                await circles.put_companion(session, scope_id, person.id, own, now)
        session.add(
            Project(
                id=project_id,
                workspace_id=workspace_id,
                scope_id=scope_id,
                key=f"K{number}",
                name="Project",
                description="",
                status="PLANNED",
                colour="",
                icon="",
                created_by_user_id=owner.id,
                deleted_at=now if deleted else None,
                created_at=now,
                updated_at=now,
            )
        )
        changes.record(
            session,
            platform,
            workspace_id=workspace_id,
            scope_id=scope_id,
            entity="project",
            entity_id=project_id,
            action="created",
            version=1,
        )
    return project_id


# --- guests and their feeds ------------------------------------------------------------------------------------


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


async def feed_of(person: Person, workspace_id: str) -> list[tuple[str, str]]:
    answer = await person.client.get("/api/changes", params={"workspaceId": workspace_id, "limit": 200})
    assert answer.status_code == 200, answer.text
    return [(one["entity"], one["entityId"]) for one in answer.json()["changes"]]


async def test_a_guest_is_told_of_their_projects_alone(site: Site) -> None:
    guest, member = await site.person(Role.GUEST), await site.person(Role.MEMBER)
    web, secret, other = [
        await site.project(name=name, isPrivate=name == "Secret") for name in ("Web", "Secret", "Other")
    ]
    assert await feed_of(guest, site.id) == []
    await site.put(web, guest, "VIEWER")
    label = await site.owner.client.post(path_of(web, "/labels"), json={"name": "Bug"})
    await site.owner.client.post(path_of(secret, "/labels"), json={"name": "Bug"})
    await site.owner.client.patch(f"/api/workspaces/{site.id}", json={"name": "Renamed"})
    seen = await feed_of(guest, site.id)
    assert {one for one in seen if one[0] == "project"} == {("project", web["id"])}
    assert {one for one in seen if one[0] != "project"} == {("project_label", label.json()["label"]["id"])}
    of_member = await feed_of(member, site.id)
    assert ("project", other["id"]) in of_member
    assert ("project", secret["id"]) not in of_member


async def test_a_switch_of_privacy_is_felt_in_every_feed(site: Site) -> None:
    guest, member = await site.person(Role.GUEST), await site.person(Role.MEMBER)
    made = await site.project()
    await site.put(made, guest, "VIEWER")
    assert ("project", made["id"]) in await feed_of(member, site.id)
    await site.owner.client.patch(path_of(made), json={"isPrivate": True})
    assert ("project", made["id"]) not in await feed_of(member, site.id)
    assert ("project", made["id"]) in await feed_of(guest, site.id)
    await site.owner.client.patch(path_of(made), json={"isPrivate": False})
    assert ("project", made["id"]) in await feed_of(member, site.id)
    assert (await read(guest, made))["role"] == "VIEWER"


async def test_who_is_let_into_a_project_learns_it_from_their_own_feed(site: Site) -> None:
    """And who is put out, from there alone: of the project itself they are told nothing more."""
    guest = await site.person(Role.GUEST)
    made = await site.project(isPrivate=True)
    await site.put(made, guest, "MEMBER")
    await site.owner.client.delete(path_of(made, f"/members/{guest.id}"))
    answer = await guest.client.get("/api/changes", params={"limit": 200})
    own = [(one["action"], one["entityId"]) for one in answer.json()["changes"] if one["entity"] == "project"]
    assert own == [("entered", made["id"]), ("left", made["id"])]
    assert await feed_of(guest, site.id) == []


async def test_a_guest_hears_the_same_over_a_stream(app: FastAPI, platform: Platform) -> None:
    """As it happens, and when it is replayed: nothing of the workspace, nothing of open circles they are not in."""
    owner, guest, member = [await new_caller(platform) for _ in range(3)]
    workspace_id = await new_workspace(platform, owner, guest, member)
    theirs = await new_scope(platform, workspace_id, guest, member)
    opened = await new_scope(platform, workspace_id)
    async with platform.database.transaction() as session:
        await circles.set_open(session, opened, is_open=True)
        found = await repository.member_by_user(session, workspace_id, guest.id)
        assert found is not None
        found.role = Role.GUEST
    async with serve(app) as server, AsyncExitStack() as stack:
        streams = {
            person.id: await stack.enter_async_context(listen(server, person.headers, workspaceId=workspace_id))
            for person in (guest, member)
        }
        for events in streams.values():
            await events.expect("ready")
        async with platform.database.transaction() as session:
            note(session, platform, 1, workspace_id=workspace_id)
            note(session, platform, 2, workspace_id=workspace_id, scope_id=opened)
            note(session, platform, 3, workspace_id=workspace_id, scope_id=theirs)
        assert await streams[member.id].numbers(3) == [1, 2, 3]
        assert await streams[guest.id].numbers(1) == [3]
        async with platform.database.transaction() as session:
            await circles.drop_companion(session, theirs, guest.id)
            await circles.put_companion(session, opened, guest.id, "VIEWER", platform.clock.now())
            await circles.set_open(session, opened, is_open=False)
        async with platform.database.transaction() as session:
            note(session, platform, 4, workspace_id=workspace_id, scope_id=theirs)
            note(session, platform, 5, workspace_id=workspace_id, scope_id=opened)
            note(session, platform, 6, workspace_id=workspace_id, scope_id=theirs)
        assert await streams[guest.id].numbers(1) == [5]
        assert await streams[member.id].numbers(2) == [4, 6]
    async with serve(app) as server, listen(server, guest.headers, workspaceId=workspace_id, last_id="0-0") as again:
        await again.expect("ready")
        assert await again.numbers(2) == [2, 5]


async def test_a_role_in_a_project_is_not_one_in_the_workspace(site: Site) -> None:
    """ADMIN of a project, and still a guest everywhere else."""
    guest = await site.person(Role.GUEST)
    made = await site.project()
    await site.put(made, guest, "ADMIN")
    assert (await guest.client.patch(path_of(made), json={"name": "Mine"})).status_code == 200
    for path, query in (
        (f"/api/workspaces/{site.id}/audit", {}),
        ("/api/team/members", {"workspaceId": site.id}),
        ("/api/webhook-endpoints", {"workspaceId": site.id}),
    ):
        assert (await guest.client.get(path, params=query)).status_code == 403, path
    patch = await guest.client.patch(f"/api/workspaces/{site.id}", json={"name": "Mine"})
    assert patch.status_code == 403


async def test_the_same_role_is_put_once_however_many_ask(site: Site, platform: Platform) -> None:
    person = await site.person(Role.MEMBER)
    made = await site.project()
    path = path_of(made, f"/members/{person.id}")
    answers = await asyncio.gather(
        *(site.owner.client.put(path, json={"role": "VIEWER"}) for _ in range(8)),
    )
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    async with platform.database.reading() as session:
        count = await session.scalar(
            select(func.count())
            .select_from(ScopeMember)
            .join(Project, Project.scope_id == ScopeMember.scope_id)
            .where(Project.id == UUID(made["id"]), ScopeMember.user_id == person.id)
        )
    assert count == 1
