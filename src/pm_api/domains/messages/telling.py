"""Who is told of a message: whom it is written to, and whom it calls.

Nobody is told twice before they have read on: what is told of a conversation is one notification for each place
somebody has read up to. It says who wrote and where, and not what: so that nothing of a message outlives it.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.models import Conversation
from pm_api.domains.messages.repository import unread
from pm_api.domains.messages.repository.unread import NOWHERE
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

DIRECT_TYPE: Final = "message.direct"
MENTION_TYPE: Final = "message.mention"


@dataclass(frozen=True, slots=True)
class Said:
    """Which message, where and by whom."""

    conversation: Conversation
    message_id: UUID
    author_id: UUID
    author_name: str


async def tell(session: AsyncSession, platform: Platform, said: Said, called: Collection[UUID]) -> None:
    """Of a new message: whom it was written to, and whom it calls."""
    row = said.conversation
    spoken_to = [row.first_user_id, row.second_user_id] if row.kind == ConversationKind.DIRECT else []
    await tell_called(session, platform, said, {*called, *(one for one in spoken_to if one is not None)})


async def tell_called(session: AsyncSession, platform: Platform, said: Said, called: Collection[UUID]) -> None:
    """These people, but for those who muted the conversation."""
    row, receivers = said.conversation, set(called) - {said.author_id}
    if not receivers:
        return
    places = await unread.places(session, row.id, receivers, platform.clock.now())
    by_place: dict[int, list[UUID]] = defaultdict(list)
    for user_id in sorted(receivers):
        place = places.get(user_id, NOWHERE)
        if not place.is_muted:
            by_place[place.read_number].append(user_id)
    author = said.author_name
    is_direct = row.kind == ConversationKind.DIRECT
    for number in sorted(by_place):
        await notifications.notify(
            session,
            platform,
            user_ids=by_place[number],
            category=Category.MESSAGES,
            type=DIRECT_TYPE if is_direct else MENTION_TYPE,
            dedup_key=f"message:{row.id}:{number}",
            title=f"{author} wrote to you" if is_direct else f"{author} mentioned you in {row.name}",
            body="",
            reason="It was written to you." if is_direct else "You were mentioned.",
            data={"conversationId": str(row.id), "messageId": str(said.message_id)},
            link=f"/messages/{row.id}?message={said.message_id}",
            workspace_id=row.workspace_id,
            scope_id=row.scope_id,
            actor_user_id=said.author_id,
        )
