"""Conversations for tests that meet every route."""

from collections.abc import Collection
from uuid import UUID

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, service
from pm_api.domains.messages.enums import NewKind
from pm_api.domains.messages.repository import conversations as rows
from pm_api.domains.messages.schemas.conversations import ConversationCreate
from pm_api.domains.messages.schemas.messages import MessageCreate
from pm_api.identity.repository import circles


async def group_of(platform: Platform, owner: WorkspaceScope, member_ids: Collection[UUID], guest_id: UUID) -> UUID:
    """A group in which everybody is what they are in the workspace, and the guest a member."""
    wanted = ConversationCreate(
        workspaceId=owner.workspace_id, kind=NewKind.GROUP, name="Launch", memberIds=[*member_ids, guest_id]
    )
    async with platform.database.transaction() as session:
        made = await conversations.create(session, platform, owner, wanted)
        row = await rows.conversation(session, owner, made.id)
        assert row is not None
        for user_id in sorted(member_ids):
            await circles.put_companion(session, row.scope_id, user_id, None, platform.clock.now())
    return made.id


async def said_in(platform: Platform, author: WorkspaceScope, conversation_id: UUID) -> UUID:
    wanted = MessageCreate(conversationId=conversation_id, body="Ready?")
    async with platform.database.transaction() as session:
        return (await service.post(session, platform, author, wanted)).id
