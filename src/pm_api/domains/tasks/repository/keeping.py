"""Queries over many tasks at once: of a project that is counted, copied or erased, and of a person who leaves."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, String, case, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.tasks.models import (
    ChecklistItem,
    Task,
    TaskAssignee,
    TaskDependency,
    TaskLabel,
    TaskWatcher,
)

ROWS_AT_A_TIME: Final = 500
COPIED: Final = (
    *("title", "description", "status", "priority", "board_key", "start_on", "start_at", "due_on", "due_at"),
    *("time_zone", "estimate_minutes", "depth", "completed_at"),
)
"""Columns that a copy of a task has too. Who is to do it, and how it comes again, is decided anew."""


class Standing(NamedTuple):
    """A task in a status that is left."""

    task_id: UUID
    version: int
    scope_id: UUID
    is_deleted: bool


# --- projects ------------------------------------------------------------------------------------------------------


async def progress(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """(all but the canceled, done) of each project that has any."""
    done = case((ProjectStatus.category == StatusCategory.DONE, 1))
    rows = await session.execute(
        select(Task.project_id, func.count(), func.count(done))
        .join(ProjectStatus, (ProjectStatus.project_id == Task.project_id) & (ProjectStatus.key == Task.status))
        .where(
            Task.project_id.in_(project_ids),
            Task.deleted_at.is_(None),
            ProjectStatus.category != StatusCategory.CANCELED,
        )
        .group_by(Task.project_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def count_in_status(session: AsyncSession, project_id: UUID, key: str) -> int:
    counted = select(func.count()).where(Task.project_id == project_id, Task.status == key)
    return await session.scalar(counted) or 0


async def count_of_workspaces(
    session: AsyncSession, workspace_ids: Collection[UUID], *, before: datetime | None = None
) -> int:
    """Living tasks of living projects; with `before` those of them made before a moment."""
    counted = (
        select(func.count())
        .select_from(Task)
        .join(Project, Project.id == Task.project_id)
        .where(Task.workspace_id.in_(workspace_ids), Task.deleted_at.is_(None), Project.deleted_at.is_(None))
    )
    if before is not None:
        counted = counted.where(Task.created_at < before)
    return await session.scalar(counted) or 0


async def standing_in(session: AsyncSession, project_id: UUID, key: str) -> Sequence[Standing]:
    """All in a status in the board's order, deleted ones too."""
    rows = await session.execute(
        select(Task.id, Task.version, Task.scope_id, Task.deleted_at.is_not(None))
        .where(Task.project_id == project_id, Task.status == key)
        .order_by(Task.board_key, Task.id)
    )
    return [Standing(*row) for row in rows]


async def restate(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write columns of tasks by their ids."""
    for first in range(0, len(rows), ROWS_AT_A_TIME):
        await session.execute(update(Task), rows[first : first + ROWS_AT_A_TIME])


async def forget_field(session: AsyncSession, project_id: UUID, key: str) -> int:
    """Take a field of the project's own out of its tasks, deleted ones too; returns how many said something in it."""
    forgotten = await session.scalars(
        update(Task)
        .where(Task.project_id == project_id, Task.fields.has_key(key))
        .values(fields=Task.fields.op("-")(literal(key, String)), version=Task.version + 1)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    return len(forgotten.all())


async def settle_completion(
    session: AsyncSession, project_id: UUID, key: str, *, is_done: bool, now: datetime
) -> None:
    """Tasks in a status that means done have been done at some time, others have not."""
    completed = func.coalesce(Task.completed_at, now) if is_done else None
    await session.execute(
        update(Task)
        .where(Task.project_id == project_id, Task.status == key)
        .values(completed_at=completed)
        .execution_options(synchronize_session=False)
    )


async def category(session: AsyncSession, project_id: UUID, key: str) -> str | None:
    return await session.scalar(
        select(ProjectStatus.category).where(ProjectStatus.project_id == project_id, ProjectStatus.key == key)
    )


async def erase_of_project(session: AsyncSession, project_id: UUID, most: int) -> list[UUID]:
    """Some of a project's tasks, whatever their state."""
    return await _erase(session, Task.project_id == project_id, most)


async def erase_deleted(session: AsyncSession, before: datetime, most: int) -> list[UUID]:
    """Some of the tasks that were deleted before a moment."""
    return await _erase(session, Task.deleted_at < before, most)


async def deleted_before(session: AsyncSession, before: datetime, most: int) -> list[UUID]:
    """Which those are that would go."""
    return await _going(session, Task.deleted_at < before, most)


async def _going(session: AsyncSession, where: ColumnElement[bool], most: int) -> list[UUID]:
    return list(await session.scalars(select(Task.id).where(where).order_by(Task.depth.desc(), Task.id).limit(most)))


async def _erase(session: AsyncSession, where: ColumnElement[bool], most: int) -> list[UUID]:
    """Delete tasks for good, the deepest first, so that none stands below one that is gone; returns their ids."""
    ids = await _going(session, where, most)
    if ids:
        await session.execute(
            update(Task)
            .where(Task.previous_task_id.in_(ids))
            .values(previous_task_id=None)
            .execution_options(synchronize_session=False)
        )
        await session.execute(delete(Task).where(Task.id.in_(ids)).execution_options(synchronize_session=False))
    return ids


# --- copying -------------------------------------------------------------------------------------------------------


async def living(session: AsyncSession, project_id: UUID, *, after: int, limit: int) -> Sequence[Task]:
    """A stretch of a project's tasks by number."""
    rows = await session.scalars(
        select(Task)
        .where(Task.project_id == project_id, Task.deleted_at.is_(None), Task.number > after)
        .order_by(Task.number)
        .limit(limit)
    )
    return rows.all()


async def count_living(session: AsyncSession, project_id: UUID) -> int:
    counted = select(func.count()).where(Task.project_id == project_id, Task.deleted_at.is_(None))
    return await session.scalar(counted) or 0


async def insert_tasks(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await session.execute(insert(Task), rows)


async def set_parents(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        await session.execute(update(Task), rows)


async def copy_labels(
    session: AsyncSession, workspace_id: UUID, task_ids: Mapping[UUID, UUID], label_ids: Mapping[UUID, UUID]
) -> None:
    found = await session.execute(
        select(TaskLabel.task_id, TaskLabel.label_id).where(TaskLabel.task_id.in_(task_ids.keys()))
    )
    rows = [
        {"task_id": task_ids[task_id], "label_id": label_ids[label_id], "workspace_id": workspace_id}
        for task_id, label_id in found
        if label_id in label_ids
    ]
    if rows:
        await session.execute(insert(TaskLabel), rows)


async def checklists(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[ChecklistItem]:
    rows = await session.scalars(select(ChecklistItem).where(ChecklistItem.task_id.in_(task_ids)))
    return rows.all()


async def dependencies_within(session: AsyncSession, project_id: UUID) -> Sequence[TaskDependency]:
    """Those between living tasks of one project."""
    inside = select(Task.id).where(Task.project_id == project_id, Task.deleted_at.is_(None))
    rows = await session.scalars(
        select(TaskDependency)
        .where(TaskDependency.task_id.in_(inside), TaskDependency.other_task_id.in_(inside))
        .order_by(TaskDependency.id)
    )
    return rows.all()


# --- people who leave ----------------------------------------------------------------------------------------------


async def count_assigned(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    """Living tasks that somebody is to do."""
    counted = (
        select(func.count())
        .select_from(TaskAssignee)
        .join(Task, Task.id == TaskAssignee.task_id)
        .where(TaskAssignee.user_id == user_id, Task.workspace_id == workspace_id, Task.deleted_at.is_(None))
    )
    return await session.scalar(counted) or 0


async def assigned(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Task]:
    """A stretch of the tasks somebody is to do, by id, deleted ones too."""
    statement = (
        select(Task)
        .join(TaskAssignee, TaskAssignee.task_id == Task.id)
        .where(TaskAssignee.user_id == user_id, Task.workspace_id == workspace_id)
    )
    if after is not None:
        statement = statement.where(Task.id > after)
    rows = await session.scalars(statement.order_by(Task.id).limit(limit))
    return rows.all()


async def projects_assigned_in(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> set[UUID]:
    rows = await session.scalars(
        select(Task.project_id)
        .join(TaskAssignee, TaskAssignee.task_id == Task.id)
        .where(TaskAssignee.user_id == user_id, Task.workspace_id == workspace_id)
        .distinct()
    )
    return set(rows)


async def take_over(
    session: AsyncSession, tasks: Sequence[Task], leaver_id: UUID, heir_id: UUID | None, now: datetime
) -> None:
    """The heir is assigned in the leaver's place; without an heir nobody is."""
    ids = [one.id for one in tasks]
    if heir_id is not None and tasks:
        rows = [
            {"task_id": one.id, "user_id": heir_id, "workspace_id": one.workspace_id, "assigned_at": now}
            for one in tasks
        ]
        await session.execute(upsert(TaskAssignee).values(rows).on_conflict_do_nothing())
        watching = [{name: row[name] for name in ("task_id", "user_id", "workspace_id")} for row in rows]
        await session.execute(upsert(TaskWatcher).values(watching).on_conflict_do_nothing())
    gone = delete(TaskAssignee).where(TaskAssignee.task_id.in_(ids), TaskAssignee.user_id == leaver_id)
    await session.execute(gone)


async def stop_watching(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    gone = delete(TaskWatcher).where(TaskWatcher.user_id == user_id, TaskWatcher.workspace_id == workspace_id)
    await session.execute(gone)
