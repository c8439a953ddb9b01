"""What comparisons with Stripe found."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class ReconciliationRun(Base):
    """One comparison of a window of time, both ways. It goes on at `part` and `after` when it was cut off."""

    __tablename__ = "reconciliation_runs"
    __table_args__ = (
        CheckConstraint("status IN ('RUNNING', 'DONE', 'FAILED')", name="status_known"),
        CheckConstraint("(status = 'RUNNING') = (finished_at IS NULL)", name="runs_until_finished"),
        CheckConstraint("since < until", name="begins_before_it_ends"),
        Index("ix_reconciliation_runs_one", "status", unique=True, postgresql_where=text("status = 'RUNNING'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    since: Mapped[datetime]
    until: Mapped[datetime]
    reason: Mapped[str]
    part: Mapped[str]
    after: Mapped[str | None]
    compared: Mapped[dict[str, Any]]
    healed: Mapped[int] = mapped_column(Integer, server_default="0")
    reported: Mapped[int] = mapped_column(Integer, server_default="0")
    problem: Mapped[str | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ReconciliationFinding(Base):
    """One thing on which we and Stripe do not agree: both sides' values, and what was done about it."""

    __tablename__ = "reconciliation_findings"
    __table_args__ = (
        UniqueConstraint("run_id", "kind", "object_id"),
        CheckConstraint("action IN ('HEALED', 'REPORTED')", name="action_known"),
        Index("ix_reconciliation_findings_run_id_id", "run_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation_runs.id"))
    kind: Mapped[str]
    object_id: Mapped[str]
    account_id: Mapped[UUID | None]
    action: Mapped[str]
    ours: Mapped[dict[str, Any]]
    stripes: Mapped[dict[str, Any]]
    says: Mapped[str]
    found_at: Mapped[datetime]
