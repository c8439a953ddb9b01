"""Taking back: what tasks were before a change is kept for ten minutes, and given back once, whole or not at all.

before = await undoing.snapshots(session, [task.id, ...])     # under the lock, before writing
...                                                           # the change
token = await undoing.remember(session, platform, scope, "updated", before)
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks.models import TaskUndo
from pm_api.domains.tasks.repository import undoing as repository

KEPT: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a task was. Without a state it was not there: taking that back deletes it."""

    task_id: UUID
    state: dict[str, Any] | None


def absent(task_id: UUID) -> Snapshot:
    """Before it was created."""
    return Snapshot(task_id, None)


async def snapshots(session: AsyncSession, task_ids: Collection[UUID]) -> list[Snapshot]:
    """What tasks are now, deleted ones too; three queries, however many."""
    found = await repository.states(session, task_ids)
    return [Snapshot(task_id, state) for task_id, (_version, state) in sorted(found.items())]


async def forget_expired(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Take away what can be taken back no more; returns how many."""
    return await repository.forget_expired(session, platform.clock.now(), limit)


async def remember(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, action: str, before: Sequence[Snapshot]
) -> UUID:
    """Keep what a change did, to be called when it is written; returns the undo token. What did not change is left
    out, however much was looked at.
    """
    await session.flush()
    ids = [one.task_id for one in before]
    now = platform.clock.now()
    present = await repository.states(session, ids)
    logged = await repository.activity_ids(session, ids, now)
    kept = []
    for one in before:
        if one.task_id not in present:
            continue
        version, after = present[one.task_id]
        changed = [name for name in after if one.state is not None and after[name] != one.state[name]]
        if one.state is None or changed:
            kept.append(
                {
                    "taskId": str(one.task_id),
                    "version": version,
                    "before": None if one.state is None else {name: one.state[name] for name in changed},
                    "after": {name: after[name] for name in changed},
                    "logged": logged.get(one.task_id, []),
                }
            )
    scopes = await repository.scopes_of(session, ids)
    undo = TaskUndo(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        scope_id=scopes.pop() if len(scopes) == 1 else None,
        user_id=scope.user_id,
        action=action,
        before=kept,
        created_at=now,
        expires_at=now + KEPT,
        used_at=None,
    )
    await repository.put(session, undo)
    return undo.id
