"""Queries of checklists."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.tasks.models import ChecklistItem, Task


async def hold(session: AsyncSession, task_id: UUID) -> None:
    """One at a time counts and orders a task's checklist, an empty one too."""
    await session.execute(select(Task.id).where(Task.id == task_id).with_for_update(key_share=True))


async def page(
    session: AsyncSession, task_id: UUID, *, after: tuple[int, UUID] | None, limit: int
) -> Sequence[ChecklistItem]:
    """In their order."""
    statement = (
        select(ChecklistItem)
        .where(ChecklistItem.task_id == task_id)
        .order_by(ChecklistItem.position, ChecklistItem.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(ChecklistItem.position, ChecklistItem.id) > after)
    return (await session.scalars(statement)).all()


async def item(session: AsyncSession, task_id: UUID, item_id: UUID) -> ChecklistItem | None:
    return await session.scalar(
        select(ChecklistItem).where(ChecklistItem.id == item_id, ChecklistItem.task_id == task_id)
    )


async def lock(session: AsyncSession, task_id: UUID, item_id: UUID) -> ChecklistItem | None:
    """As committed now, held."""
    return await session.scalar(
        select(ChecklistItem)
        .where(ChecklistItem.id == item_id, ChecklistItem.task_id == task_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def lock_all(session: AsyncSession, task_id: UUID) -> Sequence[ChecklistItem]:
    """The whole checklist held in the order of ids, so that two who do it never wait for each other."""
    rows = await session.scalars(
        select(ChecklistItem)
        .where(ChecklistItem.task_id == task_id)
        .order_by(ChecklistItem.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def length(session: AsyncSession, task_id: UUID) -> tuple[int, int]:
    """(how many, the last position), -1 of an empty one."""
    found = select(func.count(), func.coalesce(func.max(ChecklistItem.position), -1))
    count, last = (await session.execute(found.where(ChecklistItem.task_id == task_id))).one()
    return count, last
