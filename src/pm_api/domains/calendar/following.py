"""`following`: a series is cut in two on the server, and what hangs on its occurrences goes with them.

The caller holds the series' row, and nobody writes a series without: of two who cut at once the second finds what the
first has left.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Frequency, RecurrenceSet, Rule, split
from pm_api.domains.calendar import gauging, telling
from pm_api.domains.calendar.mapping import columns_of_set, series_of
from pm_api.domains.calendar.models import (
    CalendarAttendee,
    CalendarEvent,
    CalendarEventResource,
    CalendarReminder,
)
from pm_api.domains.calendar.repository import splitting as repository
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.calendar.repository.letters import last_letters
from pm_api.domains.calendar.settling import UPDATED, settle

Done = TypeVar("Done")


async def split_off(
    session: AsyncSession, platform: Platform, _scope: WorkspaceScope, event: CalendarEvent, original_at: datetime
) -> tuple[CalendarEvent | None, CalendarEvent]:
    """What is left of the series before this occurrence, and a new series from it on; the event's row is held.

    Nothing before: None, and the series as it is. COUNT, dates, overrides, answers, those invited to single
    occurrences, reminders of single ones, snoozes and bookings go with their side; those invited, their reminders of
    all and the rooms are on both.
    Neither is settled yet. Raises OccurrenceUnknown, RuleTooComplex.
    """
    await session.flush()
    series = series_of(event, (await overrides_of(session, [event.id])).get(event.id, []))
    parts = split(series.set, original_at)
    if parts.before is None:
        return None, event
    await gauging.catch_up(session, platform, event)
    made = _copy_of(event, platform)
    _write(made, parts.after)
    session.add(made)
    _write(event, parts.before)
    event.sequence += 1
    await session.flush()
    await _divide(session, platform, event.id, made.id, parts.at, event.organizer_user_id)
    return event, made


async def change_following(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    original_at: datetime | None,
    change: Callable[[CalendarEvent, bool], Awaitable[Done]],
) -> Done:
    """`change` of this occurrence and those after it: of the whole series when nothing lies before. It is given the
    series to change, and whether that is a new one, and settles it; what is left before is settled here.
    """
    before, after = (
        (None, event) if original_at is None else await split_off(session, platform, scope, event, original_at)
    )
    if before is not None:
        await settle(session, platform, scope, before, action=UPDATED, moved=False)
    return await change(after, before is not None)


async def remove_following(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    original_at: datetime | None,
    remove: Callable[[CalendarEvent], Awaitable[None]],
) -> None:
    """Take this occurrence and those after it away: `remove` all of it when nothing lies before."""
    if original_at is not None:
        series = series_of(event, (await overrides_of(session, [event.id])).get(event.id, []))
        parts = split(series.set, original_at)
        if parts.before is not None:
            await gauging.catch_up(session, platform, event)
            gone = await repository.invited_to_one(session, event.id, parts.at)
            await telling.uninvited(session, platform, scope, event, gone, None)
            _write(event, parts.before)
            await session.flush()
            await repository.drop_occurrences(session, event.id, parts.at)
            await settle(session, platform, scope, event, action=UPDATED, moved=True, before=series)
            return
    await remove(event)


def still_a_series(part: RecurrenceSet) -> RecurrenceSet:
    """A part with one occurrence left stays a series of one: its occurrence keeps its id, and what hangs on it."""
    if part.rule is not None or part.rdates:
        return part
    return replace(part, rule=Rule(Frequency.DAILY, count=1)).counted()


def _write(event: CalendarEvent, part: RecurrenceSet) -> None:
    for name, value in columns_of_set(still_a_series(part)).items():
        setattr(event, name, value)


def _copy_of(event: CalendarEvent, platform: Platform) -> CalendarEvent:
    now, new_id = platform.clock.now(), platform.randomness.uuid()
    values = {name: getattr(event, name) for name in CalendarEvent.__table__.columns.keys()}  # noqa: SIM118
    return CalendarEvent(
        **{
            **values,
            "id": new_id,
            "uid": uid_of(new_id),
            "sequence": 0,
            "version": 1,
            "previous_series_id": event.id,
            "reached_until": None,
            "created_at": now,
            "updated_at": now,
        }
    )


def uid_of(event_id: UUID) -> str:
    return f"{event_id}@pm_api"


async def _divide(
    session: AsyncSession, platform: Platform, event_id: UUID, to: UUID, since: datetime, organizer_id: UUID
) -> None:
    new_id = platform.randomness.uuid
    written_to = await last_letters(session, await repository.invited_to_all(session, event_id))

    def untold(row: CalendarAttendee) -> dict[str, Any]:
        """Nobody knows of the new series; who hears of the old one from elsewhere is told of it there too."""
        hears = row.id in written_to if row.email is not None else row.user_id != organizer_id
        return {"is_told": False} if hears else {}

    attendees = await repository.copy_of_all(session, CalendarAttendee, event_id, to, new_id, untold)
    await repository.copy_of_all(session, CalendarReminder, event_id, to, new_id)
    await repository.copy_of_all(session, CalendarEventResource, event_id, to, new_id)
    await repository.move_occurrences(session, event_id, to, since, attendees)
