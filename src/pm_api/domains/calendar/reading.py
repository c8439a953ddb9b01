"""Events as they are shown: with their people, project, rooms and answers, in a fixed number of queries; what is
private is "Busy" to whoever has no part in it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import text_of
from pm_api.domains.calendar import permitting
from pm_api.domains.calendar.enums import EventType, ShowAs, Visibility
from pm_api.domains.calendar.expanding import Placed, first_of
from pm_api.domains.calendar.models import CalendarAttendee, CalendarEvent
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.repository.attendees import Answers, answers_of, attendees_of
from pm_api.domains.calendar.repository.events import with_overrides
from pm_api.domains.calendar.repository.reminders import reminders_of
from pm_api.domains.calendar.repository.resources import resources_of
from pm_api.domains.calendar.schemas.events import (
    AttendeeRead,
    EventPerson,
    EventProject,
    EventRead,
    EventResource,
    ReminderRead,
)
from pm_api.domains.calendar.standing import Standing, of_person, standing
from pm_api.domains.projects.models import Project
from pm_api.identity import pictures
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles

BUSY: Final = "Busy"


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a page of events."""

    attendees: dict[UUID, list[CalendarAttendee]]
    answers: Answers
    names: dict[UUID, str]
    projects: dict[UUID, Project]
    roles: dict[UUID, Role]
    resources: dict[UUID, list[EventResource]]
    reminders: dict[tuple[UUID, datetime | None], list[ReminderRead]]

    def reminders_at(self, event_id: UUID, at: datetime | None) -> list[ReminderRead]:
        """The caller's own for that occurrence where they have some, or have said that they want none."""
        of_one = self.reminders.get((event_id, at))
        return of_one if of_one is not None else self.reminders.get((event_id, None), [])


async def reads(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, placed: Sequence[Placed], *, zone: str
) -> list[EventRead]:
    """Occurrences and single events, all of them in the caller's sight, in their order; `zone` is where all-day ones
    were laid.
    """
    del zone  # laid out already
    if not placed:
        return []
    keys = [one.original_at for one in placed if one.original_at is not None]
    around = await _around(session, scope, [one.series.event for one in placed], keys)
    return await _with_pictures(session, platform, [_read(scope, one, around, is_master=False) for one in placed])


async def read_masters(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    events: Sequence[CalendarEvent],
    *,
    zone: str | None = None,
) -> list[EventRead]:
    """Single events, and series as a whole, in their order; all-day ones begin at midnight in `zone`, or where the
    caller is.
    """
    if not events:
        return []
    zone = zone or await surroundings.time_zone_of(session, scope.user_id)
    series = await with_overrides(session, events)
    around = await _around(session, scope, events, [])
    read = [_read(scope, first_of(one, zone), around, is_master=True) for one in series]
    return await _with_pictures(session, platform, read)


async def _with_pictures(session: AsyncSession, platform: Platform, read: list[EventRead]) -> list[EventRead]:
    people = [one for event in read for one in (event.organizer, event.creator)]
    people += [each.user for event in read for each in event.attendees]
    await pictures.put_in(session, platform, people)
    return read


async def masked_among(session: AsyncSession, user_id: UUID, events: Collection[CalendarEvent]) -> set[UUID]:
    """Which of these are no more than Busy to somebody who sees the calendar: for whoever shows them elsewhere."""
    private = [one for one in events if one.visibility != Visibility.DEFAULT and not permitting.is_own(one, user_id)]
    attendees = await attendees_of(session, [one.id for one in private])
    return {one.id for one in private if all(each.user_id != user_id for each in attendees.get(one.id, ()))}


async def _around(
    session: AsyncSession, scope: WorkspaceScope, events: Sequence[CalendarEvent], keys: Sequence[datetime]
) -> Around:
    ids = {one.id for one in events}
    attendees = await attendees_of(session, ids)
    people = {one for event in events for one in (event.organizer_user_id, event.created_by_user_id)}
    people |= {one.user_id for rows in attendees.values() for one in rows if one.user_id is not None}
    return Around(
        attendees=attendees,
        answers=await answers_of(session, ids, set(keys)) if keys else {},
        names=await surroundings.names(session, people),
        projects=await surroundings.projects(
            session, {one.project_id for one in events if one.project_id is not None}
        ),
        roles=await circles.roles_in_scopes(session, scope.user_id, {one.scope_id for one in events}),
        resources=await _rooms(session, ids),
        reminders=await _reminders(session, scope, ids, set(keys)),
    )


async def _reminders(
    session: AsyncSession, scope: WorkspaceScope, ids: Collection[UUID], keys: Collection[datetime]
) -> dict[tuple[UUID, datetime | None], list[ReminderRead]]:
    found: dict[tuple[UUID, datetime | None], list[ReminderRead]] = {}
    for event_id, rows in (await reminders_of(session, ids, scope.user_id, keys)).items():
        for row in rows:
            shown = found.setdefault((event_id, row.only_at), [])
            if row.minutes_before is not None:
                shown.append(ReminderRead.model_validate(row))
    return found


async def _rooms(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, list[EventResource]]:
    found = await resources_of(session, ids)
    return {event_id: [EventResource(id=one.id, name=one.name) for one in rooms] for event_id, rooms in found.items()}


def _read(scope: WorkspaceScope, one: Placed, around: Around, *, is_master: bool) -> EventRead:
    event = one.series.event
    at = None if is_master else one.original_at
    comers = standing(around.attendees.get(event.id, ()), around.answers, at)
    own = of_person(comers, scope.user_id)
    masked = permitting.is_masked(event, scope.user_id, invited=own is not None)
    project = around.projects.get(event.project_id) if event.project_id is not None else None
    placement = one.occurrence.placement
    recurs = one.series.recurs
    allowed = permitting.actions(
        event,
        scope.user_id,
        around.roles.get(event.scope_id),
        invited=own is not None,
        is_archived=project is not None and project.archived_at is not None,
    )
    return EventRead(
        id=str(event.id) if is_master else one.id,
        series_id=event.id if at is not None else None,
        original_start_time=at,
        is_exception=at is not None and one.override is not None,
        workspace_id=event.workspace_id,
        project_id=None if masked else event.project_id,
        project=None if masked or project is None else _project(project),
        type=EventType(one.value("type")),
        status="CANCELLED" if one.cancelled else "CONFIRMED",
        title=BUSY if masked else one.value("title"),
        description="" if masked else one.value("description"),
        location="" if masked else one.value("location"),
        start_time=one.start,
        end_time=one.end,
        all_day=placement.all_day,
        start_date=placement.start.date() if placement.all_day else None,
        end_date=_end_date(one) if placement.all_day else None,
        time_zone=placement.zone,
        rrule=None if masked else event.rrule,
        rdate=_dates(event, event.rdates) if is_master and not masked else [],
        exdate=_dates(event, event.exdates) if is_master and not masked else [],
        recurrence_text=text_of(one.series.set) if recurs and not masked else None,
        visibility=Visibility(event.visibility),
        show_as=ShowAs(one.value("show_as")),
        is_masked=masked,
        organizer=None if masked else _person(event.organizer_user_id, around),
        creator=None if masked else _person(event.created_by_user_id, around),
        attendees=[] if masked else [_attendee(each, around) for each in comers],
        my_response=own.response if own is not None else None,
        guests_can_invite=event.guests_can_invite and not masked,
        resources=[] if masked else around.resources.get(event.id, []),
        reminders=around.reminders_at(event.id, at),
        uid="" if masked else event.uid,
        sequence=_sequence(one, at),
        previous_series_id=None if masked else event.previous_series_id,
        allowed_actions=[] if one.cancelled else allowed,
        version=event.version,
        created_at=event.created_at,
        updated_at=event.updated_at,
    )


def _sequence(one: Placed, at: datetime | None) -> int:
    of_occurrence = (row.sequence for row in one.series.overrides if row.original_at == at)
    return max(one.series.event.sequence, *of_occurrence, 0)


def _end_date(one: Placed) -> date:
    return date.fromordinal(one.occurrence.placement.start.toordinal() + one.occurrence.placement.span.days)


def _dates(event: CalendarEvent, walls: Sequence[datetime]) -> list[str]:
    """As they can be sent back."""
    return [one.date().isoformat() if event.all_day else one.isoformat() for one in walls]


def _person(user_id: UUID, around: Around) -> EventPerson:
    return EventPerson(id=user_id, name=around.names.get(user_id, ""))


def _project(project: Project) -> EventProject:
    return EventProject(id=project.id, name=project.name, colour=project.colour)


def _attendee(one: Standing, around: Around) -> AttendeeRead:
    row = one.row
    return AttendeeRead(
        id=row.id,
        user=_person(row.user_id, around) if row.user_id is not None else None,
        email=row.email,
        name=row.name,
        optional=row.is_optional,
        response=one.response,
        comment=one.comment,
        proposed_start_time=one.proposed_starts_at,
        proposed_end_time=one.proposed_ends_at,
    )
