"""Queries of what was done to tasks."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.tasks.models import TaskActivity
from pm_api.identity.models.people import User


async def page(
    session: AsyncSession, task_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[tuple[TaskActivity, str | None]]:
    """(what was done, name of who did it), oldest first."""
    statement = (
        select(TaskActivity, User.name)
        .outerjoin(User, User.id == TaskActivity.actor_user_id)
        .where(TaskActivity.task_id == task_id)
        .order_by(TaskActivity.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(TaskActivity.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]
