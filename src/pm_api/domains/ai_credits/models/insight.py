"""Badges people have earned."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base
from pm_api.domains.ai_credits.models.ledger import CreditUsageDay

Index(
    "ix_credit_usage_days_actor_user_id_account_id_day",
    CreditUsageDay.actor_user_id,
    CreditUsageDay.account_id,
    CreditUsageDay.day,
)
"""One person's days in a large pool are found without reading everybody's."""


class CreditAchievement(Base):
    """A badge: what for, why and when. `account_id` is the wallet of who earned it, and so the user's id.

    `workspace_id` is where, for a badge that belongs to one workspace's board.
    """

    __tablename__ = "credit_achievements"
    __table_args__ = (
        UniqueConstraint("account_id", "code"),
        Index(
            "ix_credit_achievements_workspace_id", "workspace_id", postgresql_where=text("workspace_id IS NOT NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    code: Mapped[str]
    reason: Mapped[str]
    earned_at: Mapped[datetime]
