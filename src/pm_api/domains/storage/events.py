"""What storage tells other slices."""

from uuid import UUID

from pm_api.core.events import Event


class FileChanged(Event, name="file.changed"):
    """Something happened to a file: `action` as in the change feed. What it is now is read with the file."""

    file_id: UUID
    action: str
    workspace_id: UUID | None
    scope_id: UUID | None
    task_id: UUID | None
    project_id: UUID | None
    user_id: UUID
    actor_user_id: UUID | None
