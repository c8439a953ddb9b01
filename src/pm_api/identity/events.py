"""What identity tells the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class WorkspaceChanged(Event, name="workspace.changed"):
    """Created, updated, archived, deleted or restored."""

    workspace_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None


class MemberChanged(Event, name="member.changed"):
    """Added, given another role, or removed."""

    workspace_id: UUID
    member_id: UUID
    user_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None
