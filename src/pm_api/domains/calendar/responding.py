"""What those who are invited do themselves: answer, come or stay away, bring others, be reminded. Each of these holds
the event's row first, so that an answer and a change of time come one after the other.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import ValidationFailed
from pm_api.core.platform import Platform
from pm_api.domains.calendar import attending, permitting, reading, reminding, settling, writing
from pm_api.domains.calendar.errors.attendees import (
    InvalidReminderSnooze,
    OccurrenceNeeded,
)
from pm_api.domains.calendar.errors.events import EventNotFound, EventNotYours
from pm_api.domains.calendar.expanding import one_of
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarReminder
from pm_api.domains.calendar.repository import attendees as people
from pm_api.domains.calendar.repository import events as repository
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.schemas.attendees import (
    LONGEST_SNOOZE_MINUTES,
    AttendeeCreate,
    EventSnooze,
    RemindersPut,
    RespondRequest,
)
from pm_api.domains.calendar.schemas.events import AttendeeWrite, EventRead
from pm_api.domains.calendar.telling import RESPONDED

ANYWHERE: Final = "UTC"


async def respond(session: AsyncSession, platform: Platform, at: EventScope, wanted: RespondRequest) -> None:
    """Their own answer. Raises EventNotFound, OccurrenceUnknown, ProjectArchived, NotInvited, InvalidProposal."""
    series = await _held(session, at)
    await writing.ensure_writable(session, series.event)
    if await attending.respond(session, platform, at.scope, series.event, wanted, at=at.original_at):
        await settling.settle(
            session, platform, at.scope, series.event, action=RESPONDED, moved=False, at=at.original_at
        )


async def add(session: AsyncSession, platform: Platform, at: EventScope, wanted: AttendeeCreate) -> None:
    """One more to all of it, or to the occurrence that is named. Raises EventNotFound, OccurrenceUnknown,
    ProjectArchived, MayNotInvite, AttendeeCannotSee, AlreadyInvitedToEvent, TooManyAttendees.
    """
    series = await _held(session, at)
    await writing.ensure_writable(session, series.event)
    said = None
    if wanted.email is not None:
        said = AttendeeWrite(email=wanted.email, name=wanted.name, optional=wanted.optional)
    await attending.add_one(
        session,
        platform,
        at.scope,
        series.event,
        user_id=wanted.user_id,
        said=said,
        optional=wanted.optional,
        at=at.original_at,
    )
    await _settle(session, platform, at, series)


async def remove(session: AsyncSession, platform: Platform, at: EventScope, attendee_id: UUID) -> None:
    """One less of all of it, or of the occurrence that is named. Raises EventNotFound, OccurrenceUnknown,
    ProjectArchived, AttendeeNotFound, MayNotInvite.
    """
    series = await _held(session, at)
    await writing.ensure_writable(session, series.event)
    await attending.remove_one(session, platform, at.scope, series.event, attendee_id, at=at.original_at)
    await _settle(session, platform, at, series)


async def put_reminders(
    session: AsyncSession, platform: Platform, at: EventScope, wanted: RemindersPut
) -> list[CalendarReminder]:
    """The caller's own for an event, or for the occurrence that is named. Raises EventNotFound, OccurrenceUnknown,
    EventNotYours, ValidationFailed.
    """
    if at.original_at is None and wanted.reminders is None:
        raise ValidationFailed(details=[{"pointer": "/reminders", "detail": "null is for single occurrences"}])
    series = await _held(session, at)
    await _ensure_read(session, at, series)
    return await reminding.put(session, platform, series, at.scope.user_id, wanted.reminders, only_at=at.original_at)


async def snooze(session: AsyncSession, platform: Platform, at: EventScope, wanted: EventSnooze) -> datetime:
    """Tell the caller once more; returns when. Raises EventNotFound, OccurrenceUnknown, EventNotYours,
    OccurrenceNeeded, InvalidReminderSnooze.
    """
    series = await _held(session, at)
    if series.recurs and at.original_at is None:
        raise OccurrenceNeeded
    await _ensure_read(session, at, series)
    now = platform.clock.now()
    until = wanted.until or now + timedelta(minutes=wanted.minutes or 0)
    if not now < until <= now + timedelta(minutes=LONGEST_SNOOZE_MINUTES):
        raise InvalidReminderSnooze
    await reminding.snooze(session, platform, series, at.scope.user_id, at.original_at, until)
    return until


async def _held(session: AsyncSession, at: EventScope) -> Series:
    event = await repository.event(session, at.scope, at.event_id, lock=True)
    if event is None:
        raise EventNotFound
    [series] = await repository.with_overrides(session, [event])
    if at.original_at is not None:
        one_of(series, at.original_at, ANYWHERE)
    return series


async def _ensure_read(session: AsyncSession, at: EventScope, series: Series) -> None:
    """Who sees no more than Busy is not told of it either; raises EventNotYours."""
    own = await people.of_series(session, series.id, at.scope.user_id)
    if permitting.is_masked(series.event, at.scope.user_id, invited=bool(own)):
        raise EventNotYours


async def _settle(session: AsyncSession, platform: Platform, at: EventScope, series: Series) -> None:
    await settling.settle(
        session, platform, at.scope, series.event, action=settling.UPDATED, moved=False, at=at.original_at
    )


async def shown(session: AsyncSession, platform: Platform, at: EventScope) -> EventRead:
    """The event or occurrence as the caller sees it now. Raises EventNotFound, OccurrenceUnknown."""
    found = await repository.series_of_ids(session, at.scope, [at.event_id])
    if not found:
        raise EventNotFound
    if at.original_at is None:
        return (await reading.read_masters(session, platform, at.scope, [found[0].event]))[0]
    zone = await surroundings.time_zone_of(session, at.scope.user_id)
    placed = one_of(found[0], at.original_at, zone)
    return (await reading.reads(session, platform, at.scope, [placed], zone=zone))[0]
