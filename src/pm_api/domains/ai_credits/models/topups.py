"""Auto top-up: what an account buys by itself, and how it went."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned

ARMED = "enabled AND payment_method_ready AND disarmed_reason IS NULL"


class CreditAutoTopUp(Base, Versioned, Timestamped):
    """Settings of one account with the state of its purchases. `spent_minor` counts in `spent_month` alone;
    `payment_method_ready` is set by who keeps the payment methods.
    """

    __tablename__ = "credit_auto_topups"
    __table_args__ = (
        CheckConstraint("threshold >= 0 AND monthly_cap_minor > 0", name="limits_make_sense"),
        CheckConstraint("failures >= 0 AND spent_minor >= 0", name="counts_not_negative"),
        Index("ix_credit_auto_topups_armed", "account_id", postgresql_where=text(ARMED)),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    enabled: Mapped[bool]
    threshold: Mapped[int]
    pack: Mapped[str]
    monthly_cap_minor: Mapped[int]
    currency: Mapped[str]
    payment_method_ready: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    last_failure_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    disarmed_reason: Mapped[str | None]
    spent_month: Mapped[date | None]
    spent_minor: Mapped[int] = mapped_column(default=0, server_default=text("0"))
