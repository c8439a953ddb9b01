"""A large workspace costs what a small one does: a page of 50 tasks with people, labels and counts, by queries and by
the blocks that PostgreSQL says each of them touches (EXPLAIN ANALYZE).
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, event, text

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.tasks import listing
from pm_api.domains.tasks.enums import TaskSort
from pm_api.domains.tasks.repository.listing import Wanted
from pm_api.identity.permissions import Role
from tests.conftest import copy_of_template, database_url, open_platform, register, server_command
from tests.domains.tasks.sites import Site
from tests.domains.tasks.volume import add_tasks
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import settings_for
from tests.support.soak import rounds
from tests.support.volume import tidy

pytestmark = pytest.mark.xdist_group("growth")

SMALL: Final = 1000
LARGE: Final = rounds(10_000, 100_000)
PROJECTS: Final = 5
MOST: Final = 1.3
PAGE: Final = 50
MOST_BLOCKS_OF_A_TASK: Final = 12
BLOCKS: Final = ("Shared Hit Blocks", "Shared Read Blocks")


@dataclass
class Watched:
    """The statements of a stretch of work, with what they were given."""

    statements: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def watching(platform: Platform) -> Iterator[Watched]:
    found = Watched()

    def note(_connection: Connection, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        found.statements.append((statement, parameters))

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@dataclass
class Grown:
    platform: Platform
    small: WorkspaceScope
    large: WorkspaceScope
    small_project: UUID
    large_project: UUID

    async def cost(self, scope: WorkspaceScope, wanted: Wanted) -> tuple[int, int]:
        """(queries, blocks) of the second page: the first finds nothing to skip."""
        page = PageRequest(PAGE, None)
        async with self.platform.database.reading() as session:
            first = await listing.list_of(session, self.platform, scope, page, wanted)
        assert first.next_cursor is not None
        page = PageRequest(PAGE, first.next_cursor)
        async with self.platform.database.reading() as session:
            with watching(self.platform) as watched:
                answer = await listing.list_of(session, self.platform, scope, page, wanted)
            assert len(answer.tasks) == PAGE
            assert any(one.labels for one in answer.tasks)
            assert any(one.assignees for one in answer.tasks)
            assert any(one.counts.comments for one in answer.tasks)
            blocks = 0
            connection = await session.connection()
            for statement, parameters in watched.statements:
                explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                plan = (await connection.exec_driver_sql(explained, parameters)).scalar_one()
                blocks += sum(plan[0]["Plan"][name] for name in BLOCKS)
        return len(watched.statements), blocks


@pytest.fixture(scope="module")
async def grown(worker_database: str) -> AsyncIterator[Grown]:
    """Two workspaces in a database of their own, each with five projects of the same size, tidied up."""
    assert worker_database
    name = f"pm_grown_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    database = database_url(name)
    try:
        async with open_platform(settings_for(database), MovableClock()) as platform:
            app = create_app(platform.settings, platform)
            owner = await register(app)
            found: list[tuple[WorkspaceScope, UUID]] = []
            for size in (SMALL, LARGE):
                site = Site(platform, None, await make_workspace(owner), owner)  # type: ignore[arg-type]
                newcomer = await register(app)
                await join(platform, site.id, newcomer, Role.VIEWER)
                await newcomer.client.aclose()
                made = [await site.project() for _ in range(PROJECTS)]
                for project in made:
                    await site.label(project, "bug")
                    await add_tasks(platform, UUID(project["id"]), size // PROJECTS)
                scope = WorkspaceScope(Actor(ActorKind.USER, owner.id), UUID(site.id), owner.id, Role.OWNER)
                found.append((scope, UUID(made[0]["id"])))
            await owner.client.aclose()
            await tidy(database)
            yield Grown(platform, found[0][0], found[1][0], found[0][1], found[1][1])
    finally:
        await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_a_page_by_due_date_costs_so_much_a_task(grown: Grown) -> None:
    """What is due on one day was made on any: each task stands elsewhere, in its table and in what hangs on it. A
    small workspace fits into a few blocks; a large one does not, and then it is so many a task, however large it is.
    """
    wanted = Wanted(sort=TaskSort.DUE, descending=False)
    small, large = await grown.cost(grown.small, wanted), await grown.cost(grown.large, wanted)
    assert small[0] == large[0] <= 12
    assert 0 < large[1] <= MOST_BLOCKS_OF_A_TASK * PAGE, (small, large)


@pytest.mark.parametrize("sort", [TaskSort.CREATED, TaskSort.UPDATED, TaskSort.PRIORITY])
async def test_a_page_of_a_workspace_costs_the_same(grown: Grown, sort: TaskSort) -> None:
    wanted = Wanted(sort=sort, descending=sort in listing.DESCENDING)
    small = await grown.cost(grown.small, wanted)
    large = await grown.cost(grown.large, wanted)
    assert small[0] == large[0] <= 12
    assert 0 < large[1] <= MOST * small[1], (small, large)


@pytest.mark.parametrize("sort", [TaskSort.NUMBER, TaskSort.BOARD])
async def test_a_page_of_a_project_costs_the_same(grown: Grown, sort: TaskSort) -> None:
    status = ("TODO",) if sort is TaskSort.BOARD else ()
    costs = []
    for scope, project_id in ((grown.small, grown.small_project), (grown.large, grown.large_project)):
        wanted = Wanted(project_id=project_id, status=status, sort=sort, descending=False)
        costs.append(await grown.cost(scope, wanted))
    small, large = costs
    assert small[0] == large[0] <= 13
    assert 0 < large[1] <= MOST * small[1], (small, large)


async def test_the_statistics_see_the_difference(grown: Grown) -> None:
    """What is compared is as large as it is said to be."""
    async with grown.platform.database.reading() as session:
        for scope, size in ((grown.small, SMALL), (grown.large, LARGE)):
            counted = text("SELECT count(*) FROM tasks WHERE workspace_id = :workspace")
            assert await session.scalar(counted, {"workspace": scope.workspace_id}) == size
