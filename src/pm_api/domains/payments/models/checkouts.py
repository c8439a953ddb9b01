"""Checkouts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Versioned
from pm_api.domains.payments.models.customers import ACCOUNT_KIND_CHECK


class CheckoutSession(Base, Versioned):
    """What somebody set out to buy, at which price, and how it ended.

    Of a pack or bundle the catalogue's version is kept, of a plan the interval and the price at Stripe. The address
    of the page is not: whoever has it sees the buyer's name and may pay, so it stands in the sealed answer alone.
    """

    __tablename__ = "checkout_sessions"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("item_kind IN ('PACK', 'BUNDLE', 'PLAN')", name="item_kind_known"),
        CheckConstraint("status IN ('OPEN', 'COMPLETE', 'EXPIRED', 'ABANDONED')", name="status_known"),
        CheckConstraint("payment_status IN ('UNPAID', 'PAID', 'NO_PAYMENT_REQUIRED')", name="payment_status_known"),
        CheckConstraint(
            "CASE item_kind WHEN 'PLAN' THEN billing_interval IS NOT NULL AND stripe_price_id IS NOT NULL"
            " ELSE item_version IS NOT NULL AND billing_interval IS NULL END",
            name="item_whole",
        ),
        Index("ix_checkout_sessions_account_id_id", "account_id", "id"),
        Index("ix_checkout_sessions_payment", "stripe_payment_intent_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    buyer_user_id: Mapped[UUID]
    item_kind: Mapped[str]
    item_name: Mapped[str]
    item_version: Mapped[int | None] = mapped_column(Integer)
    billing_interval: Mapped[str | None]
    stripe_price_id: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    promotion_code: Mapped[str | None]
    stripe_session_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_payment_intent_id: Mapped[str | None]
    stripe_invoice_id: Mapped[str | None]
    stripe_subscription_id: Mapped[str | None]
    status: Mapped[str]
    payment_status: Mapped[str] = mapped_column(default="UNPAID", server_default="UNPAID")
    paid_minor: Mapped[int | None]
    credits_granted: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
