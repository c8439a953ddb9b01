"""Queries of dependencies: what stands how to what, and which way a chain goes."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.tasks.models import Task, TaskAssignee, TaskDependency
from pm_api.domains.tasks.repository.tasks import in_sight
from pm_api.domains.tasks.repository.ties import BLOCKS
from pm_api.identity.models.people import User

LOCK: Final = "task dependencies of "


class Link(NamedTuple):
    """A dependency as it is seen from one of its tasks, with the other."""

    dependency: TaskDependency
    task: Task
    project_key: str
    status_category: str
    creator_name: str


async def hold(session: AsyncSession, workspace_id: UUID) -> None:
    """One at a time changes or follows the dependencies of a workspace: two links that make a circle only together
    share no row. To be taken before any row is held.
    """
    name = f"{LOCK}{workspace_id}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _links(scope: WorkspaceScope, task_id: UUID) -> Select[TaskDependency, Task, str, str, str]:
    """In both directions, where the other task is in sight."""
    other = case((TaskDependency.task_id == task_id, TaskDependency.other_task_id), else_=TaskDependency.task_id)
    return (
        select(TaskDependency, Task, Project.key, ProjectStatus.category, User.name)
        .join(Task, Task.id == other)
        .join(Project, Project.id == Task.project_id)
        .join(ProjectStatus, and_(ProjectStatus.project_id == Task.project_id, ProjectStatus.key == Task.status))
        .join(User, User.id == TaskDependency.created_by_user_id)
        .where(_touches(task_id), in_sight(scope), Task.deleted_at.is_(None))
    )


def _touches(task_id: UUID) -> ColumnElement[bool]:
    return or_(TaskDependency.task_id == task_id, TaskDependency.other_task_id == task_id)


async def page(
    session: AsyncSession, scope: WorkspaceScope, task_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Link]:
    """Oldest first."""
    statement = _links(scope, task_id).order_by(TaskDependency.id).limit(limit)
    if after is not None:
        statement = statement.where(TaskDependency.id > after)
    return [Link(*row) for row in await session.execute(statement)]


async def link(session: AsyncSession, scope: WorkspaceScope, task_id: UUID, dependency_id: UUID) -> Link | None:
    row = (await session.execute(_links(scope, task_id).where(TaskDependency.id == dependency_id))).one_or_none()
    return Link(*row) if row is not None else None


async def count_of(session: AsyncSession, task_id: UUID) -> int:
    """In both directions, whether they are in sight or not."""
    return await session.scalar(select(func.count()).where(_touches(task_id))) or 0


async def exists_already(session: AsyncSession, one: UUID, other: UUID, kind: str, *, both_ways: bool) -> bool:
    """Whether the first stands so to the second; where that says the same, the other way round too."""
    there = and_(TaskDependency.task_id == one, TaskDependency.other_task_id == other)
    back = and_(TaskDependency.task_id == other, TaskDependency.other_task_id == one)
    found = select(TaskDependency.id).where(TaskDependency.kind == kind, or_(there, back) if both_ways else there)
    return await session.scalar(found.limit(1)) is not None


async def put(session: AsyncSession, made: TaskDependency) -> None:
    session.add(made)
    await session.flush()


async def remove(session: AsyncSession, dependency_id: UUID) -> bool:
    """False when somebody else was faster."""
    gone = delete(TaskDependency).where(TaskDependency.id == dependency_id).returning(TaskDependency.id)
    return await session.scalar(gone) is not None


async def blocked_from(
    session: AsyncSession, workspace_id: UUID, first: UUID, limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """(blocker, blocked) of every link that is reached from a task by going along what it blocks, each once. At most
    so many; deleted tasks count, for they can come back.
    """
    chain = (
        select(TaskDependency.task_id, TaskDependency.other_task_id)
        .where(
            TaskDependency.task_id == first,
            TaskDependency.kind == BLOCKS,
            TaskDependency.workspace_id == workspace_id,
        )
        .cte("chain", recursive=True)
    )
    further = (
        select(TaskDependency.task_id, TaskDependency.other_task_id)
        .join(chain, TaskDependency.task_id == chain.c.other_task_id)
        .where(TaskDependency.kind == BLOCKS, TaskDependency.workspace_id == workspace_id)
    )
    chain = chain.union(further)  # not UNION ALL: a link that is reached by many ways is followed once
    rows = await session.execute(select(chain.c.task_id, chain.c.other_task_id).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def keys_of(session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID]) -> dict[UUID, str]:
    """WEB-42 by id, of those that the caller sees."""
    rows = await session.execute(
        select(Task.id, Project.key, Task.number)
        .join(Project, Project.id == Task.project_id)
        .where(Task.id.in_(task_ids), in_sight(scope), Task.deleted_at.is_(None))
    )
    return {task_id: f"{key}-{number}" for task_id, key, number in rows}


# --- what moves together -----------------------------------------------------------------------------------------


class Planned(NamedTuple):
    """A task whose dates may move, and what is to be known of it before."""

    task: Task
    key: str
    status_category: str
    is_archived: bool


async def projects_of(session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID]) -> set[UUID]:
    """The projects of those tasks that the caller sees."""
    rows = await session.scalars(select(Task.project_id).where(Task.id.in_(task_ids), in_sight(scope)).distinct())
    return set(rows)


async def planned(session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID]) -> Sequence[Planned]:
    """Those of the tasks that the caller sees, as committed now."""
    rows = await session.execute(
        select(Task, Project.key, ProjectStatus.category, Project.archived_at)
        .join(Project, Project.id == Task.project_id)
        .join(ProjectStatus, and_(ProjectStatus.project_id == Task.project_id, ProjectStatus.key == Task.status))
        .where(Task.id.in_(task_ids), in_sight(scope), Task.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )
    return [
        Planned(task, f"{key}-{task.number}", category, archived_at is not None)
        for task, key, category, archived_at in rows
    ]


async def assigned_to(session: AsyncSession, user_id: UUID, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of the tasks that somebody is to do."""
    rows = await session.scalars(
        select(TaskAssignee.task_id).where(TaskAssignee.user_id == user_id, TaskAssignee.task_id.in_(task_ids))
    )
    return set(rows)
