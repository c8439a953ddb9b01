"""Rooms themselves: what administrators keep, and everybody reads."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.recurrence import zone
from pm_api.domains.calendar.errors.places import (
    ResourceBooked,
    ResourceExists,
    ResourceNotFound,
    TooManyResources,
)
from pm_api.domains.calendar.models import CalendarEvent, CalendarResource
from pm_api.domains.calendar.repository import resources as repository
from pm_api.domains.calendar.schemas.resources import ResourceCreate, ResourceList, ResourceRead, ResourceUpdate
from pm_api.domains.calendar.settling import UPDATED, note
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.repository import people

MOST: Final = 1000
MOST_UNBOOKED: Final = 500
MOST_LISTED: Final = 20
ENTITY: Final = "calendar_resource"
LIST: Final = "calendar-resources"
LOST: Final = "calendar.room_lost"


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, page: PageRequest, *, is_active: bool | None
) -> ResourceList:
    """A page, oldest first."""
    bound = {"workspace": scope.workspace_id, "active": is_active}
    key = platform.cursors.decode(page.cursor, of=LIST, **bound)
    after = UUID(key[0]) if key else None
    found = await repository.page(session, scope, is_active=is_active, limit=page.limit + 1, after=after)
    shown = found[: page.limit]
    following = [shown[-1].id] if len(found) > page.limit else None
    return ResourceList(
        resources=[ResourceRead.model_validate(one) for one in shown],
        next_cursor=platform.cursors.encode(following, of=LIST, **bound),
    )


async def get(session: AsyncSession, scope: WorkspaceScope, resource_id: UUID) -> ResourceRead:
    """Raises ResourceNotFound."""
    found = await repository.resource(session, scope, resource_id)
    if found is None:
        raise ResourceNotFound
    return ResourceRead.model_validate(found)


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: ResourceCreate
) -> ResourceRead:
    """Raises ResourceExists, TooManyResources, ZoneUnknown."""
    await people.lock_workspace(session, scope.workspace_id)
    if await repository.count(session, scope.workspace_id) >= MOST:
        raise TooManyResources
    if await repository.is_called(session, scope.workspace_id, wanted.name, but=None):
        raise ResourceExists
    time_zone = wanted.time_zone
    if time_zone is None:
        caller = await people.user_by_id(session, scope.user_id)
        time_zone = caller.time_zone if caller is not None else "UTC"
    zone(time_zone)
    now = platform.clock.now()
    made = CalendarResource(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        name=wanted.name,
        description=wanted.description,
        location=wanted.location,
        capacity=wanted.capacity,
        time_zone=time_zone,
        is_active=wanted.is_active,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    await session.flush()
    _tell(session, platform, scope, made, "created")
    return ResourceRead.model_validate(made)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    resource_id: UUID,
    wanted: ResourceUpdate,
    expected_version: int | None,
) -> ResourceRead:
    """Raises ResourceNotFound, PreconditionFailed, ResourceExists, ResourceBooked for the zone, ZoneUnknown."""
    await people.lock_workspace(session, scope.workspace_id)
    found = await repository.resource(session, scope, resource_id, lock=True)
    if found is None:
        raise ResourceNotFound
    check_version(found.version, expected_version)
    sent = wanted.model_dump(exclude_unset=True)
    differing = {name: value for name, value in sent.items() if getattr(found, name) != value}
    if not differing:
        return ResourceRead.model_validate(found)
    if "name" in differing and await repository.is_called(
        session, scope.workspace_id, differing["name"], but=found.id
    ):
        raise ResourceExists
    now = platform.clock.now()
    if "time_zone" in differing:
        zone(differing["time_zone"])
        if await repository.has_all_day(session, found.id, now):
            raise ResourceBooked("All-day events have the room, and their bookings lie by its zone.")
    for name, value in differing.items():
        setattr(found, name, value)
    found.version += 1
    found.updated_at = now
    await session.flush()
    _tell(session, platform, scope, found, "updated")
    return ResourceRead.model_validate(found)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    resource_id: UUID,
    expected_version: int | None,
    *,
    unbook: bool,
) -> None:
    """What is over does not count. With `unbook` events that have the room from now on go on without it, and their
    organizers are told. Raises ResourceNotFound, PreconditionFailed, ResourceBooked.
    """
    now = platform.clock.now()
    if await repository.resource(session, scope, resource_id) is None:
        raise ResourceNotFound
    having = await repository.events_having(session, resource_id, now, limit=MOST_UNBOOKED + 1)
    if len(having) > MOST_UNBOOKED:
        raise ResourceBooked(f"Over {MOST_UNBOOKED} events have the room. Set `isActive` to false instead.")
    events = await repository.lock_events(session, having)
    found = await repository.resource(session, scope, resource_id, lock=True)
    if found is None:
        raise ResourceNotFound
    check_version(found.version, expected_version)
    having = await repository.events_having(session, resource_id, now, limit=MOST_UNBOOKED + 1)
    if having and not unbook:
        raise ResourceBooked(
            f"{_counted(len(having))} the room from now on. Send ?unbook=true to take it away from them."
        )
    if not {one.id for one in events}.issuperset(having):
        raise ResourceBooked("Somebody has booked the room just now. Look again, and repeat it.")
    await repository.drop(session, found)
    losing = [one for one in events if one.id in set(having)]
    for event in losing:
        event.version += 1
        event.updated_at = now
        note(session, platform, event, UPDATED, event.scope_id, scope.user_id)
    await _tell_organizers(session, platform, scope, found, losing)
    _tell(session, platform, scope, found, "deleted")


def _counted(events: int) -> str:
    return "One event has" if events == 1 else f"{events} events have"


async def _tell_organizers(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    room: CalendarResource,
    events: Sequence[CalendarEvent],
) -> None:
    """Each once, with their own events by name."""
    by_person: dict[UUID, list[CalendarEvent]] = defaultdict(list)
    for one in events:
        by_person[one.organizer_user_id].append(one)
    for user_id, own in sorted(by_person.items()):
        lines = [f"• {one.title}" for one in own[:MOST_LISTED]]
        if len(own) > MOST_LISTED:
            lines.append(f"• and {len(own) - MOST_LISTED} more")
        await notifications.notify(
            session,
            platform,
            user_ids=[user_id],
            category=Category.CALENDAR,
            type=LOST,
            dedup_key=f"room-lost:{room.id}",
            title=f"{room.name} is not there any more",
            body="\n".join(["These events of yours go on without it:", *lines]),
            reason="You hold events that had this room.",
            data={"resourceId": str(room.id), "eventIds": [str(one.id) for one in own[:MOST_LISTED]]},
            link="/calendar",
            workspace_id=scope.workspace_id,
            actor_user_id=scope.user_id,
        )


def _tell(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, room: CalendarResource, action: str
) -> None:
    changes.record(
        session,
        platform,
        workspace_id=room.workspace_id,
        entity=ENTITY,
        entity_id=room.id,
        action=action,
        version=room.version,
        actor_user_id=scope.user_id,
    )
