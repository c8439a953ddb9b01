"""What bug reports tell the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class BugReportChanged(Event, name="bug_report.changed"):
    """Made, changed, triaged or made into a task. Without a workspace it is about the product."""

    bug_report_id: UUID
    workspace_id: UUID | None
    reporter_user_id: UUID
    action: str
    version: int
    actor_user_id: UUID
    fields: tuple[str, ...] = ()
