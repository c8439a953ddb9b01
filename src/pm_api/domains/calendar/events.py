"""What the calendar tells the floors and shelves above."""

from datetime import datetime
from uuid import UUID

from pm_api.core.events import Event


class CalendarEventChanged(Event, name="calendar.event_changed"):
    """Created, updated or deleted; `original_at` when it was about one occurrence, `moved` when another time is
    meant. What it was is read with the event, by whoever may see it.
    """

    event_id: UUID
    workspace_id: UUID
    scope_id: UUID
    project_id: UUID | None
    action: str
    moved: bool
    original_at: datetime | None
    version: int
    actor_user_id: UUID | None
