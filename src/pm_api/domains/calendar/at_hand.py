"""What somebody does with one event, over a route: done, and shown as they see it then."""

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import zone as zone_of
from pm_api.core.recurrence.errors import naming
from pm_api.domains.calendar import dry_running, writing
from pm_api.domains.calendar.changing import Written
from pm_api.domains.calendar.enums import Scope
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.expanding import one_of
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.reading import read_masters, reads
from pm_api.domains.calendar.repository import events as repository
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.schemas.events import (
    ConflictRead,
    EventCreate,
    EventRead,
    EventReplace,
    EventUpdate,
    EventWritten,
)
from pm_api.domains.calendar.schemas.series import EventDryRun


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: EventCreate
) -> EventWritten:
    """A new event; raises what `writing.create` raises."""
    series, conflicts = await writing.create(session, platform, scope, wanted)
    [event] = await read_masters(session, platform, scope, [series.event])
    return EventWritten(event=event, conflicts=conflicts)


async def get(session: AsyncSession, platform: Platform, at: EventScope, zone: str | None) -> EventRead:
    """An event, a series or an occurrence in sight; raises EventNotFound, OccurrenceUnknown, ZoneUnknown."""
    if zone is not None:
        with naming(timeZone="tz"):
            zone_of(zone)
    event = await repository.event(session, at.scope, at.event_id)
    if event is None:
        raise EventNotFound
    if at.original_at is None:
        [shown] = await read_masters(session, platform, at.scope, [event], zone=zone)
        return shown
    [series] = await repository.with_overrides(session, [event])
    zone = zone or await surroundings.time_zone_of(session, at.scope.user_id)
    one = one_of(series, at.original_at, zone, cancelled=True)
    [shown] = await reads(session, platform, at.scope, [one], zone=zone)
    return shown


async def change(
    session: AsyncSession,
    platform: Platform,
    at: EventScope,
    wanted: EventUpdate | EventReplace,
    which: Scope | None,
    expected_version: int | None,
) -> EventWritten:
    """Raises what `writing.change` raises."""
    written = await writing.change(session, platform, at.scope, at, wanted, which, expected_version)
    return EventWritten(event=await _read(session, platform, at.scope, written), conflicts=written.conflicts)


async def try_change(
    session: AsyncSession,
    platform: Platform,
    at: EventScope,
    wanted: EventUpdate | EventReplace,
    which: Scope | None,
    expected_version: int | None,
) -> EventDryRun:
    """What it would do. Raises the same."""

    async def work() -> list[ConflictRead]:
        return (await writing.change(session, platform, at.scope, at, wanted, which, expected_version)).conflicts

    return await dry_running.tried(session, platform, at, work)


async def remove(
    session: AsyncSession, platform: Platform, at: EventScope, which: Scope | None, expected_version: int | None
) -> None:
    """Raises what `writing.remove` raises."""
    await writing.remove(session, platform, at.scope, at, which, expected_version)


async def try_removal(
    session: AsyncSession, platform: Platform, at: EventScope, which: Scope | None, expected_version: int | None
) -> EventDryRun:
    """What it would do. Raises the same."""

    async def work() -> list[ConflictRead]:
        await remove(session, platform, at, which, expected_version)
        return []

    return await dry_running.tried(session, platform, at, work)


async def _read(session: AsyncSession, platform: Platform, scope: WorkspaceScope, written: Written) -> EventRead:
    """The occurrence that was meant, if it is one still; else the whole."""
    if written.original_at is None:
        [shown] = await read_masters(session, platform, scope, [written.series.event])
        return shown
    zone = await surroundings.time_zone_of(session, scope.user_id)
    one = one_of(written.series, written.original_at, zone, cancelled=True)
    [shown] = await reads(session, platform, scope, [one], zone=zone)
    return shown
