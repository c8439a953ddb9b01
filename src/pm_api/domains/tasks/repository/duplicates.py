"""The query of the duplicate hint."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository.tasks import in_sight

LOOKED_AT: Final = 2000
"""The newest tasks of a project are looked at, however many it has: who files something twice does it soon."""


async def alike(
    session: AsyncSession, scope: WorkspaceScope, project_id: UUID, words: Collection[str], *, limit: int
) -> Sequence[Task]:
    """Living tasks of a project whose titles share a word with these, those with most of them first."""
    newest = (
        select(Task.id, func.lower(Task.title).label("title"))
        .where(Task.project_id == project_id, Task.deleted_at.is_(None), in_sight(scope))
        .order_by(Task.id.desc())
        .limit(LOOKED_AT)
        .cte()
    )
    shared: list[ColumnElement[bool]] = [func.strpos(newest.c.title, literal(word)) > 0 for word in sorted(words)]
    found = select(newest.c.id).where(or_(*shared)).cte()
    count = sum((func.sign(func.strpos(func.lower(Task.title), literal(word))) for word in sorted(words)), literal(0))
    rows = await session.scalars(
        select(Task).join(found, found.c.id == Task.id).order_by(count.desc(), Task.id.desc()).limit(limit)
    )
    return rows.all()
