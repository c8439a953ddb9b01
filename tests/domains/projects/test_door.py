"""What higher slices ask of projects: numbers, sight, and how much it costs to read many."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.projects import contents, copying, progress, service
from pm_api.domains.projects.contents import Content
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.projects.sites import Site, path_of, read


def within(site: Site, person: Person, role: str = "MEMBER") -> WorkspaceScope:
    return WorkspaceScope(Actor(ActorKind.USER, person.id), UUID(site.id), person.id, role)


async def take(platform: Platform, project: dict[str, Any], count: int = 1) -> int:
    async with platform.database.transaction() as session:
        return await service.next_number(session, UUID(project["id"]), count)


# --- numbers ---------------------------------------------------------------------------------------------------


async def test_forty_at_once_get_forty_numbers(site: Site, platform: Platform) -> None:
    """Some take several in a row: no two stretches touch, and there is no gap."""
    made = await site.project()
    counts = [1, 2, 3, 1] * 10
    firsts = await asyncio.gather(*(take(platform, made, count) for count in counts))
    numbers = [first + one for first, count in zip(firsts, counts, strict=True) for one in range(count)]
    assert sorted(numbers) == list(range(1, sum(counts) + 1))


async def test_a_rollback_gives_its_number_back(site: Site, platform: Platform) -> None:
    made = await site.project()
    async with platform.database.reading() as session:  # never commits
        assert await service.next_number(session, UUID(made["id"])) == 1
    assert await take(platform, made) == 1


async def test_what_is_archived_or_gone_gives_none(site: Site, platform: Platform) -> None:
    made = await site.project()
    await site.owner.client.post(path_of(made, "/archive"))
    with pytest.raises(ProjectArchived):
        await take(platform, made)
    await site.owner.client.delete(path_of(made))
    with pytest.raises(NotFound):
        await take(platform, made)
    with pytest.raises(NotFound):
        await take(platform, {"id": str(uuid4())})


async def test_no_number_is_given_while_it_is_being_archived(site: Site, platform: Platform) -> None:
    """Either the number comes first, or there is none: nothing is written into what can only be read."""
    for _ in range(5):
        made = await site.project()
        taken, archived = await asyncio.gather(
            take(platform, made), site.owner.client.post(path_of(made, "/archive")), return_exceptions=True
        )
        assert not isinstance(archived, BaseException)
        assert archived.status_code == 200
        assert taken == 1 or isinstance(taken, ProjectArchived)
        with pytest.raises(ProjectArchived):
            await take(platform, made)


# --- sight -----------------------------------------------------------------------------------------------------


async def test_the_door_shows_what_the_caller_sees(site: Site, platform: Platform) -> None:
    opened, secret, gone = [
        await site.project(name=name, isPrivate=name == "Secret") for name in ("Open", "Secret", "Gone")
    ]
    await site.owner.client.delete(path_of(gone))
    member, guest = await site.person(Role.MEMBER), await site.person(Role.GUEST)
    await site.put(secret, guest, "VIEWER")
    ids = [UUID(one["id"]) for one in (opened, secret, gone)]
    async with platform.database.reading() as session:
        for person, expected in ((site.owner, {0, 1}), (member, {0}), (guest, {1})):
            scope = within(site, person)
            seen = {one.id for one in await service.projects(session, scope, ids)}
            assert seen == {ids[number] for number in expected}
            for number, one in enumerate(ids):
                found = await service.project(session, scope, one)
                assert (found is not None) == (number in expected)
        elsewhere = WorkspaceScope(Actor(ActorKind.USER, site.owner.id), uuid4(), site.owner.id, "OWNER")
        assert await service.project(session, elsewhere, ids[0]) is None
        workflows = await service.statuses_of_all(session, ids)
        assert [len(workflows[one]) for one in ids] == [5, 5, 5]
        assert await service.count_of(session, [UUID(site.id)]) == 2


# --- what higher slices add ------------------------------------------------------------------------------------


async def test_progress_is_what_the_slices_above_count(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = await site.project(), await site.project(name="Other")

    async def count(_session: AsyncSession, _ids: object) -> dict[UUID, tuple[int, int]]:
        return {UUID(made["id"]): (3, 2)}

    monkeypatch.setitem(progress._COUNTERS, "test", count)
    assert (await read(site.owner, made))["progress"] == {"total": 3, "done": 2, "percent": 66}
    assert (await read(site.owner, other))["progress"] == {"total": 0, "done": 0, "percent": 0}


def test_nobody_registers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (progress._COUNTERS, copying._COPIERS, contents._KINDS):
        monkeypatch.setitem(registry, "test", None)
    with pytest.raises(TypeError, match="two slices"):
        progress.register("test", _nothing)
    with pytest.raises(TypeError, match="two slices"):
        copying.register("test", _nothing)
    with pytest.raises(TypeError, match="two slices"):
        contents.register(Content("test"))


async def _nothing(*_: object) -> Any:
    raise AssertionError("never asked")


# --- growth ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def counted(platform: Platform) -> AsyncIterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_fifty_cost_as_many_queries_as_one(site: Site, platform: Platform) -> None:
    made = await site.project(name="First")
    for _ in range(4):
        await site.put(made, await site.person(Role.MEMBER), "MEMBER")
    costs = []
    for wanted in (1, 50):
        async with counted(platform) as sent:
            answer = await site.owner.client.get("/api/projects", params={"workspaceId": site.id, "limit": 50})
        assert len(answer.json()["projects"]) == wanted
        costs.append(len(sent))
        for number in range(wanted, 50):
            await site.project(name=f"Project {number}")
    assert costs[0] == costs[1]
