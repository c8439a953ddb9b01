"""Reminders of one's own over HTTP."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence import occurrence_id
from pm_api.core.recurrence.errors import OccurrenceUnknown, RuleTooComplex
from pm_api.domains.calendar import responding
from pm_api.domains.calendar.errors.attendees import InvalidReminderSnooze, OccurrenceNeeded
from pm_api.domains.calendar.errors.events import EventNotFound, EventNotYours
from pm_api.domains.calendar.guards import EventScope, require_event
from pm_api.domains.calendar.schemas.attendees import (
    EventSnooze,
    RemindersAnswer,
    RemindersPut,
    SnoozeAnswer,
    SnoozeRead,
)
from pm_api.domains.calendar.schemas.events import ReminderRead

router = api_router(tag="calendar")

Reading = Annotated[EventScope, Depends(require_event("calendar.read"))]


@router.put(
    "/calendar/events/{event_id}/reminders",
    operation_id="putEventReminders",
    openapi_extra=raises(EventNotFound, OccurrenceUnknown, RuleTooComplex, EventNotYours),
)
async def put_event_reminders(
    at: Reading, session: SessionDep, platform: PlatformDep, wanted: RemindersPut
) -> RemindersAnswer:
    """When you want to be told before it begins; those of others are theirs. Before each occurrence of a series, but
    for those you have declined; once, also when it is moved meanwhile. One occurrence may have its own, in place of
    those of its series. By mail is in the app too.
    """
    rows = await responding.put_reminders(session, platform, at, wanted)
    return RemindersAnswer(reminders=[ReminderRead.model_validate(one) for one in rows])


@router.post(
    "/calendar/events/{event_id}/snooze",
    operation_id="snoozeEvent",
    openapi_extra=raises(
        EventNotFound, OccurrenceUnknown, RuleTooComplex, EventNotYours, OccurrenceNeeded, InvalidReminderSnooze
    ),
)
async def snooze_event(at: Reading, session: SessionDep, platform: PlatformDep, wanted: EventSnooze) -> SnoozeAnswer:
    """Be told once more, of this event or of one occurrence of a series, 28 days from now at most. A second time
    takes the place of the first.
    """
    until = await responding.snooze(session, platform, at, wanted)
    name = str(at.event_id) if at.original_at is None else occurrence_id(at.event_id, at.original_at)
    return SnoozeAnswer(snooze=SnoozeRead(event_id=name, until=until))
