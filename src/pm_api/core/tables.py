"""Tables of the floor itself."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Interval, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class BusinessClock(Base):
    """One row: how far business time is ahead of the wall clock."""

    __tablename__ = "business_clock"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    shift: Mapped[timedelta] = mapped_column(Interval)


class IdempotencyKey(Base):
    """One use of an Idempotency-Key: who, where, what was sent, and the sealed answer. Kept 48 hours."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    sealed_answer: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(index=True)


class InboxEvent(Base):
    """One event a provider sent, stored before anything is done about it."""

    __tablename__ = "inbox_events"
    __table_args__ = (
        UniqueConstraint("source", "event_id"),
        CheckConstraint("status IN ('PENDING', 'HANDLED', 'IGNORED', 'HELD')", name="status_known"),
        Index(
            "ix_inbox_events_pending",
            "source",
            "subject",
            "id",
            postgresql_where=text("status = 'PENDING'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    subject: Mapped[str]
    object_id: Mapped[str]
    status: Mapped[str]
    body: Mapped[str]
    outcome: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    event_created_at: Mapped[datetime]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]


class InboxLease(Base):
    """Who is working on one subject's events. Expires, so that a dead worker's lease is taken over."""

    __tablename__ = "inbox_leases"

    source: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]
    expires_at: Mapped[datetime]
