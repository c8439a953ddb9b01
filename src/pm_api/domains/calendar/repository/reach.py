"""Queries of the weeks that events reach, kept when they are written, and carried on for those without an end."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import CalendarEvent, CalendarReach

_PUT: Final = """
INSERT INTO calendar_reach (workspace_id, week, event_id)
SELECT :workspace, week, :event FROM unnest(CAST(:weeks AS integer[])) AS week
"""


async def put(session: AsyncSession, event: CalendarEvent, weeks: Collection[int]) -> None:
    """These and no others, from now on."""
    known = set(await session.scalars(select(CalendarReach.week).where(CalendarReach.event_id == event.id)))
    gone, new = known.difference(weeks), sorted(set(weeks) - known)
    if gone:
        await session.execute(
            delete(CalendarReach)
            .where(CalendarReach.event_id == event.id, CalendarReach.week.in_(gone))
            .execution_options(synchronize_session=False)
        )
    if new:
        facts = {"workspace": event.workspace_id, "event": event.id, "weeks": new}
        await session.execute(text(_PUT), facts)


async def due(session: AsyncSession, known_until: datetime, *, limit: int) -> Sequence[CalendarEvent]:
    """Series that are not known so far ahead, held; those that somebody is writing wait for the next run."""
    rows = await session.scalars(
        select(CalendarEvent)
        .where(CalendarEvent.reached_until < known_until)
        .order_by(CalendarEvent.reached_until, CalendarEvent.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def delete_event(session: AsyncSession, event_id: UUID) -> None:
    """With all that hangs on it, by the foreign keys."""
    await session.execute(
        delete(CalendarEvent).where(CalendarEvent.id == event_id).execution_options(synchronize_session=False)
    )
