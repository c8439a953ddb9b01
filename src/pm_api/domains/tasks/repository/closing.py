"""Queries for a person who goes: what they said of tasks, and where others name them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.tasks.models import CommentMention, CommentReaction, Task, TaskComment

Silenced = Row[UUID, UUID, UUID, int]


async def silence(
    session: AsyncSession, user_id: UUID, workspace_ids: Collection[UUID], now: datetime, *, limit: int
) -> Sequence[Silenced]:
    """Take back what somebody said, and all that was said in workspaces that go with them: (id, workspace, scope,
    version) of each comment.
    """
    theirs = or_(TaskComment.author_user_id == user_id, TaskComment.workspace_id.in_(workspace_ids))
    some = (
        select(TaskComment.id)
        .where(theirs, TaskComment.deleted_at.is_(None))
        .order_by(TaskComment.id)
        .limit(limit)
        .with_for_update()
    )
    ids = list(await session.scalars(some))
    silenced = await session.execute(
        update(TaskComment)
        .where(TaskComment.id.in_(ids))
        .values(body="", deleted_at=now, updated_at=now, version=TaskComment.version + 1)
        .returning(TaskComment.id, TaskComment.workspace_id, TaskComment.scope_id, TaskComment.version)
        .execution_options(synchronize_session=False)
    )
    rows = silenced.all()
    await session.execute(delete(CommentMention).where(CommentMention.comment_id.in_(ids)))
    await session.execute(delete(CommentReaction).where(CommentReaction.comment_id.in_(ids)))
    return rows


async def lock_naming(
    session: AsyncSession, user_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[tuple[TaskComment, UUID]]:
    """(comment, its task's project) of those that name somebody, by id, held."""
    statement = (
        select(TaskComment, Task.project_id)
        .join(Task, Task.id == TaskComment.task_id)
        .where(
            TaskComment.id.in_(select(CommentMention.comment_id).where(CommentMention.user_id == user_id)),
            TaskComment.deleted_at.is_(None),
        )
        .order_by(TaskComment.id)
        .limit(limit)
        .with_for_update(of=TaskComment)
    )
    if after is not None:
        statement = statement.where(TaskComment.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]
