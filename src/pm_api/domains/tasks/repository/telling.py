"""Queries of telling: what people call a task, and who acts."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import Project
from pm_api.domains.tasks.models import Task
from pm_api.identity.models.people import User


async def names_of(session: AsyncSession, task: Task, actor_id: UUID) -> tuple[str, str]:
    """The task's key (WEB-42), and the actor's name."""
    found = (
        select(Project.key, User.name)
        .select_from(Project)
        .join(User, User.id == actor_id)
        .where(Project.id == task.project_id)
    )
    key, name = (await session.execute(found)).one()
    return f"{key}-{task.number}", name
