"""Money that goes back: refunds that we give, disputes that the cardholder opens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"
REFUND_STATUS_CHECK = "status IN ('REQUESTED', 'PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED')"
CREDITS_DUE = "credits_due_at IS NOT NULL"
DISPUTE_STATUS_CHECK = "status IN ('OPEN', 'WON', 'LOST', 'CLOSED')"


class Refund(Base, Versioned, Timestamped):
    """One refund. REQUESTED is an intent of ours that Stripe has not confirmed yet: it holds its amount already.

    `flow_id` is that of the flow that asked for it; none for one given at Stripe's own dashboard. `credits_due_at` is
    when the credits that were paid for with this money have to be looked at again.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint(REFUND_STATUS_CHECK, name="status_known"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("stripe_refund_id IS NOT NULL OR flow_id IS NOT NULL", name="asked_for_by_somebody"),
        Index("ix_refunds_stripe_payment_intent_id", "stripe_payment_intent_id"),
        Index("ix_refunds_account_id_id", "account_id", "id"),
        Index("ix_refunds_credits_due", "credits_due_at", postgresql_where=text(CREDITS_DUE)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    stripe_refund_id: Mapped[str | None] = mapped_column(unique=True)
    flow_id: Mapped[UUID | None] = mapped_column(unique=True)
    stripe_payment_intent_id: Mapped[str]
    stripe_charge_id: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    failure_reason: Mapped[str | None]
    requested_by: Mapped[str | None]
    issued_at: Mapped[datetime]
    credits_due_at: Mapped[datetime | None]
    synced_at: Mapped[datetime | None]


class Dispute(Base, Versioned, Timestamped):
    """One dispute. Only a lost one takes credits; `provider_status` is Stripe's own word."""

    __tablename__ = "disputes"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint(DISPUTE_STATUS_CHECK, name="status_known"),
        Index("ix_disputes_stripe_payment_intent_id", "stripe_payment_intent_id"),
        Index("ix_disputes_open", "id", postgresql_where=text("status = 'OPEN'")),
        Index("ix_disputes_credits_due", "credits_due_at", postgresql_where=text(CREDITS_DUE)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    stripe_dispute_id: Mapped[str] = mapped_column(unique=True)
    stripe_payment_intent_id: Mapped[str]
    stripe_charge_id: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    provider_status: Mapped[str]
    reason: Mapped[str]
    issued_at: Mapped[datetime]
    credits_due_at: Mapped[datetime | None]
    synced_at: Mapped[datetime]
