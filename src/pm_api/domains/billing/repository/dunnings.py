"""Queries of reminders to those who owe."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.domains.billing.models.usage_records import Dunning


class DueReminder(NamedTuple):
    """An account that is to be reminded, in the order they are served: who waits longest first."""

    due_at: datetime
    dunning_id: UUID
    account_id: UUID


async def lock_open(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> Dunning | None:
    """The one that runs, held to the end of the transaction."""
    await session.execute(
        select(Dunning.id).where(Dunning.account_id == account_id, Dunning.closed_at.is_(None)).with_for_update()
    )
    return await session.scalar(
        select(Dunning)
        .where(Dunning.account_id == account_id, Dunning.closed_at.is_(None))
        .execution_options(populate_existing=True)
    )


async def begin(session: AsyncSession, _scope: SystemScope, values: dict[str, Any]) -> None:
    """Unless one runs already."""
    await session.execute(
        insert(Dunning)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[Dunning.account_id], index_where=Dunning.closed_at.is_(None))
    )


async def due(
    session: AsyncSession, _scope: SystemScope, now: datetime, after: DueReminder | None, limit: int
) -> Sequence[DueReminder]:
    """The page after a place."""
    statement = select(Dunning.due_at, Dunning.id, Dunning.account_id).where(
        Dunning.closed_at.is_(None), Dunning.due_at <= now
    )
    if after is not None:
        statement = statement.where(tuple_(Dunning.due_at, Dunning.id) > tuple_(after.due_at, after.dunning_id))
    rows = await session.execute(statement.order_by(Dunning.due_at, Dunning.id).limit(limit))
    return [DueReminder(due_at, dunning_id, account_id) for due_at, dunning_id, account_id in rows if due_at]
