"""Events as iCalendar: one, a range, or all that somebody sees, read stretch by stretch. What is private to others is
"Busy", its name among calendars included.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.domains.calendar.enums import EventType, ShowAs, Visibility
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.expanding import one_of
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.ical.entries import BUSY_TITLE, Entry, Person
from pm_api.domains.calendar.ical.writing import END, Years, calendar_of, events, head, time_zone, zones_of
from pm_api.domains.calendar.ical.zones import UTC_NAMES
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee
from pm_api.domains.calendar.permitting import is_masked
from pm_api.domains.calendar.repository import attendees as people_rows
from pm_api.domains.calendar.repository import interchange as repository
from pm_api.domains.calendar.repository.attendees import Answers
from pm_api.domains.calendar.repository.events import series_of_ids
from pm_api.domains.calendar.standing import Standing, standing
from pm_api.identity.models.people import User

STRETCH: Final = 100
ANYWHERE: Final = "UTC"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of a project or of the workspace, those that meet a window or all. `asked_again_after` is how
    long whoever reads it is to be content with it.
    """

    project_id: UUID | None = None
    window: Window | None = None
    name: str = ""
    asked_again_after: timedelta | None = None


async def one(session: AsyncSession, at: EventScope) -> bytes:
    """An event with its whole series, or the one occurrence that is named. Raises EventNotFound."""
    found = await series_of_ids(session, at.scope, [at.event_id])
    if not found:
        raise EventNotFound
    if at.original_at is not None:
        try:
            one_of(found[0], at.original_at, ANYWHERE)
        except OccurrenceUnknown:
            raise EventNotFound from None
    entries = await entries_of(session, at.scope, found, only_at=at.original_at)
    return await asyncio.to_thread(calendar_of, entries)


async def export(platform: Platform, scope: WorkspaceScope, wanted: Wanted) -> AsyncIterator[bytes]:
    """The file, oldest event first. Its first stretch is read before this returns: what fails then is told."""
    async with platform.database.reading() as session:
        spans = await repository.zones(session, scope, project_id=wanted.project_id, window=wanted.window)
        first = await _stretch(session, scope, wanted, None)
    zones: dict[str, Years] = {}
    for one_span in spans:
        if one_span.zone not in UTC_NAMES:
            last = one_span.last.year + 1 if one_span.last is not None else None
            years = Years(one_span.first.year - 1, last)
            zones[one_span.zone] = zones[one_span.zone] | years if one_span.zone in zones else years
    return _written(platform, scope, wanted, zones, first)


async def _written(
    platform: Platform,
    scope: WorkspaceScope,
    wanted: Wanted,
    zones: dict[str, Years],
    stretch: tuple[list[Entry], UUID | None],
) -> AsyncIterator[bytes]:
    yield head(name=wanted.name, asked_again_after=wanted.asked_again_after).encode()
    for name, years in sorted(zones.items()):
        yield (await asyncio.to_thread(time_zone, name, years)).encode()
    while True:
        entries, after = stretch
        # Zones that came to be used since the file was begun.
        late = {name: years for name, years in zones_of(entries).items() if name not in zones} if entries else {}
        zones |= late
        yield "".join(
            (*(time_zone(name, years) for name, years in late.items()), *(events(one) for one in entries))
        ).encode()
        if after is None:
            break
        async with platform.database.reading() as session:
            stretch = await _stretch(session, scope, wanted, after)
    yield END.encode()


async def _stretch(
    session: AsyncSession, scope: WorkspaceScope, wanted: Wanted, after: UUID | None
) -> tuple[list[Entry], UUID | None]:
    """Entries, and where the next ones begin. A fixed number of queries, and sight is asked anew for each stretch."""
    found = await repository.page(
        session, scope, project_id=wanted.project_id, window=wanted.window, after=after, limit=STRETCH
    )
    return await entries_of(session, scope, found), found[-1].id if len(found) == STRETCH else None


# --- one event --------------------------------------------------------------------------------------------------


async def entries_of(
    session: AsyncSession, scope: WorkspaceScope, series: Sequence[Series], *, only_at: datetime | None = None
) -> list[Entry]:
    """As the caller may see them, in their order; a fixed number of queries."""
    ids = [each.id for each in series]
    attendees = await people_rows.attendees_of(session, ids)
    answers = await people_rows.answers_of(session, ids)
    user_ids = {each.event.organizer_user_id for each in series}
    user_ids |= {row.user_id for rows in attendees.values() for row in rows if row.user_id is not None}
    users = await people_rows.people(session, user_ids)
    return [_entry(scope, each, attendees[each.id], answers, users, only_at) for each in series]


def _entry(
    scope: WorkspaceScope,
    series: Series,
    rows: Sequence[CalendarAttendee],
    answers: Answers,
    users: dict[UUID, User],
    only_at: datetime | None,
) -> Entry:
    event = series.event
    # Whoever is invited to single occurrences alone does not read here what the others are.
    own = [row.only_at for row in rows if row.user_id == scope.user_id]
    invited = None in own or (only_at is not None and only_at in own)
    if is_masked(event, scope.user_id, invited=invited):
        return Entry(
            uid=f"{event.id}@pm_api",
            set=series.set,
            title=BUSY_TITLE,
            stamped_at=event.updated_at,
            created_at=event.created_at,
            sequence=event.sequence,
            show_as=ShowAs(event.show_as),
            visibility=Visibility(event.visibility),
            is_masked=True,
            only_at=only_at,
        )
    organizer = users.get(event.organizer_user_id)
    return Entry(
        uid=event.uid,
        set=series.set,
        title=event.title,
        stamped_at=event.updated_at,
        created_at=event.created_at,
        sequence=event.sequence,
        description=event.description,
        location=event.location,
        type=EventType(event.type),
        visibility=Visibility(event.visibility),
        show_as=ShowAs(event.show_as),
        organizer=Person(organizer.email, organizer.name) if organizer is not None else None,
        people=_people(standing(rows, answers), users),
        people_at=_people_at(rows, answers, users),
        sequences_at={row.original_at: row.sequence for row in series.overrides},
        only_at=only_at,
    )


def _people(comers: Sequence[Standing], users: dict[UUID, User]) -> list[Person]:
    found = []
    for each in comers:
        user = users.get(each.user_id) if each.user_id is not None else None
        address, name = (user.email, user.name) if user is not None else (each.row.email or "", each.row.name)
        if address:
            found.append(Person(address, name, each.response, each.row.is_optional))
    return found


def _people_at(
    rows: Sequence[CalendarAttendee], answers: Answers, users: dict[UUID, User]
) -> dict[datetime, Sequence[Person]]:
    """Who comes to single occurrences, where that is told apart."""
    ids = {row.id for row in rows}
    keys = {row.only_at for row in rows if row.only_at is not None} | {at for row_id, at in answers if row_id in ids}
    whole = _people(standing(rows, answers), users)
    told = {at: _people(standing(rows, answers, at), users) for at in sorted(keys)}
    return {at: people for at, people in told.items() if people != whole}
