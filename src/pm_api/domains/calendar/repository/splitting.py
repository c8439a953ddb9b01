"""Queries of a split: what hangs on occurrences from one moment on goes to another series."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarBooking,
    CalendarEvent,
    CalendarEventResource,
    CalendarOverride,
    CalendarReminder,
    CalendarSnooze,
)

BY_OCCURRENCE: Final = (CalendarOverride, CalendarBooking, CalendarSnooze, CalendarAnswer)
"""Tables whose rows hang on one occurrence, by `original_at`."""
ALSO_BY_OCCURRENCE: Final = (CalendarAttendee, CalendarReminder)
"""Tables of which those rows do that have an `only_at`."""
_UNSYNCED: Final = {"synchronize_session": False}


async def invited_to_all(session: AsyncSession, event_id: UUID) -> list[UUID]:
    """Invitations to the whole series."""
    rows = await session.scalars(
        select(CalendarAttendee.id).where(CalendarAttendee.event_id == event_id, CalendarAttendee.only_at.is_(None))
    )
    return list(rows)


async def invited_to_one(session: AsyncSession, event_id: UUID, since: datetime) -> list[CalendarAttendee]:
    """Those invited to a single occurrence that was to start at `since` or later."""
    rows = await session.scalars(
        select(CalendarAttendee)
        .where(CalendarAttendee.event_id == event_id, CalendarAttendee.only_at >= since)
        .order_by(CalendarAttendee.id)
    )
    return list(rows)


async def copy_of_all(
    session: AsyncSession,
    table: type[Any],
    event_id: UUID,
    to: UUID,
    new_id: Callable[[], UUID],
    but: Callable[[Any], Mapping[str, Any]] = lambda _: {},
) -> dict[UUID, UUID]:
    """The rows of a series once more, for another, `but` for what is otherwise in a row; returns new ids by the old
    ones, of tables that have an id. What hangs on a single occurrence is left out.
    """
    ids: dict[UUID, UUID] = {}
    found = select(table).where(table.event_id == event_id)
    if table in ALSO_BY_OCCURRENCE:
        found = found.where(table.only_at.is_(None))
    for row in (await session.scalars(found)).all():
        values = {name: getattr(row, name) for name in table.__table__.columns.keys()}  # noqa: SIM118
        if "id" in values:
            ids[row.id] = values["id"] = new_id()
        session.add(table(**{**values, "event_id": to, **but(row)}))
    await session.flush()
    return ids


async def move_occurrences(
    session: AsyncSession, event_id: UUID, to: UUID, since: datetime, attendees: Mapping[UUID, UUID]
) -> None:
    """What hangs on an occurrence that was to start at `since` or later goes to the other series. An answer goes to
    the invitation that stands there for the one it was given to.
    """
    for own in ALSO_BY_OCCURRENCE:
        await session.execute(
            update(own)
            .where(own.event_id == event_id, own.only_at >= since)
            .values(event_id=to)
            .execution_options(**_UNSYNCED)
        )
    if attendees:
        pairs = (
            func.unnest(
                bindparam("old", list(attendees), ARRAY(Uuid())),
                bindparam("new", list(attendees.values()), ARRAY(Uuid())),
            )
            .table_valued("old_id", "new_id")
            .render_derived()
        )
        await session.execute(
            update(CalendarAnswer)
            .where(
                CalendarAnswer.event_id == event_id,
                CalendarAnswer.original_at >= since,
                CalendarAnswer.attendee_id == pairs.c.old_id,
            )
            .values(attendee_id=pairs.c.new_id)
            .execution_options(**_UNSYNCED)
        )
    for table in BY_OCCURRENCE:
        await session.execute(
            update(table)
            .where(table.event_id == event_id, table.original_at >= since)
            .values(event_id=to)
            .execution_options(**_UNSYNCED)
        )
    forget(session, event_id)


async def drop_occurrences(session: AsyncSession, event_id: UUID, since: datetime) -> None:
    """What hangs on an occurrence that was to start at `since` or later goes."""
    for table in BY_OCCURRENCE:
        await session.execute(
            delete(table).where(table.event_id == event_id, table.original_at >= since).execution_options(**_UNSYNCED)
        )
    for own in ALSO_BY_OCCURRENCE:
        await session.execute(
            delete(own).where(own.event_id == event_id, own.only_at >= since).execution_options(**_UNSYNCED)
        )
    forget(session, event_id)


def forget(session: AsyncSession, event_id: UUID) -> None:
    """Rows of a series that this session has read are read again, wherever they are now."""
    tables = (*BY_OCCURRENCE, *ALSO_BY_OCCURRENCE, CalendarEventResource)
    for row in list(session):
        if isinstance(row, tables) and row.event_id == event_id:
            session.expunge(row)


async def split_from(session: AsyncSession, event_id: UUID) -> list[UUID]:
    """Series that were split from this one."""
    rows = await session.scalars(
        select(CalendarEvent.id).where(CalendarEvent.previous_series_id == event_id).order_by(CalendarEvent.id)
    )
    return list(rows)
