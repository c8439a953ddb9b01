"""Tables of entitlements."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Integer
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Versioned

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"


class PlanTerms(Base):
    """A plan on offer. A version never changes: other terms are a new version. A null limit is unlimited; a year
    without a price of its own costs ten months'.

    The credits it brings stand in the ledger's own terms (credit_plan_grants) and nowhere else.
    """

    __tablename__ = "plans"
    __table_args__ = (
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
        CheckConstraint("yearly_price_minor >= 0", name="yearly_price_not_negative"),
    )

    plan: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    name: Mapped[str]
    account_kind: Mapped[str | None]
    price_minor: Mapped[int | None]
    currency: Mapped[str]
    max_users: Mapped[int | None]
    max_storage_bytes: Mapped[int | None]
    max_api_calls: Mapped[int | None]
    max_projects: Mapped[int | None]
    max_api_keys: Mapped[int | None]
    max_file_bytes: Mapped[int | None]
    support: Mapped[str | None]
    features: Mapped[list[Any]]
    by_contract: Mapped[list[Any]]
    created_at: Mapped[datetime]
    yearly_price_minor: Mapped[int | None]


class Entitlement(Base, Versioned):
    """What one account has bought. `as_of` is the moment its source was looked at: an older word changes nothing."""

    __tablename__ = "entitlements"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("status IN ('ACTIVE', 'TRIALING', 'GRACE', 'ENDED')", name="status_known"),
        CheckConstraint("source IN ('SUBSCRIPTION', 'CONTRACT')", name="source_known"),
        CheckConstraint("status <> 'GRACE' OR grace_ends_at IS NOT NULL", name="grace_ends"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    plan: Mapped[str]
    plan_version: Mapped[int] = mapped_column(Integer)
    max_users: Mapped[int | None]
    max_storage_bytes: Mapped[int | None]
    max_ai_credits: Mapped[int | None]
    max_api_calls: Mapped[int | None]
    max_projects: Mapped[int | None]
    max_api_keys: Mapped[int | None]
    max_file_bytes: Mapped[int | None]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    status: Mapped[str]
    grace_ends_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    source: Mapped[str]
    source_id: Mapped[UUID]
    as_of: Mapped[datetime]
    updated_at: Mapped[datetime]
