"""What was done to a task, read back."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.repository import histories as repository
from pm_api.domains.tasks.schemas.histories import ActivityAnswer, ActivityRead, FieldChangeRead
from pm_api.domains.tasks.schemas.tasks import PersonShown


async def list_of(session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest) -> ActivityAnswer:
    """A page, oldest first."""
    key = platform.cursors.decode(page.cursor, of="task_activity", task=at.task_id)
    rows = await repository.page(session, at.task_id, after=UUID(key[0]) if key else None, limit=page.limit + 1)
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return ActivityAnswer(
        activity=[
            ActivityRead(
                id=one.id,
                action=one.action,
                actor=PersonShown(id=one.actor_user_id, name=name or "") if one.actor_user_id is not None else None,
                changes=[FieldChangeRead.model_validate(change) for change in one.changes],
                created_at=one.created_at,
            )
            for one, name in shown
        ],
        next_cursor=platform.cursors.encode(following, of="task_activity", task=at.task_id),
    )
