"""What was done to a task, read back."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.repository import histories as repository
from pm_api.domains.tasks.repository import tasks
from pm_api.domains.tasks.schemas.histories import ActivityAnswer, ActivityRead, FieldChangeRead
from pm_api.domains.tasks.schemas.tasks import PersonShown
from pm_api.identity import pictures

LINKS: Final = frozenset({"blocks", "blockedBy", "relates", "duplicates", "duplicatedBy"})
"""Fields that name another task, which not everybody sees who sees this one."""


async def list_of(session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest) -> ActivityAnswer:
    """A page, oldest first. Of links to tasks out of the caller's sight it is told that they were, not where to."""
    key = platform.cursors.decode(page.cursor, of="task_activity", task=at.task_id)
    rows = await repository.page(session, at.task_id, after=UUID(key[0]) if key else None, limit=page.limit + 1)
    shown = rows[: page.limit]
    linked = {UUID(told) for row, _ in shown for change in row.changes for told in _linked(change)}
    seen = await tasks.seen_among(session, at.scope.user_id, linked) if linked else set()
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    activity = [
        ActivityRead(
            id=one.id,
            action=one.action,
            actor=PersonShown(id=one.actor_user_id, name=name or "") if one.actor_user_id is not None else None,
            changes=[FieldChangeRead.model_validate(_in_sight(change, seen)) for change in one.changes],
            created_at=one.created_at,
        )
        for one, name in shown
    ]
    await pictures.put_in(session, platform, [one.actor for one in activity])
    return ActivityAnswer(
        activity=activity,
        next_cursor=platform.cursors.encode(following, of="task_activity", task=at.task_id),
    )


def _linked(change: Mapping[str, Any]) -> list[str]:
    return [told for told in (change["old"], change["new"]) if told is not None] if change["field"] in LINKS else []


def _in_sight(change: Mapping[str, Any], seen: Collection[UUID]) -> Mapping[str, Any]:
    hidden = {told for told in _linked(change) if UUID(told) not in seen}
    return {**change, **{name: None for name in ("old", "new") if change[name] in hidden}} if hidden else change
