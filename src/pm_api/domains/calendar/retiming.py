"""After a new release of the zone tables: the UTC times of events are worked out once more (`pm-api calendar retime`,
and a sweep). Wall times stay; what thereby takes place at another moment is listed, and those who come are told.

Every event has a transaction of its own and says of itself by which release it was worked out: whoever dies leaves
the rest for the next run, two runs share the work, and a writer meanwhile does the same for what is written.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.core.recurrence import tzdata_version
from pm_api.core.schema import written
from pm_api.domains.calendar import booking, gauging, settling
from pm_api.domains.calendar.errors.places import ResourceTaken
from pm_api.domains.calendar.gauging import Shift
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.repository import resources, zone_tables

AT_A_TIME: Final = 200
SCOPE: Final = SystemScope("new zone tables")
FAILED: Final = "could not be worked out"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retimed:
    """An event of which something takes place at another moment: the first such, and how many of the next two years.
    `refusal` says why it stays as it was.
    """

    event_id: UUID
    workspace_id: UUID
    first: Shift | None
    times: int
    refusal: str | None = None

    def told(self) -> str:
        """A line for the operator: no words of anybody's event."""
        if self.refusal is not None or self.first is None:
            return f"{self.event_id}: {FAILED} ({self.refusal})"
        one = self.first
        line = f"{self.event_id}: {one.wall:%Y-%m-%d %H:%M} {one.zone} was {written(one.was)}, is {written(one.now)}"
        return f"{line}, and {self.times - 1} more" if self.times > 1 else line


async def retime(platform: Platform, *, dry_run: bool = False) -> AsyncIterator[Retimed]:
    """Every event that was worked out by another release, by id; what moved is handed out as it is done. `dry_run`
    changes nothing.
    """
    after: UUID | None = None
    blocked: list[UUID] = []
    while True:
        found, moved, after = await _look(platform, after)
        if not dry_run:
            await _stamp(platform, [one for one in found if one not in moved])
        for event_id, one in moved.items():
            if dry_run:
                yield one
                continue
            done = await _settle(platform, event_id, blocked)
            if done:
                yield done
        if len(found) < AT_A_TIME:
            break
    async for done in _unblock(platform, blocked):
        yield done


async def _look(platform: Platform, after: UUID | None) -> tuple[Sequence[UUID], dict[UUID, Retimed], UUID | None]:
    """The next of another release, those of them that move, and where they end."""
    async with platform.database.reading() as session:
        events = await zone_tables.of_other_release(session, tzdata_version(), after=after, limit=AT_A_TIME)
        shifts = await gauging.shifts_of(session, events, platform.clock.now())
        moved = {one.id: _retimed(one, shifts[one.id]) for one in events if one.id in shifts}
        return [one.id for one in events], moved, events[-1].id if events else after


async def _stamp(platform: Platform, event_ids: Sequence[UUID]) -> None:
    """This release says of them what the other one said; looked at again under their locks."""
    async with platform.database.transaction() as session:
        now = platform.clock.now()
        held = await zone_tables.hold(session, event_ids, tzdata_version())
        shifts = await gauging.shifts_of(session, held, now)
        for name in {one.time_zone for one in held}:
            gauging.note_clocks(session, name, now)
        await zone_tables.stamp(session, [one.id for one in held if one.id not in shifts], tzdata_version())


async def _settle(platform: Platform, event_id: UUID, blocked: list[UUID]) -> Retimed | None:
    """One event in a transaction of its own; None when somebody else was there before, or its room is taken by
    something that may move too.
    """
    try:
        async with platform.database.transaction() as session:
            held = await zone_tables.hold(session, [event_id], tzdata_version())
            for event in held:
                return await _work_out(session, platform, event)
    except ResourceTaken:
        blocked.append(event_id)
    except ApiError as refusal:
        return _refused(event_id, refusal)
    return None


async def _work_out(session: AsyncSession, platform: Platform, event: CalendarEvent) -> Retimed | None:
    shifts = (await gauging.shifts_of(session, [event], platform.clock.now())).get(event.id, [])
    await settling.settle(session, platform, SCOPE, event, action=settling.UPDATED, moved=False)
    return _retimed(event, shifts) if shifts else None


async def _unblock(platform: Platform, blocked: list[UUID]) -> AsyncIterator[Retimed]:
    """Events whose rooms were taken by others: again as long as that helps, and then together, because each of them
    may stand in the other's way. Where one still cannot have its room it stays without, and its organizer is told.
    """
    while blocked:
        before, blocked[:] = list(blocked), []
        for event_id in before:
            done = await _settle(platform, event_id, blocked)
            if done:
                yield done
        if len(blocked) == len(before):
            break
    for first in range(0, len(blocked), AT_A_TIME):
        try:
            async with platform.database.transaction() as session:
                together = await _together(session, platform, blocked[first : first + AT_A_TIME])
        except ApiError as refusal:
            together = [_refused(one, refusal) for one in blocked[first : first + AT_A_TIME]]
        for done in together:
            yield done


async def _together(session: AsyncSession, platform: Platform, event_ids: Sequence[UUID]) -> list[Retimed]:
    """All of their bookings to come are given back before the first is made anew."""
    now = platform.clock.now()
    await booking.hold(session, event_ids)
    held = await zone_tables.hold(session, event_ids, tzdata_version())
    for event in held:
        await resources.give_back(session, event.id, now)
        await resources.set_booked_until(session, event.id, now)
    found = [await _work_out(session, platform, event) for event in held]
    return [one for one in found if one is not None]


def _retimed(event: CalendarEvent, shifts: Sequence[Shift]) -> Retimed:
    return Retimed(event.id, event.workspace_id, shifts[0], len(shifts))


def _refused(event_id: UUID, refusal: ApiError) -> Retimed:
    _log.warning("event_not_retimed", event_id=str(event_id), code=refusal.code)
    return Retimed(event_id, UUID(int=0), None, 0, refusal.code)
