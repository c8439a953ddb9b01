"""Queries of the outbox."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from pm_api.outbox.enums import MailStatus
from pm_api.outbox.models import OutgoingMail

# Written out: a statement that is prepared for any status cannot use an index of one.
_PENDING: Final = OutgoingMail.status == literal_column("'PENDING'")
_SENDING: Final = OutgoingMail.status == literal_column("'SENDING'")
_SENT: Final = OutgoingMail.status == literal_column("'SENT'")


async def insert_new(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Those that are not there yet; returns how many."""
    made = await session.scalars(
        insert(OutgoingMail).values(list(rows)).on_conflict_do_nothing().returning(OutgoingMail.id)
    )
    return len(made.all())


async def lock_due(session: AsyncSession, now: datetime) -> OutgoingMail | None:
    """One mail to send: left by a worker that has not come back in time, or else due longest. What another worker is
    just taking is passed over.
    """
    return await _lock_first(session, _SENDING, OutgoingMail.claimed_until, now) or await _lock_first(
        session, _PENDING, OutgoingMail.due_at, now
    )


async def _lock_first(
    session: AsyncSession,
    status: ColumnElement[bool],
    moment: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    now: datetime,
) -> OutgoingMail | None:
    """Two statements, because each goes along an index of its own to its first row, however many wait."""
    return await session.scalar(
        select(OutgoingMail)
        .where(status, moment <= now)
        .order_by(moment, OutgoingMail.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


async def settle(session: AsyncSession, mail_id: UUID, claimed_by: UUID, values: Mapping[str, Any]) -> bool:
    """Write what came of it, if the claim is still ours."""
    done = await session.scalars(
        update(OutgoingMail)
        .where(OutgoingMail.id == mail_id, OutgoingMail.claimed_by == claimed_by)
        .values(claimed_by=None, claimed_until=None, **values)
        .returning(OutgoingMail.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None


async def sent_since(session: AsyncSession, user_id: UUID, since: datetime, *, limit: int) -> int:
    """How many mails that were not urgent one person got, counted no further than `limit`."""
    some = (
        select(OutgoingMail.id)
        .where(
            OutgoingMail.user_id == user_id,
            _SENT,
            ~OutgoingMail.is_urgent,
            OutgoingMail.finished_at > since,
        )
        .limit(limit)
        .subquery()
    )
    return await session.scalar(select(func.count()).select_from(some)) or 0


async def mails(
    session: AsyncSession, *, status: MailStatus | None, user_id: UUID | None, limit: int, after: UUID | None
) -> Sequence[OutgoingMail]:
    """A page, newest first."""
    statement = select(OutgoingMail)
    if status is not None:
        statement = statement.where(OutgoingMail.status == status)
    if user_id is not None:
        statement = statement.where(OutgoingMail.user_id == user_id)
    if after is not None:
        statement = statement.where(OutgoingMail.id < after)
    rows = await session.scalars(statement.order_by(OutgoingMail.id.desc()).limit(limit))
    return rows.all()


async def delete_finished(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Forget mails that came to an end before then; returns how many."""
    old = (
        select(OutgoingMail.id)
        .where(OutgoingMail.finished_at < before)
        .order_by(OutgoingMail.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(delete(OutgoingMail).where(OutgoingMail.id.in_(old)).returning(OutgoingMail.id))
    return len(gone.all())
