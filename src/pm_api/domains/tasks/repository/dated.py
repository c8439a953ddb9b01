"""Queries of tasks by the days and moments they start at or are due at: in a range, in order, from a place on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Date, DateTime, Select, cast, literal, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.models import Project
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository.tasks import projects_seen

FIRST_ID: Final = UUID(int=0)
Row = Select[str, date | None, datetime | None, UUID]


class TaskDate(StrEnum):
    START = "START"
    DUE = "DUE"


@dataclass(frozen=True, slots=True)
class Range:
    """Days from `first_day` up to and with `last_day`, and moments from `start` up to, not with, `end`. Of those on
    the first day and at the first moment only the tasks with greater ids than these, where they are given.
    """

    first_day: date
    last_day: date
    start: datetime
    end: datetime
    after_on_first_day: UUID | None = None
    after_at_start: UUID | None = None


class Dated(NamedTuple):
    """A task, and one of its dates: `day`, or `moment`."""

    task: Task
    which: TaskDate
    day: date | None
    moment: datetime | None


async def dated(
    session: AsyncSession,
    scope: WorkspaceScope,
    wanted: Sequence[tuple[TaskDate, Range]],
    *,
    project_id: UUID | None,
    limit: int,
) -> list[Dated]:
    """Of each date asked for the first days and the first moments, so many of either; in one query. Tasks of living
    projects that the caller sees, not those of templates.
    """
    seen = projects_seen(scope).where(~Project.is_template)
    some = []
    for which, within in wanted:
        for parts in (_days(which, within), _moments(which, within)):
            statement = parts.where(
                Task.workspace_id == scope.workspace_id, Task.deleted_at.is_(None), Task.project_id.in_(seen)
            )
            if project_id is not None:
                statement = statement.where(Task.project_id == project_id)
            some.append(select(statement.limit(limit).subquery()))
    if not some:
        return []
    places = union_all(*some).subquery("places")
    rows = await session.execute(
        select(Task, places.c.which, places.c.day, places.c.moment)
        .join(places, places.c.id == Task.id)
        .execution_options(populate_existing=True)
    )
    return [Dated(row[0], TaskDate(row[1]), row[2], row[3]) for row in rows]


def _days(which: TaskDate, within: Range) -> Row:
    day = Task.start_on if which is TaskDate.START else Task.due_on
    place = tuple_(literal(within.first_day, Date()), literal(within.after_on_first_day or FIRST_ID))
    statement = _row(which, day, cast(null(), DateTime(timezone=True))).where(
        day <= within.last_day, tuple_(day, Task.id) > place
    )
    if which is TaskDate.START:
        return statement.order_by(Task.start_on, Task.id)
    # What is due on a day is sorted as its end in UTC: the index of due tasks is asked, and holds both kinds.
    return statement.where(
        Task.due_on.is_not(None), Task.due_by.between(_end_of(within.first_day), _end_of(within.last_day))
    ).order_by(Task.due_by, Task.id)


def _moments(which: TaskDate, within: Range) -> Row:
    moment = Task.start_at if which is TaskDate.START else Task.due_at
    place = tuple_(literal(within.start, DateTime(timezone=True)), literal(within.after_at_start or FIRST_ID))
    statement = _row(which, cast(null(), Date()), moment).where(moment < within.end, tuple_(moment, Task.id) > place)
    if which is TaskDate.START:
        return statement.order_by(Task.start_at, Task.id)
    return statement.where(Task.due_at.is_not(None), Task.due_by >= within.start, Task.due_by < within.end).order_by(
        Task.due_by, Task.id
    )


def _row(
    which: TaskDate,
    day: InstrumentedAttribute[date | None] | ColumnElement[date | None],
    moment: InstrumentedAttribute[datetime | None] | ColumnElement[datetime | None],
) -> Row:
    return select(literal(which.value).label("which"), day.label("day"), moment.label("moment"), Task.id.label("id"))


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
