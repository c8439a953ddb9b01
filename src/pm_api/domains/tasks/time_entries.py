"""Rules of time worked: who worked how long on what, which is not when they say so."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks import activity, rules, touching
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.errors.talk import InvalidPeriod, InvalidWorkDate, TimeEntryNotFound
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task, TimeEntry
from pm_api.domains.tasks.repository import time_entries as repository
from pm_api.domains.tasks.repository.time_entries import Period
from pm_api.domains.tasks.schemas.tasks import PersonShown
from pm_api.domains.tasks.schemas.time_entries import (
    DayTotal,
    PersonTotal,
    TaskTimeAnswer,
    TimeEntryCreate,
    TimeEntryRead,
    TimeEntryUpdate,
    TimeReportAnswer,
)
from pm_api.identity import pictures
from pm_api.identity.permissions import allows

ENTITY: Final = "time_entry"
FIELD: Final = "timeEntry"
A_DAY: Final = timedelta(days=1)
FIRST_YEAR: Final = 2000
USUAL_DAYS: Final = 31
MOST_DAYS: Final = 92
MOST_PEOPLE: Final = 1000
MOST_TOTALS: Final = 5000
NOT_YOURS: Final = "You may change time that you worked; that of others only who manages tasks."


async def create(session: AsyncSession, platform: Platform, at: TaskScope, wanted: TimeEntryCreate) -> TimeEntryRead:
    """Time the caller worked; raises TaskNotFound, ProjectArchived and InvalidWorkDate."""
    task = await touching.to_add(session, at)
    _check_day(platform, wanted.worked_on)
    now = platform.clock.now()
    entry = TimeEntry(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        task_id=task.id,
        user_id=at.scope.user_id,
        worked_on=wanted.worked_on,
        minutes=wanted.minutes,
        note=wanted.note,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(entry)
    await session.flush()
    _told(session, platform, at, task, entry, "created", FieldChange(FIELD, None, _form(entry)))
    return await get(session, platform, at, entry.id)


async def list_of(session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest) -> TaskTimeAnswer:
    """A page of a task's, and its sums whatever the page."""
    key = platform.cursors.decode(page.cursor, of="task_time", task=at.task_id)
    rows = await repository.of_task(session, at.task_id, after=UUID(key[0]) if key else None, limit=page.limit + 1)
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    people = await repository.totals_of_task(session, at.task_id, MOST_PEOPLE)
    entries = [_read(entry, name) for entry, name in shown]
    totals = [PersonTotal(user=PersonShown(id=one, name=name), minutes=minutes) for one, name, minutes in people]
    await pictures.put_in(session, platform, [*(one.user for one in entries), *(one.user for one in totals)])
    return TaskTimeAnswer(
        time_entries=entries,
        total_minutes=await repository.minutes_of_task(session, at.task_id),
        people=totals,
        next_cursor=platform.cursors.encode(following, of="task_time", task=at.task_id),
    )


async def get(session: AsyncSession, platform: Platform, at: TaskScope, entry_id: UUID) -> TimeEntryRead:
    """Raises TimeEntryNotFound."""
    found = await repository.one(session, at.task_id, entry_id)
    if found is None:
        raise TimeEntryNotFound
    read = _read(*found)
    await pictures.put_in(session, platform, [read.user])
    return read


async def update(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    entry_id: UUID,
    wanted: TimeEntryUpdate,
    expected_version: int | None,
) -> TimeEntryRead:
    """Only what was sent, of one's own or by who manages tasks.

    Raises TaskNotFound, ProjectArchived, TimeEntryNotFound, Forbidden, PreconditionFailed and InvalidWorkDate.
    """
    task, entry = await _to_change(session, at, entry_id, expected_version)
    before = (entry.worked_on, entry.minutes, entry.note)
    old = _form(entry)
    if wanted.worked_on is not None:
        _check_day(platform, wanted.worked_on)
        entry.worked_on = wanted.worked_on
    if wanted.minutes is not None:
        entry.minutes = wanted.minutes
    if "note" in wanted.model_fields_set:
        entry.note = wanted.note or ""
    if (entry.worked_on, entry.minutes, entry.note) != before:
        entry.version += 1
        entry.updated_at = platform.clock.now()
        await session.flush()
        _told(session, platform, at, task, entry, "updated", FieldChange(FIELD, old, _form(entry)))
    return await get(session, platform, at, entry.id)


async def delete(
    session: AsyncSession, platform: Platform, at: TaskScope, entry_id: UUID, expected_version: int | None
) -> None:
    """Raises what `update` does, but for the last."""
    task, entry = await _to_change(session, at, entry_id, expected_version)
    await session.delete(entry)
    await session.flush()
    _told(session, platform, at, task, entry, "deleted", FieldChange(FIELD, _form(entry), None), later=1)


async def report(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    first: date | None,
    last: date | None,
    user_id: UUID | None,
    project_id: UUID | None,
) -> TimeReportAnswer:
    """A workspace's time on tasks that the caller sees, by day; without days the last 31.

    Raises InvalidPeriod and NotFound.
    """
    last = last or (platform.clock.now().date() if first is None else first + (USUAL_DAYS - 1) * A_DAY)
    first = first or last - (USUAL_DAYS - 1) * A_DAY
    if not first <= last < first + MOST_DAYS * A_DAY:
        raise InvalidPeriod
    if project_id is not None and await projects.project(session, scope, project_id) is None:
        raise NotFound
    period = Period(first, last, user_id, project_id)
    filters = {
        "workspace": scope.workspace_id,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "user": user_id,
        "project": project_id,
    }
    key = platform.cursors.decode(page.cursor, of="time_report", **filters)
    after = (date.fromisoformat(key[0]), UUID(key[1])) if key else None
    rows = await repository.report(session, scope, period, after=after, limit=page.limit + 1)
    shown = rows[: page.limit]
    following = (shown[-1][0].worked_on.isoformat(), shown[-1][0].id) if len(rows) > page.limit else None
    entries = [_read(entry, name) for entry, name in shown]
    totals = None if key else await _totals(session, scope, period)
    await pictures.put_in(session, platform, [*(one.user for one in entries), *(one.user for one in totals or ())])
    return TimeReportAnswer(
        time_entries=entries,
        from_=first,
        to=last,
        total_minutes=None if key else await repository.total(session, scope, period),
        totals=totals,
        next_cursor=platform.cursors.encode(following, of="time_report", **filters),
    )


async def _totals(session: AsyncSession, scope: WorkspaceScope, period: Period) -> list[DayTotal] | None:
    rows = await repository.day_totals(session, scope, period, MOST_TOTALS + 1)
    if len(rows) > MOST_TOTALS:
        return None
    return [
        DayTotal(user=PersonShown(id=user_id, name=name), worked_on=day, minutes=minutes)
        for user_id, name, day, minutes in rows
    ]


async def _to_change(
    session: AsyncSession, at: TaskScope, entry_id: UUID, expected_version: int | None
) -> tuple[Task, TimeEntry]:
    task = await touching.to_add(session, at)
    entry = await repository.lock(session, task.id, entry_id)
    if entry is None:
        raise TimeEntryNotFound
    if entry.user_id != at.scope.user_id and not allows(at.scope.role, rules.MANAGE):
        raise Forbidden(NOT_YOURS)
    check_version(entry.version, expected_version)
    return task, entry


def _check_day(platform: Platform, day: date) -> None:
    """It is tomorrow already where the sun rises first."""
    if day.year < FIRST_YEAR or day > platform.clock.now().date() + A_DAY:
        raise InvalidWorkDate


def _told(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    task: Task,
    entry: TimeEntry,
    action: str,
    change: FieldChange,
    later: int = 0,
) -> None:
    touching.changed(session, platform, at.scope, task, ENTITY, entry.id, action, entry.version + later)
    activity.record(session, platform, at.scope, task, f"time_entry_{action}", [change])


def _form(entry: TimeEntry) -> dict[str, object]:
    """Without the note, which is its writer's alone to take away."""
    return {"userId": entry.user_id, "workedOn": entry.worked_on, "minutes": entry.minutes}


def _read(entry: TimeEntry, name: str) -> TimeEntryRead:
    return TimeEntryRead(
        id=entry.id,
        task_id=entry.task_id,
        user=PersonShown(id=entry.user_id, name=name),
        worked_on=entry.worked_on,
        minutes=entry.minutes,
        note=entry.note,
        version=entry.version,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
    )
