"""The inbox: what providers send us, stored once before anything is done about it, worked off per subject.

A subject (one Stripe customer) is drained by one holder at a time under a lease row. No lock is held while the
provider is asked; before writing, the holder proves under lock that the lease is still its own.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.tables import InboxEvent, InboxLease

PENDING, HANDLED, IGNORED, HELD = "PENDING", "HANDLED", "IGNORED", "HELD"


class LeaseLost(Exception):
    """Another worker has taken this subject over; what we were about to write is theirs to write."""


@dataclass(frozen=True, slots=True)
class Arrival:
    source: str
    event_id: str
    type: str
    subject: str
    object_id: str
    body: str
    created_at: datetime


async def store(session: AsyncSession, platform: Platform, arrival: Arrival, *, known_type: bool) -> UUID | None:
    """Keep an event for ever under UNIQUE(source, event id); None when it was here before."""
    return await session.scalar(
        insert(InboxEvent)
        .values(
            id=platform.randomness.uuid(),
            source=arrival.source,
            event_id=arrival.event_id,
            type=arrival.type,
            subject=arrival.subject,
            object_id=arrival.object_id,
            status=PENDING if known_type else IGNORED,
            body=arrival.body,
            event_created_at=arrival.created_at,
            received_at=platform.clock.now(),
        )
        .on_conflict_do_nothing(constraint="uq_inbox_events_source_event_id")
        .returning(InboxEvent.id)
    )


async def claim(session: AsyncSession, platform: Platform, source: str, subject: str, holder: UUID) -> bool:
    """Take or extend the lease on a subject; False while somebody else holds it."""
    now = platform.clock.wall()
    expires_at = now + timedelta(seconds=platform.settings.worker_heartbeat_timeout_s)
    statement = insert(InboxLease).values(source=source, subject=subject, holder=holder, expires_at=expires_at)
    taken = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=[InboxLease.source, InboxLease.subject],
            set_={"holder": holder, "expires_at": expires_at},
            where=(InboxLease.expires_at < now) | (InboxLease.holder == holder),
        ).returning(InboxLease.holder)
    )
    return taken is not None


async def prove_lease(session: AsyncSession, source: str, subject: str, holder: UUID) -> None:
    """Hold the lease row to the end of this transaction; raises LeaseLost."""
    row = await session.scalar(
        select(InboxLease.holder).where(InboxLease.source == source, InboxLease.subject == subject).with_for_update()
    )
    if row != holder:
        raise LeaseLost(subject)


async def release(session: AsyncSession, source: str, subject: str, holder: UUID, now: datetime) -> None:
    await session.execute(
        update(InboxLease)
        .where(InboxLease.source == source, InboxLease.subject == subject, InboxLease.holder == holder)
        .values(expires_at=now)
    )


async def pending(session: AsyncSession, source: str, subject: str, limit: int = 50) -> list[InboxEvent]:
    """Events of one subject that wait, in the order they happened."""
    rows = await session.scalars(
        select(InboxEvent)
        .where(InboxEvent.source == source, InboxEvent.subject == subject, InboxEvent.status == PENDING)
        .order_by(InboxEvent.event_created_at, InboxEvent.id)
        .limit(limit)
    )
    return list(rows)


async def settle(session: AsyncSession, event: UUID, *, status: str, outcome: str, now: datetime) -> None:
    """Close an event, in the transaction of its effect."""
    await session.execute(
        update(InboxEvent)
        .where(InboxEvent.id == event)
        .values(
            status=status,
            outcome=outcome[:1000],
            attempts=InboxEvent.attempts + 1,
            handled_at=now if status == HANDLED else None,
        )
    )


async def stuck_subjects(
    session: AsyncSession, source: str, received_before: datetime, limit: int = 500
) -> list[str]:
    """Subjects with events that have waited too long: their job was lost or held."""
    rows = await session.scalars(
        select(InboxEvent.subject)
        .where(
            InboxEvent.source == source,
            InboxEvent.status == PENDING,
            InboxEvent.received_at < received_before,
        )
        .group_by(InboxEvent.subject)
        .order_by(func.min(InboxEvent.received_at))
        .limit(limit)
    )
    return list(rows)


async def get(session: AsyncSession, event: UUID, *, lock: bool = False) -> InboxEvent | None:
    statement = select(InboxEvent).where(InboxEvent.id == event)
    return await session.scalar(statement.with_for_update() if lock else statement)


async def listed(session: AsyncSession, *, limit: int, before: UUID | None, status: str | None) -> list[InboxEvent]:
    """A page of the inbox, newest first."""
    statement = select(InboxEvent)
    if before is not None:
        statement = statement.where(InboxEvent.id < before)
    if status is not None:
        statement = statement.where(InboxEvent.status == status)
    return list(await session.scalars(statement.order_by(InboxEvent.id.desc()).limit(limit)))
