"""Rules of moving dates: who may, what follows, and that it is done to all of them or to none."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.projects.enums import ENDED, StatusCategory
from pm_api.domains.tasks import rules, service, shifting, undoing
from pm_api.domains.tasks.dependencies import MOST_LINKS
from pm_api.domains.tasks.errors.planning import InvalidShift, ShiftForbidden, ShiftTooLarge
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import dependencies as repository
from pm_api.domains.tasks.repository import tasks
from pm_api.domains.tasks.repository.dependencies import Planned
from pm_api.domains.tasks.schemas.dependencies import DatesRead, ShiftAnswer, ShiftedTask, ShiftRequest
from pm_api.domains.tasks.shifting import Amount, Dates, Move
from pm_api.identity.repository import people

MOST_MOVED: Final = 200
DATES: Final = ("start_on", "start_at", "due_on", "due_at")


async def shift(session: AsyncSession, platform: Platform, at: TaskScope, wanted: ShiftRequest) -> ShiftAnswer:
    """Move the dates of a task and of what it blocks; a dry run tells the same and writes nothing.

    Raises TaskNotFound, InvalidShift, ShiftTooLarge, and ShiftForbidden with all that the caller may not move.
    """
    if not wanted.dry_run:
        await repository.hold(session, at.scope.workspace_id)
    links = await repository.blocked_from(session, at.scope.workspace_id, at.task_id, MOST_LINKS + 1)
    if len(links) > MOST_LINKS:
        raise ShiftTooLarge
    reached = {at.task_id, *(blocked for _, blocked in links)}
    if not wanted.dry_run:
        # Whoever writes a task holds its project: what is planned from here on does not move meanwhile.
        await tasks.lock_projects(session, await repository.projects_of(session, at.scope, reached))
    planned = {one.task.id: one for one in await repository.planned(session, at.scope, reached)}
    if at.task_id not in planned:
        raise TaskNotFound
    moves = _moves(at.task_id, planned, links, wanted)
    await _ensure_allowed(session, at, [planned[one.task_id] for one in moves])
    undo_token = None if wanted.dry_run or not moves else await _write(session, platform, at, moves)
    return ShiftAnswer(
        tasks=[_shown(one, planned[one.task_id]) for one in moves], dry_run=wanted.dry_run, undo_token=undo_token
    )


def _moves(
    first: UUID, planned: dict[UUID, Planned], links: Sequence[tuple[UUID, UUID]], wanted: ShiftRequest
) -> list[Move]:
    movable = {
        task_id: dates_of(one.task)
        for task_id, one in planned.items()
        if task_id == first or StatusCategory(one.status_category) not in ENDED
    }
    blocks: dict[UUID, list[UUID]] = {}
    for blocker, blocked in links:
        blocks.setdefault(blocker, []).append(blocked)
    if wanted.days is not None:
        amount = Amount.of_days(wanted.days)
    else:
        amount = Amount.of_minutes(wanted.minutes or 0)
        if movable[first].begin is not None and not movable[first].has_moments:
            raise InvalidShift
    try:
        moves = shifting.plan(first, movable, blocks, amount, wanted.follow)
    except OverflowError:
        raise InvalidShift from None
    if len(moves) > MOST_MOVED:
        raise ShiftTooLarge
    return moves


async def _ensure_allowed(session: AsyncSession, at: TaskScope, moving: Sequence[Planned]) -> None:
    """For all of them, before anything is written."""
    roles = await _roles(session, at.scope, {one.task.scope_id for one in moving})
    own = await repository.assigned_to(session, at.scope.user_id, [one.task.id for one in moving])
    refused = [
        {"id": str(one.task.id), "key": one.key, "title": one.task.title}
        for one in moving
        if one.is_archived
        or not rules.may_edit(
            roles[one.task.scope_id],
            at.scope.user_id,
            one.task.created_by_user_id,
            {at.scope.user_id} if one.task.id in own else (),
        )
    ]
    if refused:
        raise ShiftForbidden(f"You may not move {', '.join(one['key'] for one in refused[:20])}.", tasks=refused)


async def _roles(session: AsyncSession, scope: WorkspaceScope, scope_ids: set[UUID]) -> dict[UUID, str]:
    """The caller's role in each project: it may differ from the one the guard found."""
    place = await people.role_in(session, scope.workspace_id, scope.user_id)
    if place is None:
        raise TaskNotFound
    found: dict[UUID, str] = {}
    for scope_id in sorted(scope_ids):
        role = await people.role_in_scope(session, scope_id, scope.user_id, place[0])
        if role is None:
            raise TaskNotFound
        found[scope_id] = role
    return found


async def _write(session: AsyncSession, platform: Platform, at: TaskScope, moves: Sequence[Move]) -> UUID:
    ids = [one.task_id for one in moves]
    held = {one.id: one for one in await tasks.locked(session, at.scope, ids)}
    before = await undoing.snapshots(session, ids)
    for one in moves:
        await service.apply(session, platform, at.scope, held[one.task_id], _update(one), action="shifted")
    return await undoing.remember(session, platform, at.scope, "shifted", before)


def dates_of(task: Task) -> Dates:
    return Dates(**{one.name: getattr(task, one.name) for one in fields(Dates)})


def _update(move: Move) -> dict[str, Any]:
    return {name: getattr(move.new, name) for name in DATES if getattr(move.new, name) is not None}


def _shown(move: Move, planned: Planned) -> ShiftedTask:
    return ShiftedTask(
        task_id=move.task_id,
        key=planned.key,
        title=planned.task.title,
        time_zone=planned.task.time_zone,
        old=DatesRead.model_validate(move.old),
        new=DatesRead.model_validate(move.new),
    )
