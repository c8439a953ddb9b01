"""What was agreed upon with an account instead of a subscription."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"
CURRENT = "ended_at IS NULL"


class Contract(Base, Versioned, Timestamped):
    """Limits, credits and price for whole months. An account has one at a time; those that are over stay on record.

    `begun_at` is when its first credits were granted, `ended_at` when it was ended or found to be over.
    """

    __tablename__ = "contracts"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint("credits >= 0 AND price_minor >= 0", name="not_negative"),
        Index("ix_contracts_one_at_a_time", "account_id", unique=True, postgresql_where=text(CURRENT)),
        Index("ix_contracts_account_id_id", "account_id", "id"),
        Index("ix_contracts_ends", "ends_at", postgresql_where=text(CURRENT)),
        Index("ix_contracts_begins", "starts_at", postgresql_where=text(f"{CURRENT} AND begun_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    plan: Mapped[str]
    plan_version: Mapped[int] = mapped_column(Integer)
    limits: Mapped[dict[str, Any]]
    credits: Mapped[int]
    price_minor: Mapped[int]
    currency: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
