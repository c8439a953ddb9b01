"""Queries of the time people worked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.models import Project
from pm_api.domains.tasks.models import Task, TimeEntry
from pm_api.domains.tasks.repository.tasks import projects_seen
from pm_api.identity.models.people import User


@dataclass(frozen=True, slots=True)
class Period:
    """Which entries of a workspace are asked for; both days are within."""

    first: date
    last: date
    user_id: UUID | None = None
    project_id: UUID | None = None


def _shown() -> Select[TimeEntry, str]:
    return select(TimeEntry, User.name).join(User, User.id == TimeEntry.user_id)


async def of_task(
    session: AsyncSession, task_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[tuple[TimeEntry, str]]:
    """(entry, name of who worked) in the order in which they were entered."""
    statement = _shown().where(TimeEntry.task_id == task_id).order_by(TimeEntry.id).limit(limit)
    if after is not None:
        statement = statement.where(TimeEntry.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def one(session: AsyncSession, task_id: UUID, entry_id: UUID) -> tuple[TimeEntry, str] | None:
    found = _shown().where(TimeEntry.id == entry_id, TimeEntry.task_id == task_id)
    row = (await session.execute(found)).one_or_none()
    return (row[0], row[1]) if row is not None else None


async def lock(session: AsyncSession, task_id: UUID, entry_id: UUID) -> TimeEntry | None:
    """As committed now, held."""
    return await session.scalar(
        select(TimeEntry)
        .where(TimeEntry.id == entry_id, TimeEntry.task_id == task_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def totals_of_task(session: AsyncSession, task_id: UUID, limit: int) -> Sequence[tuple[UUID, str, int]]:
    """(user id, name, minutes) of each who worked on it, most first."""
    minutes = func.sum(TimeEntry.minutes)
    rows = await session.execute(
        select(User.id, User.name, minutes)
        .join(TimeEntry, TimeEntry.user_id == User.id)
        .where(TimeEntry.task_id == task_id)
        .group_by(User.id, User.name)
        .order_by(minutes.desc(), User.id)
        .limit(limit)
    )
    return [(row[0], row[1], int(row[2])) for row in rows]


async def minutes_of_task(session: AsyncSession, task_id: UUID) -> int:
    found = select(func.coalesce(func.sum(TimeEntry.minutes), 0)).where(TimeEntry.task_id == task_id)
    return int(await session.scalar(found) or 0)


def _wanted(scope: WorkspaceScope, period: Period) -> ColumnElement[bool]:
    """Of a workspace, on living tasks that the caller sees."""
    seen = projects_seen(scope)
    if period.project_id is not None:
        seen = seen.where(Project.id == period.project_id)
    conditions = [
        TimeEntry.workspace_id == scope.workspace_id,
        TimeEntry.worked_on.between(period.first, period.last),
        Task.id == TimeEntry.task_id,
        Task.deleted_at.is_(None),
        Task.project_id.in_(seen),
    ]
    if period.user_id is not None:
        conditions.append(TimeEntry.user_id == period.user_id)
    return and_(*conditions)


async def report(
    session: AsyncSession, scope: WorkspaceScope, period: Period, *, after: tuple[date, UUID] | None, limit: int
) -> Sequence[tuple[TimeEntry, str]]:
    """By day, then as they were entered."""
    statement = (
        _shown()
        .join(Task, Task.id == TimeEntry.task_id)
        .where(_wanted(scope, period))
        .order_by(TimeEntry.worked_on, TimeEntry.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(TimeEntry.worked_on, TimeEntry.id) > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def total(session: AsyncSession, scope: WorkspaceScope, period: Period) -> int:
    statement = select(func.coalesce(func.sum(TimeEntry.minutes), 0)).join(Task, Task.id == TimeEntry.task_id)
    return int(await session.scalar(statement.where(_wanted(scope, period))) or 0)


async def day_totals(
    session: AsyncSession, scope: WorkspaceScope, period: Period, limit: int
) -> Sequence[tuple[UUID, str, date, int]]:
    """(user id, name, day, minutes), by day and person."""
    rows = await session.execute(
        select(User.id, User.name, TimeEntry.worked_on, func.sum(TimeEntry.minutes))
        .join(User, User.id == TimeEntry.user_id)
        .join(Task, Task.id == TimeEntry.task_id)
        .where(_wanted(scope, period))
        .group_by(User.id, User.name, TimeEntry.worked_on)
        .order_by(TimeEntry.worked_on, User.id)
        .limit(limit)
    )
    return [(row[0], row[1], row[2], int(row[3])) for row in rows]
