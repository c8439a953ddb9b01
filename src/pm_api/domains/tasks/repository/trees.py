"""Queries of trees: what is above a task, what is below it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import Project
from pm_api.domains.tasks.models import Task

DEEPEST = 9


async def path_up(session: AsyncSession, task_id: UUID) -> Sequence[tuple[UUID, str]]:
    """(id, key) of a task and all above it, from itself up."""
    chain = select(Task.id, Task.parent_id, literal(0).label("height")).where(Task.id == task_id).cte(recursive=True)
    above = select(Task.id, Task.parent_id, chain.c.height + 1).join(chain, Task.id == chain.c.parent_id)
    chain = chain.union_all(above.where(chain.c.height <= DEEPEST))
    rows = await session.execute(
        select(chain.c.id, Project.key, Task.number)
        .join(Task, Task.id == chain.c.id)
        .join(Project, Project.id == Task.project_id)
        .order_by(chain.c.height)
    )
    return [(row[0], f"{row[1]}-{row[2]}") for row in rows]


async def below(session: AsyncSession, task_id: UUID, limit: int) -> Sequence[tuple[UUID, int]]:
    """(id, depth) of the living tasks below one, however deep, itself not among them."""
    tree = select(Task.id, Task.depth).where(Task.id == task_id).cte(recursive=True)
    under = select(Task.id, Task.depth).join(tree, Task.parent_id == tree.c.id).where(Task.deleted_at.is_(None))
    tree = tree.union_all(under)
    rows = await session.execute(select(tree.c.id, tree.c.depth).where(tree.c.id != task_id).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def sink(session: AsyncSession, task_id: UUID, by: int) -> None:
    """Let everything below a task, deleted or not, follow it so many levels down (or up)."""
    tree = select(Task.id).where(Task.id == task_id).cte(recursive=True)
    tree = tree.union_all(select(Task.id).join(tree, Task.parent_id == tree.c.id))
    await session.execute(
        update(Task)
        .where(Task.id == tree.c.id, Task.id != task_id)
        .values(depth=Task.depth + by)
        .execution_options(synchronize_session=False)
    )


async def deepest_below(session: AsyncSession, task_id: UUID) -> int | None:
    """The depth of the deepest task below one, deleted ones too; None when there is none."""
    tree = select(Task.id, Task.depth).where(Task.id == task_id).cte(recursive=True)
    tree = tree.union_all(select(Task.id, Task.depth).join(tree, Task.parent_id == tree.c.id))
    found: int | None = await session.scalar(select(func.max(tree.c.depth)).where(tree.c.id != task_id))
    return found


async def by_ids(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[Task]:
    """The rows as committed now, deleted ones too, by id."""
    rows = await session.scalars(
        select(Task).where(Task.id.in_(task_ids)).order_by(Task.id).execution_options(populate_existing=True)
    )
    return rows.all()


async def deleted_together(session: AsyncSession, deleted_with: UUID, limit: int) -> Sequence[Task]:
    """What one call deleted, by id."""
    rows = await session.scalars(
        select(Task)
        .where(Task.deleted_with == deleted_with)
        .order_by(Task.id)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def ids_deleted_together(session: AsyncSession, groups: Collection[UUID | None], limit: int) -> set[UUID]:
    """Ids of what some calls deleted."""
    return set(await session.scalars(select(Task.id).where(Task.deleted_with.in_(groups)).limit(limit)))


async def is_deleted(session: AsyncSession, task_id: UUID) -> bool:
    found: datetime | None = await session.scalar(select(Task.deleted_at).where(Task.id == task_id))
    return found is not None
