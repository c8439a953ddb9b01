"""Giving back what tasks were before a change: all of them or none, and only while nobody has changed them since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import Forbidden
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks import recurring, rules
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.announcing import DELETED, RESTORED, UPDATED, announce
from pm_api.domains.tasks.errors.undoing import UndoConflict, UndoGone
from pm_api.domains.tasks.models import Task, TaskActivity, TaskUndo
from pm_api.domains.tasks.reading import reads
from pm_api.domains.tasks.repository import reading, ties, trees
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.domains.tasks.repository import undoing as repository
from pm_api.domains.tasks.repository.undoing import ASSIGNEES, LABELS, SUCCESSOR
from pm_api.domains.tasks.schemas.tasks import TaskRead
from pm_api.identity.permissions import allows
from pm_api.identity.repository import circles

MOST_TOLD: Final = 50
LOOKED_AT: Final = 500
ON_THE_WIRE: Final = {"board_key": "position", "labels": "labelIds", "assignees": "assigneeIds"}
NOT_LOGGED: Final = frozenset({"board_key", "depth", "completed_at", "deleted_with", SUCCESSOR})
"""What follows from other fields; the log tells those."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One task of a change: its version when that was done, and what it was before (None: it was not there)."""

    task_id: UUID
    version: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    logged: Sequence[str]

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Entry":
        return cls(UUID(kept["taskId"]), kept["version"], kept["before"], kept["after"], kept["logged"])


async def undo(session: AsyncSession, platform: Platform, scope: WorkspaceScope, undo_id: UUID) -> list[TaskRead]:
    """Take a change back; returns the tasks as they are now, without those that are not there (any more).

    Raises UndoGone, Forbidden, ProjectArchived, or UndoConflict when a task was changed since. Of two at once one
    wins.
    """
    now = platform.clock.now()
    record = await repository.lock_undo(session, undo_id, scope.user_id, now)
    if record is None or record.workspace_id != scope.workspace_id:
        raise UndoGone
    entries = [Entry.of(one) for one in record.before]
    held = await _held(session, scope, entries)
    scopes = await _scopes(session, scope, held)
    conflicts = await _conflicts(session, record, entries, held)
    if conflicts:
        raise _conflict(conflicts)
    found = list[Task]()
    for entry in entries:
        task = held[entry.task_id]
        await _give_back(session, platform, scopes[task.scope_id], entry, task, held)
        found.append(task)
    await _settle(session, entries, held)
    record.used_at = now
    await session.flush()
    living = [one for one in await trees.by_ids(session, [task.id for task in found]) if one.deleted_at is None]
    return await reads(session, platform, scope, living)


async def _held(session: AsyncSession, scope: WorkspaceScope, entries: Sequence[Entry]) -> dict[UUID, Task]:
    """The tasks, deleted ones too, and those that were made because they were done; raises UndoGone out of sight."""
    ids = [entry.task_id for entry in entries]
    made = [UUID(entry.after[SUCCESSOR]) for entry in entries if entry.after.get(SUCCESSOR)]
    living = await rows.locked(session, scope, [*ids, *made])
    deleted = await rows.locked(session, scope, [*ids, *made], deleted=True)
    held = {one.id: one for one in (*living, *deleted)}
    if not held.keys() >= set(ids):
        raise UndoGone
    return held


async def _scopes(
    session: AsyncSession, scope: WorkspaceScope, held: Mapping[UUID, Task]
) -> dict[UUID, WorkspaceScope]:
    """The caller in each project. Whoever made the change could make it then: that they may still write is enough."""
    roles = await circles.roles_in_scopes(session, scope.user_id, {one.scope_id for one in held.values()})
    if any(not allows(role, rules.WRITE) for role in roles.values()):
        raise Forbidden("You may not write in this project any more.")
    for project_id in sorted({one.project_id for one in held.values()}):
        await projects.ensure_writable(session, project_id)
    return {scope_id: replace(scope, role=role) for scope_id, role in roles.items()}


# --- what was changed since ------------------------------------------------------------------------------------


async def _conflicts(
    session: AsyncSession, record: TaskUndo, entries: Sequence[Entry], held: Mapping[UUID, Task]
) -> list[dict[str, Any]]:
    """Of every task that is not as the change left it: which field, what it is now, by whom and when."""
    states = await repository.states(session, [entry.task_id for entry in entries])
    changed = [entry for entry in entries if states[entry.task_id][0] != entry.version]
    gone = await _gone(session, entries, held)
    for entry in entries:
        successor = held.get(UUID(entry.after[SUCCESSOR])) if entry.after.get(SUCCESSOR) else None
        if successor is not None and successor.version != 1:
            gone.append((entry, SUCCESSOR, str(successor.id)))
    made = {entry.task_id: entry for entry in entries if entry.before is None}
    made |= {UUID(entry.after[SUCCESSOR]): entry for entry in entries if entry.after.get(SUCCESSOR)}
    for task_id, name, count in await repository.others_on(session, list(made), record.user_id):
        gone.append((made[task_id], name, count))
    if not changed and not gone:
        return []
    keys = await _keys(session, [entry.task_id for entry in entries], held)
    log = await repository.last_changes(session, [one.task_id for one in changed], record.created_at, LOOKED_AT)
    told = []
    for entry in changed:
        told += _told_of(entry, keys[entry.task_id], log, states[entry.task_id][1])
    for entry, name, value in gone:
        told.append(_one(entry.task_id, keys[entry.task_id], name, value, None, None))
    return told[:MOST_TOLD]


def _told_of(
    entry: Entry, key: str, log: Sequence[tuple[TaskActivity, str | None]], state: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """By the log, the newest word on each field; by the row itself where the log is silent."""
    told: dict[str, dict[str, Any]] = {}
    for row, name in log:
        if row.task_id == entry.task_id and str(row.id) not in entry.logged:
            for change in row.changes:
                told.setdefault(change["field"], _one(entry.task_id, key, change["field"], change["new"], row, name))
    if told:
        return list(told.values())
    differing = [name for name, was in entry.after.items() if name not in NOT_LOGGED and state[name] != was]
    names = [(ON_THE_WIRE.get(name, to_camel(name)), state[name]) for name in differing]
    return [_one(entry.task_id, key, name, now, None, None) for name, now in names or [("version", None)]]


def _one(task_id: UUID, key: str, field: str, now: Any, row: TaskActivity | None, name: str | None) -> dict[str, Any]:
    who = {"id": str(row.actor_user_id), "name": name} if row is not None and row.actor_user_id else None
    when = written(row.created_at) if row is not None else None
    return {"taskId": str(task_id), "key": key, "field": field, "now": now, "changedBy": who, "changedAt": when}


def _conflict(conflicts: list[dict[str, Any]]) -> UndoConflict:
    details = [
        {
            "pointer": f"/{one['key']}/{one['field']}",
            "detail": f"Is {one['now']!r} now"
            + (f", by {one['changedBy']['name']}" if one["changedBy"] else "")
            + (f" at {one['changedAt']}" if one["changedAt"] else ""),
        }
        for one in conflicts
    ]
    keys = ", ".join(sorted({one["key"] for one in conflicts}))
    return UndoConflict(f"Changed since: {keys}.", details=details, conflicts=conflicts)


async def _gone(
    session: AsyncSession, entries: Sequence[Entry], held: Mapping[UUID, Task]
) -> list[tuple[Entry, str, Any]]:
    """What was there before and is not any more: a status, a field, a label, somebody who sees the project, a task
    above.
    """
    project_ids = {one.project_id for one in held.values()}
    statuses = await repository.known_statuses(session, project_ids)
    fields = await repository.known_fields(session, project_ids)
    wanted = {UUID(one) for entry in entries for one in (entry.before or {}).get(LABELS, ())}
    labels = await repository.known_labels(session, wanted) if wanted else set()
    missing: list[tuple[Entry, str, Any]] = []
    for entry in entries:
        before, task = entry.before or {}, held[entry.task_id]
        if "status" in before and (task.project_id, before["status"]) not in statuses:
            missing.append((entry, "status", task.status))
        cleared = before.get("fields", {}).keys() - entry.after.get("fields", {}).keys()
        if not {(task.project_id, one) for one in cleared} <= fields:
            missing.append((entry, "fields", entry.after["fields"]))
        if not {UUID(one) for one in before.get(LABELS, ())} <= labels:
            missing.append((entry, "labelIds", entry.after[LABELS]))
        people = {UUID(one) for one in before.get(ASSIGNEES, ())} - {
            UUID(one) for one in entry.after.get(ASSIGNEES, ())
        }
        if people and await rows.who_sees(session, task.scope_id, people) != people:
            missing.append((entry, "assigneeIds", entry.after[ASSIGNEES]))
        if before.get("parent_id") and not await _is_there(session, UUID(before["parent_id"]), entries):
            missing.append((entry, "parentId", entry.after["parent_id"]))
        if entry.before is None or before.get("deleted_at"):
            below = await trees.below(session, entry.task_id, LOOKED_AT)
            if not {one for one, _ in below} <= {one.task_id for one in entries}:
                missing.append((entry, "subtasks", len(below)))
    return missing


async def _is_there(session: AsyncSession, task_id: UUID, entries: Sequence[Entry]) -> bool:
    if any(entry.task_id == task_id for entry in entries):
        return True
    found = await trees.by_ids(session, [task_id])
    return bool(found) and found[0].deleted_at is None


async def _keys(session: AsyncSession, ids: Sequence[UUID], held: Mapping[UUID, Task]) -> dict[UUID, str]:
    found = await reading.projects(session, {held[one].project_id for one in ids})
    return {one: f"{found[held[one].project_id].key}-{held[one].number}" for one in ids}


# --- giving back -----------------------------------------------------------------------------------------------


async def _give_back(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    entry: Entry,
    task: Task,
    held: Mapping[UUID, Task],
) -> None:
    now = platform.clock.now()
    before: Mapping[str, Any]
    if entry.before is None:
        before, after = {"deleted_at": now.isoformat(), "deleted_with": str(task.id)}, {"deleted_at": None}
    else:
        before, after = entry.before, dict(entry.after)
    people = await ties.assignee_ids(session, task.id)
    was_done = task.completed_at is not None
    await repository.write_back(session, task, before, now)
    task.version += 1
    task.updated_at = now
    await session.flush()
    made = [
        FieldChange(ON_THE_WIRE.get(name, to_camel(name)), after.get(name), kept)
        for name, kept in before.items()
        if name not in NOT_LOGGED
    ]
    if "board_key" in before:
        made.append(FieldChange("position", None, None))
    assigned = {UUID(one) for one in before.get(ASSIGNEES, ())} - people
    is_done = not was_done and task.completed_at is not None
    await announce(session, platform, scope, task, _action(before), made, assigned=assigned, is_done=is_done)
    successor = held.get(UUID(entry.after[SUCCESSOR])) if entry.after.get(SUCCESSOR) else None
    if successor is not None:
        await _take_away(session, platform, scope, successor, now)
    if {"recurrence", SUCCESSOR} & set(before):
        await recurring.follow_schedule(session, task)


def _action(before: Mapping[str, Any]) -> str:
    if "deleted_at" not in before:
        return UPDATED
    return RESTORED if before["deleted_at"] is None else DELETED


async def _take_away(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, successor: Task, now: datetime
) -> None:
    """The task that was made because this one was done."""
    await repository.let_go(session, successor)
    if successor.deleted_at is None:
        successor.deleted_at, successor.deleted_with = now, successor.id
        successor.version += 1
        successor.updated_at = now
        await session.flush()
        await announce(session, platform, scope, successor, DELETED, [FieldChange("deletedAt", None, now)])


async def _settle(session: AsyncSession, entries: Sequence[Entry], held: Mapping[UUID, Task]) -> None:
    """What hangs below a task that changed its place follows it; raises UndoConflict where it cannot any more."""
    placed = [held[entry.task_id] for entry in entries if entry.before and {"parent_id", "depth"} & set(entry.before)]
    await session.flush()
    for task in sorted(placed, key=lambda one: one.depth):
        up = [one for one, _ in await trees.path_up(session, task.id)]
        turns = len(set(up)) < len(up) or len(up) > trees.DEEPEST + 1
        if turns or await repository.settle_depths(session, task.id, len(up) - 1) > trees.DEEPEST:
            key = (await _keys(session, [task.id], held))[task.id]
            raise _conflict([_one(task.id, key, "parentId", None, None, None)])
