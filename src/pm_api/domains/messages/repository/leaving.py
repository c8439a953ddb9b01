"""Queries for who goes: what they wrote."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.models import Conversation, Message, MessageRevision
from pm_api.identity.models.people import ScopeMember


async def count_written(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    statement = select(func.count()).where(
        Message.author_user_id == user_id, Message.workspace_id == workspace_id, Message.deleted_at.is_(None)
    )
    return (await session.scalar(statement)) or 0


async def count_groups(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    """Groups that they are in."""
    statement = (
        select(func.count())
        .select_from(Conversation)
        .join(ScopeMember, ScopeMember.scope_id == Conversation.scope_id)
        .where(
            Conversation.workspace_id == workspace_id,
            Conversation.kind == ConversationKind.GROUP,
            ScopeMember.user_id == user_id,
        )
    )
    return (await session.scalar(statement)) or 0


async def silence(
    session: AsyncSession, user_id: UUID, workspace_ids: Collection[UUID], now: datetime, *, limit: int
) -> Sequence[UUID]:
    """Take the words out of some messages of a person, and of all in workspaces that go with them; their ids."""
    speaking = or_(Message.body != "", Message.deleted_at.is_(None))
    there = select(Conversation.id).where(Conversation.workspace_id.in_(workspace_ids))
    theirs = or_(Message.author_user_id == user_id, Message.conversation_id.in_(there))
    some = select(Message.id).where(speaking, theirs).order_by(Message.id).limit(limit).with_for_update()
    rows = await session.scalars(
        update(Message)
        .where(Message.id.in_(some))
        .values(
            body="",
            mentions=[],
            deleted_at=func.coalesce(Message.deleted_at, now),
            updated_at=now,
            version=Message.version + 1,
        )
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return rows.all()


async def drop_revisions_of(session: AsyncSession, message_ids: Collection[UUID]) -> None:
    await session.execute(delete(MessageRevision).where(MessageRevision.message_id.in_(message_ids)))
