"""The rows of flows: whose a flow is, how it stands, and who is at it. This package alone asks for them.

A holder works under a lease in wall time and proves it under lock before it writes a result, so that work that was
taken over cannot end twice.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.idempotency import KEPT
from pm_api.core.platform import Platform
from pm_api.core.tables import FlowRecord

OPEN: Final = "OPEN"
DONE: Final = "DONE"
REFUSED: Final = "REFUSED"
ABANDONED: Final = "ABANDONED"

Place = tuple[str, str, str]
"""Caller, route and key: whose intention a flow carries out."""


async def lock_place(session: AsyncSession, place: Place) -> bool:
    """To the end of the transaction; False while another request has it, so that nobody waits on a connection."""
    lock = func.hashtextextended("\n".join(("flow", *place)), 0)
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(lock))))


async def at(session: AsyncSession, place: Place) -> FlowRecord | None:
    """The flow of a key, held to the end of the transaction."""
    return await session.scalar(select(FlowRecord).where(_is_at(place)).with_for_update())


async def look(session: AsyncSession, place: Place) -> FlowRecord | None:
    """The flow of a key, as it stands."""
    return await session.scalar(select(FlowRecord).where(_is_at(place)))


async def answer_of(session: AsyncSession, flow_id: UUID) -> FlowRecord | None:
    """A flow that has ended with an answer."""
    return await session.scalar(
        select(FlowRecord).where(FlowRecord.id == flow_id, FlowRecord.sealed_answer.is_not(None))
    )


async def open_one(session: AsyncSession, platform: Platform, values: dict[str, Any], holder: UUID) -> UUID | None:
    """A new flow, held; None while an open one is exclusive with it."""
    wall = platform.clock.wall()
    return await session.scalar(
        insert(FlowRecord)
        .values(
            id=platform.randomness.uuid(),
            status=OPEN,
            parameters={},
            attempt=1,
            holder=holder,
            lease_expires_at=wall + lease(platform),
            tried_at=wall,
            look_at=wall,
            looks=0,
            created_at=platform.clock.now(),
            **values,
        )
        .on_conflict_do_nothing()
        .returning(FlowRecord.id)
    )


async def pin(session: AsyncSession, flow_id: UUID, parameters: dict[str, Any]) -> None:
    await session.execute(update(FlowRecord).where(FlowRecord.id == flow_id).values(parameters=parameters))


async def take(session: AsyncSession, platform: Platform, row: FlowRecord, holder: UUID, tried_at: datetime) -> None:
    """A flow that nobody is at is the holder's now. The row must be locked."""
    await session.execute(
        update(FlowRecord)
        .where(FlowRecord.id == row.id)
        .values(holder=holder, lease_expires_at=platform.clock.wall() + lease(platform), tried_at=tried_at)
    )


def is_held(platform: Platform, row: FlowRecord) -> bool:
    return row.lease_expires_at is not None and row.lease_expires_at > platform.clock.wall()


async def keep(session: AsyncSession, platform: Platform, flow_id: UUID, holder: UUID) -> bool:
    """Extend the lease; False when it is another's, or the flow has ended."""
    kept = await session.scalar(
        update(FlowRecord)
        .where(_is_held_by(flow_id, holder))
        .values(lease_expires_at=platform.clock.wall() + lease(platform))
        .returning(FlowRecord.id)
    )
    return kept is not None


async def prove(session: AsyncSession, flow_id: UUID, holder: UUID) -> bool:
    """Whether the flow is still the holder's, who then holds its row to the end of the transaction."""
    found = await session.scalar(select(FlowRecord.id).where(_is_held_by(flow_id, holder)).with_for_update())
    return found is not None


async def let_go(
    session: AsyncSession,
    flow_id: UUID,
    holder: UUID,
    *,
    attempt: int,
    tried_at: datetime,
    look_at: datetime,
    looked: bool,
) -> None:
    """Nobody is at the flow now; the sweep looks at it again at `look_at`."""
    await session.execute(
        update(FlowRecord)
        .where(_is_held_by(flow_id, holder))
        .values(
            holder=None,
            lease_expires_at=None,
            attempt=attempt,
            tried_at=tried_at,
            look_at=look_at,
            looks=FlowRecord.looks + 1 if looked else 0,
        )
    )


async def close(
    session: AsyncSession,
    platform: Platform,
    flow_id: UUID,
    status: str,
    *,
    answer: tuple[int, bytes] | None = None,
) -> None:
    """The end. Without an answer the key is free again."""
    values: dict[str, Any] = {"status_code": answer[0], "sealed_answer": answer[1]} if answer else {"key": None}
    await session.execute(
        update(FlowRecord)
        .where(FlowRecord.id == flow_id)
        .values(status=status, holder=None, lease_expires_at=None, closed_at=platform.clock.now(), **values)
    )


async def take_one_left(
    session: AsyncSession, platform: Platform, holder: UUID, kinds: Collection[str]
) -> FlowRecord | None:
    """An open flow of these kinds that nobody is at and whose time to be looked at has come; the holder's now."""
    wall = platform.clock.wall()
    row = await session.scalar(
        select(FlowRecord)
        .where(
            FlowRecord.status == OPEN,
            FlowRecord.kind.in_(kinds),
            FlowRecord.look_at <= wall,
            or_(FlowRecord.holder.is_(None), FlowRecord.lease_expires_at <= wall),
        )
        .order_by(FlowRecord.look_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is not None:
        # Whoever died may have been at it until the lease ran out.
        await take(session, platform, row, holder, max(row.tried_at, row.lease_expires_at or row.tried_at))
        await session.refresh(row)
    return row


async def forget(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Drop flows that ended more than 48 hours ago; returns how many."""
    old = select(FlowRecord.id).where(FlowRecord.closed_at < platform.clock.now() - KEPT).limit(limit)
    gone = await session.scalars(delete(FlowRecord).where(FlowRecord.id.in_(old)).returning(FlowRecord.id))
    return len(gone.all())


def lease(platform: Platform) -> timedelta:
    return timedelta(seconds=platform.settings.worker_heartbeat_timeout_s)


def _is_at(place: Place) -> ColumnElement[bool]:
    caller, route, key = place
    return and_(FlowRecord.caller == caller, FlowRecord.route == route, FlowRecord.key == key)


def _is_held_by(flow_id: UUID, holder: UUID) -> ColumnElement[bool]:
    return and_(FlowRecord.id == flow_id, FlowRecord.holder == holder, FlowRecord.status == OPEN)
