"""Documents for tests of search, written through its service as slices do."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from pm_api.core.platform import Platform
from pm_api.domains.search import service
from pm_api.identity.repository import circles
from tests.conftest import Person


@dataclass
class Shelf:
    """The documents of one workspace."""

    platform: Platform
    workspace_id: UUID

    async def put(self, title: str = "", body: str = "", kind: str = "task", **fields: Any) -> UUID:
        """One document; returns what it is of."""
        entity_id: UUID = fields.pop("entity_id", None) or uuid4()
        async with self.platform.database.transaction() as session:
            await service.put(
                session,
                kind=kind,
                entity_id=entity_id,
                workspace_id=self.workspace_id,
                scope_id=fields.pop("scope_id", None),
                title=title,
                body=body,
                updated_at=self.platform.clock.now(),
                **fields,
            )
        return entity_id

    async def circle(self, *people: Person, is_open: bool = False) -> UUID:
        scope_id = uuid4()
        async with self.platform.database.transaction() as session:
            await circles.insert_circle(session, scope_id, self.workspace_id, is_open=is_open)
            for person in people:
                await circles.put_companion(session, scope_id, person.id, None, self.platform.clock.now())
        return scope_id

    async def drop(self, *entity_ids: UUID, kind: str = "task", with_children: bool = False) -> None:
        async with self.platform.database.transaction() as session:
            await service.drop(session, kind=kind, entity_ids=entity_ids, with_children=with_children)


async def ask(person: Person, q: str, **parameters: Any) -> httpx.Response:
    return await person.client.get("/api/search", params={"q": q, **parameters})


async def search(person: Person, q: str, **parameters: Any) -> list[dict[str, Any]]:
    """The first page."""
    answer = await ask(person, q, **parameters)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def found(person: Person, q: str, **parameters: Any) -> list[UUID]:
    return [UUID(one["id"]) for one in await search(person, q, **parameters)]


async def walk(person: Person, q: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages."""
    results: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = await ask(person, q, **parameters, **more)
        assert answer.status_code == 200, answer.text
        results += answer.json()["results"]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return results
