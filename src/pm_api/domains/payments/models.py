"""Tables of the till."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"


class CheckoutSession(Base):
    """What somebody set out to buy: the catalogue version they saw, and how it ended."""

    __tablename__ = "checkout_sessions"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("item_kind IN ('PACK')", name="item_kind_known"),
        CheckConstraint("status IN ('OPEN', 'COMPLETE', 'EXPIRED')", name="status_known"),
        Index("ix_checkout_sessions_account_id_id", "account_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    buyer_user_id: Mapped[UUID]
    item_kind: Mapped[str]
    item_name: Mapped[str]
    item_version: Mapped[int] = mapped_column(Integer)
    amount_minor: Mapped[int]
    currency: Mapped[str]
    stripe_session_id: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str]
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
