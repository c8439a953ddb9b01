"""One change to many tasks: who may is asked for all before any is written, and one token takes all of it back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ApiError, Forbidden
from pm_api.core.platform import Platform
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import moving, removing, rules, sieving, undoing
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.errors.bulk import BulkForbidden, BulkTasksNotFound, TooManyTasks
from pm_api.domains.tasks.errors.tasks import TaskNotFound, TaskTreeTooLarge
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import bulk as repository
from pm_api.domains.tasks.repository import reading, ties, trees
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.domains.tasks.schemas.bulk import (
    MOST,
    BulkMode,
    ChangeShown,
    FailureShown,
    Outcome,
    TaskBulkAction,
    TaskBulkAnswer,
    TaskBulkRequest,
    TaskBulkResult,
)
from pm_api.domains.tasks.schemas.tasks import TaskMove
from pm_api.domains.tasks.service import ensure_may_edit
from pm_api.domains.tasks.writing import apply
from pm_api.identity.repository import circles

MOST_DELETED: Final = 1000
FORBIDDEN: Final = "You may do this to tasks of yours; to others only who manages tasks."


@dataclass
class _Work:
    """The tasks at hand, under lock, and how it went for each."""

    wanted: TaskBulkRequest
    order: list[UUID]
    unknown: list[str] = field(default_factory=list)
    """Keys by which the caller sees no task."""
    held: dict[UUID, Task] = field(default_factory=dict)
    scopes: dict[UUID, WorkspaceScope] = field(default_factory=dict)
    keys: dict[UUID, str] = field(default_factory=dict)
    trees: dict[UUID, Sequence[Task]] = field(default_factory=dict)
    results: dict[UUID, TaskBulkResult] = field(default_factory=dict)

    @property
    def left(self) -> list[UUID]:
        return [one for one in self.order if one not in self.results]

    def note(
        self, task_id: UUID, outcome: Outcome, made: Sequence[FieldChange] = (), error: ApiError | None = None
    ) -> None:
        self.results[task_id] = TaskBulkResult(
            task_id=task_id,
            key=self.keys.get(task_id),
            outcome=outcome,
            changes=[ChangeShown(**one.form()) for one in made],
            error=FailureShown(code=error.code, detail=error.detail) if error is not None else None,
        )


async def run(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: TaskBulkRequest
) -> TaskBulkAnswer:
    """Do it, or tell what would be done; raises InvalidFilter, TooManyTasks, TaskTreeTooLarge, and in the mode ATOMIC
    what any of the tasks refuses.
    """
    work = await _at_hand(session, platform, scope, wanted)
    await _check(session, work)
    before = await undoing.snapshots(session, await _touched(session, work))
    async with session.begin_nested() as attempt:
        for task_id in _in_turn(work):
            await _one(session, platform, work, task_id)
        if wanted.dry_run:
            await attempt.rollback()
    token = await _token(session, platform, scope, work, before)
    results = [*(work.results[one] for one in work.order), *(_unknown(key) for key in work.unknown)]
    return TaskBulkAnswer(
        results=results,
        changed=sum(one.outcome is Outcome.CHANGED for one in results),
        failed=sum(one.outcome is Outcome.FAILED for one in results),
        dry_run=wanted.dry_run,
        undo_token=token,
    )


def _unknown(key: str) -> TaskBulkResult:
    error = TaskNotFound()
    failure = FailureShown(code=error.code, detail=error.detail)
    return TaskBulkResult(task_id=None, key=key, outcome=Outcome.FAILED, changes=[], error=failure)


async def _token(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, work: _Work, before: Sequence[undoing.Snapshot]
) -> UUID | None:
    if work.wanted.dry_run or not any(one.outcome is Outcome.CHANGED for one in work.results.values()):
        return None
    return await undoing.remember(session, platform, scope, f"bulk.{work.wanted.action}", before)


# --- which tasks, and who may ----------------------------------------------------------------------------------


async def _at_hand(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: TaskBulkRequest
) -> _Work:
    deleted = wanted.action is TaskBulkAction.RESTORE
    condition = None
    if wanted.filter is not None:
        condition = await sieving.condition(session, platform, scope, wanted.filter)
    asked = list(dict.fromkeys(wanted.task_ids or ()))
    named = await rows.named(session, scope, asked, deleted=deleted)
    ids = list(dict.fromkeys(named[one] for one in asked if one in named))
    if condition is not None:
        ids = await repository.found(
            session, scope, condition, project_id=wanted.project_id, deleted=deleted, limit=MOST + 1
        )
        if len(ids) > MOST:
            raise TooManyTasks
    held = await rows.locked(session, scope, ids, deleted=deleted)
    if wanted.project_id is not None:
        held = [one for one in held if one.project_id == wanted.project_id]
    if condition is not None:
        # Somebody may have changed them between the look and the lock.
        still = await repository.found(session, scope, condition, only=ids, deleted=deleted, limit=MOST)
        held = [one for one in held if one.id in set(still)]
        ids = [one for one in ids if one in set(still)]
    work = _Work(wanted, ids, [one for one in asked if one not in named], {one.id: one for one in held})
    roles = await circles.roles_in_scopes(session, scope.user_id, {one.scope_id for one in held})
    projects = await reading.projects(session, {one.project_id for one in held})
    for task in held:
        work.scopes[task.id] = replace(scope, role=roles[task.scope_id])
        work.keys[task.id] = f"{projects[task.project_id].key}-{task.number}"
    return work


async def _check(session: AsyncSession, work: _Work) -> None:
    """Whether all are there and may be changed; in the mode PARTIAL the others are told of and left out."""
    missing = [one for one in work.order if one not in work.held]
    if (missing or work.unknown) and work.wanted.mode is BulkMode.ATOMIC:
        raise BulkTasksNotFound(taskIds=[*(str(one) for one in missing), *work.unknown])
    for task_id in missing:
        work.note(task_id, Outcome.FAILED, error=TaskNotFound())
    refused = []
    for task_id in work.left:
        try:
            await _may(session, work, work.held[task_id])
        except Forbidden as error:
            refused.append(task_id)
            if work.wanted.mode is BulkMode.PARTIAL:
                work.note(task_id, Outcome.FAILED, error=error)
        except ProjectArchived as error:
            if work.wanted.mode is BulkMode.ATOMIC:
                raise
            work.note(task_id, Outcome.FAILED, error=error)
    if refused and work.wanted.mode is BulkMode.ATOMIC:
        named = [{"id": str(one), "key": work.keys[one]} for one in refused]
        raise BulkForbidden(tasks=named)


async def _touched(session: AsyncSession, work: _Work) -> set[UUID]:
    """All that will be written: with a task what is below it goes, and what was deleted together comes back together.
    Raises TaskTreeTooLarge.
    """
    ids = {*work.left, *(row.id for task_id in work.left for row in work.trees.get(task_id, ()))}
    if work.wanted.action is TaskBulkAction.RESTORE:
        together = {work.held[one].deleted_with for one in work.left} - {None}
        ids |= await trees.ids_deleted_together(session, together, MOST_DELETED + 1)
        if len(ids) > MOST_DELETED:
            raise TaskTreeTooLarge
    return ids


async def _may(session: AsyncSession, work: _Work, task: Task) -> None:
    """Raises Forbidden, ProjectArchived, or TaskTreeTooLarge when too many would go."""
    scope = work.scopes[task.id]
    if work.wanted.action is TaskBulkAction.DELETE:
        work.trees[task.id] = await removing.tree_of(session, scope, task)
        if sum(len(one) for one in work.trees.values()) > MOST_DELETED:
            raise TaskTreeTooLarge
    elif work.wanted.action is TaskBulkAction.RESTORE:
        if not rules.may_delete(scope.role, scope.user_id, task.created_by_user_id):
            raise Forbidden(FORBIDDEN)
    else:
        ensure_may_edit(scope, task, await ties.assignee_ids(session, task.id))


# --- one after the other ---------------------------------------------------------------------------------------


def _in_turn(work: _Work) -> list[UUID]:
    """What is put behind another task comes last one first, so that they stand in the order they were named; what is
    restored comes from the top, and so does what is deleted.
    """
    wanted, left = work.wanted, work.left
    if wanted.move is not None and wanted.move.after is not None:
        return left[::-1]
    if wanted.action in (TaskBulkAction.RESTORE, TaskBulkAction.DELETE):
        return sorted(left, key=lambda one: work.held[one].depth)
    return left


async def _one(session: AsyncSession, platform: Platform, work: _Work, task_id: UUID) -> None:
    if work.wanted.mode is BulkMode.ATOMIC:
        made = await _do(session, platform, work, work.held[task_id])
    else:
        try:
            async with session.begin_nested():
                made = await _do(session, platform, work, work.held[task_id])
        except ApiError as error:
            work.note(task_id, Outcome.FAILED, error=error)
            return
    work.note(task_id, Outcome.CHANGED if made else Outcome.UNCHANGED, made)


async def _do(session: AsyncSession, platform: Platform, work: _Work, task: Task) -> Sequence[FieldChange]:
    scope, wanted = work.scopes[task.id], work.wanted
    if wanted.action is TaskBulkAction.DELETE:
        if task.deleted_at is None:  # not yet, with one above it
            tree = [one for one in work.trees[task.id] if one.deleted_at is None]
            await removing.delete(session, platform, scope, tree)
        return [FieldChange("deletedAt", None, task.deleted_at)]
    if wanted.action is TaskBulkAction.RESTORE:
        return await _restore(session, platform, scope, task)
    if wanted.action is TaskBulkAction.MOVE:
        assert wanted.move is not None
        return await _move(session, platform, scope, task, wanted.move)
    return await apply(session, platform, scope, task, await _update(session, wanted, task))


async def _restore(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task
) -> Sequence[FieldChange]:
    was = task.deleted_at
    if was is not None:
        await removing.restore(session, platform, scope, await removing.group_of(session, platform, scope, task))
    return [FieldChange("deletedAt", was, None)]


async def _move(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task, wanted: TaskMove
) -> Sequence[FieldChange]:
    old = task.status
    if not await moving.move(session, platform, scope, task, wanted):
        return []
    made = [FieldChange("status", old, task.status)] if task.status != old else []
    return [*made, FieldChange("position", None, None)]


async def _update(session: AsyncSession, wanted: TaskBulkRequest, task: Task) -> dict[str, Any]:
    """What is to be written to one task; what is added or taken away starts from what it has."""
    if wanted.change is not None:
        return {name: getattr(wanted.change, name) for name in wanted.change.model_fields_set}
    if wanted.label_ids is not None:
        present = await ties.label_ids(session, task.id)
        named = set(wanted.label_ids)
        return {"label_ids": present | named if wanted.action is TaskBulkAction.ADD_LABELS else present - named}
    people, sent = await ties.assignee_ids(session, task.id), set(wanted.user_ids or ())
    return {"assignee_ids": people | sent if wanted.action is TaskBulkAction.ADD_ASSIGNEES else people - sent}
