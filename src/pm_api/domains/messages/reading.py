"""Where a person is in their conversations: what they have read, what is left, and which they have muted.

What unread means is told in `repository/unread.py`.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, recording, shown
from pm_api.domains.messages.errors import InvalidMute
from pm_api.domains.messages.repository import conversations as standing_rows
from pm_api.domains.messages.repository import messages as message_rows
from pm_api.domains.messages.repository import unread as repository
from pm_api.domains.messages.rules import COUNTED
from pm_api.domains.messages.schemas.conversations import ReadStateRead, UnreadConversationsAnswer

MOST_SHOWN: Final = 200
LONGEST_MUTE: Final = timedelta(days=366)


async def unread_of(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> UnreadConversationsAnswer:
    """All that is unread in a workspace, in one query."""
    found = await standing_rows.standings(
        session, scope, platform.clock.now(), archived=False, with_unread=True, limit=MOST_SHOWN + 1
    )
    states = [shown.read_state(one) for one in found]
    loud = [one for one in states if not one.is_muted]
    total = sum(one.unread for one in loud)
    return UnreadConversationsAnswer(
        conversations=states[:MOST_SHOWN],
        unread=min(total, COUNTED),
        has_more_unread=total > COUNTED or any(one.has_more_unread for one in loud),
    )


async def read_up_to(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID, message_id: UUID
) -> ReadStateRead:
    """Everything up to a message is read; reading never goes back, so an older one changes nothing. Raises NotFound
    when there is no such conversation, or no such message in it.
    """
    row = await conversations.found(session, scope, conversation_id)
    number = await message_rows.numbered(session, row.id, message_id)
    if number is None:
        raise NotFound("There is no such message in this conversation.")
    version = await repository.read_up_to(session, row.id, scope.user_id, number)
    if version is not None:
        recording.read_state(session, platform, scope, row, "read", version)
    return await _state(session, platform, scope, row.id)


async def mute(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID, until: datetime | None
) -> ReadStateRead:
    """Tell nothing of it, until a time to come or without an end; raises NotFound or InvalidMute."""
    now = platform.clock.now()
    if until is not None and not now < until <= now + LONGEST_MUTE:
        raise InvalidMute
    return await _muted(session, platform, scope, conversation_id, is_muted=True, until=until)


async def unmute(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID
) -> ReadStateRead:
    """Raises NotFound."""
    return await _muted(session, platform, scope, conversation_id, is_muted=False, until=None)


async def begin_here(
    session: AsyncSession, _scope: SystemScope, workspace_id: UUID, user_id: UUID, *, limit: int
) -> int:
    """Who has come into a workspace has nothing unread from before; how many conversations were set so. What they
    have read or muted already stays.
    """
    return await repository.start_everywhere(session, workspace_id, user_id, limit=limit)


async def _muted(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    *,
    is_muted: bool,
    until: datetime | None,
) -> ReadStateRead:
    row = await conversations.found(session, scope, conversation_id)
    version = await repository.mute(session, row.id, scope.user_id, is_muted=is_muted, until=until)
    recording.read_state(session, platform, scope, row, "muted" if is_muted else "unmuted", version)
    return await _state(session, platform, scope, row.id)


async def _state(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID
) -> ReadStateRead:
    [standing] = await standing_rows.standings(session, scope, platform.clock.now(), only=conversation_id)
    return shown.read_state(standing)
