"""Refunds that people ask for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Versioned, personal


class CreditRefundRequest(Base, Versioned):
    """Somebody wants a spend's credits back; an operator decides, once. An entry has one open request at most."""

    __tablename__ = "credit_refund_requests"
    __table_args__ = (
        CheckConstraint("category IN ('FAILED', 'POOR_RESULT', 'OTHER')", name="category_known"),
        CheckConstraint("status IN ('PENDING', 'APPROVED', 'DECLINED')", name="status_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("(status = 'PENDING') = (decided_at IS NULL)", name="decided_when_not_pending"),
        CheckConstraint("(status = 'APPROVED') = (refund_entry_id IS NOT NULL)", name="approved_with_a_refund"),
        Index("ix_credit_refund_requests_account_id_id", "account_id", "id"),
        Index("ix_credit_refund_requests_status_id", "status", "id"),
        Index(
            "ix_credit_refund_requests_open",
            "account_id",
            "entry_id",
            unique=True,
            postgresql_where=text("status = 'PENDING'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"))
    entry_id: Mapped[UUID]
    entry_seq: Mapped[int]
    amount: Mapped[int]
    reason: Mapped[str] = mapped_column(info=personal("erased", of="requested_by"))
    category: Mapped[str]
    status: Mapped[str]
    note: Mapped[str | None] = mapped_column(info=personal("erased", of="requested_by"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    refund_entry_id: Mapped[UUID | None]
    refunded_amount: Mapped[int | None]
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
