"""The gates of the calendar: one event or occurrence by its id, or what is asked of a workspace's calendar."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Request

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import get_platform
from pm_api.core.recurrence import parse_occurrence_id
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.repository import events as repository
from pm_api.identity.api_key_access import require_scope
from pm_api.identity.guards import Require, authenticate, named_value, read_id, workspace_scope
from pm_api.identity.permissions import KeyScope

READS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class EventScope:
    """A member over one event, or over the occurrence of it that was to start at `original_at`; `scope.role` is
    theirs where the event is.
    """

    scope: WorkspaceScope
    event_id: UUID
    original_at: datetime | None


class RequireEvent(Require):
    """Somebody who sees the event in the path, and whose role there has the permission. Events of deleted projects
    are not there.
    """

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "calendar_events")

    async def __call__(  # type: ignore[override]  # it hands on more than the row's workspace
        self,
        request: Request,
        event_id: Annotated[
            str,
            Path(
                description="An event's id, or an occurrence's: `{eventId}_{original start, UTC, YYYYMMDDTHHMMSSZ}`."
            ),
        ],
    ) -> EventScope:
        actor = await authenticate(request)
        found, original_at = named(event_id)
        platform = get_platform(request)
        async with platform.database.reading() as session:
            is_there = await repository.is_living(session, found)
        if not is_there:
            raise EventNotFound
        try:
            scope = await workspace_scope(platform, actor, "calendar_events", found, self.permission or "")
        except NotFound:
            raise EventNotFound from None
        if request.method not in READS:
            require_scope(actor, KeyScope.CALENDAR_WRITE)
        return EventScope(scope, found, original_at)


def named(event_id: str) -> tuple[UUID, datetime | None]:
    try:
        return UUID(event_id), None
    except ValueError:
        pass
    try:
        return parse_occurrence_id(event_id)
    except OccurrenceUnknown:
        raise EventNotFound from None


class RequireCalendar(Require):
    """Somebody over the calendar of the workspace in `workspaceId`; where `projectId` names a project of it, by what
    they are there, so that guests keep the calendar of a project they work in.
    """

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "workspaces", "workspaceId")

    async def __call__(self, request: Request) -> WorkspaceScope:
        actor, platform = await authenticate(request), get_platform(request)
        workspace_id = await self._row_id(request)
        project = await named_value(request, "projectId")
        if project is None:
            return await workspace_scope(platform, actor, "workspaces", workspace_id, self.permission or "")
        project_id = read_id(project, "projectId")
        scope = await workspace_scope(platform, actor, "projects", project_id, self.permission or "")
        if scope.workspace_id != workspace_id:
            raise NotFound
        return scope


class RequireCalendarInQuery(RequireCalendar):
    """The same by the query alone: the body is a file, which nobody reads before the guard is done."""

    async def __call__(self, request: Request) -> WorkspaceScope:
        actor, platform = await authenticate(request), get_platform(request)
        workspace_id = read_id(request.query_params.get("workspaceId"), "workspaceId")
        project = request.query_params.get("projectId")
        if project is None:
            return await workspace_scope(platform, actor, "workspaces", workspace_id, self.permission or "")
        project_id = read_id(project, "projectId")
        scope = await workspace_scope(platform, actor, "projects", project_id, self.permission or "")
        if scope.workspace_id != workspace_id:
            raise NotFound
        return scope


def require_event(permission: str) -> RequireEvent:
    return RequireEvent(permission)


def require_calendar(permission: str) -> RequireCalendar:
    return RequireCalendar(permission)
