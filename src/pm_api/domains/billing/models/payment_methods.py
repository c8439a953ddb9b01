"""What accounts pay with, and what automatic top-ups took from it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"
LIVE = "detached_at IS NULL"
TOPUP_STATUS_CHECK = "status IN ('PENDING', 'ACTION_REQUIRED', 'SUCCEEDED', 'FAILED', 'CANCELED')"


class PaymentMethod(Base, Versioned, Timestamped):
    """A payment method as Stripe had it at `synced_at`: what may be shown of it, no number.

    One that was taken away stays without what was shown: `fingerprint`, a keyed digest, still tells its card again.
    """

    __tablename__ = "payment_methods"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint(f"{LIVE} OR NOT is_default", name="default_is_live"),
        Index("ix_payment_methods_account_id_id", "account_id", "id"),
        Index(
            "ix_payment_methods_one_default",
            "account_id",
            unique=True,
            postgresql_where=text(f"is_default AND {LIVE}"),
        ),
        Index("ix_payment_methods_fingerprint", "fingerprint", postgresql_where=text("fingerprint IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    stripe_customer_id: Mapped[str] = mapped_column(index=True)
    stripe_payment_method_id: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    brand: Mapped[str | None] = mapped_column(info=personal("erased", of="account_id"))
    last4: Mapped[str | None] = mapped_column(info=personal("erased", of="account_id"))
    exp_month: Mapped[int | None] = mapped_column(SmallInteger, info=personal("erased", of="account_id"))
    exp_year: Mapped[int | None] = mapped_column(SmallInteger, info=personal("erased", of="account_id"))
    fingerprint: Mapped[bytes | None] = mapped_column(info=personal("kept: a keyed digest; a card is in one trial"))
    is_default: Mapped[bool]
    attached_at: Mapped[datetime]
    detached_at: Mapped[datetime | None]
    synced_at: Mapped[datetime]


class TopUpPayment(Base, Versioned, Timestamped):
    """One automatic purchase of a pack: what was to be charged, pinned before it was, and how it ended.

    Its id is its flow's, and stands in the payment's metadata at Stripe. While `is_counted` its amount counts towards
    the cap of the UTC month that begins on `month`. One that waits for its buyer is called off after `act_by`.
    """

    __tablename__ = "topup_payments"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint(TOPUP_STATUS_CHECK, name="status_known"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_topup_payments_account_id_id", "account_id", "id"),
        Index(
            "ix_topup_payments_one_open",
            "account_id",
            unique=True,
            postgresql_where=text("status IN ('PENDING', 'ACTION_REQUIRED')"),
        ),
        Index("ix_topup_payments_waiting", "act_by", postgresql_where=text("status = 'ACTION_REQUIRED'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    pack: Mapped[str]
    pack_version: Mapped[int] = mapped_column(Integer)
    amount_minor: Mapped[int]
    currency: Mapped[str]
    month: Mapped[date]
    is_counted: Mapped[bool]
    stripe_customer_id: Mapped[str]
    stripe_payment_method_id: Mapped[str]
    stripe_payment_intent_id: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str]
    failure_code: Mapped[str | None]
    act_by: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
