"""A month of a large calendar costs what it costs in a small one: by queries, by the blocks that PostgreSQL says each
of them touches (EXPLAIN ANALYZE), and by the series that are laid out in time.
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
from pm_api.core.recurrence import Occurrence, expand
from pm_api.domains.calendar import expanding, listing
from pm_api.domains.calendar.listing import Wanted
from pm_api.identity.permissions import Role
from tests.conftest import copy_of_template, database_url, open_platform, register, server_command
from tests.domains.calendar.volume import MONTH, add_events
from tests.identity.teams import make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import settings_for
from tests.support.soak import SOAKING
from tests.support.volume import tidy

pytestmark = pytest.mark.xdist_group("growth")

SIZES: Final = (1000, 100_000, 1_000_000) if SOAKING else (1000, 10_000)
MATCHING: Final = 300
SERIES: Final = 2000
MOST: Final = 1.3
PAGE: Final = 200
BLOCKS: Final = ("Shared Hit Blocks", "Shared Read Blocks")


@dataclass
class Cost:
    queries: int = 0
    blocks: int = 0
    series: int = 0
    occurrences: int = 0
    shown: int = 0


@dataclass
class Watched:
    """What a stretch of work asks of the database, and what it lays out in time."""

    statements: list[tuple[str, Any]] = field(default_factory=list)
    series: int = 0
    occurrences: int = 0


@contextmanager
def watching(platform: Platform, patch: pytest.MonkeyPatch) -> Iterator[Watched]:
    found = Watched()

    def note(_connection: Connection, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        found.statements.append((statement, parameters))

    def counted(*arguments: Any, **named: Any) -> list[Occurrence]:
        made = expand(*arguments, **named)
        found.series += 1
        found.occurrences += len(made)
        return made

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with patch.context() as within:
            within.setattr(expanding, "expand", counted)
            yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@dataclass
class Grown:
    platform: Platform
    by_size: dict[int, WorkspaceScope]
    with_series: WorkspaceScope

    async def month(self, scope: WorkspaceScope, patch: pytest.MonkeyPatch, wanted: Wanted | None = None) -> Cost:
        """All pages of it."""
        wanted = wanted or Wanted(start=MONTH[0], end=MONTH[1])
        cost, cursor = Cost(), None
        while True:
            async with self.platform.database.reading() as session:
                with watching(self.platform, patch) as watched:
                    answer = await listing.list_of(session, self.platform, scope, PageRequest(PAGE, cursor), wanted)
                connection = await session.connection()
                for statement, parameters in watched.statements:
                    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                    plan = (await connection.exec_driver_sql(explained, parameters)).scalar_one()
                    cost.blocks += sum(plan[0]["Plan"][name] for name in BLOCKS)
            cost.queries += len(watched.statements)
            cost.series += watched.series
            cost.occurrences += watched.occurrences
            cost.shown += len(answer.events)
            assert all(one.attendees for one in answer.events)
            cursor = answer.next_cursor
            if cursor is None:
                return cost


@pytest.fixture(scope="module")
async def grown(worker_database: str) -> AsyncIterator[Grown]:
    """Workspaces of different sizes in a database of their own, tidied up."""
    assert worker_database
    name = f"pm_grown_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    database = database_url(name)
    try:
        async with open_platform(settings_for(database), MovableClock()) as platform:
            owner = await register(create_app(platform.settings, platform))

            async def a_calendar(count: int, series: int = 0) -> WorkspaceScope:
                workspace_id = UUID((await make_workspace(owner))["id"])
                await add_events(platform, workspace_id, owner.id, count, matching=MATCHING, series=series)
                return WorkspaceScope(Actor(ActorKind.USER, owner.id), workspace_id, owner.id, Role.OWNER)

            by_size = {size: await a_calendar(size) for size in SIZES}
            found = Grown(platform, by_size, await a_calendar(SIZES[0], SERIES))
            await owner.client.aclose()
            await tidy(database)
            yield found
    finally:
        await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def ensure_alike(small: Cost, large: Cost) -> None:
    assert small.shown == large.shown == MATCHING
    assert small.queries == large.queries
    assert 0 < large.blocks <= MOST * small.blocks, (small, large)
    assert 0 < large.series <= MOST * small.series, (small, large)
    assert 0 < large.occurrences <= MOST * small.occurrences, (small, large)


@pytest.mark.parametrize("size", SIZES[1:])
async def test_a_month_costs_what_is_in_it_however_many_events_there_are(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    small = await grown.month(grown.by_size[SIZES[0]], monkeypatch)
    ensure_alike(small, await grown.month(grown.by_size[size], monkeypatch))
    assert small.occurrences < 2 * MATCHING, "what lies elsewhere is not laid out"


async def test_a_month_costs_the_same_beside_two_thousand_live_series(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await grown.month(grown.by_size[SIZES[0]], monkeypatch)
    ensure_alike(small, await grown.month(grown.with_series, monkeypatch))


async def test_a_page_of_the_events_themselves_costs_the_same(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, costs = Wanted(), []
    for size in (SIZES[0], SIZES[-1]):
        scope = grown.by_size[size]
        async with grown.platform.database.reading() as session:
            first = await listing.list_of(session, grown.platform, scope, PageRequest(PAGE, None), wanted)
            with watching(grown.platform, monkeypatch) as watched:
                page = PageRequest(PAGE, first.next_cursor)
                answer = await listing.list_of(session, grown.platform, scope, page, wanted)
            assert len(answer.events) == PAGE
            blocks = 0
            connection = await session.connection()
            for statement, parameters in watched.statements:
                explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                plan = (await connection.exec_driver_sql(explained, parameters)).scalar_one()
                blocks += sum(plan[0]["Plan"][name] for name in BLOCKS)
        costs.append((len(watched.statements), blocks))
    small, large = costs
    assert small[0] == large[0] <= 12
    assert 0 < large[1] <= MOST * small[1], (small, large)


async def test_the_calendars_are_as_large_as_is_said(grown: Grown) -> None:
    counted = text("SELECT count(*) FROM calendar_events WHERE workspace_id = :workspace")
    async with grown.platform.database.reading() as session:
        for size, scope in grown.by_size.items():
            assert await session.scalar(counted, {"workspace": scope.workspace_id}) == size
        assert await session.scalar(counted, {"workspace": grown.with_series.workspace_id}) == SIZES[0] + SERIES
