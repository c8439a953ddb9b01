"""The one end of every write in the calendar: what follows from a change is written with it, in its transaction."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.events import emit, event_id
from pm_api.core.platform import Platform
from pm_api.domains.calendar import booking, finding, gauging, reminding, telling
from pm_api.domains.calendar.events import CalendarEventChanged
from pm_api.domains.calendar.mapping import Series, columns_of_set, series_of
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.reaching import KNOWN_AHEAD, reach
from pm_api.domains.calendar.repository import reach as weeks
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.changes import service as changes

ENTITY: Final = "calendar_event"
CREATED, UPDATED, DELETED = "created", "updated", "deleted"
RENEWED_BEFORE: Final = timedelta(days=60)
"""A series that goes on is looked at again when it has come so much closer to the end of what is known."""


async def settle(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope | SystemScope,
    event: CalendarEvent,
    *,
    action: str,
    moved: bool,
    at: datetime | None = None,
    before: Series | None = None,
    quiet: bool = False,
) -> Series:
    """The event is written, with its overrides, who comes and its rooms; its row is held. `moved`: it takes place at
    another time, so `sequence` rises, with `at` that of one occurrence. `before` is what it was. `quiet`: nobody is
    mailed or told.

    Raises RuleEmpty when no occurrence is left, and what booking rooms raises.
    """
    await session.flush()
    await gauging.catch_up(session, platform, event)
    gauging.note_clocks(session, event.time_zone, platform.clock.now())
    series = series_of(event, (await overrides_of(session, [event.id])).get(event.id, ()))
    if moved and action != CREATED:
        _raise_sequence(event, series, at)
    for name, value in columns_of_set(series.set).items():
        setattr(event, name, value)
    if action != CREATED:
        event.version += 1
        event.updated_at = platform.clock.now()
    found, event.reached_until = reach(series.set, now=platform.clock.now())
    await session.flush()
    await weeks.put(session, event, found)
    await reminding.reschedule(session, platform, series)
    await booking.rebook(session, platform, series, scope)
    if not quiet:
        await telling.told(session, platform, scope, series, action, moved=moved, at=at, before=before)
    await finding.put(session, series)
    await _tell(session, platform, scope, event, action, moved=moved, at=at)
    return series


async def end(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope | SystemScope,
    series: Series,
    *,
    quiet: bool = False,
) -> None:
    """Delete a held event with all that hangs on it; whoever is concerned is told, unless `quiet`. What stays is the
    change.
    """
    event = series.event
    event.version += 1
    await session.flush()
    if not quiet:
        await telling.told(session, platform, scope, series, DELETED, moved=True)
    await finding.drop(session, [event.id])
    await _tell(session, platform, scope, event, DELETED, moved=True, at=None)
    await weeks.delete_event(session, event.id)
    session.expunge(event)


def _raise_sequence(event: CalendarEvent, series: Series, at: datetime | None) -> None:
    if at is None:
        event.sequence += 1
        return
    for one in series.overrides:
        if one.original_at == at:
            one.sequence = max(one.sequence, event.sequence) + 1


async def _tell(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope | SystemScope,
    event: CalendarEvent,
    action: str,
    *,
    moved: bool,
    at: datetime | None,
) -> None:
    actor_user_id = scope.user_id if isinstance(scope, WorkspaceScope) else None
    note(session, platform, event, action, event.scope_id, actor_user_id)
    await emit(
        session,
        CalendarEventChanged(
            id=event_id(platform.randomness),
            event_id=event.id,
            workspace_id=event.workspace_id,
            scope_id=event.scope_id,
            project_id=event.project_id,
            action=action,
            moved=moved,
            original_at=at,
            version=event.version,
            actor_user_id=actor_user_id,
        ),
    )


def note(
    session: AsyncSession,
    platform: Platform,
    event: CalendarEvent,
    action: str,
    scope_id: UUID,
    actor_user_id: UUID | None,
) -> None:
    """Into the feed of those who see a scope."""
    changes.record(
        session,
        platform,
        workspace_id=event.workspace_id,
        entity=ENTITY,
        entity_id=event.id,
        action=action,
        version=event.version,
        scope_id=scope_id,
        actor_user_id=actor_user_id,
    )


async def carry_on(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Find out further ahead which weeks endless series reach; returns how many were looked at. Nothing that anybody
    reads changes, so the version does not.
    """
    now = platform.clock.now()
    events = await weeks.due(session, now + KNOWN_AHEAD - RENEWED_BEFORE, limit=limit)
    overrides = await overrides_of(session, [one.id for one in events])
    for event in events:
        found, event.reached_until = reach(series_of(event, overrides.get(event.id, ())).set, now=now)
        await weeks.put(session, event, found)
    await session.flush()
    return len(events)
