"""Calendars as files, over HTTP."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PayloadTooLarge, UnsupportedMediaType
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence import Window
from pm_api.core.recurrence.errors import WindowRefused, ZoneUnknown
from pm_api.core.schema import Timestamp
from pm_api.domains.calendar import exporting, importing
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.errors.interchange import InvalidCalendar
from pm_api.domains.calendar.exporting import Wanted
from pm_api.domains.calendar.guards import EventScope, RequireCalendarInQuery, require_calendar, require_event
from pm_api.domains.calendar.ical.reading import MOST_EVENTS
from pm_api.domains.calendar.ical.writing import MEDIA_TYPE
from pm_api.domains.calendar.importing import MOST_BYTES
from pm_api.domains.calendar.schemas.events import ZoneName
from pm_api.domains.calendar.schemas.interchange import EventImportAnswer
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="calendar")

CALENDAR: Final = MEDIA_TYPE.partition(";")[0]
FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"iCalendar (RFC 5545) with at most {MOST_EVENTS:,} events and 5 MB.",
        "content": {
            CALENDAR: {
                "schema": {"type": "string"},
                "example": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\nBEGIN:VEVENT\r\n"
                "UID:4711@example.org\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260302T140000Z\r\n"
                "DTEND:20260302T150000Z\r\nSUMMARY:Sprint planning\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            }
        },
    }
}
AS_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {CALENDAR: {"schema": {"type": "string"}}}, "description": "The calendar."}
}


class CalendarFile(Response):
    media_type = MEDIA_TYPE


class CalendarStream(StreamingResponse):
    media_type = MEDIA_TYPE


@router.post(
    "/calendar/events/import",
    operation_id="importEvents",
    openapi_extra={
        **raises(
            *(WorkspaceNotFound, NotFound, Forbidden, ProjectArchived, InvalidCalendar, ZoneUnknown),
            *(PayloadTooLarge, UnsupportedMediaType),
        ),
        **FILE,
    },
)
async def import_events(
    scope: Annotated[WorkspaceScope, Depends(RequireCalendarInQuery("calendar.write"))],
    platform: PlatformDep,
    session: SessionDep,
    request: Request,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace they are taken into.")],
    project_id: Annotated[
        UUID | None, Query(alias="projectId", description="The project that new ones become part of.")
    ] = None,
    time_zone: Annotated[
        ZoneName | None,
        Query(
            alias="timeZone",
            description="IANA zone of times that name none; that of your settings when left out.",
            examples=["Europe/Berlin"],
        ),
    ] = None,
    dry_run: Annotated[bool, Query(alias="dryRun", description="Only tell what would become of each.")] = False,
) -> EventImportAnswer:
    """Take in a calendar file. Each event is taken in or refused by itself; the report tells which, and why.

    The same file twice changes nothing: an event is known by its UID, an occurrence by its RECURRENCE-ID too, and
    only a higher SEQUENCE changes what is here, or deletes it where it says STATUS:CANCELLED. You organize what is
    new, and its alarms are your reminders. People in it are invited and not told: members as such, the others by
    their addresses.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CALENDAR:
        raise UnsupportedMediaType(f"Send {CALENDAR}.")
    content = await request.body()
    if len(content) > MOST_BYTES:
        raise PayloadTooLarge
    report = await importing.run(
        session, platform, scope, content, project_id=project_id, zone_name=time_zone, dry_run=dry_run
    )
    return EventImportAnswer(report=report)


@router.get(
    "/calendar/events/export.ics",
    operation_id="exportEvents",
    response_class=CalendarStream,
    responses=AS_FILE,
    openapi_extra=raises(WorkspaceNotFound, NotFound, WindowRefused),
)
async def export_events(
    scope: Annotated[WorkspaceScope, Depends(require_calendar("calendar.read"))],
    platform: PlatformDep,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    project_id: Annotated[
        UUID | None, Query(alias="projectId", description="Only what is part of this project.")
    ] = None,
    start: Annotated[Timestamp | None, Query(description="Only what has not ended by then; with `end`.")] = None,
    end: Annotated[
        Timestamp | None, Query(description="Only what begins before, at most 400 days after `start`.")
    ] = None,
) -> CalendarStream:
    """The events you see as iCalendar, oldest first, series as a whole: all of them, or those with something in a
    range of time. What is private to others is "Busy".
    """
    if (start is None) != (end is None):
        raise WindowRefused("start and end are sent together.")
    window = Window(start, end) if start is not None and end is not None else None
    content = await exporting.export(platform, scope, Wanted(project_id, window))
    named = {"Content-Disposition": 'attachment; filename="calendar.ics"'}
    return CalendarStream(content, headers=named)


@router.get(
    "/calendar/events/{event_id}.ics",
    operation_id="getEventFile",
    response_class=CalendarFile,
    responses=AS_FILE,
    openapi_extra=raises(EventNotFound),
)
async def get_event_file(
    at: Annotated[EventScope, Depends(require_event("calendar.read"))], session: SessionDep
) -> CalendarFile:
    """One event as iCalendar with its whole series, or one occurrence alone."""
    content = await exporting.one(session, at)
    return CalendarFile(content, headers={"Content-Disposition": 'attachment; filename="event.ics"'})
