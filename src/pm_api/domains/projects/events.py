"""What projects tell the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class ProjectChanged(Event, name="project.changed"):
    """Created, updated, moved to another status, deleted or restored; or somebody came into it or left it."""

    workspace_id: UUID
    project_id: UUID
    scope_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None
    fields: tuple[str, ...] = ()
