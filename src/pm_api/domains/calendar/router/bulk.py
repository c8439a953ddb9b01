"""Many writes of events at once, over HTTP."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import ADMISSION, OccurrenceUnknown
from pm_api.domains.calendar import bulk
from pm_api.domains.calendar.errors.attendees import AttendeeCannotSee, OrganizerCannotSee, TooManyAttendees
from pm_api.domains.calendar.errors.events import (
    EventNotFound,
    EventNotYours,
    OccurrenceRequired,
    SeriesFieldOfOccurrence,
)
from pm_api.domains.calendar.errors.places import InvalidResources, ResourceTaken, TooManyBookings
from pm_api.domains.calendar.errors.series import BulkEventsForbidden, BulkEventsNotFound
from pm_api.domains.calendar.errors.time import CalendarConflict
from pm_api.domains.calendar.guards import require_calendar
from pm_api.domains.calendar.schemas.bulk import EventBulkAnswer, EventBulkRequest
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="calendar")


@router.post(
    "/calendar/events/bulk",
    operation_id="bulkEditEvents",
    openapi_extra=raises(
        *(WorkspaceNotFound, NotFound, BulkEventsNotFound, EventNotFound, OccurrenceUnknown),
        *(Forbidden, BulkEventsForbidden, EventNotYours, ProjectArchived, PreconditionFailed),
        *(OccurrenceRequired, SeriesFieldOfOccurrence, AttendeeCannotSee, OrganizerCannotSee, TooManyAttendees),
        *(InvalidResources, ResourceTaken, TooManyBookings, CalendarConflict),
        *ADMISSION,
    ),
)
async def bulk_edit_events(
    scope: Annotated[WorkspaceScope, Depends(require_calendar("calendar.write"))],
    platform: PlatformDep,
    session: SessionDep,
    body: EventBulkRequest,
) -> EventBulkAnswer:
    """Make, change and delete up to 200 events of a workspace, one after the other.

    Whether you may is asked for all of them before any is done, and a `version` is compared with what was there
    before. ATOMIC: all or none; a refusal says by `item` (counted from 0) which it is of. PARTIAL: what can be done
    is done, and each result says how it went, with the problem if it failed. With `dryRun` nothing is written and
    nobody is told, and the results say what would be.
    """
    return await bulk.run(session, platform, scope, body)
