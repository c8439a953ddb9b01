"""Queries of comments, whom they name, and the reactions below them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.domains.tasks.models import CommentMention, CommentReaction, TaskComment
from pm_api.identity.models.people import User


class Reaction(NamedTuple):
    emoji: str
    people: int
    mine: bool


def _in_its_place() -> ColumnElement[bool]:
    """What is shown: what was not deleted, and what others answer."""
    reply = aliased(TaskComment)
    answered = exists().where(reply.parent_id == TaskComment.id, reply.deleted_at.is_(None))
    return or_(TaskComment.deleted_at.is_(None), answered.correlate(TaskComment))


async def page(
    session: AsyncSession, task_id: UUID, *, parent_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[tuple[TaskComment, str]]:
    """(comment, author's name), oldest first; with a parent only what answers it."""
    statement = (
        select(TaskComment, User.name)
        .join(User, User.id == TaskComment.author_user_id)
        .where(TaskComment.task_id == task_id, _in_its_place())
        .order_by(TaskComment.id)
        .limit(limit)
    )
    if parent_id is not None:
        statement = statement.where(TaskComment.parent_id == parent_id)
    if after is not None:
        statement = statement.where(TaskComment.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def shown(session: AsyncSession, task_id: UUID, comment_id: UUID) -> tuple[TaskComment, str] | None:
    """One as the list shows it."""
    row = (
        await session.execute(
            select(TaskComment, User.name)
            .join(User, User.id == TaskComment.author_user_id)
            .where(TaskComment.id == comment_id, TaskComment.task_id == task_id, _in_its_place())
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None


async def lock(session: AsyncSession, task_id: UUID, comment_id: UUID, *, share: bool = False) -> TaskComment | None:
    """One that was not deleted, held; to `share` it keeps only its being deleted away."""
    held = select(TaskComment.id).where(TaskComment.id == comment_id, TaskComment.task_id == task_id)
    await session.execute(held.with_for_update(read=share, key_share=not share))
    return await session.scalar(
        select(TaskComment)
        .where(TaskComment.id == comment_id, TaskComment.task_id == task_id, TaskComment.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )


async def mentions(session: AsyncSession, comment_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, str]]]:
    """(user id, name) of those whom each comment names, by id."""
    rows = await session.execute(
        select(CommentMention.comment_id, User.id, User.name)
        .join(User, User.id == CommentMention.user_id)
        .where(CommentMention.comment_id.in_(comment_ids))
        .order_by(User.id)
    )
    found: dict[UUID, list[tuple[UUID, str]]] = {}
    for comment_id, user_id, name in rows:
        found.setdefault(comment_id, []).append((user_id, name))
    return found


async def put_mentions(session: AsyncSession, comment_id: UUID, user_ids: Collection[UUID]) -> None:
    """Whom a comment names now; whoever it named before and does not any more is forgotten."""
    gone = delete(CommentMention).where(
        CommentMention.comment_id == comment_id, CommentMention.user_id.not_in(user_ids)
    )
    await session.execute(gone)
    rows = [{"comment_id": comment_id, "user_id": one} for one in sorted(user_ids)]
    if rows:
        await session.execute(insert(CommentMention).values(rows).on_conflict_do_nothing())


async def reactions(
    session: AsyncSession, comment_ids: Collection[UUID], user_id: UUID
) -> dict[UUID, list[Reaction]]:
    """Emojis with how many chose each and whether this person did, the first that came first."""
    rows = await session.execute(
        select(
            CommentReaction.comment_id,
            CommentReaction.emoji,
            func.count(),
            func.bool_or(CommentReaction.user_id == user_id),
        )
        .where(CommentReaction.comment_id.in_(comment_ids))
        .group_by(CommentReaction.comment_id, CommentReaction.emoji)
        .order_by(func.min(CommentReaction.created_at), CommentReaction.emoji)
    )
    found: dict[UUID, list[Reaction]] = {}
    for comment_id, emoji, count, mine in rows:
        found.setdefault(comment_id, []).append(Reaction(emoji, count, mine))
    return found


async def kinds(session: AsyncSession, comment_id: UUID) -> set[str]:
    """The different emojis below a comment."""
    rows = await session.scalars(
        select(CommentReaction.emoji).where(CommentReaction.comment_id == comment_id).distinct()
    )
    return set(rows)


async def react(session: AsyncSession, reaction: CommentReaction) -> bool:
    """False when this person had chosen it already."""
    values = {
        "comment_id": reaction.comment_id,
        "user_id": reaction.user_id,
        "emoji": reaction.emoji,
        "created_at": reaction.created_at,
    }
    made = insert(CommentReaction).values(values).on_conflict_do_nothing().returning(CommentReaction.emoji)
    return await session.scalar(made) is not None


async def take_back(session: AsyncSession, comment_id: UUID, user_id: UUID, emoji: str) -> bool:
    """False when there was nothing to take back."""
    gone = (
        delete(CommentReaction)
        .where(
            CommentReaction.comment_id == comment_id,
            CommentReaction.user_id == user_id,
            CommentReaction.emoji == emoji,
        )
        .returning(CommentReaction.emoji)
    )
    return await session.scalar(gone) is not None


async def empty(session: AsyncSession, comment_id: UUID) -> None:
    """Nobody is named and nothing stands below a comment any more."""
    await session.execute(delete(CommentMention).where(CommentMention.comment_id == comment_id))
    await session.execute(delete(CommentReaction).where(CommentReaction.comment_id == comment_id))
