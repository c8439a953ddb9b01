"""A page costs about the same however many documents match: counted in pages read, not in time."""

import json
from typing import Any, Final
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.search import service
from tests.conftest import register
from tests.domains.search.shelf import walk
from tests.identity.teams import make_workspace
from tests.support import searchable
from tests.support.soak import SOAKING, rounds

SMALL: Final = 1_000
LARGE: Final = rounds(5_000, 600_000)
"""Of 600,000 documents 100,000 are tasks and 500,000 their comments."""
STATEMENTS_MOST: Final = 9
QUESTIONS: Final = {
    # A page of what is common: at most so many times as many pages as among a thousand documents.
    "common": 1.3,
    "common half": 1.3,
    "com": 1.3,
    "common -half": 2.0,
    '"common half"': 2.0,
    # What is not that common: until 500 are found there is more to read, but never all of it.
    "hundredth": 12.0,
    "word42": 12.0,
}


class Counted:
    """The statements of one call, and the pages that each reads when it is asked again."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.statements: list[tuple[str, Any]] = []

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        self.statements.append((statement, parameters))

    async def watch(self, call: Any) -> Any:
        engine = self._session.get_bind()
        event.listen(engine, "before_cursor_execute", self._note)
        try:
            return await call
        finally:
            event.remove(engine, "before_cursor_execute", self._note)

    async def pages(self) -> int:
        raw = await (await self._session.connection()).get_raw_connection()
        connection: Any = raw.driver_connection
        total = 0
        for statement, parameters in self.statements:
            lines = await connection.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, *parameters)
            told = lines[0][0]
            plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
            total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return total


async def pages_of(platform: Platform, workspace_id: UUID, user_id: UUID, question: str) -> tuple[int, int, int]:
    """(results, statements, pages read) of a first page."""
    scope = WorkspaceScope(Actor(ActorKind.USER, user_id), workspace_id, user_id, "OWNER")
    async with platform.database.reading() as session:
        await session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        counted = Counted(session)
        found = await counted.watch(
            service.find(session, platform, scope, PageRequest(50, None), text=question, kinds=(), project_id=None)
        )
        return len(found.results), len(counted.statements), await counted.pages()


async def test_a_page_costs_the_same_however_much_there_is(fresh_platform: Platform, fresh_database: str) -> None:
    app = create_app(fresh_platform.settings, fresh_platform, connect=False)
    places = []
    for documents in (SMALL, LARGE):
        person = await register(app)
        workspace_id = UUID((await make_workspace(person))["id"])
        await searchable.fill(fresh_database, workspace_id, documents)
        places.append((workspace_id, person))
    costs = {}
    for question, times in QUESTIONS.items():
        small, large = [await pages_of(fresh_platform, place, person.id, question) for place, person in places]
        costs[question] = (small, large)
        assert large[0] == 50 or (not SOAKING and question in ("hundredth", "word42")), (question, large)
        assert max(small[1], large[1]) <= STATEMENTS_MOST, (question, small, large)
        assert large[2] <= small[2] * times + 50, (question, small, large)
    rare = await pages_of(fresh_platform, places[1][0], places[1][1].id, "scarce")
    assert rare[2] <= 2_000, rare
    for _, person in places:
        await person.client.aclose()


async def test_what_the_index_finds_is_all_there_is(fresh_platform: Platform, fresh_database: str) -> None:
    """The walk through all pages against a plain count of the rows."""
    app = create_app(fresh_platform.settings, fresh_platform, connect=False)
    person = await register(app)
    workspace_id = UUID((await make_workspace(person))["id"])
    documents = rounds(1_200, 3_000)
    await searchable.fill(fresh_database, workspace_id, documents)
    for question, every in {"common": 1, "com": 1, "hundredth": 100, "scarce": 10_000}.items():
        ids = [one["id"] for one in await walk(person, question, limit=200)]
        assert len(ids) == len(set(ids)) == -(-documents // every), question
    await person.client.aclose()
