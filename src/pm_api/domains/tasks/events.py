"""What tasks tell the floors and shelves above."""

from uuid import UUID

from pm_api.core.events import Event


class TaskChanged(Event, name="task.changed"):
    """Created, updated, moved, deleted or restored; `fields` are those that changed, as on the wire."""

    task_id: UUID
    project_id: UUID
    workspace_id: UUID
    scope_id: UUID
    action: str
    actor_user_id: UUID | None
    actor_key_id: UUID | None = None
    fields: list[str]
