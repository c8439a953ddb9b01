"""Events after a new release of the zone tables: what takes place at another moment than was told, since the wall
time is what was agreed. Occurrences are named by the instant they were to start at, so where that moves what hangs on
them is named anew.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import BEFORE_COMMIT, before_commit
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Budget, tzdata_version
from pm_api.core.recurrence.errors import RuleTooComplex
from pm_api.core.recurrence.sets import originals
from pm_api.core.recurrence.zones import LARGEST_CHANGE
from pm_api.core.schema import written
from pm_api.domains.calendar import letters, occasions
from pm_api.domains.calendar.clocks import Clocks, clocks_of
from pm_api.domains.calendar.mapping import UTC_ZONE, Series, moved_to, series_of
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.repository import attendees as people
from pm_api.domains.calendar.repository import occurrences, zone_tables
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.calendar.repository.occurrences import There
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

TYPE: Final = "calendar.retimed"
CLOCKS: Final = "calendar.clocks"
AHEAD: Final = timedelta(days=730)
"""So far series are compared; further on, governments decide."""
Was = Callable[[datetime], datetime]
"""What instant a wall time was taken for."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Something that is to take place at this wall time of a zone was told for one moment, and is at another."""

    wall: datetime
    zone: str
    was: datetime
    now: datetime


def note_clocks(session: AsyncSession, zone_name: str, now: datetime) -> None:
    """What the clocks of a zone do by the release in use: for whoever compares it with the next one. Written before
    the commit, by name: of two who use the same zones for the first time one waits for the other, whatever the order.
    """
    noted = session.info.get(BEFORE_COMMIT, {}).get(CLOCKS)
    if not isinstance(noted, _Noted):
        noted = _Noted(set(), now)
        before_commit(session, CLOCKS, noted)
    noted.zones.add(zone_name)


@dataclass(frozen=True, slots=True)
class _Noted:
    """The zones that one session's writes go by."""

    zones: set[str]
    now: datetime

    async def __call__(self, session: AsyncSession) -> None:
        for name in sorted(self.zones):
            await zone_tables.note(session, name, tzdata_version(), clocks_of(name, self.now), self.now)


async def shifts_of(session: AsyncSession, events: Sequence[CalendarEvent], now: datetime) -> dict[UUID, list[Shift]]:
    """What of each takes place at another moment from now on, in the order of time; events without are left out."""
    overrides = await overrides_of(session, [one.id for one in events])
    known = await zone_tables.noted(session, {(one.time_zone, one.tzdata_version) for one in events})
    found = {}
    for event in events:
        series = series_of(event, overrides.get(event.id, ()))
        moved = shifts(series, was_of(series, known.get((event.time_zone, event.tzdata_version))), now)
        if moved:
            found[event.id] = moved
    return found


async def catch_up(session: AsyncSession, platform: Platform, event: CalendarEvent) -> None:
    """For a held event that somebody writes: when it was worked out by another release, whoever hangs on it goes by
    this one, and those who come are told. The writer settles its own columns.
    """
    if event.tzdata_version == tzdata_version():
        return
    now = platform.clock.now()
    series = series_of(event, (await overrides_of(session, [event.id])).get(event.id, ()))
    known = await zone_tables.noted(session, {(event.time_zone, event.tzdata_version)})
    was = was_of(series, known.get((event.time_zone, event.tzdata_version)))
    found = shifts(series, was, now)
    for row in series.overrides:
        placement = moved_to(row)
        if placement is not None:
            row.starts_at, row.ends_at = placement.starts_at(UTC_ZONE), placement.ends_at(UTC_ZONE)
    await session.flush()
    if series.recurs and not event.all_day:
        names = await occurrences.names_of(session, event.id)
        await _rename(session, event.id, renamed(series, was, names), names)
    if found:
        series = series_of(event, (await overrides_of(session, [event.id])).get(event.id, ()))
        await _tell(session, platform, series, found)


# --- what moved: pure ----------------------------------------------------------------------------------------------


def was_of(series: Series, clocks: Clocks | None) -> Was:
    """By what clocks were taken to do then; when nobody noted it, everything is as far off as the first start is."""
    if clocks is not None:
        return clocks.instant
    event, key = series.event, series.set.placement.keys()
    apart = event.starts_at - key(event.starts_wall) if series.recurs else timedelta()
    return lambda wall: key(wall) + apart


def shifts(series: Series, was: Was, now: datetime) -> list[Shift]:
    """From now on: a single event, occurrences of the next two years, and those that were moved by themselves."""
    return sorted(_shifts(series, was, now), key=lambda one: (one.now, one.was))


def _shifts(series: Series, was: Was, now: datetime) -> Iterator[Shift]:
    event, placement = series.event, series.set.placement
    for row in series.overrides:
        there = moved_to(row)
        if there is not None and row.starts_at is not None and not row.cancelled:
            starts_at = there.starts_at(UTC_ZONE)
            if starts_at != row.starts_at and max(starts_at, row.starts_at) >= now:
                yield Shift(there.start, there.zone, row.starts_at, starts_at)
    if event.all_day:
        return
    if not series.recurs:
        starts_at = placement.starts_at(UTC_ZONE)
        if starts_at != event.starts_at and max(starts_at, event.starts_at) >= now:
            yield Shift(placement.start, event.time_zone, event.starts_at, starts_at)
        return
    own = {one.original_wall for one in series.overrides if one.cancelled or one.starts_wall is not None}
    key = placement.keys()
    for wall in _walls(series, placement.wall(now) - LARGEST_CHANGE, placement.wall(now + AHEAD)):
        before, starts_at = was(wall), key(wall)
        if before != starts_at and max(before, starts_at) >= now and wall not in own:
            yield Shift(wall, event.time_zone, before, starts_at)


def renamed(series: Series, was: Was, names: Collection[datetime]) -> dict[datetime, There]:
    """Those of the names that are others by this release, and what they are."""
    key = series.set.placement.keys()
    by_name = {row.original_at: row.original_wall for row in series.overrides}
    found = {}
    for name in names:
        wall = by_name.get(name)
        if wall is None:
            about = series.set.placement.wall(name)
            walls = _walls(series, about - LARGEST_CHANGE, about + LARGEST_CHANGE)
            wall = next((one for one in walls if was(one) == name), None)
        if wall is not None and key(wall) != name:
            found[name] = There(key(wall), wall)
    return found


def _walls(series: Series, earliest: datetime, latest: datetime) -> Iterator[datetime]:
    try:
        yield from originals(series.set, earliest.replace(fold=0), latest.replace(fold=0), Budget())
    except RuleTooComplex:  # what is not found in reasonable time is not told of either
        return


# --- what follows --------------------------------------------------------------------------------------------------


async def _rename(
    session: AsyncSession, event_id: UUID, wanted: Mapping[datetime, There], names: Collection[datetime]
) -> None:
    """What was written by its new name already, since the release came, stands."""
    standing = set(names) - wanted.keys()
    late = [name for name, there in wanted.items() if there.key in standing]
    await occurrences.drop(session, event_id, late)
    await occurrences.rename(session, event_id, {name: there for name, there in wanted.items() if name not in late})


async def _tell(session: AsyncSession, platform: Platform, series: Series, found: Sequence[Shift]) -> None:
    """Members in the app; addresses outside get the invitation again, with the clocks as they are."""
    event = series.event
    rows = (await people.attendees_of(session, [event.id]))[event.id]
    await notifications.notify(
        session,
        platform,
        user_ids={event.organizer_user_id, *(row.user_id for row in rows if row.user_id is not None)},
        category=Category.CALENDAR,
        type=TYPE,
        dedup_key=f"{TYPE}:{event.id}:{tzdata_version()}",
        title=f"{event.title}: the clocks of {found[0].zone} will change otherwise",
        body="\n".join(_told(series, found)),
        reason="You organize this event, or are invited to it.",
        data={"eventId": str(event.id), "times": len(found), "wasAt": written(found[0].was)},
        link=f"{occasions.PATH}{event.id}",
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
    )
    outside = [row for row in rows if row.email is not None and row.is_told]
    if outside:
        answers = await people.answers_of(session, [event.id])
        excused = [(row_id, key) for (row_id, key), one in answers.items() if one.uninvited]
        await letters.request(session, platform, series, outside, excused, anew=True)


def _told(series: Series, found: Sequence[Shift]) -> Iterable[str]:
    first = found[0]
    yield (
        f"{occasions.day(first.wall)}, {first.wall:%H:%M} ({first.zone}) stays as it is on the clock there. "
        f"That is {first.now:%H:%M} UTC now, not {first.was:%H:%M}: governments have changed the time."
    )
    if series.recurs and len(found) > 1:
        yield f"So it is with {len(found)} occurrences of the next two years."
