"""Pages of messages: a conversation from its newest on, around one of them, a thread, a history, what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, service, shown
from pm_api.domains.messages.models import Message
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.messages.repository.messages import Newer, Older, Within
from pm_api.domains.messages.schemas.messages import MessageHistoryAnswer, MessagesAnswer, RevisionRead

LISTED: Final = "messages"
REVISIONS: Final = "message_revisions"
OLDER, NEWER = "older", "newer"


@dataclass(frozen=True, slots=True)
class _Window:
    """Some messages, newest first, and whether there are older and newer ones."""

    rows: Sequence[Message]
    has_older: bool
    has_newer: bool


async def of_conversation(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    page: PageRequest,
    *,
    within: Within,
    around: UUID | None = None,
) -> MessagesAnswer:
    """The newest, or those around one, or with a cursor those next to the page before; newest first. Raises NotFound,
    also for an `around` of another conversation.
    """
    row = await conversations.found(session, scope, conversation_id)
    filters = {"conversation": row.id, "parent": within.parent_id, "top": within.top_level}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    if key is not None:
        window = await _beside(session, row.id, within, key, page.limit)
    elif around is not None:
        window = await _around(session, row.id, within, around, page.limit)
    else:
        rows, has_older = await _some(session, row.id, Older(), within, page.limit)
        window = _Window(rows, has_older, has_newer=False)
    older = (OLDER, window.rows[-1].number) if window.rows and window.has_older else None
    newer = (NEWER, window.rows[0].number) if window.rows and window.has_newer else None
    return MessagesAnswer(
        messages=await shown.messages(session, platform, scope.user_id, window.rows),
        next_cursor=platform.cursors.encode(older, of=LISTED, **filters),
        newer_cursor=platform.cursors.encode(newer, of=LISTED, **filters),
    )


async def _beside(
    session: AsyncSession, conversation_id: UUID, within: Within, key: Sequence[Any], limit: int
) -> _Window:
    direction, number = key
    if direction == NEWER:
        rows, has_newer = await _some(session, conversation_id, Newer(number), within, limit)
        return _Window(rows[::-1], has_older=True, has_newer=has_newer)
    rows, has_older = await _some(session, conversation_id, Older(number), within, limit)
    return _Window(rows, has_older, has_newer=True)


async def _around(
    session: AsyncSession, conversation_id: UUID, within: Within, message_id: UUID, limit: int
) -> _Window:
    """The message itself is the newest of the older half, if it is of the kind that is wanted."""
    number = await repository.numbered(session, conversation_id, message_id)
    if number is None:
        raise NotFound("There is no such message in this conversation.")
    newer, has_newer = await _some(session, conversation_id, Newer(number), within, limit // 2)
    older, has_older = await _some(session, conversation_id, Older(number + 1), within, limit - len(newer))
    return _Window([*newer[::-1], *older], has_older, has_newer)


async def _some(
    session: AsyncSession, conversation_id: UUID, stretch: Older | Newer, within: Within, limit: int
) -> tuple[Sequence[Message], bool]:
    """The nearest, and whether there are more."""
    rows = await repository.page_of(session, conversation_id, stretch, within, limit=limit + 1)
    return rows[:limit], len(rows) > limit


async def history_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, message_id: UUID, page: PageRequest
) -> MessageHistoryAnswer:
    """What a message said before, newest first; raises NotFound."""
    message, _ = await service.found(session, scope, message_id)
    key = platform.cursors.decode(page.cursor, of=REVISIONS, message=message.id)
    rows = await repository.revisions(session, message.id, before=key[0] if key else None, limit=page.limit + 1)
    on_page = rows[: page.limit]
    following = (on_page[-1].version,) if len(rows) > page.limit else None
    return MessageHistoryAnswer(
        revisions=[RevisionRead.model_validate(one) for one in on_page],
        next_cursor=platform.cursors.encode(following, of=REVISIONS, message=message.id),
    )
