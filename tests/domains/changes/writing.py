"""Short ways to record a change."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.changes import service
from pm_api.domains.changes.models import Change


def note(session: AsyncSession, platform: Platform, number: int = 1, **arguments: Any) -> None:
    """One change in the caller's session; `number` is its version, by which a test knows it again."""
    fields: dict[str, Any] = {"entity": "task", "entity_id": UUID(int=7), "action": "updated", **arguments}
    service.record(session, platform, version=number, **fields)


async def write(platform: Platform, number: int = 1, **arguments: Any) -> None:
    """One change in a transaction of its own."""
    async with platform.database.transaction() as session:
        note(session, platform, number, **arguments)


async def stored(platform: Platform, feed_id: UUID) -> list[tuple[int, int]]:
    """(position, number) of all changes of a feed."""
    async with platform.database.reading() as session:
        rows = await session.execute(
            select(Change.position, Change.version).where(Change.feed_id == feed_id).order_by(Change.position)
        )
        return [(row[0], row[1]) for row in rows]
