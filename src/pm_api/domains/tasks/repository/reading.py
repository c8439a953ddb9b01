"""Queries of what is shown with tasks: a fixed number, however many tasks."""

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Select, and_, case, func, literal, select, union_all
from sqlalchemy import cast as as_type
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.domains.projects.enums import ENDED, StatusCategory
from pm_api.domains.projects.models import Project, ProjectLabel, ProjectStatus
from pm_api.domains.tasks.models import (
    ChecklistItem,
    Task,
    TaskAssignee,
    TaskComment,
    TaskDependency,
    TaskLabel,
    TimeEntry,
)
from pm_api.domains.tasks.repository.tasks import projects_seen
from pm_api.domains.tasks.repository.ties import BLOCKS
from pm_api.identity.models.people import User


class Labelled(NamedTuple):
    label_id: UUID
    name: str
    colour: str


class Counted(NamedTuple):
    """Of one kind of thing on a task: how much, and a second figure (done)."""

    kind: str
    amount: int
    done: int


SUBTASKS, COMMENTS, CHECKLIST, BLOCKED_BY, MINUTES = "subtasks", "comments", "checklist", "blocked_by", "minutes"


async def projects(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, Project]:
    rows = await session.scalars(select(Project).where(Project.id.in_(project_ids)))
    return {one.id: one for one in rows}


async def categories(session: AsyncSession, project_ids: Collection[UUID]) -> dict[tuple[UUID, str], str]:
    """What each status of these projects means."""
    rows = await session.execute(
        select(ProjectStatus.project_id, ProjectStatus.key, ProjectStatus.category).where(
            ProjectStatus.project_id.in_(project_ids)
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def names(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row[0]: row[1] for row in rows}


async def assignees(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, str]]]:
    """(user id, name) of those who are to do each task, in the order they were assigned."""
    rows = await session.execute(
        select(TaskAssignee.task_id, User.id, User.name)
        .join(User, User.id == TaskAssignee.user_id)
        .where(TaskAssignee.task_id.in_(task_ids))
        .order_by(TaskAssignee.assigned_at, User.id)
    )
    found: dict[UUID, list[tuple[UUID, str]]] = {}
    for task_id, user_id, name in rows:
        found.setdefault(task_id, []).append((user_id, name))
    return found


async def labels(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, list[Labelled]]:
    """Of each task, by name."""
    rows = await session.execute(
        select(TaskLabel.task_id, ProjectLabel.id, ProjectLabel.name, ProjectLabel.colour)
        .join(ProjectLabel, ProjectLabel.id == TaskLabel.label_id)
        .where(TaskLabel.task_id.in_(task_ids))
        .order_by(func.lower(ProjectLabel.name))
    )
    found: dict[UUID, list[Labelled]] = {}
    for task_id, label_id, name, colour in rows:
        found.setdefault(task_id, []).append(Labelled(label_id, name, colour))
    return found


async def counts(session: AsyncSession, scope: AccountScope, task_ids: Collection[UUID]) -> dict[UUID, list[Counted]]:
    """What hangs on each task, in one query. Open blockers in projects that the caller does not see do not count."""
    rows: Any = await session.execute(
        union_all(
            _subtasks(task_ids),
            _comments(task_ids),
            _checklist(task_ids),
            _blockers(scope, task_ids),
            _minutes(task_ids),
        )
    )
    found: dict[UUID, list[Counted]] = {}
    for task_id, kind, amount, done in rows:
        found.setdefault(task_id, []).append(Counted(kind, amount, done))
    return found


def _subtasks(task_ids: Collection[UUID]) -> Select[UUID | None, str, int, int]:
    done = case((ProjectStatus.category == StatusCategory.DONE, 1))
    return (
        select(Task.parent_id, literal(SUBTASKS), func.count(), func.count(done))
        .join(ProjectStatus, and_(ProjectStatus.project_id == Task.project_id, ProjectStatus.key == Task.status))
        .where(Task.parent_id.in_(task_ids), Task.deleted_at.is_(None))
        .group_by(Task.parent_id)
    )


def _comments(task_ids: Collection[UUID]) -> Select[UUID, str, int, int]:
    return (
        select(TaskComment.task_id, literal(COMMENTS), func.count(), as_type(literal(0), BigInteger))
        .where(TaskComment.task_id.in_(task_ids), TaskComment.deleted_at.is_(None))
        .group_by(TaskComment.task_id)
    )


def _checklist(task_ids: Collection[UUID]) -> Select[UUID, str, int, int]:
    done = case((ChecklistItem.is_done, 1))
    return (
        select(ChecklistItem.task_id, literal(CHECKLIST), func.count(), func.count(done))
        .where(ChecklistItem.task_id.in_(task_ids))
        .group_by(ChecklistItem.task_id)
    )


def _blockers(scope: AccountScope, task_ids: Collection[UUID]) -> Select[UUID, str, int, int]:
    blocked = TaskDependency.other_task_id
    return (
        select(blocked, literal(BLOCKED_BY), func.count(), as_type(literal(0), BigInteger))
        .join(Task, Task.id == TaskDependency.task_id)
        .join(ProjectStatus, and_(ProjectStatus.project_id == Task.project_id, ProjectStatus.key == Task.status))
        .where(
            blocked.in_(task_ids),
            TaskDependency.kind == BLOCKS,
            Task.deleted_at.is_(None),
            Task.project_id.in_(projects_seen(scope)),
            ProjectStatus.category.not_in(ENDED),
        )
        .group_by(blocked)
    )


def _minutes(task_ids: Collection[UUID]) -> Select[UUID, str, int, int]:
    return (
        select(
            TimeEntry.task_id,
            literal(MINUTES),
            as_type(func.sum(TimeEntry.minutes), BigInteger),
            as_type(literal(0), BigInteger),
        )
        .where(TimeEntry.task_id.in_(task_ids))
        .group_by(TimeEntry.task_id)
    )
