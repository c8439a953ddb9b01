"""Settings of accounts, and what members of a pool ask for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class CreditPool(Base, Versioned, Timestamped):
    """Settings of one account, a pool's or a wallet's; an account without a row has the defaults."""

    __tablename__ = "credit_pools"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    leaderboard_enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    use_expiring: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class CreditPoolRequest(Base, Versioned, Timestamped):
    """A member asks for more, an admin decides once. `workspace_id` is the pool's account.

    What was granted on top of a cap until `raised_until` is there until it is `taken_back_at`; `inherited` when the
    member had no cap of their own before, only the role's.
    """

    __tablename__ = "credit_pool_requests"
    __table_args__ = (
        CheckConstraint("status IN ('OPEN', 'APPROVED', 'DECLINED')", name="status_known"),
        CheckConstraint("amount > 0 AND (approved_amount IS NULL OR approved_amount > 0)", name="amount_positive"),
        CheckConstraint("(status = 'OPEN') = (decided_at IS NULL)", name="decided_when_not_open"),
        Index("ix_credit_pool_requests_workspace_id_id", "workspace_id", "id"),
        Index("ix_credit_pool_requests_workspace_id_user_id_id", "workspace_id", "user_id", "id"),
        Index(
            "ix_credit_pool_requests_raised",
            "raised_until",
            postgresql_where=text("raised_until IS NOT NULL AND taken_back_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    cap_window: Mapped[str | None]
    amount: Mapped[int]
    reason: Mapped[str] = mapped_column(info=personal("erased"))
    status: Mapped[str]
    approved_amount: Mapped[int | None]
    lasting: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    raised_until: Mapped[datetime | None]
    inherited: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    taken_back_at: Mapped[datetime | None]
    decided_by_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(info=personal("erased"))
