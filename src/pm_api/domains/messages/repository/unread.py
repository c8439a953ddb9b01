"""How unread messages are counted, and where people are in conversations.

Unread are the messages of others with a number above the reader's, which are not deleted. They are counted row by row
within one statement's snapshot, at most 100 of the next 1000: no counter is kept, so none can go wrong. That numbers
are committed in their order makes the position mean something: nothing appears below it later.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.messages.models import Conversation, ConversationReader, Message
from pm_api.domains.messages.rules import COUNTED, EXAMINED
from pm_api.identity.models.people import Member
from pm_api.identity.repository.people import visible_scope


class Place(NamedTuple):
    """Where somebody is in a conversation."""

    read_number: int
    is_muted: bool


NOWHERE = Place(0, is_muted=False)


def read_number() -> ColumnElement[int]:
    """Of the reader that is joined; nothing is read without one."""
    return func.coalesce(ConversationReader.read_number, 0)


def is_muted_at(now: datetime) -> ColumnElement[bool]:
    """Of the reader that is joined."""
    lasts = or_(ConversationReader.muted_until.is_(None), ConversationReader.muted_until > now)
    return func.coalesce(and_(ConversationReader.is_muted, lasts), False)


def unread_after(user_id: UUID) -> ScalarSelect[int]:
    """How many unread messages the selected conversation has for somebody: at most one more than are shown."""
    found = _unread(user_id).limit(COUNTED + 1).subquery("found")
    return select(func.count()).select_from(found).scalar_subquery()


def something_unread(user_id: UUID) -> ColumnElement[bool]:
    """Whether it has any, or may have some beyond what is examined."""
    return and_(
        Conversation.last_number > read_number(),
        or_(Conversation.last_number - read_number() > EXAMINED, _unread(user_id).exists()),
    )


def _unread(user_id: UUID) -> Select[int]:
    examined = (
        select(Message.author_user_id, Message.deleted_at)
        .where(Message.conversation_id == Conversation.id, Message.number > read_number())
        .order_by(Message.number)
        .limit(EXAMINED)
        .correlate(Conversation, ConversationReader)
        .subquery("examined")
    )
    return (
        select(literal(1).label("one"))
        .select_from(examined)
        .where(examined.c.deleted_at.is_(None), examined.c.author_user_id != user_id)
    )


# --- moving ----------------------------------------------------------------------------------------------------


async def read_up_to(session: AsyncSession, conversation_id: UUID, user_id: UUID, number: int) -> int | None:
    """Move somebody's position forward; the row's new version, None when they were there or beyond it already."""
    row = insert(ConversationReader).values(
        conversation_id=conversation_id, user_id=user_id, read_number=number, is_muted=False, version=1
    )
    moved: int | None = await session.scalar(
        row.on_conflict_do_update(
            index_elements=["conversation_id", "user_id"],
            set_={"read_number": row.excluded.read_number, "version": ConversationReader.version + 1},
            where=ConversationReader.read_number < row.excluded.read_number,
        ).returning(ConversationReader.version)
    )
    return moved


async def mute(
    session: AsyncSession, conversation_id: UUID, user_id: UUID, *, is_muted: bool, until: datetime | None
) -> int:
    """The row's new version."""
    row = insert(ConversationReader).values(
        conversation_id=conversation_id,
        user_id=user_id,
        read_number=0,
        is_muted=is_muted,
        muted_until=until,
        version=1,
    )
    version: int | None = await session.scalar(
        row.on_conflict_do_update(
            index_elements=["conversation_id", "user_id"],
            set_={
                "is_muted": row.excluded.is_muted,
                "muted_until": row.excluded.muted_until,
                "version": ConversationReader.version + 1,
            },
        ).returning(ConversationReader.version)
    )
    assert version is not None, "an upsert without a condition gives its row"
    return version


async def start_at(session: AsyncSession, conversation_id: UUID, user_ids: Collection[UUID], number: int) -> None:
    """Who comes into a conversation has nothing unread from before; who was there already stays where they are."""
    rows = [
        {"conversation_id": conversation_id, "user_id": one, "read_number": number, "is_muted": False, "version": 1}
        for one in sorted(user_ids)
    ]
    if rows:
        await session.execute(
            insert(ConversationReader)
            .values(rows)
            .on_conflict_do_nothing(index_elements=["conversation_id", "user_id"])
        )


async def start_everywhere(session: AsyncSession, workspace_id: UUID, user_id: UUID, *, limit: int) -> int:
    """The same for who has come into a workspace, in all that they see and have not touched yet: whatever was said
    before they came is read.
    """
    mine = select(ConversationReader.conversation_id).where(ConversationReader.user_id == user_id)
    before = (
        select(Message.number)
        .where(Message.conversation_id == Conversation.id, Message.created_at < Member.joined_at)
        .order_by(Message.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    untouched = (
        select(Conversation.id, literal(user_id), before, literal(value=False), literal(1))
        .join(Member, and_(Member.workspace_id == Conversation.workspace_id, Member.user_id == user_id))
        .where(
            Conversation.workspace_id == workspace_id,
            visible_scope(Conversation.scope_id, user_id),
            before.is_not(None),
            Conversation.id.not_in(mine),
        )
        .order_by(Conversation.id)
        .limit(limit)
    )
    names = ["conversation_id", "user_id", "read_number", "is_muted", "version"]
    made = await session.scalars(
        insert(ConversationReader)
        .from_select(names, untouched)
        .on_conflict_do_nothing(index_elements=["conversation_id", "user_id"])
        .returning(ConversationReader.conversation_id)
    )
    return len(made.all())


async def forget(session: AsyncSession, conversation_id: UUID, user_id: UUID) -> None:
    """Who is taken out begins anew should they come back."""
    await session.execute(
        delete(ConversationReader).where(
            ConversationReader.conversation_id == conversation_id, ConversationReader.user_id == user_id
        )
    )


async def places(
    session: AsyncSession, conversation_id: UUID, user_ids: Collection[UUID], now: datetime
) -> dict[UUID, Place]:
    """Where each of these people is; who has no row yet is left out."""
    rows = await session.execute(
        select(ConversationReader.user_id, ConversationReader.read_number, is_muted_at(now)).where(
            ConversationReader.conversation_id == conversation_id, ConversationReader.user_id.in_(user_ids)
        )
    )
    return {user_id: Place(number, is_muted=muted) for user_id, number, muted in rows}
