"""What identity tells the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class UserChanged(Event, name="user.changed"):
    """A person's own row has changed by what they did at its door: their address was proved, or is another."""

    user_id: UUID
    version: int


class WorkspaceChanged(Event, name="workspace.changed"):
    """Created, updated, archived, deleted or restored."""

    workspace_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None
    actor_key_id: UUID | None = None


class MemberChanged(Event, name="member.changed"):
    """Added, given another role, or removed; `role` is the one they have then, or had."""

    workspace_id: UUID
    member_id: UUID
    user_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None
    actor_key_id: UUID | None = None
    role: str | None = None


class SecurityAlert(Event, name="identity.security_alert"):
    """Something happened at the door of an account that its person must know of."""

    security_event_id: UUID
    user_id: UUID
    kind: str
