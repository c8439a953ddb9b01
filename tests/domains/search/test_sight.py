"""Whoever searches finds what they may see, all of it and nothing else: recounted one by one over random places."""

import random
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from pm_api.core.platform import Platform
from pm_api.domains.search import service
from pm_api.domains.search.enums import Kind
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles
from tests.conftest import NewPerson, Person
from tests.domains.search.shelf import Shelf, found, walk
from tests.identity.teams import join, make_workspace
from tests.support.soak import rounds

ROLES = (Role.ADMIN, Role.MEMBER, Role.VIEWER, Role.GUEST)


@dataclass(frozen=True)
class Circle:
    id: UUID
    is_open: bool
    people: frozenset[UUID]


@dataclass(frozen=True)
class Paper:
    """What is known of one document, apart from the database."""

    id: UUID
    workspace_id: UUID
    circle: Circle | None
    owner_id: UUID | None
    project_id: UUID | None
    kind: Kind
    is_there: bool


def sees(paper: Paper, person: Person, roles: dict[tuple[UUID, UUID], Role]) -> bool:
    """The rule, in plain words."""
    role = roles.get((paper.workspace_id, person.id))
    if role is None or not paper.is_there:
        return False
    if paper.owner_id is not None:
        return paper.owner_id == person.id or role in (Role.OWNER, Role.ADMIN)
    if paper.circle is None:
        return role is not Role.GUEST
    return person.id in paper.circle.people or (paper.circle.is_open and role is not Role.GUEST)


@pytest.mark.parametrize("seed", range(rounds(3, 40)))
async def test_each_finds_what_they_may_see(platform: Platform, new_person: NewPerson, seed: int) -> None:
    chance = random.Random(seed)
    word = f"w{uuid4().hex[:8]}"
    people = [await new_person() for _ in range(4)]
    roles: dict[tuple[UUID, UUID], Role] = {}
    papers: list[Paper] = []
    projects = [uuid4() for _ in range(4)]
    hidden = chance.choice(projects)
    for owner in people[:2]:
        workspace_id = UUID((await make_workspace(owner))["id"])
        shelf = Shelf(platform, workspace_id)
        roles[workspace_id, owner.id] = Role.OWNER
        for person in people:
            if person is not owner and chance.random() < 0.7:
                roles[workspace_id, person.id] = chance.choice(ROLES)
                await join(platform, workspace_id, person, roles[workspace_id, person.id])
        rings: list[Circle | None] = [None, None]
        for _ in range(chance.choice((3, 12))):  # few are named to the index, many only to the rows
            inside = [one for one in people if (workspace_id, one.id) in roles and chance.random() < 0.4]
            is_open = chance.random() < 0.3
            rings.append(
                Circle(await shelf.circle(*inside, is_open=is_open), is_open, frozenset(one.id for one in inside))
            )
        for n in range(40):
            circle, project_id = chance.choice(rings), chance.choice([None, *projects])
            kind = chance.choice((Kind.TASK, Kind.MESSAGE, Kind.BUG_REPORT))
            owner_id = chance.choice(people).id if kind is Kind.BUG_REPORT else None
            if owner_id is not None:
                circle = None
            made = await shelf.put(
                f"{word} {n}",
                kind=kind,
                scope_id=circle.id if circle else None,
                project_id=project_id,
                owner_user_id=owner_id,
            )
            is_there = project_id != hidden and chance.random() > 0.1
            if not is_there and project_id != hidden:
                await shelf.drop(made, kind=kind)
            papers.append(Paper(made, workspace_id, circle, owner_id, project_id, kind, is_there))
    async with platform.database.transaction() as session:
        await service.hide_project(session, hidden)
    for person in people:
        seen = {one.id for one in papers if sees(one, person, roles)}
        walked = [UUID(one["id"]) for one in await walk(person, word, limit=7)]
        assert (set(walked), len(walked)) == (seen, len(seen))
        for workspace_id in {one.workspace_id for one in papers}:
            if (workspace_id, person.id) in roles:
                wanted = {one.id for one in papers if one.id in seen and one.workspace_id == workspace_id}
                assert set(await found(person, word, workspaceId=str(workspace_id), limit=200)) == wanted
        for project_id in projects:
            wanted = {one.id for one in papers if one.id in seen and one.project_id == project_id}
            assert set(await found(person, word, projectId=str(project_id), limit=200)) == wanted
        for kind in (Kind.TASK, Kind.BUG_REPORT):
            wanted = {one.id for one in papers if one.id in seen and one.kind == kind}
            assert set(await found(person, word, kinds=kind, limit=200)) == wanted


async def test_sight_follows_the_circle_at_once(
    platform: Platform, shelf: Shelf, owner: Person, new_person: NewPerson
) -> None:
    """One row opens or closes a circle for all that is in it."""
    person, guest = await new_person(), await new_person()
    await join(platform, shelf.workspace_id, person, Role.MEMBER)
    await join(platform, shelf.workspace_id, guest, Role.GUEST)
    circle = await shelf.circle(owner)
    document = await shelf.put("launch", scope_id=circle)
    assert [await found(one, "launch") for one in (owner, person, guest)] == [[document], [], []]
    async with platform.database.transaction() as session:
        await circles.set_open(session, circle, is_open=True)
    assert [await found(one, "launch") for one in (owner, person, guest)] == [[document], [document], []]
    async with platform.database.transaction() as session:
        await circles.put_companion(session, circle, guest.id, None, platform.clock.now())
    assert await found(guest, "launch") == [document]


async def test_who_is_in_more_circles_than_are_named(platform: Platform, shelf: Shelf, owner: Person) -> None:
    """Then the rows alone are asked, and nothing is missing or too much."""
    many = [await shelf.circle(owner) for _ in range(rounds(202, 402))]
    mine = await shelf.put("launch", scope_id=many[-1])
    await shelf.put("launch", scope_id=await shelf.circle())
    assert await found(owner, "launch") == [mine]
