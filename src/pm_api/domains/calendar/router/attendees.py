"""Who is invited, and what they answer, over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Request, Response

from pm_api.core.db import SessionDep
from pm_api.core.http import sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.core.ratelimit import Policy
from pm_api.core.recurrence.errors import OccurrenceUnknown, RuleTooComplex
from pm_api.domains.calendar import responding
from pm_api.domains.calendar.errors.attendees import (
    AlreadyInvitedToEvent,
    AttendeeCannotSee,
    AttendeeNotFound,
    InvalidProposal,
    MayNotInvite,
    NotInvited,
    TooManyAttendees,
)
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.guards import EventScope, require_event
from pm_api.domains.calendar.schemas.attendees import AttendeeCreate, RespondRequest
from pm_api.domains.calendar.schemas.events import EventAnswer
from pm_api.domains.projects.errors import ProjectArchived

router = api_router(tag="calendar")

Invited = Annotated[EventScope, Depends(require_event("calendar.read"))]
Inviting = Annotated[EventScope, Depends(require_event("calendar.write"))]
AttendeeId = Annotated[UUID, Path(description="An invitation to the event: the `id` of one of its attendees.")]
ADDING: Final = Policy("calendar-invite", "300/hour")
OF_EVENT: Final = (EventNotFound, OccurrenceUnknown, RuleTooComplex, ProjectArchived)


async def limit_adding(request: Request, platform: PlatformDep) -> None:
    """Mails to other people are set off by this; raises TooManyRequests."""
    await platform.limiter.hit_request(request, ADDING, request.state.caller)


@router.post(
    "/calendar/events/{event_id}/respond",
    operation_id="respondToEvent",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*OF_EVENT, NotInvited, InvalidProposal),
)
async def respond_to_event(
    at: Invited, session: SessionDep, platform: PlatformDep, response: Response, wanted: RespondRequest
) -> EventAnswer:
    """Say whether you come: to the whole series, or to the occurrence that is named. An answer for the series takes
    the place of those you gave for single occurrences. The organizer is told.
    """
    await responding.respond(session, platform, at, wanted)
    return await _answer(session, platform, at, response)


@router.post(
    "/calendar/events/{event_id}/attendees",
    operation_id="addEventAttendee",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(*OF_EVENT, MayNotInvite, AttendeeCannotSee, AlreadyInvitedToEvent, TooManyAttendees),
)
async def add_event_attendee(
    at: Inviting,
    _limited: Annotated[None, Depends(limit_adding)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: AttendeeCreate,
) -> EventAnswer:
    """Invite one more, to the whole series or to the occurrence that is named. Who is invited may do so where the
    event has `guestsCanInvite`. An address outside is mailed, with a link to answer.
    """
    await responding.add(session, platform, at, wanted)
    made = await _answer(session, platform, at, response)
    response.headers["Location"] = f"/api/calendar/events/{made.event.id}"
    return made


@router.delete(
    "/calendar/events/{event_id}/attendees/{attendee_id}",
    operation_id="removeEventAttendee",
    status_code=204,
    openapi_extra=raises(*OF_EVENT, MayNotInvite, AttendeeNotFound),
)
async def remove_event_attendee(
    at: Invited, session: SessionDep, platform: PlatformDep, attendee_id: AttendeeId
) -> None:
    """Take somebody off the list, of the whole series or of the occurrence that is named; yourself, or for who may
    change the event anybody. They are told, and an address outside is mailed.
    """
    await responding.remove(session, platform, at, attendee_id)


async def _answer(session: SessionDep, platform: PlatformDep, at: EventScope, response: Response) -> EventAnswer:
    found = await responding.shown(session, platform, at)
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return EventAnswer(event=found)
