"""Rules of messages: saying, changing and taking back. Locks: the counters of files → an answer → what it answers →
their conversation.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.events import emit, event_id
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.messages import attaching, conversations, recording, shown, telling
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.errors import (
    ConversationArchived,
    InvalidMention,
    InvalidParent,
    MessageDeleted,
    NotTheAuthor,
)
from pm_api.domains.messages.events import MessagePosted
from pm_api.domains.messages.models import Conversation, Message, MessageRevision
from pm_api.domains.messages.repository import conversations as conversation_rows
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.messages.repository import unread
from pm_api.domains.messages.schemas.messages import MessageCreate, MessageRead, MessageUpdate
from pm_api.domains.messages.telling import Said
from pm_api.domains.search import service as search
from pm_api.domains.storage import service as storage
from pm_api.identity import pictures
from pm_api.identity.permissions import allows

SEARCHED_AS: Final = "message"


async def post(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: MessageCreate
) -> MessageRead:
    """Say something. Raises NotFound, ConversationArchived, ProjectArchived, InvalidParent, InvalidMention, and what
    `attaching.attach` refuses.

    The number is taken last: from then on whoever writes there waits for us, and whatever can be done before was.
    """
    row = await conversations.found(session, scope, wanted.conversation_id)
    await conversations.ensure_writable(session, row)
    called = await _called(session, row, wanted.mentions)
    names = await repository.names(session, [scope.user_id, *called])
    said = Said(row, platform.randomness.uuid(), scope.user_id, names[scope.user_id])
    files = await attaching.attach(session, platform, scope, row, said.message_id, wanted.file_ids)
    if wanted.parent_id is not None:
        await _answer(session, platform, scope, row, wanted.parent_id)
    now = platform.clock.now()
    await _put_into_search(session, row, said.message_id, wanted.body, now)
    await telling.tell(session, platform, said, called)
    values = {
        "id": said.message_id,
        "workspace_id": row.workspace_id,
        "scope_id": row.scope_id,
        "conversation_id": row.id,
        "parent_id": wanted.parent_id,
        "author_user_id": scope.user_id,
        "body": wanted.body,
        "mentions": [str(one) for one in called],
        "reply_count": 0,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    message = await repository.insert_next(session, values, now)
    if message is None:
        raise ConversationArchived
    if message.number == 1:
        await unread.start_at(session, row.id, [scope.user_id], 1)
    recording.message(session, platform, scope, message, "created")
    await emit(session, _posted(platform, row, message))
    read = shown.message(message, names, [], files)
    await pictures.put_in(session, platform, [read.author, *read.mentions])
    return read


async def get(session: AsyncSession, platform: Platform, scope: WorkspaceScope, message_id: UUID) -> MessageRead:
    """Deleted ones too; raises NotFound."""
    message, _ = await found(session, scope, message_id)
    return await _shown(session, platform, scope, message)


async def edit(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    message_id: UUID,
    wanted: MessageUpdate,
    expected_version: int | None,
) -> MessageRead:
    """Say it otherwise; what was said stays in its history, and who is called only now is told. Raises NotFound,
    PreconditionFailed, NotTheAuthor, MessageDeleted, InvalidMention, ConversationArchived and ProjectArchived.
    """
    message, row = await found(session, scope, message_id, lock=True)
    check_version(message.version, expected_version)
    if message.author_user_id != scope.user_id:
        raise NotTheAuthor
    await ensure_living(session, message, row)
    before = [UUID(one) for one in message.mentions]
    called = before if wanted.mentions is None else await _called(session, row, wanted.mentions)
    if (wanted.body, called) == (message.body, before):
        return await _shown(session, platform, scope, message)
    if wanted.body != message.body:
        session.add(_revision(message))
        message.edited_at = platform.clock.now()
    message.body, message.mentions = wanted.body, [str(one) for one in called]
    await changed(session, platform, scope, message, "updated")
    await _put_into_search(session, row, message.id, message.body, message.updated_at)
    names = await repository.names(session, [scope.user_id])
    said = Said(row, message.id, scope.user_id, names[scope.user_id])
    await telling.tell_called(session, platform, said, set(called) - set(before))
    return await _shown(session, platform, scope, message)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    message_id: UUID,
    expected_version: int | None,
) -> None:
    """Take back what was said, with its history and reactions; its place stays, its files go into the trash of who
    uploaded them. Once more changes nothing.

    Raises NotFound, PreconditionFailed, NotTheAuthor, and ProjectArchived or ConversationArchived.
    """
    await storage.hold_files_of_message(session, platform, scope, message_id)
    message, row = await found(session, scope, message_id, lock=True)
    check_version(message.version, expected_version)
    manages = row.kind != ConversationKind.DIRECT and allows(scope.role, "message.manage")
    if message.author_user_id != scope.user_id and not manages:
        raise NotTheAuthor
    await conversations.ensure_writable(session, row)
    if message.deleted_at is not None:
        return
    message.body, message.mentions = "", []
    message.deleted_at = platform.clock.now()
    await repository.drop_revisions(session, message.id)
    await repository.drop_reactions(session, message.id)
    await search.drop(session, kind=SEARCHED_AS, entity_ids=[message.id])
    await storage.take_off_message(session, platform, message.id, actor_user_id=scope.user_id)
    if message.parent_id is not None:
        parent, _ = await found(session, scope, message.parent_id)
        await _count(session, platform, scope, parent, -1)
    await changed(session, platform, scope, message, "deleted")


# --- shared with reactions and pages -----------------------------------------------------------------------------


async def found(
    session: AsyncSession, scope: WorkspaceScope, message_id: UUID, *, lock: bool = False
) -> tuple[Message, Conversation]:
    """One that the caller sees, and where it was said; raises NotFound."""
    pair = await repository.message(session, scope, message_id, lock=lock)
    if pair is None:
        raise NotFound
    return pair


async def ensure_living(session: AsyncSession, message: Message, row: Conversation) -> None:
    """Raises MessageDeleted, ConversationArchived or ProjectArchived."""
    await conversations.ensure_writable(session, row)
    if message.deleted_at is not None:
        raise MessageDeleted


# --- inside ------------------------------------------------------------------------------------------------------


async def _called(session: AsyncSession, row: Conversation, mentions: Sequence[UUID]) -> list[UUID]:
    """Each once, in the order sent; raises InvalidMention for who does not see the conversation."""
    called = list(dict.fromkeys(mentions))
    blind: Collection[UUID] = set()
    if called:
        blind = set(called) - await conversation_rows.seers_among(session, row.workspace_id, row.scope_id, called)
    if blind:
        raise InvalidMention(
            details=[{"pointer": "/mentions", "detail": f"{one} does not see it"} for one in sorted(blind)]
        )
    return called


async def _answer(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Conversation, parent_id: UUID
) -> None:
    """Count an answer to a message of the conversation that is none itself; raises InvalidParent."""
    pair = await repository.message(session, scope, parent_id)
    if pair is None or pair[0].conversation_id != row.id or pair[0].parent_id is not None:
        raise InvalidParent
    await _count(session, platform, scope, pair[0], 1)


async def _count(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, parent: Message, change: int
) -> None:
    version = await repository.count_reply(session, parent.id, change, platform.clock.now())
    recording.message_at(session, platform, scope, parent, "replied" if change > 0 else "reply_deleted", version)


def _revision(message: Message) -> MessageRevision:
    return MessageRevision(
        message_id=message.id,
        version=message.version,
        workspace_id=message.workspace_id,
        author_user_id=message.author_user_id,
        body=message.body,
        written_at=message.edited_at or message.created_at,
    )


async def _put_into_search(
    session: AsyncSession, row: Conversation, message_id: UUID, body: str, updated_at: datetime
) -> None:
    await search.put(
        session,
        kind=SEARCHED_AS,
        entity_id=message_id,
        workspace_id=row.workspace_id,
        scope_id=row.scope_id,
        title="",
        body=body,
        project_id=row.project_id,
        parent_id=row.id,
        updated_at=updated_at,
    )


def _posted(platform: Platform, row: Conversation, message: Message) -> MessagePosted:
    return MessagePosted(
        id=event_id(platform.randomness),
        message_id=message.id,
        conversation_id=row.id,
        workspace_id=row.workspace_id,
        scope_id=row.scope_id,
        project_id=row.project_id,
        parent_id=message.parent_id,
        actor_user_id=message.author_user_id,
    )


async def changed(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, message: Message, action: str
) -> None:
    """Count a change of a locked message, and tell of it."""
    message.version += 1
    message.updated_at = platform.clock.now()
    await session.flush()
    recording.message(session, platform, scope, message, action)


async def _shown(session: AsyncSession, platform: Platform, scope: WorkspaceScope, message: Message) -> MessageRead:
    [read] = await shown.messages(session, platform, scope.user_id, [message])
    return read
