"""Tables of the outbox."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal


class OutgoingMail(Base):
    """One mail to one person. Neither its address nor its words are kept: both are found when it is sent.

    `created_at` is business time; the others are the real one, for servers do not wait by our clock.
    """

    __tablename__ = "mails"
    __table_args__ = (
        UniqueConstraint("user_id", "kind", "subject_id", postgresql_nulls_not_distinct=True),
        CheckConstraint(
            "status IN ('PENDING', 'SENDING', 'SENT', 'REFUSED', 'FAILED', 'DROPPED')", name="status_known"
        ),
        CheckConstraint(
            "(status = 'SENDING') = (claimed_by IS NOT NULL AND claimed_until IS NOT NULL)",
            name="claimed_while_sending",
        ),
        CheckConstraint("(status IN ('PENDING', 'SENDING')) = (finished_at IS NULL)", name="finished_when_final"),
        Index("ix_mails_due", "due_at", "id", postgresql_where=text("status = 'PENDING'")),
        Index("ix_mails_claimed", "claimed_until", postgresql_where=text("status = 'SENDING'")),
        Index("ix_mails_status_id", "status", "id"),
        Index(
            "ix_mails_counted", "user_id", "finished_at", postgresql_where=text("status = 'SENT' AND NOT is_urgent")
        ),
        Index("ix_mails_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    subject_id: Mapped[UUID]
    is_urgent: Mapped[bool]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    outcome: Mapped[str | None] = mapped_column(info=personal("deleted"))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    try_until: Mapped[datetime]
    claimed_by: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
