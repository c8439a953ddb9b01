"""What messages tell other slices."""

from uuid import UUID

from pm_api.core.events import Event


class MessagePosted(Event, name="message.posted"):
    """Somebody said something. What it was is read with the message, by whoever may see it."""

    message_id: UUID
    conversation_id: UUID
    workspace_id: UUID
    scope_id: UUID
    project_id: UUID | None
    parent_id: UUID | None
    actor_user_id: UUID
