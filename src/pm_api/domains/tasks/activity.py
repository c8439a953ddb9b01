"""What was done to a task, old and new: written beside every change, in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import acting
from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.tasks.models import Task, TaskActivity

LONGEST_TEXT: Final = 2000
"""Of a longer text the log keeps the beginning; the undo record holds the whole of it for as long as it is needed."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a task, as the wire calls it, before and after."""

    field: str
    old: Any
    new: Any

    def form(self) -> dict[str, Any]:
        """As it is stored and told."""
        return {"field": self.field, "old": plain(self.old), "new": plain(self.new)}


def plain(value: Any) -> Any:
    """JSON of a value: ids and times as text, sets in order, long texts cut."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(one) for one in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return _atom(value)


def _atom(value: Any) -> Any:
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def record(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    action: str,
    changes: Sequence[FieldChange],
    undo_id: UUID | None = None,
) -> UUID:
    """Note what was done to a task, and by whom; the key of the request at hand is named beside its person."""
    return record_of(
        session,
        platform,
        task,
        action,
        changes,
        actor_user_id=scope.user_id,
        actor_key_id=scope.actor.api_key_id,
        undo_id=undo_id,
    )


def record_of(
    session: AsyncSession,
    platform: Platform,
    task: Task,
    action: str,
    changes: Sequence[FieldChange],
    *,
    actor_user_id: UUID,
    actor_key_id: UUID | None = None,
    undo_id: UUID | None = None,
) -> UUID:
    """The same of somebody whose scope is not at hand."""
    made = TaskActivity(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        project_id=task.project_id,
        task_id=task.id,
        actor_user_id=actor_user_id,
        actor_key_id=actor_key_id or acting.key_id(),
        action=action,
        changes=[one.form() for one in changes],
        undo_id=undo_id,
        created_at=platform.clock.now(),
    )
    session.add(made)
    return made.id
