"""Queries of lists of tasks: what is asked for, in which order, from where on. One query a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.projects.models import ProjectStatus
from pm_api.domains.tasks.enums import TaskSort
from pm_api.domains.tasks.models import Task, TaskAssignee, TaskLabel
from pm_api.domains.tasks.repository.tasks import projects_seen

_SORTED_BY: Final[dict[TaskSort, InstrumentedAttribute[Any]]] = {
    TaskSort.NUMBER: Task.number,
    TaskSort.CREATED: Task.id,
    TaskSort.UPDATED: Task.updated_at,
    TaskSort.DUE: Task.due_by,
    TaskSort.PRIORITY: Task.priority,
    TaskSort.BOARD: Task.board_key,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list shall hold, and in which order. Empty is everything."""

    project_id: UUID | None = None
    status: Sequence[str] = ()
    status_category: Sequence[str] = ()
    priority: Sequence[int] = ()
    assignee_id: Sequence[UUID] = ()
    label_id: Sequence[UUID] = ()
    parent: str | None = None
    """How it was named; `parent_id` is what that means."""
    parent_id: UUID | None = None
    top: bool = False
    due_before: datetime | None = None
    due_after: datetime | None = None
    title: str | None = None
    deleted: bool = False
    view: UUID | None = None
    sort: TaskSort | None = None
    descending: bool | None = None
    filter: str | None = None
    conditions: Sequence[ColumnElement[bool]] = field(default=(), repr=False)

    def filters(self) -> dict[str, object]:
        """What a cursor is bound to."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "conditions"}


class Row(NamedTuple):
    task: Task
    sorted_by: Any


async def tasks(
    session: AsyncSession, scope: AccountScope, wanted: Wanted, *, limit: int, after: tuple[Any, UUID] | None
) -> list[Row]:
    """A page: tasks that the caller sees; without a workspace those assigned to them, wherever."""
    sort = wanted.sort or TaskSort.CREATED
    column = _SORTED_BY[sort]
    statement = _narrowed(_all(scope, wanted).add_columns(column), wanted)
    if sort is TaskSort.CREATED:
        if after is not None:
            statement = statement.where(column < after[1] if wanted.descending else column > after[1])
        statement = statement.order_by(column.desc() if wanted.descending else column)
    else:
        if after is not None:
            place, there = tuple_(column, Task.id), tuple_(*after)
            statement = statement.where(place < there if wanted.descending else place > there)
        order = (column.desc(), Task.id.desc()) if wanted.descending else (column, Task.id)
        statement = statement.order_by(*order)
    rows = await session.execute(statement.limit(limit).execution_options(populate_existing=True))
    return [Row(row[0], row[1]) for row in rows]


def _all(scope: AccountScope, wanted: Wanted) -> Select[Task]:
    statement = select(Task).where(
        Task.deleted_at.is_not(None) if wanted.deleted else Task.deleted_at.is_(None),
        Task.project_id.in_(projects_seen(scope)),
    )
    if isinstance(scope, WorkspaceScope):
        statement = statement.where(Task.workspace_id == scope.workspace_id)
    else:
        statement = statement.where(_assigned([scope.user_id]))
    if wanted.project_id is not None:
        statement = statement.where(Task.project_id == wanted.project_id)
    return statement


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = list(wanted.conditions)
    if wanted.status:
        conditions.append(Task.status.in_(wanted.status))
    if wanted.status_category:
        conditions.append(
            exists().where(
                ProjectStatus.project_id == Task.project_id,
                ProjectStatus.key == Task.status,
                ProjectStatus.category.in_(wanted.status_category),
            )
        )
    if wanted.priority:
        conditions.append(Task.priority.in_(wanted.priority))
    if wanted.assignee_id:
        conditions.append(_assigned(wanted.assignee_id))
    if wanted.label_id:
        conditions.append(exists().where(TaskLabel.task_id == Task.id, TaskLabel.label_id.in_(wanted.label_id)))
    if wanted.parent_id is not None:
        conditions.append(Task.parent_id == wanted.parent_id)
    if wanted.top:
        conditions.append(Task.parent_id.is_(None))
    if wanted.due_before is not None:
        conditions.append(Task.due_by < wanted.due_before)
    if wanted.due_after is not None:
        conditions.append(Task.due_by > wanted.due_after)
        conditions.append((Task.due_on.is_not(None)) | (Task.due_at.is_not(None)))
    if wanted.title:
        conditions.append(func.lower(Task.title).startswith(wanted.title.lower(), autoescape=True))
    return statement.where(*conditions)


def _assigned(user_ids: Sequence[UUID]) -> ColumnElement[bool]:
    return exists().where(TaskAssignee.task_id == Task.id, TaskAssignee.user_id.in_(user_ids))
