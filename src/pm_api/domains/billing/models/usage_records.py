"""How much of each metric an account used, day by day; and reminders to those who owe."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"


class UsageRecord(Base):
    """The most that was seen of one metric on one UTC day, and the plan's period it was seen in."""

    __tablename__ = "usage_records"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("used >= 0", name="used_not_negative"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    plan: Mapped[str]
    period_end: Mapped[datetime]
    used: Mapped[int]
    limit: Mapped[int | None] = mapped_column("usage_limit")
    sampled_at: Mapped[datetime]


class Dunning(Base):
    """One time of grace of one account: which reminder is next, and when. An account has one open at a time."""

    __tablename__ = "dunnings"
    __table_args__ = (
        CheckConstraint(ACCOUNT_KIND_CHECK, name="account_kind_known"),
        CheckConstraint("closed_at IS NOT NULL OR due_at IS NOT NULL", name="open_is_due"),
        Index("ix_dunnings_one_open", "account_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_dunnings_due", "due_at", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    plan: Mapped[str]
    began_at: Mapped[datetime]
    grace_ends_at: Mapped[datetime]
    step: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
