"""Rows of events that come from a file, as they stood there: written whole, settled quietly."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Override
from pm_api.domains.calendar import attending, reminding, settling, writing
from pm_api.domains.calendar.enums import Response, Visibility
from pm_api.domains.calendar.ical.entries import Entry, Person
from pm_api.domains.calendar.mapping import columns_of_override, columns_of_set
from pm_api.domains.calendar.models import CalendarAttendee, CalendarEvent, CalendarOverride
from pm_api.domains.calendar.repository import attendees as people_rows
from pm_api.domains.calendar.repository import interchange as repository
from pm_api.domains.calendar.repository.attendees import Answers
from pm_api.domains.calendar.schemas.events import ReminderWrite
from pm_api.domains.calendar.standing import Standing, standing

MOST_ROWS: Final = 1000
"""Of people invited to one event, those of single occurrences among them."""


@dataclass(frozen=True)
class Place:
    """Where new events are taken in to, by whom; `members` are, for each scope that one of the file is in, people who
    see it, by their addresses.
    """

    session: AsyncSession
    platform: Platform
    scope: WorkspaceScope
    project_id: UUID | None
    scope_id: UUID
    members: dict[UUID, dict[str, UUID]] = field(default_factory=dict)


async def create(place: Place, entry: Entry) -> UUID:
    """A new event, of which whoever imports it is organizer; its alarms are theirs. Raises RuleEmpty."""
    now = place.platform.clock.now()
    event = CalendarEvent(
        id=place.platform.randomness.uuid(),
        workspace_id=place.scope.workspace_id,
        scope_id=place.scope_id,
        project_id=place.project_id,
        uid=entry.uid,
        sequence=entry.sequence,
        previous_series_id=None,
        organizer_user_id=place.scope.user_id,
        created_by_user_id=place.scope.user_id,
        guests_can_invite=False,
        reached_until=None,
        version=1,
        created_at=now,
        updated_at=now,
        **_columns(entry),
    )
    place.session.add(event)
    await place.session.flush()
    _add_overrides(place, event, entry.set.overrides, entry.sequences_at, _others_come(entry))
    await _put_people(place, event, entry.people, entry.people_at)
    series = await settling.settle(
        place.session, place.platform, place.scope, event, action=settling.CREATED, moved=False, quiet=True
    )
    if entry.alarms:
        wanted = [
            ReminderWrite.model_validate({"minutesBefore": one.minutes_before, "channel": one.channel})
            for one in entry.alarms
        ]
        await reminding.put(place.session, place.platform, series, place.scope.user_id, wanted)
    return event.id


async def replace_with(place: Place, event_id: UUID, entry: Entry) -> UUID:
    """An event as a newer file has it: its time, its texts, its occurrences, and who comes. Raises EventNotFound,
    EventNotYours, ProjectArchived, and what booking rooms raises.
    """
    held = await writing.hold(place.session, place.scope, event_id, None)
    event, new = held.event, _columns(entry)
    moved = any(getattr(event, name) != new[name] for name in columns_of_set(entry.set))
    for name, value in new.items():
        setattr(event, name, value)
    event.sequence = entry.sequence
    await repository.drop_overrides(place.session, event.id)
    for row in held.series.overrides:
        place.session.expunge(row)
    _add_overrides(place, event, entry.set.overrides, entry.sequences_at, _others_come(entry))
    if moved:
        await attending.reset_answers(place.session, event)
    await _put_people(place, event, entry.people, entry.people_at)
    await settling.settle(
        place.session,
        place.platform,
        place.scope,
        event,
        action=settling.UPDATED,
        moved=False,  # SEQUENCE is the file's
        before=held.series,
        quiet=True,
    )
    return event.id


async def change(
    place: Place,
    event_id: UUID,
    overrides: Sequence[Override],
    people: Mapping[datetime, Sequence[Person]],
    sequences: Mapping[datetime, int],
    visibility: Visibility,
) -> None:
    """Single occurrences as a newer file has them, and what the series is to others with them. Raises the same."""
    held = await writing.hold(place.session, place.scope, event_id, None)
    event = held.event
    event.visibility = visibility
    rows = {one.original_at: one for one in held.series.overrides}
    for override in overrides:
        columns = columns_of_override(event, override)
        row = rows.get(columns["original_at"])
        if row is None:
            _add_overrides(place, event, [override], sequences, sequences)
            continue
        for name, value in columns.items():
            setattr(row, name, value)
        row.sequence, row.updated_at = sequences[row.original_at], place.platform.clock.now()
    await _put_people(place, event, None, people)
    await settling.settle(
        place.session,
        place.platform,
        place.scope,
        event,
        action=settling.UPDATED,
        moved=False,
        before=held.series,
        quiet=True,
    )


async def remove(place: Place, event_id: UUID) -> None:
    """An event that a file says is cancelled. Raises EventNotFound, EventNotYours, ProjectArchived."""
    held = await writing.hold(place.session, place.scope, event_id, None)
    await settling.end(place.session, place.platform, place.scope, held.series, quiet=True)


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "type": entry.type,
        "title": entry.title,
        "description": entry.description,
        "location": entry.location,
        "visibility": entry.visibility,
        "show_as": entry.show_as,
        **columns_of_set(entry.set),
    }


def _others_come(entry: Entry) -> set[datetime]:
    """The occurrences to which not the same people come as to the series, or with other answers."""
    whole = {one.address: one for one in entry.people}
    told = {at: {one.address: one for one in people} for at, people in entry.people_at.items()}
    return {at for at, people in told.items() if people and people != whole}


def _add_overrides(
    place: Place,
    event: CalendarEvent,
    overrides: Sequence[Override],
    sequences: Mapping[datetime, int],
    kept: Collection[datetime],
) -> None:
    """Those that differ; of the `kept` ones others too, so that it stands there which SEQUENCE they are of."""
    now = place.platform.clock.now()
    for override in overrides:
        columns = columns_of_override(event, override)
        differs = override.cancelled or override.placement is not None or override.changes
        if not differs and columns["original_at"] not in kept:
            continue
        sequence = sequences.get(columns["original_at"], event.sequence)
        place.session.add(CalendarOverride(**columns, sequence=sequence, created_at=now, updated_at=now))


# --- who comes --------------------------------------------------------------------------------------------------


async def _put_people(
    place: Place,
    event: CalendarEvent,
    people: Sequence[Person] | None,
    people_at: Mapping[datetime, Sequence[Person]],
) -> None:
    """Who is in the file is invited, and nobody else; None leaves those of the series. Addresses outside have
    answered what stands there. A member answers for themselves: only the importer's own answer is taken over.
    """
    await place.session.flush()
    rows = (await people_rows.attendees_of(place.session, [event.id]))[event.id]
    wanted = None if people is None else {_who(*_named(place, event, one)): one for one in people}
    wanted_at = {at: {_who(*_named(place, event, one)) for one in comers} for at, comers in people_at.items()}
    gone = {row.id for row in rows if not _stays(row, wanted, wanted_at)}
    await people_rows.remove(place.session, gone)
    await people_rows.bring_back(place.session, event.id, None if people is not None else list(people_at))
    rows = [row for row in rows if row.id not in gone]
    whole = {_who(row.user_id, row.email): row for row in rows if row.only_at is None}
    if wanted is not None:
        for key, one in wanted.items():
            if key in whole:
                _answered(place, whole[key], one)
            elif len(rows) < MOST_ROWS:
                whole[key] = _add(place, event, one, None)
                rows.append(whole[key])
    for at, comers in people_at.items():
        await _put_people_at(place, event, rows, whole, at, comers)
    await place.session.flush()


def comes_as_said(
    place: Place,
    event: CalendarEvent,
    rows: Sequence[CalendarAttendee],
    answers: Answers,
    at: datetime,
    comers: Sequence[Person],
) -> bool:
    """Whether those stand at an occurrence whom a file names there; without any, those of the series."""
    if not comers:
        ids = {row.id for row in rows}
        excused = any(one.uninvited for (row_id, key), one in answers.items() if key == at and row_id in ids)
        return not excused and all(row.only_at != at for row in rows)
    there = {_who(*_named(place, event, one)): one for one in comers}
    now = {_who(one.user_id, one.row.email): one for one in standing(rows, answers, at)}
    return set(there) == set(now) and all(_is_said(place, event, now[key], one) for key, one in there.items())


def _is_said(place: Place, event: CalendarEvent, now: Standing, one: Person) -> bool:
    if now.row.only_at is not None and now.row.is_optional != one.is_optional:
        return False
    if now.user_id == event.organizer_user_id and (one.response, now.response) == (
        Response.PENDING,
        Response.ACCEPTED,
    ):
        return True  # who organizes comes, unless they say otherwise
    return _response(place, now.user_id, one) in (None, now.response)


def _stays(
    row: CalendarAttendee, wanted: Collection[str] | None, wanted_at: Mapping[datetime, Collection[str]]
) -> bool:
    name = _who(row.user_id, row.email)
    if row.only_at is None:
        return wanted is None or name in wanted
    if row.only_at in wanted_at:
        return name in wanted_at[row.only_at]
    return wanted is None


async def _put_people_at(
    place: Place,
    event: CalendarEvent,
    rows: list[CalendarAttendee],
    whole: Mapping[str, CalendarAttendee],
    at: datetime,
    comers: Sequence[Person],
) -> None:
    """Where nobody is named at an occurrence, those of the series come."""
    if not comers:
        return
    await place.session.flush()
    there = {_who(*_named(place, event, one)): one for one in comers}
    said = await people_rows.answers_of(place.session, [event.id], [at])
    at_only = {_who(row.user_id, row.email): row for row in rows if row.only_at == at}
    answers: list[dict[str, Any]] = []
    for key, row in whole.items():
        one = there.get(key)
        response = _response(place, row.user_id, one) if one is not None else None
        if one is None:
            answers.append(_answer(event, row, at, Response(row.response), uninvited=True))
        elif response is not None and response != (said.get((row.id, at)) or row).response:
            answers.append(_answer(event, row, at, response, uninvited=False))
    await people_rows.put_answers(place.session, answers)
    for key, one in there.items():
        if key in at_only:
            _answered(place, at_only[key], one)
        elif key not in whole and len(rows) < MOST_ROWS:
            rows.append(_add(place, event, one, at))


def _answer(
    event: CalendarEvent, row: CalendarAttendee, at: datetime, response: Response, *, uninvited: bool
) -> dict[str, Any]:
    return {
        "attendee_id": row.id,
        "original_at": at,
        "event_id": event.id,
        "workspace_id": event.workspace_id,
        "response": response,
        "comment": "",
        "proposed_starts_at": None,
        "proposed_ends_at": None,
        "uninvited": uninvited,
        "responded_at": None,
    }


def _add(place: Place, event: CalendarEvent, one: Person, at: datetime | None) -> CalendarAttendee:
    user_id, email = _named(place, event, one)
    response = _response(place, user_id, one) or Response.PENDING
    if user_id == event.organizer_user_id and response is Response.PENDING:
        response = Response.ACCEPTED
    row = CalendarAttendee(
        id=place.platform.randomness.uuid(),
        workspace_id=event.workspace_id,
        event_id=event.id,
        user_id=user_id,
        email=email,
        name="" if user_id is not None else one.name,
        only_at=at,
        is_optional=one.is_optional,
        response=response,
        responded_at=None if response is Response.PENDING else place.platform.clock.now(),
        is_told=True,  # they have it from where the file comes from
    )
    place.session.add(row)
    return row


def _answered(place: Place, row: CalendarAttendee, one: Person) -> None:
    row.is_optional = one.is_optional
    response = _response(place, row.user_id, one)
    if response is not None and response != row.response:
        row.response = response
        row.responded_at = None if response is Response.PENDING else place.platform.clock.now()


def _response(place: Place, user_id: UUID | None, one: Person) -> Response | None:
    """What the file says for somebody, if it may."""
    return one.response if user_id in (None, place.scope.user_id) else None


def _named(place: Place, event: CalendarEvent, one: Person) -> tuple[UUID | None, str | None]:
    user_id = place.members[event.scope_id].get(one.address)
    return user_id, None if user_id is not None else one.address


def _who(user_id: UUID | None, email: str | None) -> str:
    return str(user_id) if user_id is not None else email or ""
