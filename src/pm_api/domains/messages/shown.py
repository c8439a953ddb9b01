"""Conversations and messages as they are shown: a fixed number of queries for a page, however long it is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.models import Message
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.messages.repository.conversations import Standing
from pm_api.domains.messages.rules import shown_count
from pm_api.domains.messages.schemas.conversations import ConversationRead, PersonRead, ReadStateRead
from pm_api.domains.messages.schemas.messages import MessageRead, ReactionRead
from pm_api.domains.storage import service as storage
from pm_api.domains.storage.schemas.files import AttachedFile
from pm_api.identity import pictures
from pm_api.identity.repository import circles


async def messages(
    session: AsyncSession, platform: Platform, user_id: UUID, rows: Sequence[Message]
) -> list[MessageRead]:
    """In the order given, as this person sees them: four queries."""
    if not rows:
        return []
    called = {UUID(one) for row in rows for one in row.mentions}
    named = await repository.names(session, {row.author_user_id for row in rows} | called)
    given: dict[UUID, list[ReactionRead]] = defaultdict(list)
    for one in await repository.reactions(session, [row.id for row in rows], user_id):
        given[one.message_id].append(ReactionRead(emoji=one.emoji, count=one.count, mine=one.mine))
    files = await storage.files_of_messages(session, [row.id for row in rows if row.deleted_at is None])
    read = [message(row, named, given[row.id], files.get(row.id, ())) for row in rows]
    await pictures.put_in(session, platform, (person for one in read for person in (one.author, *one.mentions)))
    return read


def message(
    row: Message, named: Mapping[UUID, str], given: Sequence[ReactionRead], files: Sequence[AttachedFile]
) -> MessageRead:
    """With the names of its author and of whom it calls."""
    return MessageRead(
        id=row.id,
        workspace_id=row.workspace_id,
        conversation_id=row.conversation_id,
        number=row.number,
        parent_id=row.parent_id,
        author=PersonRead(id=row.author_user_id, name=named[row.author_user_id]),
        body=row.body,
        mentions=[PersonRead(id=one, name=named[one]) for one in map(UUID, row.mentions)],
        attachments=list(files),
        reactions=list(given),
        reply_count=row.reply_count,
        last_reply_at=row.last_reply_at,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def conversations(
    session: AsyncSession, platform: Platform, standings: Sequence[Standing]
) -> list[ConversationRead]:
    """In the order given: two queries."""
    counts = await circles.count_companions(session, {one.conversation.scope_id for one in standings})
    read = [_conversation(one, counts.get(one.conversation.scope_id, 0)) for one in standings]
    await pictures.put_in(session, platform, [one.other for one in read])
    return read


def _conversation(standing: Standing, member_count: int) -> ConversationRead:
    row, state = standing.conversation, read_state(standing)
    other = None
    if standing.other_id is not None:
        other = PersonRead(id=standing.other_id, name=standing.other_name or "")
    return ConversationRead(
        id=row.id,
        workspace_id=row.workspace_id,
        kind=ConversationKind(row.kind),
        name=row.name,
        project_id=row.project_id,
        other=other,
        member_count=member_count,
        last_number=row.last_number,
        active_at=row.active_at,
        read_number=state.read_number,
        unread=state.unread,
        has_more_unread=state.has_more_unread,
        is_muted=state.is_muted,
        muted_until=state.muted_until,
        archived_at=row.archived_at,
        created_by_user_id=row.created_by_user_id,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def read_state(standing: Standing) -> ReadStateRead:
    row = standing.conversation
    unread, has_more = shown_count(standing.unread, row.last_number - standing.read_number)
    return ReadStateRead(
        conversation_id=row.id,
        read_number=standing.read_number,
        unread=unread,
        has_more_unread=has_more,
        is_muted=standing.is_muted,
        muted_until=standing.muted_until if standing.is_muted else None,
    )
