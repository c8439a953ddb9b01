"""Subscriptions, and the trials that were taken."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATUSES = "'ACTIVE', 'TRIALING', 'PAST_DUE', 'INCOMPLETE', 'INCOMPLETE_EXPIRED', 'CANCELED', 'UNPAID', 'PAUSED'"
LIVE = "status IN ('ACTIVE', 'TRIALING', 'PAST_DUE', 'UNPAID', 'PAUSED', 'INCOMPLETE') AND held_reason IS NULL"


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        text("stripe_customer_id"),
        text("stripe_subscription_id"),
        text("stripe_item_id"),
        text("stripe_price_id"),
        text("plan"),
        sa.Column("plan_version", sa.Integer(), nullable=False),
        text("status"),
        text("billing_interval"),
        number("amount_minor"),
        text("currency"),
        moment("current_period_start"),
        moment("current_period_end"),
        moment("trial_start", nullable=True),
        moment("trial_end", nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        moment("cancel_at", nullable=True),
        moment("canceled_at", nullable=True),
        moment("ended_at", nullable=True),
        text("schedule_id", nullable=True),
        text("upcoming_price_id", nullable=True),
        text("upcoming_plan", nullable=True),
        text("upcoming_interval", nullable=True),
        number("upcoming_amount_minor", nullable=True),
        moment("upcoming_at", nullable=True),
        sa.Column("has_pending_update", sa.Boolean(), nullable=False),
        text("default_payment_method_id", nullable=True),
        number("max_users", nullable=True),
        number("max_storage_bytes", nullable=True),
        number("max_ai_credits", nullable=True),
        number("max_api_calls", nullable=True),
        moment("began_at", nullable=True),
        moment("grace_ends_at", nullable=True),
        text("held_reason", nullable=True),
        moment("stripe_created_at"),
        moment("synced_at"),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        moment("created_at"),
        moment("updated_at"),
        sa.CheckConstraint("num_nonnulls(user_id, workspace_id) = 1", name=op.f("ck_subscriptions_one_owner")),
        sa.CheckConstraint(
            "account_id = COALESCE(user_id, workspace_id)", name=op.f("ck_subscriptions_account_is_the_owner")
        ),
        sa.CheckConstraint(f"status IN ({STATUSES})", name=op.f("ck_subscriptions_status_known")),
        sa.CheckConstraint(
            "billing_interval IN ('MONTHLY', 'YEARLY')", name=op.f("ck_subscriptions_billing_interval_known")
        ),
        sa.CheckConstraint(
            "held_reason IN ('SECOND_SUBSCRIPTION', 'CONTRACT')", name=op.f("ck_subscriptions_held_reason_known")
        ),
        sa.CheckConstraint(
            "(upcoming_price_id IS NULL) = (upcoming_at IS NULL)",
            name=op.f("ck_subscriptions_upcoming_has_a_moment"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_subscriptions_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("stripe_subscription_id", name=op.f("uq_subscriptions_stripe_subscription_id")),
    )
    op.create_index(
        "ix_subscriptions_one_live", "subscriptions", ["account_id"], unique=True, postgresql_where=sa.text(LIVE)
    )
    op.create_index("ix_subscriptions_account_id_id", "subscriptions", ["account_id", "id"])
    op.create_index(
        "ix_subscriptions_held", "subscriptions", ["id"], postgresql_where=sa.text("held_reason IS NOT NULL")
    )
    op.create_index(
        "ix_subscriptions_current_period_end",
        "subscriptions",
        ["current_period_end"],
        postgresql_where=sa.text(LIVE),
    )
    op.create_index(
        "ix_subscriptions_grace", "subscriptions", ["id"], postgresql_where=sa.text("grace_ends_at IS NOT NULL")
    )
    op.create_table(
        "trial_claims",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        text("account_kind"),
        text("card_fingerprint", nullable=True),
        sa.Column("flow_id", sa.Uuid(), nullable=True),
        text("stripe_subscription_id", nullable=True),
        moment("created_at"),
        sa.CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name=op.f("ck_trial_claims_account_kind_known")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_trial_claims")),
        sa.UniqueConstraint("card_fingerprint", name=op.f("uq_trial_claims_card_fingerprint")),
    )


def downgrade() -> None:
    op.drop_table("trial_claims")
    op.drop_table("subscriptions")
