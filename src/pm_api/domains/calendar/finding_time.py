"""A time that suits a group: by what takes their time, when they work, and which rooms are free."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.recurrence import Window, zone, zone_or_utc
from pm_api.domains.calendar.busy import problems, uses_of
from pm_api.domains.calendar.enums import ShowAs
from pm_api.domains.calendar.errors.places import InvalidResources
from pm_api.domains.calendar.errors.time import AttendeesUnknown
from pm_api.domains.calendar.repository import busy as repository
from pm_api.domains.calendar.repository import resources as resource_rows
from pm_api.domains.calendar.rules import (
    USUAL_DAYS,
    Found,
    Invited,
    NoneFound,
    Room,
    Slot,
    Span,
    Taken,
    Wish,
    find_times,
    merged,
    working_spans,
)
from pm_api.domains.calendar.schemas.busy import (
    FindTimeRead,
    FindTimeRequest,
    NoTimeRead,
    ScoreParts,
    SlotBlocker,
    SlotObstacle,
    SlotRead,
    UnknownBusy,
)
from pm_api.identity.repository import people

MOST_OBSTACLES: Final = 50
MARGIN: Final = timedelta(days=1)
"""Working hours that go on over the edge of the range are one."""
WHY: Final = {
    NoneFound.WINDOW_TOO_SHORT: "The range leaves no start with enough time after it; take a longer one.",
    NoneFound.NOT_ENOUGH_ATTENDEES: "At no time of the range can enough of them come.",
    NoneFound.NO_ROOM: "At no time of the range is one of the rooms free.",
    NoneFound.NOT_AT_ONE_TIME: "Whenever enough of them can come no room is free, and the other way round.",
}


async def find(session: AsyncSession, scope: WorkspaceScope, wanted: FindTimeRequest) -> FindTimeRead:
    """The best times first; the same question over the same calendar has the same answer. Of whom not all could be
    worked out, what could be counts.

    Raises AttendeesUnknown, InvalidResources, ZoneUnknown.
    """
    ids = [one.user_id for one in wanted.attendees]
    zones = await repository.zones_of(session, scope, ids)
    if len(zones) < len(ids):
        raise AttendeesUnknown(
            details=[
                {"pointer": f"/attendees/{place}/userId", "detail": str(one)}
                for place, one in enumerate(ids)
                if one not in zones
            ]
        )
    window = Span(wanted.start, wanted.end)
    wish = _wish(wanted, window, await _origin(session, scope, wanted))
    wide = Window(wanted.start - wish.before, wanted.end + wish.after)
    uses = await uses_of(session, scope, zones, wide)
    hours = await repository.hours_of(session, zones)
    around = Span(wanted.start - MARGIN, wanted.end + MARGIN)
    invited = [
        Invited(
            id=one.user_id,
            taken=merged(use.taken for use in uses.of[one.user_id]),
            works=working_spans(
                hours[one.user_id].days if one.user_id in hours else USUAL_DAYS, zone(zones[one.user_id]), around
            ),
            is_required=not one.optional,
            is_known=one.user_id not in uses.refusals,
        )
        for one in wanted.attendees
    ]
    rooms = await _rooms(session, scope, wanted)
    # In a thread: thousands of times for a large group take longer than others should wait for.
    found = await asyncio.to_thread(find_times, wish, invited, rooms, wanted.limit)
    unknown = [UnknownBusy(user_id=one, errors=problems(uses.refusals[one])) for one in ids if one in uses.refusals]
    return _read(found, wanted, unknown)


async def _origin(session: AsyncSession, scope: WorkspaceScope, wanted: FindTimeRequest) -> datetime:
    """The midnight that steps are counted from."""
    if wanted.time_zone is not None:
        place = zone(wanted.time_zone)
    else:
        caller = await people.user_by_id(session, scope.user_id)
        place = zone_or_utc(caller.time_zone if caller is not None else "UTC")
    day = wanted.start.astimezone(place).date()
    return datetime.combine(day, time(), place).astimezone(UTC)


def _wish(wanted: FindTimeRequest, window: Span, origin: datetime) -> Wish:
    return Wish(
        window=window,
        duration=timedelta(minutes=wanted.duration_minutes),
        step=timedelta(minutes=wanted.step_minutes),
        first=origin,
        quorum=wanted.quorum,
        before=timedelta(minutes=wanted.buffer_before_minutes),
        after=timedelta(minutes=wanted.buffer_after_minutes),
        any_hour=wanted.outside_working_hours,
    )


async def _rooms(session: AsyncSession, scope: WorkspaceScope, wanted: FindTimeRequest) -> list[Room] | None:
    ids = list(dict.fromkeys(wanted.resource_ids))
    if not ids:
        return None
    known = await resource_rows.resources(session, scope, ids)
    unknown = [one for one in ids if one not in known or not known[one].is_active]
    if unknown:
        raise InvalidResources(
            details=[
                {"pointer": f"/resourceIds/{wanted.resource_ids.index(one)}", "detail": str(one)} for one in unknown
            ]
        )
    taken: dict[UUID, list[Taken]] = defaultdict(list)
    for resource_id, start, end in await repository.bookings_of(session, ids, wanted.start, wanted.end):
        taken[resource_id].append(Taken(start, end, ShowAs.BUSY))
    return [Room(one, merged(taken[one])) for one in ids]


def _read(found: Found, wanted: FindTimeRequest, unknown: list[UnknownBusy]) -> FindTimeRead:
    none_found = None
    if found.why is not None:
        rooms = set(wanted.resource_ids)
        none_found = NoTimeRead(
            code=found.why,
            text=WHY[found.why],
            tried=found.considered,
            obstacles=[
                SlotObstacle(
                    user_id=None if one.id in rooms else one.id,
                    resource_id=one.id if one.id in rooms else None,
                    reason=one.hindrance,
                    times=one.times,
                )
                for one in found.obstacles[:MOST_OBSTACLES]
            ],
        )
    return FindTimeRead(slots=[_slot(one) for one in found.slots], none_found=none_found, unknown=unknown)


def _slot(one: Slot) -> SlotRead:
    return SlotRead(
        start=one.start,
        end=one.end,
        score=one.score,
        parts=ScoreParts(attendance=one.attendance, working_hours=one.working_hours, sooner=one.sooner),
        blockers=[
            SlotBlocker(user_id=who.id, optional=not who.is_required, reason=who.hindrance) for who in one.blockers
        ],
        free_resource_ids=list(one.rooms),
    )
