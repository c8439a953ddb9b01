"""Queries of exports and imports."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.models import Project, ProjectLabel
from pm_api.domains.tasks.models import ChecklistItem, Task, TaskAssignee, TaskDependency, TaskLabel
from pm_api.domains.tasks.repository.tasks import in_sight
from pm_api.identity.models.people import Member, User


async def page(
    session: AsyncSession,
    scope: WorkspaceScope,
    condition: ColumnElement[bool] | None,
    *,
    project_id: UUID | None,
    after: UUID | None,
    limit: int,
) -> Sequence[tuple[Task, str]]:
    """Living tasks in sight with their projects' keys, oldest first."""
    statement = (
        select(Task, Project.key)
        .join(Project, Project.id == Task.project_id)
        .where(in_sight(scope), Task.deleted_at.is_(None))
        .order_by(Task.id)
        .limit(limit)
    )
    if project_id is not None:
        statement = statement.where(Task.project_id == project_id)
    if condition is not None:
        statement = statement.where(condition)
    if after is not None:
        statement = statement.where(Task.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def keys(session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID]) -> dict[UUID, str]:
    """Names among people of living tasks in sight."""
    rows = await session.execute(
        select(Task.id, Project.key, Task.number)
        .join(Project, Project.id == Task.project_id)
        .where(Task.id.in_(task_ids), in_sight(scope), Task.deleted_at.is_(None))
    )
    return {row[0]: f"{row[1]}-{row[2]}" for row in rows}


async def addresses(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    rows = await session.execute(
        select(TaskAssignee.task_id, User.email)
        .join(User, User.id == TaskAssignee.user_id)
        .where(TaskAssignee.task_id.in_(task_ids))
        .order_by(User.email)
    )
    found: dict[UUID, list[str]] = {}
    for task_id, email in rows:
        found.setdefault(task_id, []).append(email)
    return found


async def label_names(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    rows = await session.execute(
        select(TaskLabel.task_id, ProjectLabel.name)
        .join(ProjectLabel, ProjectLabel.id == TaskLabel.label_id)
        .where(TaskLabel.task_id.in_(task_ids))
        .order_by(ProjectLabel.name)
    )
    found: dict[UUID, list[str]] = {}
    for task_id, name in rows:
        found.setdefault(task_id, []).append(name)
    return found


async def links(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[TaskDependency]:
    """From these tasks to others."""
    rows = await session.scalars(
        select(TaskDependency).where(TaskDependency.task_id.in_(task_ids)).order_by(TaskDependency.id)
    )
    return rows.all()


async def checklists(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[ChecklistItem]:
    rows = await session.scalars(
        select(ChecklistItem)
        .where(ChecklistItem.task_id.in_(task_ids))
        .order_by(ChecklistItem.task_id, ChecklistItem.position, ChecklistItem.id)
    )
    return rows.all()


async def members_by_address(session: AsyncSession, workspace_id: UUID, emails: Collection[str]) -> dict[str, UUID]:
    """Members of the workspace by their address in lower case."""
    rows = await session.execute(
        select(func.lower(User.email), User.id)
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == workspace_id, func.lower(User.email).in_(emails))
    )
    return {row[0]: row[1] for row in rows}
