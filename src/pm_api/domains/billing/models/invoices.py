"""Invoices, line by line: as Stripe has them, and of automatic charges, of which Stripe makes none."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"
STATUS_CHECK = "status IN ('PENDING', 'FAILED', 'PAID', 'REFUNDED', 'VOID', 'UNCOLLECTIBLE')"
KNOWN_AT_STRIPE_CHECK = "stripe_invoice_id IS NOT NULL OR stripe_payment_intent_id IS NOT NULL"
PROVIDER_STATUS_CHECK = "provider_status IN ('draft', 'open', 'paid', 'void', 'uncollectible')"


class Invoice(Base, Versioned, Timestamped):
    """Of one account, for ever. `provider_status` is Stripe's word, `status` ours, which knows of refunds too.

    `synced_at` is the wall time of the look at Stripe: an older one changes nothing. That of an automatic charge has
    no id at Stripe but its payment's, and there is one of each.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint(STATUS_CHECK, name="status_known"),
        CheckConstraint(PROVIDER_STATUS_CHECK, name="provider_status_known"),
        CheckConstraint("refunded_minor >= 0", name="refunded_not_negative"),
        CheckConstraint(KNOWN_AT_STRIPE_CHECK, name="known_at_stripe"),
        Index("ix_invoices_account_id_issued_at_id", "account_id", "issued_at", "id"),
        Index("ix_invoices_stripe_subscription_id", "stripe_subscription_id"),
        Index("ix_invoices_stripe_payment_intent_id", "stripe_payment_intent_id"),
        Index(
            "uq_invoices_automatic_charge",
            "stripe_payment_intent_id",
            unique=True,
            postgresql_where=text("stripe_invoice_id IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    stripe_invoice_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_customer_id: Mapped[str | None]
    stripe_subscription_id: Mapped[str | None]
    stripe_payment_intent_id: Mapped[str | None]
    number: Mapped[str | None]
    status: Mapped[str]
    provider_status: Mapped[str]
    billing_reason: Mapped[str]
    description: Mapped[str]
    currency: Mapped[str]
    subtotal_minor: Mapped[int]
    tax_minor: Mapped[int]
    discount_minor: Mapped[int]
    total_minor: Mapped[int]
    due_minor: Mapped[int]
    paid_minor: Mapped[int]
    refunded_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    issued_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    hosted_url: Mapped[str | None] = mapped_column(info=personal("erased", of="account_id"))
    synced_at: Mapped[datetime]

    @property
    def reference(self) -> str:
        """Where it is found at Stripe: its own id there, else its payment's."""
        found = self.stripe_invoice_id or self.stripe_payment_intent_id
        assert found is not None, "a CHECK sees to it"
        return found


class InvoiceLine(Base):
    """What an invoice asks money for; negative for what is credited. `amount_minor` is before tax."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        UniqueConstraint("invoice_id", "stripe_line_id"),
        Index("ix_invoice_lines_account_id_period_start", "account_id", "period_start"),
    )

    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    account_id: Mapped[UUID]
    stripe_line_id: Mapped[str]
    description: Mapped[str | None]
    quantity: Mapped[int | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    price_id: Mapped[str | None]
    product_id: Mapped[str | None]
    is_proration: Mapped[bool] = mapped_column(Boolean)
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
