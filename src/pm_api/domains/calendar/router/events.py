"""Events over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import ADMISSION, EXPANSION, OccurrenceUnknown, ZoneUnknown
from pm_api.core.schema import Moment
from pm_api.domains.calendar import at_hand, listing
from pm_api.domains.calendar.enums import EventType, Scope
from pm_api.domains.calendar.errors.attendees import AttendeeCannotSee, OrganizerCannotSee, TooManyAttendees
from pm_api.domains.calendar.errors.events import (
    EventNotFound,
    EventNotYours,
    OccurrenceRequired,
    SeriesFieldOfOccurrence,
    TooManyEvents,
    WorkspaceOfEventFixed,
)
from pm_api.domains.calendar.errors.places import BOOKING
from pm_api.domains.calendar.errors.time import CalendarConflict
from pm_api.domains.calendar.guards import EventScope, require_calendar, require_event
from pm_api.domains.calendar.listing import Wanted
from pm_api.domains.calendar.schemas.events import (
    EventAnswer,
    EventCreate,
    EventList,
    EventReplace,
    EventUpdate,
    EventWritten,
    ZoneName,
)
from pm_api.domains.calendar.schemas.series import EventDryRun
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.errors.people import WorkspaceNotFound

SURROUNDED: Final = (AttendeeCannotSee, TooManyAttendees, *BOOKING, CalendarConflict)
FOUND: Final = (EventNotFound, OccurrenceUnknown)
HELD: Final = (*FOUND, PreconditionFailed, InvalidIfMatch, OccurrenceRequired, EventNotYours, ProjectArchived)
CREATED: Final = answers_with("ETag", "Location")
MOST_TYPES: Final = 4

router = api_router(tag="calendar")

Sighted = Annotated[WorkspaceScope, Depends(require_calendar("calendar.read"))]
Makes = Annotated[WorkspaceScope, Depends(require_calendar("calendar.write"))]
Readable = Annotated[EventScope, Depends(require_event("calendar.read"))]
Writable = Annotated[EventScope, Depends(require_event("calendar.write"))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]
Which = Annotated[
    Scope | None,
    Query(
        alias="scope",
        description="Of an occurrence: it alone (`this`), it and those after it, which become a series of their own "
        "(`following`), or the whole series (`all`). Left out: what is named.",
    ),
]
DryRun = Annotated[bool, Query(alias="dryRun", description="Answer what would change, and change nothing.")]
Zone = Annotated[
    ZoneName | None,
    Query(
        alias="tz",
        description="IANA zone in which bare dates and all-day events lie. Left out: that of your settings.",
        examples=["Europe/Berlin"],
    ),
]


async def wanted_events(
    workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace whose calendar it is.")],
    start: Annotated[
        Moment | None,
        Query(description="From here on, inclusive: RFC 3339, or a date for its midnight in `tz`."),
    ] = None,
    end: Annotated[
        Moment | None,
        Query(description="Up to here, exclusive; 400 days after `start` at most."),
    ] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Events of this project.")] = None,
    types: Annotated[
        tuple[EventType, ...], Query(alias="type", max_length=MOST_TYPES, description="Of one of these kinds.")
    ] = (),
    attendee_id: Annotated[
        UUID | None, Query(alias="attendeeId", description="To which this member is invited.")
    ] = None,
    zone: Zone = None,
    expands: Annotated[
        bool, Query(alias="expand", description="Occurrences of series; false: the series themselves.")
    ] = True,
) -> Wanted:
    """What the query asks for; the guard has looked at the workspace and the project."""
    del workspace_id
    return Wanted(start, end, project_id, types, attendee_id, zone, expands)


@router.get(
    "/calendar/events",
    operation_id="getEvents",
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor, TooManyEvents, *EXPANSION),
)
async def get_events(
    scope: Sighted,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    wanted: Annotated[Wanted, Depends(wanted_events)],
) -> EventList:
    """What lies between `start` and `end`, occurrence by occurrence, by (start, id); without them the events and
    series themselves. What is private to others is Busy; a filter by project or attendee leaves it out.
    """
    return await listing.list_of(session, platform, scope, page, wanted)


@router.post(
    "/calendar/events",
    operation_id="createEvent",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(WorkspaceNotFound, NotFound, ProjectArchived, *SURROUNDED, *ADMISSION),
)
async def create_event(
    scope: Makes, session: SessionDep, platform: PlatformDep, response: Response, wanted: EventCreate
) -> EventWritten:
    """Make an event, or with `rrule` or `rdate` a series. You are its organizer."""
    made = await at_hand.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/calendar/events/{made.event.id}"
    return _tagged(made, response)


@router.get(
    "/calendar/events/{event_id}",
    operation_id="getEvent",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*FOUND, ZoneUnknown),
)
async def get_event(
    at: Readable, session: SessionDep, platform: PlatformDep, response: Response, zone: Zone = None
) -> EventAnswer:
    """An event, a series as a whole, or one occurrence; one that was taken out is CANCELLED."""
    event = await at_hand.get(session, platform, at, zone)
    response.headers["ETag"] = sight_tag(event.version, event.model_dump_json())
    return EventAnswer(event=event)


@router.patch(
    "/calendar/events/{event_id}",
    operation_id="updateEvent",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*HELD, NotFound, SeriesFieldOfOccurrence, OrganizerCannotSee, *SURROUNDED, *ADMISSION),
)
async def update_event(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    change: EventUpdate,
    which: Which = None,
    dry_run: DryRun = False,
) -> EventWritten | EventDryRun:
    """Change the fields sent. Times are those of the occurrence that is named: with `scope=all` the others move by as
    much. Another time asks those invited again.
    """
    if dry_run:
        return await at_hand.try_change(session, platform, at, change, which, expected_version)
    return _tagged(await at_hand.change(session, platform, at, change, which, expected_version), response)


@router.put(
    "/calendar/events/{event_id}",
    operation_id="replaceEvent",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*HELD, NotFound, SeriesFieldOfOccurrence, WorkspaceOfEventFixed, *SURROUNDED, *ADMISSION),
)
async def replace_event(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    wanted: EventReplace,
    which: Which = None,
    dry_run: DryRun = False,
) -> EventWritten | EventDryRun:
    """Write the whole event: what is left out gets its default. An occurrence that was taken out comes back."""
    if dry_run:
        return await at_hand.try_change(session, platform, at, wanted, which, expected_version)
    return _tagged(await at_hand.change(session, platform, at, wanted, which, expected_version), response)


@router.delete(
    "/calendar/events/{event_id}",
    operation_id="deleteEvent",
    response_model=EventDryRun,
    response_description="With `dryRun`: what would be deleted.",
    responses={204: {"description": "It is deleted."}},
    openapi_extra=raises(*HELD),
)
async def delete_event(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    expected_version: ExpectedVersion,
    which: Which = None,
    dry_run: DryRun = False,
) -> EventDryRun | Response:
    """Delete an event or a series for good, one occurrence, or one and those after it. Those invited are told."""
    if dry_run:
        return await at_hand.try_removal(session, platform, at, which, expected_version)
    await at_hand.remove(session, platform, at, which, expected_version)
    return Response(status_code=204)


def _tagged(written: EventWritten, response: Response) -> EventWritten:
    response.headers["ETag"] = sight_tag(written.event.version, written.event.model_dump_json())
    return written
