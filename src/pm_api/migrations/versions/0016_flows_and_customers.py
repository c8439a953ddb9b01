"""Flows that go over a wire, Stripe's customers, and checkouts of bundles and plans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

CHECKOUTS = "checkout_sessions"
CHECKOUT_TEXTS = (
    "billing_interval",
    "stripe_price_id",
    "promotion_code",
    "stripe_payment_intent_id",
    "stripe_invoice_id",
    "stripe_subscription_id",
)
CHECKS_BEFORE = {
    "item_kind_known": "item_kind IN ('PACK')",
    "status_known": "status IN ('OPEN', 'COMPLETE', 'EXPIRED')",
}
CHECKS_NOW = {
    "item_kind_known": "item_kind IN ('PACK', 'BUNDLE', 'PLAN')",
    "status_known": "status IN ('OPEN', 'COMPLETE', 'EXPIRED', 'ABANDONED')",
    "payment_status_known": "payment_status IN ('UNPAID', 'PAID', 'NO_PAYMENT_REQUIRED')",
    "item_whole": "CASE item_kind WHEN 'PLAN' THEN billing_interval IS NOT NULL AND stripe_price_id IS NOT NULL"
    " ELSE item_version IS NOT NULL AND billing_interval IS NULL END",
}


def upgrade() -> None:
    op.create_table(
        "flows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=True),
        sa.Column("route", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("exclusive", sa.String(), nullable=True),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looks", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("status_code", sa.SmallInteger(), nullable=True),
        sa.Column("sealed_answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('OPEN', 'DONE', 'REFUSED', 'ABANDONED')", name=op.f("ck_flows_status_known")),
        sa.CheckConstraint("(status = 'OPEN') = (closed_at IS NULL)", name=op.f("ck_flows_open_until_closed")),
        sa.CheckConstraint("(holder IS NULL) = (lease_expires_at IS NULL)", name=op.f("ck_flows_holder_has_lease")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flows")),
        sa.UniqueConstraint("caller", "route", "key", name=op.f("uq_flows_caller_route_key")),
    )
    op.create_index(
        "uq_flows_exclusive", "flows", ["exclusive"], unique=True, postgresql_where=sa.text("status = 'OPEN'")
    )
    op.create_index("ix_flows_left", "flows", ["look_at"], postgresql_where=sa.text("status = 'OPEN'"))
    op.create_index("ix_flows_closed_at", "flows", ["closed_at"])
    op.create_table(
        "stripe_customers",
        sa.Column("stripe_customer_id", sa.String(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "account_kind IN ('USER', 'WORKSPACE')", name=op.f("ck_stripe_customers_account_kind_known")
        ),
        sa.PrimaryKeyConstraint("stripe_customer_id", name=op.f("pk_stripe_customers")),
    )
    op.create_index(op.f("ix_stripe_customers_account_id"), "stripe_customers", ["account_id"])
    op.create_index(
        "uq_stripe_customers_account",
        "stripe_customers",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    for name in CHECKOUT_TEXTS:
        op.add_column(CHECKOUTS, sa.Column(name, sa.String(), nullable=True))
    op.add_column(CHECKOUTS, sa.Column("payment_status", sa.String(), server_default="UNPAID", nullable=False))
    op.add_column(CHECKOUTS, sa.Column("paid_minor", sa.BigInteger(), nullable=True))
    op.add_column(CHECKOUTS, sa.Column("credits_granted", sa.BigInteger(), nullable=True))
    op.add_column(CHECKOUTS, sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(CHECKOUTS, sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.alter_column(CHECKOUTS, "item_version", existing_type=sa.Integer(), nullable=True)
    op.execute(sa.text("UPDATE checkout_sessions SET payment_status = 'PAID' WHERE status = 'COMPLETE'"))
    for name, condition in CHECKS_NOW.items():
        op.execute(sa.text(f"ALTER TABLE {CHECKOUTS} DROP CONSTRAINT IF EXISTS ck_{CHECKOUTS}_{name}"))
        op.create_check_constraint(op.f(f"ck_{CHECKOUTS}_{name}"), CHECKOUTS, condition)
    op.create_index("ix_checkout_sessions_payment", CHECKOUTS, ["stripe_payment_intent_id"])


def downgrade() -> None:
    op.drop_index("ix_checkout_sessions_payment", table_name=CHECKOUTS)
    op.execute(sa.text("DELETE FROM checkout_sessions WHERE item_kind <> 'PACK' OR status = 'ABANDONED'"))
    for name in CHECKS_NOW:
        op.drop_constraint(op.f(f"ck_{CHECKOUTS}_{name}"), CHECKOUTS, type_="check")
    for name, condition in CHECKS_BEFORE.items():
        op.create_check_constraint(op.f(f"ck_{CHECKOUTS}_{name}"), CHECKOUTS, condition)
    op.alter_column(CHECKOUTS, "item_version", existing_type=sa.Integer(), nullable=False)
    for name in ("version", "expires_at", "credits_granted", "paid_minor", "payment_status", *CHECKOUT_TEXTS):
        op.drop_column(CHECKOUTS, name)
    op.drop_table("stripe_customers")
    op.drop_table("flows")
