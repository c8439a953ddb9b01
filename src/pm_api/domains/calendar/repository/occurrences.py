"""Queries of what hangs on single occurrences, named by their original starts: when a series moves, its names do."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, text, union
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarOverride,
    CalendarReminder,
    CalendarSnooze,
)
from pm_api.domains.calendar.repository.splitting import forget

NAMED_BY: Final[tuple[tuple[type[Any], str], ...]] = (
    (CalendarOverride, "original_at"),
    (CalendarAnswer, "original_at"),
    (CalendarSnooze, "original_at"),
    (CalendarAttendee, "only_at"),
    (CalendarReminder, "only_at"),
)
# Names may go where others come from: all leave the calendar before the first one comes back.
_AWAY: Final = "interval '87658200 hours'"
_MOVE_AWAY: Final = """
UPDATE {table} AS t SET {column} = m.new_at + {away}{more}
FROM unnest(CAST(:old AS timestamptz[]), CAST(:new AS timestamptz[]), CAST(:walls AS timestamp[]))
     AS m (old_at, new_at, wall)
WHERE t.event_id = :event AND t.{column} = m.old_at
"""
_COME_BACK: Final = """
UPDATE {table} SET {column} = {column} - {away}
WHERE event_id = :event AND {column} > timestamptz '9999-12-31T00:00:00Z'
"""


class There(NamedTuple):
    """Where an occurrence was to start after all."""

    key: datetime
    wall: datetime


async def names_of(session: AsyncSession, event_id: UUID) -> set[datetime]:
    """Original starts that something hangs on."""
    each = [
        select(getattr(table, column)).where(table.event_id == event_id, getattr(table, column).is_not(None))
        for table, column in NAMED_BY
    ]
    return set(await session.scalars(union(*each)))


async def rename(session: AsyncSession, event_id: UUID, names: Mapping[datetime, There]) -> None:
    """What hangs on these occurrences hangs on them by other names; two never get one."""
    if not names:
        return
    facts = {
        "event": event_id,
        "old": list(names),
        "new": [one.key for one in names.values()],
        "walls": [one.wall.replace(tzinfo=None) for one in names.values()],
    }
    for table, column in NAMED_BY:
        more = ", original_wall = m.wall" if table is CalendarOverride else ""
        name = table.__tablename__
        away = _MOVE_AWAY.format(table=name, column=column, away=_AWAY, more=more)
        await session.execute(text(away), facts)
        back = _COME_BACK.format(table=name, column=column, away=_AWAY)
        await session.execute(text(back), {"event": event_id})
    forget(session, event_id)


async def drop(session: AsyncSession, event_id: UUID, names: Collection[datetime]) -> None:
    """What hangs on these occurrences goes."""
    if not names:
        return
    for table, column in NAMED_BY:
        await session.execute(
            delete(table)
            .where(table.event_id == event_id, getattr(table, column).in_(names))
            .execution_options(synchronize_session=False)
        )
    forget(session, event_id)
