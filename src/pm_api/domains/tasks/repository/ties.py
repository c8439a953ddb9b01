"""Queries of what hangs on tasks row by row: people, labels, watchers, and what blocks them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.enums import ENDED
from pm_api.domains.projects.models import Project, ProjectLabel, ProjectStatus
from pm_api.domains.tasks.models import Task, TaskAssignee, TaskDependency, TaskLabel, TaskWatcher
from pm_api.domains.tasks.repository.tasks import in_sight
from pm_api.identity.models.people import User

BLOCKS = "BLOCKS"


class Blocker(NamedTuple):
    """An open task that blocks another, and whether the caller sees it."""

    task_id: UUID
    key: str
    title: str
    is_seen: bool


async def assignee_ids(session: AsyncSession, task_id: UUID) -> set[UUID]:
    return set(await session.scalars(select(TaskAssignee.user_id).where(TaskAssignee.task_id == task_id)))


async def label_ids(session: AsyncSession, task_id: UUID) -> set[UUID]:
    return set(await session.scalars(select(TaskLabel.label_id).where(TaskLabel.task_id == task_id)))


async def known_labels(session: AsyncSession, project_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that are labels of the project, held so that none goes while it is put on a task."""
    rows = await session.scalars(
        select(ProjectLabel.id)
        .where(ProjectLabel.project_id == project_id, ProjectLabel.id.in_(ids))
        .order_by(ProjectLabel.id)
        .with_for_update(read=True, key_share=True)
    )
    return set(rows)


async def assign(session: AsyncSession, task: Task, user_ids: Collection[UUID], now: datetime) -> None:
    rows = [
        {"task_id": task.id, "user_id": one, "workspace_id": task.workspace_id, "assigned_at": now}
        for one in sorted(user_ids)
    ]
    if rows:
        await session.execute(insert(TaskAssignee).values(rows).on_conflict_do_nothing())


async def unassign(session: AsyncSession, task: Task, user_ids: Collection[UUID]) -> None:
    gone = delete(TaskAssignee).where(TaskAssignee.task_id == task.id, TaskAssignee.user_id.in_(user_ids))
    await session.execute(gone)


async def put_labels(session: AsyncSession, task: Task, ids: Collection[UUID]) -> None:
    rows = [{"task_id": task.id, "label_id": one, "workspace_id": task.workspace_id} for one in sorted(ids)]
    if rows:
        await session.execute(insert(TaskLabel).values(rows).on_conflict_do_nothing())


async def drop_labels(session: AsyncSession, task: Task, ids: Collection[UUID]) -> None:
    await session.execute(delete(TaskLabel).where(TaskLabel.task_id == task.id, TaskLabel.label_id.in_(ids)))


async def watch(session: AsyncSession, task: Task, user_ids: Collection[UUID]) -> None:
    rows = [{"task_id": task.id, "user_id": one, "workspace_id": task.workspace_id} for one in sorted(user_ids)]
    if rows:
        await session.execute(insert(TaskWatcher).values(rows).on_conflict_do_nothing())


async def unwatch(session: AsyncSession, task_id: UUID, user_ids: Collection[UUID]) -> None:
    gone = delete(TaskWatcher).where(TaskWatcher.task_id == task_id, TaskWatcher.user_id.in_(user_ids))
    await session.execute(gone)


async def watchers(session: AsyncSession, task_id: UUID) -> Sequence[tuple[UUID, str]]:
    """(user id, name), by name."""
    rows = await session.execute(
        select(User.id, User.name)
        .join(TaskWatcher, TaskWatcher.user_id == User.id)
        .where(TaskWatcher.task_id == task_id)
        .order_by(User.name, User.id)
    )
    return [(row[0], row[1]) for row in rows]


async def count_watchers(session: AsyncSession, task_id: UUID) -> int:
    return await session.scalar(select(func.count()).where(TaskWatcher.task_id == task_id)) or 0


# --- of many new tasks ---------------------------------------------------------------------------------------------


async def tie_new(
    session: AsyncSession,
    tasks: Sequence[Task],
    assignees: Mapping[UUID, Collection[UUID]],
    watchers: Mapping[UUID, Collection[UUID]],
    labels: Mapping[UUID, Collection[UUID]],
) -> None:
    """Who is to do tasks that nothing hangs on yet, who watches them, and their labels, each by task: one statement
    for each table.
    """
    for table, column, tied in (
        (TaskAssignee, "user_id", assignees),
        (TaskWatcher, "user_id", watchers),
        (TaskLabel, "label_id", labels),
    ):
        rows = [
            {"task_id": one.id, column: other, "workspace_id": one.workspace_id}
            | ({"assigned_at": one.created_at} if table is TaskAssignee else {})
            for one in tasks
            for other in sorted(tied.get(one.id, ()))
        ]
        if rows:
            await session.execute(insert(table), rows)


async def open_blockers(session: AsyncSession, scope: WorkspaceScope, task_id: UUID, limit: int) -> list[Blocker]:
    """Open tasks that block one, the caller's own sight told apart; oldest first."""
    rows = await session.execute(
        select(Task.id, Project.key, Task.number, Task.title, in_sight(scope))
        .join(TaskDependency, TaskDependency.task_id == Task.id)
        .join(Project, Project.id == Task.project_id)
        .join(ProjectStatus, (ProjectStatus.project_id == Task.project_id) & (ProjectStatus.key == Task.status))
        .where(
            TaskDependency.other_task_id == task_id,
            TaskDependency.kind == BLOCKS,
            Task.deleted_at.is_(None),
            Project.deleted_at.is_(None),
            ProjectStatus.category.not_in(ENDED),
        )
        .order_by(Task.id)
        .limit(limit)
    )
    return [Blocker(row[0], f"{row[1]}-{row[2]}", row[3], row[4]) for row in rows]
