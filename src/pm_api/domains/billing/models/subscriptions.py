"""Subscriptions as Stripe has them, and the trials that were taken."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal
from pm_api.domains.billing.enums import HeldReason, SubscriptionStatus

LIVE: Final = (
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.PAST_DUE,
    SubscriptionStatus.UNPAID,
    SubscriptionStatus.PAUSED,
    SubscriptionStatus.INCOMPLETE,
)


def _among(column: str, values: Iterable[str]) -> str:
    written = ", ".join(f"'{one}'" for one in values)
    return f"{column} IN ({written})"


LIVE_SQL: Final = f"{_among('status', LIVE)} AND held_reason IS NULL"


class Subscription(Base, Versioned, Timestamped):
    """One subscription of a user or a workspace, written only from what Stripe was seen to have.

    `synced_at` is the wall time of that look: an older one changes nothing. `began_at` is when its trial began or its
    first invoice was paid. A second live one of an account is kept and `held_reason` says why: it gives nothing.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        CheckConstraint("num_nonnulls(user_id, workspace_id) = 1", name="one_owner"),
        CheckConstraint("account_id = COALESCE(user_id, workspace_id)", name="account_is_the_owner"),
        CheckConstraint(_among("status", SubscriptionStatus), name="status_known"),
        CheckConstraint("billing_interval IN ('MONTHLY', 'YEARLY')", name="billing_interval_known"),
        CheckConstraint(_among("held_reason", HeldReason), name="held_reason_known"),
        CheckConstraint("(upcoming_price_id IS NULL) = (upcoming_at IS NULL)", name="upcoming_has_a_moment"),
        Index("ix_subscriptions_one_live", "account_id", unique=True, postgresql_where=text(LIVE_SQL)),
        Index("ix_subscriptions_account_id_id", "account_id", "id"),
        Index("ix_subscriptions_held", "id", postgresql_where=text("held_reason IS NOT NULL")),
        Index("ix_subscriptions_current_period_end", "current_period_end", postgresql_where=text(LIVE_SQL)),
        Index("ix_subscriptions_grace", "id", postgresql_where=text("grace_ends_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    account_id: Mapped[UUID]
    stripe_customer_id: Mapped[str]
    stripe_subscription_id: Mapped[str] = mapped_column(unique=True)
    stripe_item_id: Mapped[str]
    stripe_price_id: Mapped[str]
    plan: Mapped[str]
    plan_version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    billing_interval: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    current_period_start: Mapped[datetime]
    current_period_end: Mapped[datetime]
    trial_start: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool]
    cancel_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    schedule_id: Mapped[str | None]
    upcoming_price_id: Mapped[str | None]
    upcoming_plan: Mapped[str | None]
    upcoming_interval: Mapped[str | None]
    upcoming_amount_minor: Mapped[int | None]
    upcoming_at: Mapped[datetime | None]
    has_pending_update: Mapped[bool]
    default_payment_method_id: Mapped[str | None]
    max_users: Mapped[int | None]
    max_storage_bytes: Mapped[int | None]
    max_ai_credits: Mapped[int | None]
    max_api_calls: Mapped[int | None]
    began_at: Mapped[datetime | None]
    grace_ends_at: Mapped[datetime | None]
    held_reason: Mapped[str | None]
    stripe_created_at: Mapped[datetime]
    synced_at: Mapped[datetime]


class TrialClaim(Base):
    """A trial that an account took, and the card it was taken with: once each, for ever.

    `flow_id` is the request that claims it, until the trial has begun; a claim that came to nothing is let go.
    """

    __tablename__ = "trial_claims"
    __table_args__ = (CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name="account_kind_known"),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    card_fingerprint: Mapped[str | None] = mapped_column(
        unique=True, info=personal("kept: a keyed digest; a card is in one trial, for ever")
    )
    flow_id: Mapped[UUID | None]
    stripe_subscription_id: Mapped[str | None]
    created_at: Mapped[datetime]
