"""Queries of messages. Every read is of a conversation that the caller was found to see, or asks for sight itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.messages.models import (
    Conversation,
    ConversationReader,
    Message,
    MessageReaction,
    MessageRevision,
)
from pm_api.domains.messages.repository.conversations import of_living_project
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import User
from pm_api.identity.repository.people import scopes_seen, visible_scope


@dataclass(frozen=True, slots=True)
class Given:
    """One emoji on one message: how often, and whether by the caller."""

    message_id: UUID
    emoji: str
    count: int
    mine: bool


@dataclass(frozen=True, slots=True)
class Older:
    """Messages with a number below this; from the newest on without one."""

    number: int | None = None


@dataclass(frozen=True, slots=True)
class Newer:
    """Messages with a number above this."""

    number: int


@dataclass(frozen=True, slots=True)
class Within:
    """All of a conversation, or the answers to one message, or all but answers."""

    parent_id: UUID | None = None
    top_level: bool = False


def _in_sight(scope: WorkspaceScope) -> ColumnElement[bool]:
    return and_(
        Message.workspace_id == scope.workspace_id,
        Message.conversation_id == Conversation.id,
        of_living_project(),
    )


async def message(
    session: AsyncSession, scope: WorkspaceScope, message_id: UUID, *, lock: bool = False
) -> tuple[Message, Conversation] | None:
    """One that the caller sees, as committed now; deleted ones too."""
    if lock:
        await session.execute(select(Message.id).where(Message.id == message_id).with_for_update(key_share=True))
    row = (
        await session.execute(
            select(Message, Conversation)
            .where(Message.id == message_id, _in_sight(scope), visible_scope(Message.scope_id, scope.user_id))
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def numbered(session: AsyncSession, conversation_id: UUID, message_id: UUID) -> int | None:
    """The number of a message of this conversation."""
    return await session.scalar(
        select(Message.number).where(Message.id == message_id, Message.conversation_id == conversation_id)
    )


async def page_of(
    session: AsyncSession,
    conversation_id: UUID,
    stretch: Older | Newer,
    within: Within,
    *,
    limit: int,
) -> Sequence[Message]:
    """So many messages next to a number, the nearest first."""
    statement = select(Message).where(Message.conversation_id == conversation_id)
    if within.parent_id is not None:
        statement = statement.where(Message.parent_id == within.parent_id)
    elif within.top_level:
        statement = statement.where(Message.parent_id.is_(None))
    if isinstance(stretch, Newer):
        statement = statement.where(Message.number > stretch.number).order_by(Message.number)
    else:
        if stretch.number is not None:
            statement = statement.where(Message.number < stretch.number)
        statement = statement.order_by(Message.number.desc())
    rows = await session.scalars(statement.limit(limit))
    return rows.all()


async def seen_among(
    session: AsyncSession, scope: WorkspaceScope, message_ids: Collection[UUID]
) -> dict[UUID, Message]:
    """Those of these messages that the caller sees and that still say something."""
    rows = await session.scalars(
        select(Message).where(
            Message.id.in_(message_ids),
            _in_sight(scope),
            Message.scope_id.in_(scopes_seen(scope.workspace_id, scope.user_id)),
            Message.deleted_at.is_(None),
        )
    )
    return {row.id: row for row in rows}


async def names(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row[0]: row[1] for row in rows}


# --- saying ----------------------------------------------------------------------------------------------------


async def insert_next(session: AsyncSession, values: Mapping[str, Any], now: datetime) -> Message | None:
    """A message under the next number of its conversation; None when nothing may be said there any more.

    Whoever takes the number after it waits until this transaction has ended, so that numbers are committed in their
    order: the last thing to do. Who has read everything before a message of theirs has read it too, so that their own
    need not be passed over one by one when they are counted.
    """
    taken = (
        update(Conversation)
        .where(Conversation.id == values["conversation_id"], Conversation.archived_at.is_(None))
        .values(last_number=Conversation.last_number + 1, active_at=func.greatest(Conversation.active_at, now))
        .returning(Conversation.last_number)
        .cte("taken")
    )
    moved = (
        update(ConversationReader)
        .where(
            ConversationReader.conversation_id == values["conversation_id"],
            ConversationReader.user_id == values["author_user_id"],
            ConversationReader.read_number == taken.c.last_number - 1,
        )
        .values(read_number=taken.c.last_number, version=ConversationReader.version + 1)
        .returning(ConversationReader.user_id)
        .cte("moved")
    )
    columns = Message.__table__.c
    row = {name: literal(value, columns[name].type) for name, value in values.items()}
    return await session.scalar(
        insert(Message)
        .from_select([*row, "number"], select(*row.values(), taken.c.last_number))
        .add_cte(moved)
        .returning(Message)
        .execution_options(populate_existing=True)
    )


# --- threads ---------------------------------------------------------------------------------------------------


async def count_reply(session: AsyncSession, parent_id: UUID, change: int, now: datetime) -> int:
    """One more answer, or one less; the version of what was answered."""
    values: dict[str, Any] = {
        "reply_count": Message.reply_count + change,
        "version": Message.version + 1,
        "updated_at": now,
    }
    if change > 0:
        values["last_reply_at"] = func.greatest(Message.last_reply_at, now)
    version: int | None = await session.scalar(
        update(Message)
        .where(Message.id == parent_id)
        .values(values)
        .returning(Message.version)
        .execution_options(synchronize_session=False)
    )
    assert version is not None, "a message that was answered stays"
    return version


# --- files ------------------------------------------------------------------------------------------------------


async def conversation_of(session: AsyncSession, message_id: UUID) -> Conversation | None:
    """Where a message was said, whoever sees it."""
    return await session.scalar(
        select(Conversation)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Message.id == message_id)
        .execution_options(populate_existing=True)
    )


async def closed_among(session: AsyncSession, message_ids: Collection[UUID]) -> set[UUID]:
    """Those of these messages that take no changes, with their conversation or its project; one query."""
    rows = await session.scalars(
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .outerjoin(Project, Project.id == Conversation.project_id)
        .where(Message.id.in_(message_ids))
        .where(or_(Conversation.archived_at.is_not(None), Project.archived_at.is_not(None)))
    )
    return set(rows)


async def touch(session: AsyncSession, message_id: UUID, now: datetime) -> Message | None:
    """Count a change of a message that still says something."""
    return await session.scalar(
        update(Message)
        .where(Message.id == message_id, Message.deleted_at.is_(None))
        .values(version=Message.version + 1, updated_at=now)
        .returning(Message)
        .execution_options(populate_existing=True, synchronize_session=False)
    )


# --- history ---------------------------------------------------------------------------------------------------


async def revisions(
    session: AsyncSession, message_id: UUID, *, before: int | None, limit: int
) -> Sequence[MessageRevision]:
    """Newest first."""
    statement = select(MessageRevision).where(MessageRevision.message_id == message_id)
    if before is not None:
        statement = statement.where(MessageRevision.version < before)
    rows = await session.scalars(statement.order_by(MessageRevision.version.desc()).limit(limit))
    return rows.all()


async def drop_revisions(session: AsyncSession, message_id: UUID) -> None:
    await session.execute(delete(MessageRevision).where(MessageRevision.message_id == message_id))


# --- reactions -------------------------------------------------------------------------------------------------


async def reactions(session: AsyncSession, message_ids: Collection[UUID], user_id: UUID) -> Sequence[Given]:
    """Of several messages in one query; of each the emoji that was given first comes first."""
    rows = await session.execute(
        select(
            MessageReaction.message_id,
            MessageReaction.emoji,
            func.count(),
            func.bool_or(MessageReaction.user_id == user_id),
        )
        .where(MessageReaction.message_id.in_(message_ids))
        .group_by(MessageReaction.message_id, MessageReaction.emoji)
        .order_by(func.min(MessageReaction.created_at), MessageReaction.emoji)
    )
    return [Given(*row) for row in rows]


async def emojis_of(session: AsyncSession, message_id: UUID) -> set[str]:
    rows = await session.scalars(
        select(MessageReaction.emoji).where(MessageReaction.message_id == message_id).distinct()
    )
    return set(rows)


async def add_reaction(
    session: AsyncSession, message_id: UUID, workspace_id: UUID, user_id: UUID, emoji: str, now: datetime
) -> bool:
    """Whether it is new."""
    row = insert(MessageReaction).values(
        message_id=message_id, user_id=user_id, emoji=emoji, workspace_id=workspace_id, created_at=now
    )
    made = await session.scalar(
        row.on_conflict_do_nothing(index_elements=["message_id", "user_id", "emoji"]).returning(MessageReaction.emoji)
    )
    return made is not None


async def drop_reaction(session: AsyncSession, message_id: UUID, user_id: UUID, emoji: str) -> bool:
    """Whether there was one."""
    gone = delete(MessageReaction).where(
        MessageReaction.message_id == message_id, MessageReaction.user_id == user_id, MessageReaction.emoji == emoji
    )
    return await session.scalar(gone.returning(MessageReaction.emoji)) is not None


async def drop_reactions(session: AsyncSession, message_id: UUID) -> None:
    await session.execute(delete(MessageReaction).where(MessageReaction.message_id == message_id))
