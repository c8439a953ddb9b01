"""Queries of recurring tasks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import Project, ProjectLabel
from pm_api.domains.tasks.models import ChecklistItem, Task, TaskRecurrence
from pm_api.identity.models.people import Member, ScopeMember, Workspace


async def schedule(session: AsyncSession, task: Task, due_at: datetime | None) -> None:
    """When the next one is made by itself; None: not by itself."""
    if due_at is None:
        await session.execute(delete(TaskRecurrence).where(TaskRecurrence.task_id == task.id))
        return
    row = insert(TaskRecurrence).values(task_id=task.id, workspace_id=task.workspace_id, due_at=due_at)
    await session.execute(row.on_conflict_do_update(index_elements=["task_id"], set_={"due_at": due_at}))


def _is_at_work() -> ColumnElement[bool]:
    return and_(
        Task.deleted_at.is_(None),
        Project.deleted_at.is_(None),
        Project.archived_at.is_(None),
        Workspace.deleted_at.is_(None),
    )


async def due(session: AsyncSession, now: datetime, limit: int, *, without: Collection[UUID] = ()) -> list[UUID]:
    """Tasks whose next one is to be made, in the order in which it is due; not those at rest with their project or
    workspace.
    """
    rows = await session.scalars(
        select(TaskRecurrence.task_id)
        .join(Task, Task.id == TaskRecurrence.task_id)
        .join(Project, Project.id == Task.project_id)
        .join(Workspace, Workspace.id == Task.workspace_id)
        .where(TaskRecurrence.due_at <= now, _is_at_work(), TaskRecurrence.task_id.not_in(without))
        .order_by(TaskRecurrence.due_at, TaskRecurrence.task_id)
        .limit(limit)
    )
    return list(rows)


async def still_due(session: AsyncSession, task_id: UUID, now: datetime) -> Task | None:
    """The task, held with its project, if its next one is still to be made."""
    project = select(Project.id).join(Task, Task.project_id == Project.id).where(Task.id == task_id)
    await session.execute(project.with_for_update(of=Project, key_share=True))
    await session.execute(select(Task.id).where(Task.id == task_id).with_for_update(key_share=True))
    return await session.scalar(
        select(Task)
        .join(TaskRecurrence, TaskRecurrence.task_id == Task.id)
        .join(Project, Project.id == Task.project_id)
        .join(Workspace, Workspace.id == Task.workspace_id)
        .where(Task.id == task_id, TaskRecurrence.due_at <= now, _is_at_work())
        .execution_options(populate_existing=True)
    )


async def successor(session: AsyncSession, task_id: UUID) -> UUID | None:
    found: UUID | None = await session.scalar(select(Task.id).where(Task.previous_task_id == task_id))
    return found


async def labels_left(session: AsyncSession, project_id: UUID, label_ids: Collection[UUID]) -> list[UUID]:
    rows = await session.scalars(
        select(ProjectLabel.id).where(ProjectLabel.project_id == project_id, ProjectLabel.id.in_(label_ids))
    )
    return sorted(rows)


async def copy_checklist(session: AsyncSession, source_id: UUID, target: Task, new_ids: Sequence[UUID]) -> None:
    """As many things as there are ids, none of them ticked off."""
    items = await session.scalars(
        select(ChecklistItem)
        .where(ChecklistItem.task_id == source_id)
        .order_by(ChecklistItem.position, ChecklistItem.id)
        .limit(len(new_ids))
    )
    for item_id, item in zip(new_ids, items, strict=False):
        session.add(
            ChecklistItem(
                id=item_id,
                workspace_id=target.workspace_id,
                scope_id=target.scope_id,
                task_id=target.id,
                content=item.content,
                is_done=False,
                position=item.position,
                version=1,
            )
        )
    await session.flush()


async def count_checklist(session: AsyncSession, task_id: UUID) -> int:
    return len((await session.scalars(select(ChecklistItem.id).where(ChecklistItem.task_id == task_id))).all())


async def who_could(session: AsyncSession, scope_id: UUID, workspace_id: UUID, limit: int) -> Sequence[UUID]:
    """Somebody in the circle, or of the workspace, to make a task for when whoever did is gone."""
    inside = await session.scalars(
        select(ScopeMember.user_id)
        .join(Member, (Member.user_id == ScopeMember.user_id) & (Member.workspace_id == workspace_id))
        .where(ScopeMember.scope_id == scope_id)
        .order_by(ScopeMember.user_id)
        .limit(limit)
    )
    others = await session.scalars(
        select(Member.user_id).where(Member.workspace_id == workspace_id).order_by(Member.joined_at).limit(limit)
    )
    return [*inside, *others]
