"""Customers at Stripe."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal

ACCOUNT_KIND_CHECK: Final = "account_kind IN ('USER', 'WORKSPACE')"


class StripeCustomerRow(Base):
    """Who an account is at Stripe. A customer that was deleted there keeps its row: Stripe may still speak of it."""

    __tablename__ = "stripe_customers"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        Index("uq_stripe_customers_account", "account_id", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    stripe_customer_id: Mapped[str] = mapped_column(
        primary_key=True, info=personal("kept: an id alone; the customer behind it is deleted at Stripe")
    )
    account_kind: Mapped[str]
    account_id: Mapped[UUID] = mapped_column(index=True)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
