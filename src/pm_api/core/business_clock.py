"""The row behind business time: one shift for all processes of an installation, never in production."""

from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.tables import BusinessClock

CHANNEL: Final = "pm_clock"


async def read_shift(session: AsyncSession) -> timedelta:
    """How far business time is ahead of the wall clock."""
    return await session.scalar(select(BusinessClock.shift)) or timedelta(0)


async def write_shift(session: AsyncSession, shift: timedelta) -> None:
    """Move every process's business time when this session commits."""
    await session.execute(
        insert(BusinessClock)
        .values(id=1, shift=shift)
        .on_conflict_do_update(index_elements=[BusinessClock.id], set_={"shift": shift})
    )
    await signals.publish(session, CHANNEL, str(shift.total_seconds()))
