"""The door of tasks: what routes, bulk edits, imports and higher slices ask of them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import Forbidden
from pm_api.domains.tasks import rules
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.reading import reads
from pm_api.domains.tasks.repository import dated as dates
from pm_api.domains.tasks.repository import keeping
from pm_api.domains.tasks.repository.dated import Dated, Range, TaskDate
from pm_api.domains.tasks.repository.tasks import seen_among
from pm_api.domains.tasks.writing import apply, create

__all__ = [
    "Dated",
    "Range",
    "TaskDate",
    "apply",
    "count_of",
    "create",
    "dated",
    "ensure_may_edit",
    "reads",
    "seen_among",
]

NOT_YOURS: Final = "You may change tasks that you made or that are assigned to you; others only who manages tasks."


async def count_of(session: AsyncSession, workspace_ids: Collection[UUID], *, before: datetime | None = None) -> int:
    """Tasks of these workspaces, without the deleted; with `before` those of them made before a moment."""
    return await keeping.count_of_workspaces(session, workspace_ids, before=before)


async def dated(
    session: AsyncSession,
    scope: WorkspaceScope,
    wanted: Sequence[tuple[TaskDate, Range]],
    *,
    project_id: UUID | None = None,
    limit: int,
) -> list[Dated]:
    """Tasks in the caller's sight by the days and moments that they start at or are due at: of each date asked for
    the first in its range, at most `limit` by day and as many by moment, in no order. One query.
    """
    return await dates.dated(session, scope, wanted, project_id=project_id, limit=limit)


def ensure_may_edit(scope: WorkspaceScope, task: Task, assignee_ids: Collection[UUID]) -> None:
    """`scope.role` is the caller's role in the task's project; raises Forbidden."""
    if not rules.may_edit(scope.role, scope.user_id, task.created_by_user_id, assignee_ids):
        raise Forbidden(NOT_YOURS)
