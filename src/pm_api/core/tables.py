"""Tables of the floor itself."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Interval, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal


class BusinessClock(Base):
    """One row: how far business time is ahead of the wall clock."""

    __tablename__ = "business_clock"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    shift: Mapped[timedelta] = mapped_column(Interval)


BY_CALLER = "deleted: the account, by its caller"


class IdempotencyKey(Base):
    """One use of an Idempotency-Key: who, where, what was sent, and the sealed answer. Kept 48 hours."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    sealed_answer: Mapped[bytes | None] = mapped_column(info=personal(BY_CALLER))
    created_at: Mapped[datetime] = mapped_column(index=True)


class FlowRecord(Base):
    """One flow: work at a provider whose intent is committed before it and whose result after it.

    OPEN until it ended: DONE and REFUSED keep the sealed answer of their key, ABANDONED has given its key back. Lease
    and tries are told in wall time. Kept 48 hours once it has ended.
    """

    __tablename__ = "flows"
    __table_args__ = (
        UniqueConstraint("caller", "route", "key"),
        CheckConstraint("status IN ('OPEN', 'DONE', 'REFUSED', 'ABANDONED')", name="status_known"),
        CheckConstraint("(status = 'OPEN') = (closed_at IS NULL)", name="open_until_closed"),
        CheckConstraint("(holder IS NULL) = (lease_expires_at IS NULL)", name="holder_has_lease"),
        Index("uq_flows_exclusive", "exclusive", unique=True, postgresql_where=text("status = 'OPEN'")),
        Index("ix_flows_left", "look_at", postgresql_where=text("status = 'OPEN'")),
        Index("ix_flows_closed_at", "closed_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    caller: Mapped[str | None]
    route: Mapped[str | None]
    key: Mapped[str | None]
    fingerprint: Mapped[bytes | None]
    exclusive: Mapped[str | None]
    subject: Mapped[UUID | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(info=personal(BY_CALLER))
    attempt: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
    status: Mapped[str]
    holder: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]
    tried_at: Mapped[datetime]
    look_at: Mapped[datetime]
    looks: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    sealed_answer: Mapped[bytes | None] = mapped_column(info=personal(BY_CALLER))
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


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
        Index("ix_inbox_events_held", "id", postgresql_where=text("status = 'HELD'")),
        Index("ix_inbox_events_type_id", "type", "id"),
        Index("ix_inbox_events_subject_id", "subject", "id"),
        Index("ix_inbox_events_object_id_id", "object_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    subject: Mapped[str]
    object_id: Mapped[str]
    status: Mapped[str]
    body: Mapped[str] = mapped_column(info=personal("erased: the account, by its customers' ids"))
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


class InboxCursor(Base):
    """Up to when a sender's own list of events was read, so that what never came in is fetched."""

    __tablename__ = "inbox_cursors"

    source: Mapped[str] = mapped_column(primary_key=True)
    read_until: Mapped[datetime]
