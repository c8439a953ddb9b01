"""Queries of retiming: what clocks were taken to do, and events whose times were worked out by another release."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.clocks import Clocks
from pm_api.domains.calendar.models import CalendarEvent, CalendarZoneTable


async def note(session: AsyncSession, zone_name: str, version: str, clocks: Clocks, now: datetime) -> None:
    """Once for each zone and release."""
    await session.execute(
        insert(CalendarZoneTable)
        .values(zone=zone_name, tzdata_version=version, offsets=[list(one) for one in clocks.offsets], noted_at=now)
        .on_conflict_do_nothing()
    )


async def noted(session: AsyncSession, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Clocks]:
    """By (zone, release), those that are known."""
    if not keys:
        return {}
    rows = await session.scalars(
        select(CalendarZoneTable).where(CalendarZoneTable.zone.in_({one[0] for one in keys}))
    )
    found = {(row.zone, row.tzdata_version): Clocks.of(row.offsets) for row in rows}
    return {key: clocks for key, clocks in found.items() if key in keys}


async def of_other_release(
    session: AsyncSession, version: str, *, after: UUID | None, limit: int
) -> Sequence[CalendarEvent]:
    """Events that were worked out by another release, by id; without locks."""
    statement = select(CalendarEvent).where(CalendarEvent.tzdata_version != version).order_by(CalendarEvent.id)
    if after is not None:
        statement = statement.where(CalendarEvent.id > after)
    rows = await session.scalars(statement.limit(limit).execution_options(populate_existing=True))
    return rows.all()


async def hold(session: AsyncSession, event_ids: Collection[UUID], version: str) -> Sequence[CalendarEvent]:
    """Those of them that are of another release still, held, by id."""
    rows = await session.scalars(
        select(CalendarEvent)
        .where(CalendarEvent.id.in_(event_ids), CalendarEvent.tzdata_version != version)
        .order_by(CalendarEvent.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def stamp(session: AsyncSession, event_ids: Collection[UUID], version: str) -> None:
    """Of events that are held: this release says of them what the other one said."""
    await session.execute(
        update(CalendarEvent)
        .where(CalendarEvent.id.in_(event_ids))
        .values(tzdata_version=version)
        .execution_options(synchronize_session=False)
    )
