"""What becomes of messages when a person goes: nothing they said is left, and the places where they said it are."""

from typing import Final

from pm_api.core.personal import Leaving, ends, hands_out
from pm_api.core.platform import Platform
from pm_api.domains.messages.models import (
    Conversation,
    ConversationReader,
    Message,
    MessageReaction,
    MessageRevision,
)
from pm_api.domains.messages.repository import leaving as repository
from pm_api.domains.search import service as search

SILENCED_AT_ONCE: Final = 1000


@ends("messages", order=35, again=True)
async def fall_silent(platform: Platform, leaving: Leaving) -> None:
    """Some at a time; once more later, for what was on its way while the account was being closed."""
    silenced = SILENCED_AT_ONCE
    while silenced == SILENCED_AT_ONCE:
        async with platform.database.transaction() as session:
            ids = await repository.silence(
                session, leaving.user_id, leaving.closed, platform.clock.now(), limit=SILENCED_AT_ONCE
            )
            await repository.drop_revisions_of(session, ids)
            await search.drop(session, kind="message", entity_ids=ids)
            silenced = len(ids)


hands_out(Conversation, "messages/conversations.json", "Conversations you began.", of="created_by_user_id")
hands_out(ConversationReader, "messages/reading.json", "How far you read conversations, and which you muted.")
hands_out(Message, "messages/messages.json", "What you said.", of="author_user_id")
hands_out(MessageRevision, "messages/history.json", "What you said before you changed it.", of="author_user_id")
hands_out(MessageReaction, "messages/reactions.json", "Your reactions.")
