"""Queries of rooms: what they are, which events have them, and when."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, and_, cast, delete, exists, func, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.calendar.models import (
    CalendarBooking,
    CalendarEvent,
    CalendarEventResource,
    CalendarOverride,
    CalendarResource,
)

ROWS_A_STATEMENT: Final = 2000
"""A statement takes 32,767 values."""


@dataclass(frozen=True, slots=True)
class Booked:
    """Another occurrence that has a room."""

    resource_id: UUID
    event_id: UUID
    original_at: datetime
    starts_at: datetime
    ends_at: datetime
    title: str
    recurs: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """One occurrence in a room, as it is or is to be."""

    resource_id: UUID
    original_at: datetime
    starts_at: datetime
    ends_at: datetime


# --- rooms ----------------------------------------------------------------------------------------------------


async def resource(
    session: AsyncSession, scope: WorkspaceScope, resource_id: UUID, *, lock: bool = False
) -> CalendarResource | None:
    """One, with `lock` held against everybody who would book it."""
    if lock:
        await session.execute(select(CalendarResource.id).where(CalendarResource.id == resource_id).with_for_update())
    return await session.scalar(
        select(CalendarResource)
        .where(CalendarResource.id == resource_id, CalendarResource.workspace_id == scope.workspace_id)
        .execution_options(populate_existing=True)
    )


async def resources(
    session: AsyncSession, scope: WorkspaceScope, resource_ids: Collection[UUID]
) -> dict[UUID, CalendarResource]:
    if not resource_ids:
        return {}
    rows = await session.scalars(
        select(CalendarResource).where(
            CalendarResource.id.in_(resource_ids), CalendarResource.workspace_id == scope.workspace_id
        )
    )
    return {row.id: row for row in rows}


async def page(
    session: AsyncSession, scope: WorkspaceScope, *, is_active: bool | None, limit: int, after: UUID | None
) -> Sequence[CalendarResource]:
    """By id."""
    statement = (
        select(CalendarResource)
        .where(CalendarResource.workspace_id == scope.workspace_id)
        .order_by(CalendarResource.id)
        .limit(limit)
    )
    if is_active is not None:
        statement = statement.where(CalendarResource.is_active == is_active)
    if after is not None:
        statement = statement.where(CalendarResource.id > after)
    return (await session.scalars(statement)).all()


async def count(session: AsyncSession, workspace_id: UUID) -> int:
    found = await session.scalar(select(func.count()).where(CalendarResource.workspace_id == workspace_id))
    return found or 0


async def is_called(session: AsyncSession, workspace_id: UUID, name: str, *, but: UUID | None) -> bool:
    """Whether another room has the name; capitals make no difference, since people say names."""
    alike = func.lower(CalendarResource.name) == func.lower(name)
    taken = exists().where(CalendarResource.workspace_id == workspace_id, alike)
    if but is not None:
        taken = taken.where(CalendarResource.id != but)
    return bool(await session.scalar(select(taken)))


async def drop(session: AsyncSession, row: CalendarResource) -> None:
    await session.delete(row)
    await session.flush()


async def lock(session: AsyncSession, resource_ids: Collection[UUID]) -> dict[UUID, CalendarResource]:
    """Hold rooms, in the order of their ids; whoever books one waits here, and reads what is booked afterwards."""
    rows = await session.scalars(
        select(CalendarResource)
        .where(CalendarResource.id.in_(resource_ids))
        .order_by(CalendarResource.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


# --- which events have them -----------------------------------------------------------------------------------


async def resources_of(session: AsyncSession, event_ids: Collection[UUID]) -> dict[UUID, list[CalendarResource]]:
    """The rooms of each event, by name."""
    rows = await session.execute(
        select(CalendarEventResource.event_id, CalendarResource)
        .join(CalendarResource, CalendarResource.id == CalendarEventResource.resource_id)
        .where(CalendarEventResource.event_id.in_(event_ids))
        .order_by(CalendarResource.name, CalendarResource.id)
    )
    found: dict[UUID, list[CalendarResource]] = defaultdict(list)
    for event_id, row in rows:
        found[event_id].append(row)
    return dict(found)


async def ties_of(session: AsyncSession, event_id: UUID) -> Sequence[CalendarEventResource]:
    return (
        await session.scalars(
            select(CalendarEventResource)
            .where(CalendarEventResource.event_id == event_id)
            .order_by(CalendarEventResource.resource_id)
            .execution_options(populate_existing=True)
        )
    ).all()


async def tie(session: AsyncSession, event: CalendarEvent, resource_ids: Collection[UUID]) -> None:
    """From now on an event has exactly these rooms."""
    await session.execute(
        delete(CalendarEventResource).where(
            CalendarEventResource.event_id == event.id, CalendarEventResource.resource_id.not_in(resource_ids)
        )
    )
    if not resource_ids:
        return
    rows = [
        {"event_id": event.id, "resource_id": one, "workspace_id": event.workspace_id} for one in sorted(resource_ids)
    ]
    await session.execute(insert(CalendarEventResource).values(rows).on_conflict_do_nothing())


async def set_booked_until(session: AsyncSession, event_id: UUID, until: datetime | None) -> None:
    await session.execute(
        update(CalendarEventResource)
        .where(CalendarEventResource.event_id == event_id)
        .where(CalendarEventResource.booked_until.is_distinct_from(until))
        .values(booked_until=until)
    )


async def events_having(session: AsyncSession, resource_id: UUID, now: datetime, *, limit: int) -> Sequence[UUID]:
    """Events that have a room from now on, by id."""
    going_on = exists().where(
        CalendarBooking.resource_id == CalendarEventResource.resource_id,
        CalendarBooking.event_id == CalendarEventResource.event_id,
        CalendarBooking.ends_at > now,
    )
    statement = (
        select(CalendarEventResource.event_id)
        .where(CalendarEventResource.resource_id == resource_id)
        .where(or_(going_on, CalendarEventResource.booked_until.is_not(None)))
        .order_by(CalendarEventResource.event_id)
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def has_all_day(session: AsyncSession, resource_id: UUID, now: datetime) -> bool:
    """Whether something that lies all day has the room from now on."""
    moved = exists().where(
        CalendarOverride.event_id == CalendarBooking.event_id,
        CalendarOverride.original_at == CalendarBooking.original_at,
        CalendarOverride.all_day.is_(True),
    )
    statement = (
        select(CalendarBooking.event_id)
        .join(CalendarEvent, CalendarEvent.id == CalendarBooking.event_id)
        .where(CalendarBooking.resource_id == resource_id, CalendarBooking.ends_at > now)
        .where(or_(CalendarEvent.all_day, moved))
        .limit(1)
    )
    return await session.scalar(statement) is not None


async def lock_events(session: AsyncSession, event_ids: Collection[UUID]) -> Sequence[CalendarEvent]:
    """Hold events, in the order of their ids."""
    return (
        await session.scalars(
            select(CalendarEvent)
            .where(CalendarEvent.id.in_(event_ids))
            .order_by(CalendarEvent.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


# --- bookings -------------------------------------------------------------------------------------------------


async def bookings_of_event(session: AsyncSession, event_id: UUID) -> Sequence[Wanted]:
    rows = await session.execute(
        select(
            CalendarBooking.resource_id,
            CalendarBooking.original_at,
            CalendarBooking.starts_at,
            CalendarBooking.ends_at,
        ).where(CalendarBooking.event_id == event_id)
    )
    return [Wanted(*row) for row in rows]


async def drop_bookings(session: AsyncSession, event_id: UUID, rows: Sequence[Wanted]) -> None:
    for begin in range(0, len(rows), ROWS_A_STATEMENT):
        keys = [(one.resource_id, one.original_at) for one in rows[begin : begin + ROWS_A_STATEMENT]]
        await session.execute(
            delete(CalendarBooking)
            .where(CalendarBooking.event_id == event_id)
            .where(tuple_(CalendarBooking.resource_id, CalendarBooking.original_at).in_(keys))
            .execution_options(synchronize_session=False)
        )


async def give_back(session: AsyncSession, event_id: UUID, since: datetime) -> None:
    """Bookings from a moment on take no time any more; that the event has had its rooms can be seen still."""
    await session.execute(
        update(CalendarBooking)
        .where(CalendarBooking.event_id == event_id, CalendarBooking.starts_at >= since)
        .values(starts_at=CalendarBooking.ends_at)
        .execution_options(synchronize_session=False)
    )


async def drop_bookings_of_others(session: AsyncSession, event_id: UUID, kept: Collection[UUID]) -> None:
    """Of rooms that an event has no more."""
    await session.execute(
        delete(CalendarBooking).where(CalendarBooking.event_id == event_id, CalendarBooking.resource_id.not_in(kept))
    )


async def book(session: AsyncSession, event: CalendarEvent, wanted: Sequence[Wanted]) -> None:
    for begin in range(0, len(wanted), ROWS_A_STATEMENT):
        rows = [
            {
                "resource_id": one.resource_id,
                "event_id": event.id,
                "original_at": one.original_at,
                "workspace_id": event.workspace_id,
                "starts_at": one.starts_at,
                "ends_at": one.ends_at,
            }
            for one in wanted[begin : begin + ROWS_A_STATEMENT]
        ]
        await session.execute(insert(CalendarBooking).values(rows))


async def in_the_way(
    session: AsyncSession, resource_id: UUID, wanted: Sequence[Wanted], event_id: UUID
) -> list[tuple[Wanted, Booked]]:
    """What of other events meets the wanted times of a room, by start: of each the first, because bookings of a room
    never overlap: the one that ends next begins next.
    """
    spans = (
        func.unnest(
            cast([one.starts_at for one in wanted], ARRAY(DateTime(timezone=True))),
            cast([one.ends_at for one in wanted], ARRAY(DateTime(timezone=True))),
        )
        .table_valued("begins", "ends", name="wanted")
        .render_derived()
    )
    following = (
        select(CalendarBooking)
        .where(
            CalendarBooking.resource_id == resource_id,
            CalendarBooking.event_id != event_id,
            CalendarBooking.ends_at > spans.c.begins,
            CalendarBooking.ends_at > CalendarBooking.starts_at,
        )
        .order_by(CalendarBooking.ends_at, CalendarBooking.starts_at)
        .limit(1)
        .lateral("following")
    )
    statement = (
        select(
            spans.c.begins,
            following.c.event_id,
            following.c.original_at,
            following.c.starts_at,
            following.c.ends_at,
            func.coalesce(CalendarOverride.fields["title"].astext, CalendarEvent.title),
            or_(CalendarEvent.rrule.is_not(None), func.cardinality(CalendarEvent.rdates) > 0),
        )
        .select_from(spans.join(following, true()).join(CalendarEvent, CalendarEvent.id == following.c.event_id))
        .outerjoin(
            CalendarOverride,
            and_(
                CalendarOverride.event_id == following.c.event_id,
                CalendarOverride.original_at == following.c.original_at,
            ),
        )
        .where(following.c.starts_at < spans.c.ends)
        .order_by(spans.c.begins)
    )
    by_start = {one.starts_at: one for one in wanted}
    return [(by_start[row[0]], Booked(resource_id, *row[1:])) for row in await session.execute(statement)]


async def short_of_booking(
    session: AsyncSession, before: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """(event, workspace) of series without an end that are booked up to an earlier time; by event."""
    statement = (
        select(CalendarEventResource.event_id, CalendarEventResource.workspace_id)
        .where(CalendarEventResource.booked_until < before)
        .distinct()
        .order_by(CalendarEventResource.event_id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(CalendarEventResource.event_id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]
