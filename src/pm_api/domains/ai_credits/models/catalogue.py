"""What is on offer beside single packs, and which plan an account is on."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class CreditPlan(Base):
    """The paid plan that fills an account, and when a yearly one has its next month granted. `credits` stand in place
    of the plan's own terms, for a contract. `peak_credits` are the most a month of this period had: what a change of
    plans adds counts from there.
    """

    __tablename__ = "credit_plans"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint("credits >= 0", name="credits_not_negative"),
        CheckConstraint("peak_credits >= 0", name="peak_credits_not_negative"),
        Index("ix_credit_plans_due", "next_grant_at", postgresql_where=text("next_grant_at IS NOT NULL")),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    plan: Mapped[str]
    yearly: Mapped[bool]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    next_grant_at: Mapped[datetime | None]
    credits: Mapped[int | None]
    peak_credits: Mapped[int] = mapped_column(server_default="0")


class CreditPackLot(Base):
    """One lot of a bundle: so many credits, for anything or for one service only."""

    __tablename__ = "credit_pack_lots"
    __table_args__ = (
        ForeignKeyConstraint(["pack", "version"], ["credit_packs.name", "credit_packs.version"]),
        CheckConstraint("credits > 0", name="credits_positive"),
    )

    pack: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    credits: Mapped[int]
    service: Mapped[str | None]
