"""Rooms that events have: one occurrence after the other, so that nothing else is ever in a room at that time.

Who books holds the event's row and then the rooms', in the order of their ids, and only then reads what is booked.
A series that goes on is booked two years ahead, and a sweep books on: there the earlier booking wins, the occurrence
stays without its room, and the organizer is told. What began over a year ago is not kept. What has a room for no time
at all (it was given up) is tried again whenever the event is written.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, Window, occurrence_id
from pm_api.core.schema import written
from pm_api.domains.calendar.busy import Name, expanded, lies_anywhere, readable
from pm_api.domains.calendar.errors.places import InvalidResources, ResourceTaken, TooManyBookings
from pm_api.domains.calendar.mapping import Series, series_of
from pm_api.domains.calendar.models import CalendarEvent, CalendarEventResource, CalendarResource
from pm_api.domains.calendar.occasions import PATH
from pm_api.domains.calendar.repository import resources as repository
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.calendar.repository.resources import Booked, Wanted
from pm_api.domains.calendar.schemas.events import ConflictRead
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

Doer = WorkspaceScope | SystemScope
AHEAD: Final = timedelta(days=730)
RENEWED_BEFORE: Final = timedelta(days=30)
"""A series is booked on when it is known so much less far ahead: once a month, not every day."""
KEPT: Final = timedelta(days=366)
ELSEWHERE: Final = timedelta(days=2)
"""What lies all day lies elsewhere in other zones."""
AT_A_TIME: Final = timedelta(days=92)
MOST_BOOKINGS: Final = 5000
MOST_LISTED: Final = 20
BUSY: Final = "Busy"
GREENWICH: Final = "UTC"
NOT_HAD: Final = "calendar.room_not_had"

NOBODY: Final = SystemScope("rooms are booked on")

Key = tuple[UUID, datetime]
Clash = tuple[Wanted, Booked]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for an event: bookings that go, and those to be made, of which some must be had."""

    dropped: Sequence[Wanted]
    strict: Sequence[Wanted]
    lenient: Sequence[Wanted]
    given_up: frozenset[Key]


async def tie(
    session: AsyncSession, scope: WorkspaceScope, event: CalendarEvent, resource_ids: Collection[UUID]
) -> None:
    """From now on the event has these rooms; `rebook` books them. Raises InvalidResources for a new one that is not
    there or takes no more bookings.
    """
    wanted = dict.fromkeys(resource_ids)
    has = {one.resource_id for one in await repository.ties_of(session, event.id)}
    new = wanted.keys() - has
    if new:
        held = await repository.lock(session, wanted)
        unknown = [
            one
            for one in wanted
            if one in new
            and (one not in held or held[one].workspace_id != scope.workspace_id or not held[one].is_active)
        ]
        if unknown:
            places = {one: place for place, one in enumerate(wanted)}
            raise InvalidResources(
                details=[{"pointer": f"/resourceIds/{places[one]}", "detail": str(one)} for one in unknown]
            )
    if has != wanted.keys():
        await repository.drop_bookings_of_others(session, event.id, wanted)
        await repository.tie(session, event, wanted)


async def hold(session: AsyncSession, event_ids: Collection[UUID], resource_ids: Collection[UUID] = ()) -> None:
    """For who writes several events in one transaction: hold them all, and then their rooms and those named, in the
    order in which everybody does.
    """
    await repository.lock_events(session, event_ids)
    tied = await repository.resources_of(session, event_ids)
    rooms = {one.id for one in chain.from_iterable(tied.values())}
    await repository.lock(session, rooms.union(resource_ids))


async def rebook(session: AsyncSession, platform: Platform, series: Series, scope: Doer = NOBODY) -> None:
    """Make the bookings of a held event what its occurrences say: cancelled ones free the room, moved ones take it
    where they are. Raises ResourceTaken, TooManyBookings, RuleTooComplex.

    When only a part of a series is new, what is over by now and what lies behind the horizon so far is left alone
    where it cannot be had.
    """
    ties = await repository.ties_of(session, series.id)
    if not ties:
        return
    now = platform.clock.now()
    until, window = _horizon(series.event, now)
    rooms = {one.id: one for one in (await repository.resources_of(session, [series.id]))[series.id]}
    before = await repository.bookings_of_event(session, series.id)
    plan = _plan(series, ties, _wanted(series, rooms, window), before, now)
    if plan.strict or plan.lenient:
        zones = {one.id: one.time_zone for one in rooms.values()}
        rooms = await repository.lock(session, rooms)
        if zones != {one.id: one.time_zone for one in rooms.values()}:
            plan = _plan(series, ties, _wanted(series, rooms, window), before, now)
    await repository.drop_bookings(session, series.id, plan.dropped)
    clashes = await _clashes(session, series.id, [*plan.strict, *plan.lenient])
    lenient = {(one.resource_id, one.original_at) for one in plan.lenient}
    refused = [one for one in clashes if _key(one[0]) not in lenient]
    if refused:
        raise ResourceTaken(
            _said(rooms, refused),
            conflicts=[one.model_dump(mode="json") for one in await _told(session, scope, refused)],
        )
    missed = {_key(wanted): wanted for wanted, _ in clashes}
    had = [one for one in (*plan.strict, *plan.lenient) if _key(one) not in missed]
    await repository.book(session, series.event, [*had, *(_nothing(one) for one in missed.values())])
    await repository.set_booked_until(session, series.id, until)
    new = [one for one in clashes if _key(one[0]) not in plan.given_up and one[0].starts_at > now]
    if new:
        await _tell_organizer(session, platform, series.event, rooms, new)


async def book_on(session: AsyncSession, platform: Platform, event_id: UUID) -> None:
    """Book a series further ahead; nothing that anybody reads changes, so the version does not."""
    held = await repository.lock_events(session, [event_id])
    for event in held:
        overrides = await overrides_of(session, [event.id])
        await rebook(session, platform, series_of(event, overrides.get(event.id, ())))


# --- what is to be booked -------------------------------------------------------------------------------------


def _horizon(event: CalendarEvent, now: datetime) -> tuple[datetime | None, tuple[datetime, datetime]]:
    """Up to when it is booked (None: wholly), and the stretch that is looked at."""
    known = max(now, event.series_starts_at) + AHEAD
    ends = event.series_ends_at
    first = max(now - KEPT, event.series_starts_at - ELSEWHERE)
    if ends is not None and ends <= known:
        return None, (first, ends + ELSEWHERE)
    return known, (first, known)


def _wanted(
    series: Series, rooms: Mapping[UUID, CalendarResource], window: tuple[datetime, datetime]
) -> list[Wanted]:
    """Where occurrences of one event overlap, the later one's booking begins where the earlier one's ends."""
    by_zone: dict[str, list[Occurrence]] = {}
    found = []
    for room in rooms.values():
        zone_name = room.time_zone if lies_anywhere(series) else GREENWICH
        if zone_name not in by_zone:
            by_zone[zone_name] = _laid_out(series, window, zone_name)
        taken_until = None
        for one in by_zone[zone_name]:
            start = one.starts_at if taken_until is None else max(one.starts_at, taken_until)
            if start < one.ends_at:
                found.append(Wanted(room.id, one.key, start, one.ends_at))
                taken_until = one.ends_at
    return found


def _laid_out(series: Series, window: tuple[datetime, datetime], zone_name: str) -> list[Occurrence]:
    found: dict[datetime, Occurrence] = {}
    start, end = window
    while start < end:
        stretch = Window(start, min(start + AT_A_TIME, end))
        found |= {one.key: one for one in expanded(series, stretch, zone_name)}
        if len(found) > MOST_BOOKINGS:
            raise TooManyBookings
        start = stretch.end
    return sorted(found.values(), key=lambda one: (one.starts_at, one.key))


def _plan(
    series: Series,
    ties: Iterable[CalendarEventResource],
    wanted: Iterable[Wanted],
    before: Iterable[Wanted],
    now: datetime,
) -> _Plan:
    has = {(one.resource_id, one.original_at): one for one in before}
    is_new = {one.resource_id: True for one in ties}
    is_new |= {one.resource_id: False for one in has.values()}
    booked_until = {one.resource_id: one.booked_until for one in ties}
    ends = series.event.series_ends_at
    is_over = ends is not None and ends <= now
    strict, lenient, given_up = [], [], set()
    dropped = dict(has)
    for one in wanted:
        row = has.get(_key(one))
        if row is not None and (row.starts_at, row.ends_at) == (one.starts_at, one.ends_at):
            del dropped[_key(one)]
            continue
        until = booked_until[one.resource_id]
        if row is not None and row.starts_at == row.ends_at == one.starts_at:
            given_up.add(_key(one))
            lenient.append(one)
        elif not is_new[one.resource_id] and (
            (one.ends_at <= now and not is_over) or (until is not None and one.starts_at >= until)
        ):
            lenient.append(one)
        else:
            strict.append(one)
    return _Plan(list(dropped.values()), strict, lenient, frozenset(given_up))


def _key(one: Wanted) -> Key:
    return one.resource_id, one.original_at


def _nothing(one: Wanted) -> Wanted:
    """Takes no time: it stands for an occurrence that cannot have the room."""
    return Wanted(one.resource_id, one.original_at, one.starts_at, one.starts_at)


# --- who was there before -------------------------------------------------------------------------------------


async def _clashes(session: AsyncSession, event_id: UUID, wanted: Sequence[Wanted]) -> list[Clash]:
    """By start."""
    by_room: dict[UUID, list[Wanted]] = defaultdict(list)
    for one in wanted:
        by_room[one.resource_id].append(one)
    found: list[Clash] = []
    for resource_id in sorted(by_room):
        found += await repository.in_the_way(session, resource_id, by_room[resource_id], event_id)
    return sorted(found, key=lambda one: (one[1].starts_at, one[1].resource_id))


async def _told(session: AsyncSession, scope: Doer, clashes: Sequence[Clash]) -> list[ConflictRead]:
    """The first 20; what the caller may not see is Busy."""
    shown = list(dict.fromkeys(booked for _, booked in clashes))[:MOST_LISTED]
    seen: set[Name] = set()
    if isinstance(scope, WorkspaceScope):
        seen = await readable(session, scope, [_name(one) for one in shown])
    return [
        ConflictRead(
            user_id=None,
            resource_id=one.resource_id,
            event_id=_id(one) if _name(one) in seen else None,
            title=one.title if _name(one) in seen else BUSY,
            start_time=one.starts_at,
            end_time=one.ends_at,
        )
        for one in shown
    ]


def _name(one: Booked) -> Name:
    return one.event_id, one.original_at if one.recurs else None


def _id(one: Booked) -> str:
    return occurrence_id(one.event_id, one.original_at) if one.recurs else str(one.event_id)


def _said(rooms: Mapping[UUID, CalendarResource], clashes: Sequence[Clash]) -> str:
    _, first = clashes[0]
    others = f", and at {len(clashes) - 1} other times" if len(clashes) > 1 else ""
    name = rooms[first.resource_id].name
    return f"{name} is taken from {written(first.starts_at)} to {written(first.ends_at)}{others}."


async def _tell_organizer(
    session: AsyncSession,
    platform: Platform,
    event: CalendarEvent,
    rooms: Mapping[UUID, CalendarResource],
    clashes: Sequence[Clash],
) -> None:
    lines = [
        f"• {rooms[one.resource_id].name}: {written(one.starts_at)} to {written(one.ends_at)}"
        for one, _ in clashes[:MOST_LISTED]
    ]
    if len(clashes) > MOST_LISTED:
        lines.append(f"• and {len(clashes) - MOST_LISTED} more")
    first = min(one.starts_at for one, _ in clashes)
    await notifications.notify(
        session,
        platform,
        user_ids=[event.organizer_user_id],
        category=Category.CALENDAR,
        type=NOT_HAD,
        dedup_key=f"room-not-had:{event.id}:{written(first)}",
        title=f"No room for {len(clashes)} of {event.title}",
        body="\n".join(["Somebody else has it then. Choose another room or time for these:", *lines]),
        reason="You hold this event, and its room was booked further ahead.",
        data={"eventId": str(event.id), "times": len(clashes)},
        link=f"{PATH}{event.id}",
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
    )
