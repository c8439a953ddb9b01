"""Queries of the places files are attached to."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.domains.projects.models import Project
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository.tasks import projects_seen


async def task_with(session: AsyncSession, task_id: UUID) -> Task | None:
    """Whoever sees it: of what is noted in its history the caller is told nothing."""
    return await session.scalar(select(Task).where(Task.id == task_id))


async def scope_of_project(session: AsyncSession, scope: AccountScope, project_id: UUID) -> UUID | None:
    """Of a living project that the caller sees."""
    found: UUID | None = await session.scalar(
        select(Project.scope_id).where(Project.id == project_id, Project.id.in_(projects_seen(scope)))
    )
    return found


async def scope_of_any_project(session: AsyncSession, project_id: UUID) -> UUID | None:
    """Whatever its state: for jobs."""
    found: UUID | None = await session.scalar(select(Project.scope_id).where(Project.id == project_id))
    return found
