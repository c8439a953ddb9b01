"""Who is in a group: put in, taken out, gone by themselves. A group that people are in keeps somebody who manages it:
when the last one goes, whoever has been in it for the longest time is next.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, recording
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.errors import FixedConversation, TooManyMembers
from pm_api.domains.messages.models import Conversation
from pm_api.domains.messages.repository import conversations as repository
from pm_api.domains.messages.repository import unread
from pm_api.domains.messages.schemas.conversations import (
    MOST_MEMBERS,
    ConversationMemberRead,
    ConversationMembersAnswer,
    ConversationRead,
)
from pm_api.identity import pictures
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles
from pm_api.identity.repository import people as identity

LISTED: Final = "conversation_members"


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID, page: PageRequest
) -> ConversationMembersAnswer:
    """A page of those who were put into it, by their ids; raises NotFound."""
    row = await conversations.found(session, scope, conversation_id)
    key = platform.cursors.decode(page.cursor, of=LISTED, conversation=row.id)
    found = await circles.companions(session, row.scope_id, limit=page.limit + 1, after=UUID(key[0]) if key else None)
    on_page = found[: page.limit]
    following = (on_page[-1].user.id,) if len(found) > page.limit else None
    return ConversationMembersAnswer(
        members=[
            ConversationMemberRead(
                user_id=one.user.id,
                name=one.user.name,
                avatar=pictures.address_of(platform, one.user.avatar),
                is_admin=one.role == Role.ADMIN,
                added_at=one.added_at,
            )
            for one in on_page
        ],
        next_cursor=platform.cursors.encode(following, of=LISTED, conversation=row.id),
    )


async def add(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    user_ids: Collection[UUID],
) -> ConversationRead:
    """Put people into a group; they see what was said before, and nothing of it is unread. Who is in it stays.

    Raises NotFound, FixedConversation, ConversationArchived, InvalidMembers and TooManyMembers.
    """
    await identity.lock_workspace(session, scope.workspace_id)
    row = await _group(session, scope, conversation_id)
    await conversations.ensure_writable(session, row)
    present = {one.user.id for one in await circles.companions(session, row.scope_id, only=set(user_ids))}
    new = set(user_ids) - present
    await conversations.ensure_members(session, scope, new)
    count = (await circles.count_companions(session, [row.scope_id])).get(row.scope_id, 0)
    if count + len(new) > MOST_MEMBERS:
        raise TooManyMembers
    for user_id in sorted(new):
        await circles.put_companion(session, row.scope_id, user_id, Role.MEMBER, platform.clock.now())
    if new:
        await unread.start_at(session, row.id, new, row.last_number)
        await _changed(session, platform, row, "members_added", scope.user_id)
    return await conversations.get(session, platform, scope, row.id)


async def remove(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID, user_id: UUID
) -> None:
    """Take somebody out of a group: they see nothing of it from now on. Raises NotFound and FixedConversation.

    The workspace is held first: else the group could be given to somebody who is just leaving the workspace.
    """
    await identity.lock_workspace(session, scope.workspace_id)
    row = await _group(session, scope, conversation_id)
    if not await circles.drop_companion(session, row.scope_id, user_id):
        raise NotFound("Nobody with this id is in the conversation.")
    await unread.forget(session, row.id, user_id)
    await _keep_an_admin(session, platform, row)
    await _changed(session, platform, row, "member_removed", scope.user_id)
    recording.removal(session, platform, row, user_id, scope.user_id)


async def leave(session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID) -> None:
    """Raises NotFound, and FixedConversation for what one cannot leave."""
    await remove(session, platform, scope, conversation_id, scope.user_id)


async def mend(
    session: AsyncSession, platform: Platform, _scope: SystemScope, workspace_id: UUID, *, limit: int
) -> int:
    """Give groups whose last admin has left the workspace another one; how many. Safe to do twice. Nobody who is in
    it leaves the workspace meanwhile: it is held.
    """
    await identity.lock_workspace(session, workspace_id)
    rows = await repository.groups_without_an_admin(session, workspace_id, limit=limit)
    mended = 0
    for row in rows:
        if await _keep_an_admin(session, platform, row):
            await _changed(session, platform, row, "updated", None)
            mended += 1
    return mended


async def _group(session: AsyncSession, scope: WorkspaceScope, conversation_id: UUID) -> Conversation:
    row = await conversations.found(session, scope, conversation_id, lock=True)
    if row.kind != ConversationKind.GROUP:
        raise FixedConversation
    return row


async def _keep_an_admin(session: AsyncSession, platform: Platform, row: Conversation) -> bool:
    """Whether somebody new manages it."""
    if await repository.has_an_admin(session, row.scope_id):
        return False
    heir_id = await repository.longest_in(session, row.scope_id)
    if heir_id is None:
        return False
    await circles.put_companion(session, row.scope_id, heir_id, Role.ADMIN, platform.clock.now())
    return True


async def _changed(
    session: AsyncSession, platform: Platform, row: Conversation, action: str, actor_user_id: UUID | None
) -> None:
    conversations.touch(platform, row)
    await session.flush()
    recording.conversation(session, platform, row, action, actor_user_id)
