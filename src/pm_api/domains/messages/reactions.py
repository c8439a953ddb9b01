"""Reactions: one emoji of one person on one message, there or not."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.emoji import is_emoji
from pm_api.core.platform import Platform
from pm_api.domains.messages import service
from pm_api.domains.messages.errors import InvalidEmoji, TooManyReactions
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.messages.schemas.messages import MessageRead

MOST_EMOJIS: Final = 50


async def put(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, message_id: UUID, emoji: str
) -> MessageRead:
    """Give it; a second time changes nothing. Raises NotFound, InvalidEmoji, TooManyReactions, MessageDeleted,
    ConversationArchived and ProjectArchived.
    """
    if not is_emoji(emoji):
        raise InvalidEmoji
    message, row = await service.found(session, scope, message_id, lock=True)
    await service.ensure_living(session, message, row)
    given = await repository.emojis_of(session, message.id)
    if emoji not in given and len(given) >= MOST_EMOJIS:
        raise TooManyReactions
    now = platform.clock.now()
    if await repository.add_reaction(session, message.id, message.workspace_id, scope.user_id, emoji, now):
        await service.changed(session, platform, scope, message, "reacted")
    return await service.get(session, platform, scope, message_id)


async def drop(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, message_id: UUID, emoji: str
) -> MessageRead:
    """Take it back; a second time changes nothing. Raises as `put`, but for the last two of an emoji."""
    if not is_emoji(emoji):
        raise InvalidEmoji
    message, row = await service.found(session, scope, message_id, lock=True)
    await service.ensure_living(session, message, row)
    if await repository.drop_reaction(session, message.id, scope.user_id, emoji):
        await service.changed(session, platform, scope, message, "unreacted")
    return await service.get(session, platform, scope, message_id)
