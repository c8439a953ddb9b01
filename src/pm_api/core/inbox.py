"""The inbox: what providers send us, stored once before anything is done about it, worked off per subject.

A subject (one Stripe customer) is drained by one holder at a time under a lease row. No lock is held while the
provider is asked; before writing, the holder proves under lock that the lease is still its own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.tables import InboxCursor, InboxEvent, InboxLease

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


async def pending(
    session: AsyncSession, source: str, subject: str, *, besides: Collection[UUID] = (), limit: int = 50
) -> list[InboxEvent]:
    """Events of one subject that wait, in the order they happened; `besides` those that were tried just now."""
    rows = await session.scalars(
        select(InboxEvent)
        .where(
            InboxEvent.source == source,
            InboxEvent.subject == subject,
            InboxEvent.status == PENDING,
            InboxEvent.id.not_in(list(besides)),
        )
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


async def note_failure(session: AsyncSession, event: UUID, outcome: str) -> None:
    """It waits on, and who looks at it sees how often it was tried and what went wrong last."""
    await session.execute(
        update(InboxEvent)
        .where(InboxEvent.id == event, InboxEvent.status == PENDING)
        .values(attempts=InboxEvent.attempts + 1, outcome=outcome[:1000])
    )


async def release_held(
    session: AsyncSession, source: str, types: Collection[str], *, attempts_below: int, limit: int = 500
) -> list[tuple[str, str]]:
    """Held events that have been tried less often wait again, the least tried first; their (event id, subject)."""
    chosen = (
        select(InboxEvent.id)
        .where(
            InboxEvent.source == source,
            InboxEvent.status == HELD,
            InboxEvent.type.in_(types),
            InboxEvent.attempts < attempts_below,
        )
        .order_by(InboxEvent.attempts, InboxEvent.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await session.execute(
        update(InboxEvent)
        .where(InboxEvent.id.in_(chosen.scalar_subquery()))
        .values(status=PENDING)
        .returning(InboxEvent.event_id, InboxEvent.subject)
    )
    return [(event_id, subject) for event_id, subject in rows]


async def known(session: AsyncSession, source: str, event_ids: Collection[str]) -> set[str]:
    """Those of the sender's ids that were stored before."""
    rows = await session.scalars(
        select(InboxEvent.event_id).where(InboxEvent.source == source, InboxEvent.event_id.in_(event_ids))
    )
    return set(rows)


async def read_until(session: AsyncSession, source: str) -> datetime | None:
    """Up to when the sender's own list was read; None: never."""
    return await session.scalar(select(InboxCursor.read_until).where(InboxCursor.source == source))


async def advance(session: AsyncSession, source: str, until: datetime) -> None:
    """Everything before was read. Forward only."""
    statement = insert(InboxCursor).values(source=source, read_until=until)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[InboxCursor.source],
            set_={"read_until": until},
            where=InboxCursor.read_until < until,
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


async def listed(
    session: AsyncSession, *, limit: int, before: UUID | None, filters: Mapping[str, str | None]
) -> list[InboxEvent]:
    """A page of the inbox, newest first; `filters` by column, None for any."""
    statement = select(InboxEvent)
    if before is not None:
        statement = statement.where(InboxEvent.id < before)
    for name, value in filters.items():
        if value is not None:
            statement = statement.where(getattr(InboxEvent, name) == value)
    return list(await session.scalars(statement.order_by(InboxEvent.id.desc()).limit(limit)))
