"""Tasks that come again: the next one is made once, when this one is done or when its time has come."""

from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.errors import ApiError, ValidationFailed
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks import finishing, rules, series, undoing
from pm_api.domains.tasks.enums import Priority
from pm_api.domains.tasks.errors.recurring import NotRecurring, RecurrenceNeedsDate
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.reading import reads
from pm_api.domains.tasks.repository import recurring as repository
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.domains.tasks.repository import ties, trees
from pm_api.domains.tasks.schemas.recurring import (
    RecurrencePreview,
    RecurrenceWrite,
    SlotShown,
)
from pm_api.domains.tasks.schemas.tasks import TaskCreate, TaskRead
from pm_api.domains.tasks.series import Anchor, Dates, Series
from pm_api.domains.tasks.service import ensure_may_edit
from pm_api.domains.tasks.writing import apply, create
from pm_api.identity.permissions import Role

RECURS: Final = "recurs"
LOOKED_AT: Final = 50
MOST_ON_A_CHECKLIST: Final = 500

_log = structlog.get_logger(__name__)


async def put(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    wanted: RecurrenceWrite,
    expected_version: int | None,
) -> tuple[TaskRead, UUID | None]:
    """Let a task come again; returns it and what takes that back. Raises TaskNotFound, PreconditionFailed, Forbidden,
    RecurrenceNeedsDate, or a RecurrenceRefused.
    """
    task = await _held(session, at, expected_version)
    made = _begun(task, wanted, at.scope.user_id)
    present = Series.of(task.recurrence) if task.recurrence else None
    if present is not None and present.says_the_same(made):
        return await _answer(session, platform, at.scope, task), None
    return await _write(session, platform, at.scope, task, made)


async def stop(
    session: AsyncSession, platform: Platform, at: TaskScope, expected_version: int | None
) -> tuple[TaskRead, UUID | None]:
    """It comes no more. Raises TaskNotFound, PreconditionFailed, Forbidden, NotRecurring."""
    task = await _held(session, at, expected_version)
    if not task.recurrence:
        raise NotRecurring
    return await _write(session, platform, at.scope, task, None)


async def preview(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: RecurrenceWrite | None, count: int
) -> RecurrencePreview:
    """What would come after the task: by its own rule, or by one that somebody is thinking of. Raises TaskNotFound,
    NotRecurring, RecurrenceNeedsDate, or a RecurrenceRefused.
    """
    task = await rows.task(session, at.scope, at.task_id)
    if task is None:
        raise TaskNotFound
    if wanted is not None:
        found = _begun(task, wanted, at.scope.user_id)
    elif task.recurrence:
        found = Series.of(task.recurrence)
    else:
        raise NotRecurring
    dates = _dates(task)
    shown = []
    before = found
    for after in series.ahead(found, platform.clock.now(), count):
        following = series.dates_of_next(before, after, dates)
        if following is None:
            break
        dates = following
        shown.append(
            SlotShown(
                position=after.position,
                start_on=dates.start_on,
                start_at=dates.start_at,
                due_on=dates.due_on,
                due_at=dates.due_at,
            )
        )
        before = after
    return RecurrencePreview(rrule=found.rrule, text=series.words(found), following=shown)


async def _held(session: AsyncSession, at: TaskScope, expected_version: int | None) -> Task:
    task = await rows.task(session, at.scope, at.task_id, lock=True)
    if task is None:
        raise TaskNotFound
    check_version(task.version, expected_version)
    ensure_may_edit(at.scope, task, await ties.assignee_ids(session, task.id))
    return task


def _begun(task: Task, wanted: RecurrenceWrite, user_id: UUID) -> Series:
    date = (task.due_on or task.due_at) if wanted.anchor is Anchor.DUE else (task.start_on or task.start_at)
    if date is None:
        raise RecurrenceNeedsDate
    return series.begin(wanted.rrule, wanted.time_zone, wanted.anchor, wanted.mode, date, user_id)


async def _write(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task, made: Series | None
) -> tuple[TaskRead, UUID | None]:
    before = await undoing.snapshots(session, [task.id])
    await apply(session, platform, scope, task, {"recurrence": made.form() if made is not None else None})
    await follow_schedule(session, task)
    token = await undoing.remember(session, platform, scope, RECURS, before)
    return await _answer(session, platform, scope, task), token


async def _answer(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> TaskRead:
    return (await reads(session, platform, scope, [task]))[0]


async def follow_schedule(session: AsyncSession, task: Task) -> None:
    """When the next one is made by itself, after the task's recurrence was written by whomever."""
    due_at = None
    if task.recurrence and await repository.successor(session, task.id) is None:
        due_at = series.makes_next_at(Series.of(task.recurrence))
    await repository.schedule(session, task, due_at)


# --- the next one ----------------------------------------------------------------------------------------------


async def make_next(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> Task | None:
    """The task that comes after a locked one; None when it has been made already, or the series is at its end."""
    if not task.recurrence or await repository.successor(session, task.id) is not None:
        await repository.schedule(session, task, None)
        return None
    present = Series.of(task.recurrence)
    after = series.following(present, task.completed_at)
    dates = series.dates_of_next(present, after, _dates(task)) if after is not None else None
    if after is None or dates is None:
        await repository.schedule(session, task, None)
        return None
    wanted = await _like(session, task, dates)
    made = await create(
        session,
        platform,
        scope,
        task.project_id,
        wanted,
        recurrence=after.form(),
        previous_task_id=task.id,
    )
    count = min(await repository.count_checklist(session, task.id), MOST_ON_A_CHECKLIST)
    await repository.copy_checklist(session, task.id, made, [platform.randomness.uuid() for _ in range(count)])
    await repository.schedule(session, task, None)
    await follow_schedule(session, made)
    return made


async def on_done(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> None:
    """A task was done: the next one takes its place. Of two completions the second finds it made."""
    if task.recurrence:
        await make_next(session, platform, scope, task)


finishing.register("recurrence", on_done)


async def make_due(session: AsyncSession, platform: Platform, _system: SystemScope, task_id: UUID) -> bool:
    """The next one of a task whose time has come; False when another worker was faster, or it rests."""
    task = await repository.still_due(session, task_id, platform.clock.now())
    if task is None:
        return False
    user_id = await _maker(session, task)
    if user_id is None:
        await repository.schedule(session, task, None)
        return False
    scope = WorkspaceScope(_system.actor, task.workspace_id, user_id, Role.ADMIN)
    try:
        async with session.begin_nested():
            await make_next(session, platform, scope, task)
    except ApiError as error:  # it does not fit its project any more: nobody is there to be told, and others wait
        _log.warning("recurring_task_refused", task_id=str(task_id), code=error.code)
        await repository.schedule(session, task, None)
    return True


async def _maker(session: AsyncSession, task: Task) -> UUID | None:
    """For whom it is made: who said that it comes again, who made it, whoever is to do it, or anybody who sees it."""
    said = Series.of(task.recurrence).by_user_id if task.recurrence else None
    assignees = sorted(await ties.assignee_ids(session, task.id))
    others = await repository.who_could(session, task.scope_id, task.workspace_id, LOOKED_AT)
    candidates = [one for one in (said, task.created_by_user_id, *assignees, *others) if one is not None]
    seeing = await rows.who_sees(session, task.scope_id, candidates)
    return next((one for one in candidates if one in seeing), None)


async def _like(session: AsyncSession, task: Task, dates: Dates) -> TaskCreate:
    """The same again, as far as the project still has it: people, labels and fields that are gone stay away."""
    assignees = await ties.assignee_ids(session, task.id)
    labels = await ties.label_ids(session, task.id)
    keeps_parent = task.parent_id is not None and not await trees.is_deleted(session, task.parent_id)
    values: dict[str, Any] = {
        "project_id": task.project_id,
        "title": task.title,
        "description": task.description,
        "status": None,
        "priority": Priority.of(task.priority),
        "assignee_ids": sorted(await rows.who_sees(session, task.scope_id, assignees)),
        "label_ids": await repository.labels_left(session, task.project_id, labels),
        "start_on": dates.start_on,
        "start_at": dates.start_at,
        "due_on": dates.due_on,
        "due_at": dates.due_at,
        "time_zone": task.time_zone,
        "estimate_minutes": task.estimate_minutes,
        "parent_id": str(task.parent_id) if keeps_parent else None,
        "fields": await _fields(session, task),
    }
    return TaskCreate.model_construct(**values)


async def _fields(session: AsyncSession, task: Task) -> dict[str, Any]:
    defined = await projects.fields_of(session, task.project_id)
    found: dict[str, Any] = {}
    for key, value in task.fields.items():
        try:
            kept, people = rules.merged_fields({}, {key: value}, defined)
        except ValidationFailed:
            continue
        if not people or await rows.who_sees(session, task.scope_id, people.values()):
            found |= kept
    return found


def _dates(task: Task) -> Dates:
    return Dates(task.start_on, task.start_at, task.due_on, task.due_at)
