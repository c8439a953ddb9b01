"""What each charged piece of work used."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class AiUsageLog(Base):
    """One piece of work that was charged, or failed and was not: who, what, how long, how much.

    `request_data` keeps parameters and lengths; `error_code` is one of our codes. Never what people wrote, nor what
    a provider said.
    """

    __tablename__ = "ai_usage_logs"
    __table_args__ = (
        CheckConstraint("credits >= 0 AND duration_ms >= 0", name="never_negative"),
        CheckConstraint("success OR error_code IS NOT NULL", name="failures_have_a_code"),
        Index("ix_ai_usage_logs_account_id_created_at", "account_id", "created_at"),
        Index("ix_ai_usage_logs_user_id_created_at", "user_id", "created_at"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    service: Mapped[str]
    operation: Mapped[str]
    model: Mapped[str | None]
    tokens_in: Mapped[int | None]
    tokens_out: Mapped[int | None]
    duration_ms: Mapped[int]
    success: Mapped[bool]
    error_code: Mapped[str | None]
    credits: Mapped[int]
    hold_id: Mapped[UUID | None]
    entry_id: Mapped[UUID | None]
    request_data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
