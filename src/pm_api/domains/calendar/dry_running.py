"""What a write would do: it is done in a savepoint, looked at, and taken back. Rows, jobs, mails and what would be
told are in the savepoint; nothing of it stays.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.domains.calendar import reading
from pm_api.domains.calendar.expanding import one_of
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.repository import splitting, surroundings
from pm_api.domains.calendar.repository.events import series_of_ids
from pm_api.domains.calendar.schemas.events import ConflictRead, EventRead
from pm_api.domains.calendar.schemas.series import (
    EventDifference,
    EventDryRun,
    EventFieldChange,
    EventOutcome,
)

COUNTS: Final = frozenset({"version", "sequence", "createdAt", "updatedAt"})
"""Fields that say that something changed, and not what."""

Name = tuple[UUID, datetime | None]
"""An event, or an occurrence of it by its original start."""
NOBODYS: Final = UUID(int=0)
"""Stands for ids of what a dry run has made and taken back."""
Work = Callable[[], Awaitable[Iterable[ConflictRead]]]


async def tried(session: AsyncSession, platform: Platform, at: EventScope, work: Work) -> EventDryRun:
    """What `work` would do to the event, and to the occurrence when one is named; `work` returns the conflicts.
    Raises what it raises.
    """
    scope = at.scope
    split_before = await splitting.split_from(session, at.event_id)
    named = [(at.event_id, None), (at.event_id, at.original_at)]
    old = await sights(session, platform, scope, named)
    async with session.begin_nested() as attempt:
        conflicts = list(await work())
        split_off = [one for one in await splitting.split_from(session, at.event_id) if one not in split_before]
        new = await sights(session, platform, scope, [*named, *((one, None) for one in split_off)])
        await attempt.rollback()
    found = [difference(one, old.get(one), new.get(one)) for one in dict.fromkeys([*old, *new])]
    return EventDryRun(
        differences=[one for one in found if one.outcome is not EventOutcome.UNCHANGED], conflicts=conflicts
    )


async def sights(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, names: Iterable[Name]
) -> dict[str, EventRead]:
    """Events and occurrences as the caller sees them now, by id; those that are not there are left out."""
    wanted = list(dict.fromkeys(names))
    await session.flush()
    found = {one.id: one for one in await series_of_ids(session, scope, {one for one, _ in wanted})}
    whole = [found[event_id].event for event_id, original_at in wanted if original_at is None and event_id in found]
    zone = await surroundings.time_zone_of(session, scope.user_id)
    placed = []
    for event_id, original_at in wanted:
        if original_at is not None and event_id in found:
            with suppress(OccurrenceUnknown):
                placed.append(one_of(found[event_id], original_at, zone, cancelled=True))
    shown = await reading.read_masters(session, platform, scope, whole)
    shown += await reading.reads(session, platform, scope, placed, zone=zone)
    return {one.id: one for one in shown}


def difference(event_id: str, old: EventRead | None, new: EventRead | None) -> EventDifference:
    """From what somebody saw to what they see."""
    if old is None or new is None:
        outcome = EventOutcome.CREATED if old is None else EventOutcome.DELETED
        return EventDifference(id=event_id, outcome=outcome, changes=[], event=new)
    changes = field_changes(old, new)
    if old.status != new.status:
        outcome = EventOutcome.DELETED if new.status == "CANCELLED" else EventOutcome.CREATED
    else:
        outcome = EventOutcome.CHANGED if changes else EventOutcome.UNCHANGED
    return EventDifference(id=event_id, outcome=outcome, changes=changes, event=new)


def unnamed(event: EventRead, made: Collection[UUID]) -> EventRead:
    """Of events that were `made` in a dry run: without the ids they had there, which nobody will have."""
    event_id = UUID(event.id.partition("_")[0])
    previous = NOBODYS if event.previous_series_id in made else event.previous_series_id
    if event_id not in made:
        return event
    return event.model_copy(
        update={
            "id": event.id.replace(str(event_id), str(NOBODYS)),
            "series_id": None if event.series_id is None else NOBODYS,
            "previous_series_id": previous,
            "uid": event.uid.replace(str(event_id), str(NOBODYS)),
            "attendees": [one.model_copy(update={"id": NOBODYS}) for one in event.attendees],
        }
    )


def field_changes(old: EventRead, new: EventRead) -> list[EventFieldChange]:
    before, after = form(old), form(new)
    return [
        EventFieldChange(field=name, old=before[name], new=value)
        for name, value in after.items()
        if name not in COUNTS and before[name] != value
    ]


def form(event: EventRead) -> dict[str, Any]:
    """As it goes out."""
    return event.model_dump(mode="json", by_alias=True)
