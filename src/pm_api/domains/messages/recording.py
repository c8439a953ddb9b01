"""What is told of conversations and messages: ids, to whoever sees them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.messages.models import Conversation, Message

CONVERSATION, MESSAGE, READ_STATE = "conversation", "message", "read_state"


def conversation(
    session: AsyncSession, platform: Platform, row: Conversation, action: str, actor_user_id: UUID | None
) -> None:
    changes.record(
        session,
        platform,
        workspace_id=row.workspace_id,
        entity=CONVERSATION,
        entity_id=row.id,
        action=action,
        version=row.version,
        scope_id=row.scope_id,
        actor_user_id=actor_user_id,
    )


def removal(session: AsyncSession, platform: Platform, row: Conversation, user_id: UUID, actor_user_id: UUID) -> None:
    """In the feed of who was taken out: they do not see the conversation's any more."""
    changes.record(
        session,
        platform,
        user_ids=[user_id],
        entity=CONVERSATION,
        entity_id=row.id,
        action="removed",
        version=row.version,
        actor_user_id=actor_user_id,
    )


def message(session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Message, action: str) -> None:
    message_at(session, platform, scope, row, action, row.version)


def message_at(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Message, action: str, version: int
) -> None:
    """At a version that the row in hand does not say yet."""
    message_by(session, platform, row, action, scope.user_id, version)


def message_by(
    session: AsyncSession,
    platform: Platform,
    row: Message,
    action: str,
    actor_user_id: UUID,
    version: int | None = None,
) -> None:
    """Of whoever it was: who changes a message's files need not be asked here."""
    changes.record(
        session,
        platform,
        workspace_id=row.workspace_id,
        entity=MESSAGE,
        entity_id=row.id,
        action=action,
        version=row.version if version is None else version,
        scope_id=row.scope_id,
        actor_user_id=actor_user_id,
    )


def read_state(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Conversation, action: str, version: int
) -> None:
    """In one's own feed: nobody else is told how far one has read."""
    changes.record(
        session,
        platform,
        user_ids=[scope.user_id],
        entity=READ_STATE,
        entity_id=row.id,
        action=action,
        version=version,
        scope_id=row.scope_id,
        actor_user_id=scope.user_id,
    )
