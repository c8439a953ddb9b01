"""Queries of bulk edits and of other work over what a filter finds."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository.tasks import in_sight


async def found(
    session: AsyncSession,
    scope: WorkspaceScope,
    condition: ColumnElement[bool],
    *,
    limit: int,
    project_id: UUID | None = None,
    deleted: bool = False,
    only: Collection[UUID] | None = None,
) -> list[UUID]:
    """Ids of tasks in sight, oldest first."""
    is_there = Task.deleted_at.is_not(None) if deleted else Task.deleted_at.is_(None)
    statement = select(Task.id).where(in_sight(scope), is_there, condition).order_by(Task.id).limit(limit)
    if project_id is not None:
        statement = statement.where(Task.project_id == project_id)
    if only is not None:
        statement = statement.where(Task.id.in_(only))
    return list(await session.scalars(statement))
