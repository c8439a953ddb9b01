"""Payment methods and automatic top-ups."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ACCOUNT_KIND_CHECK = "account_kind IN ('USER', 'WORKSPACE')"
LIVE = "detached_at IS NULL"
ARMED = "enabled AND payment_method_ready AND disarmed_reason IS NULL"


def upgrade() -> None:
    op.create_table(
        "payment_methods",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(), nullable=False),
        sa.Column("stripe_payment_method_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("brand", sa.String(), nullable=True),
        sa.Column("last4", sa.String(), nullable=True),
        sa.Column("exp_month", sa.SmallInteger(), nullable=True),
        sa.Column("exp_year", sa.SmallInteger(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("attached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detached_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(ACCOUNT_KIND_CHECK, name=op.f("ck_payment_methods_account_kind_known")),
        sa.CheckConstraint(f"{LIVE} OR NOT is_default", name=op.f("ck_payment_methods_default_is_live")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_methods")),
        sa.UniqueConstraint("stripe_payment_method_id", name=op.f("uq_payment_methods_stripe_payment_method_id")),
    )
    op.create_index("ix_payment_methods_account_id_id", "payment_methods", ["account_id", "id"])
    op.create_index(
        "ix_payment_methods_one_default",
        "payment_methods",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text(f"is_default AND {LIVE}"),
    )
    op.create_index(
        "ix_payment_methods_fingerprint",
        "payment_methods",
        ["fingerprint"],
        postgresql_where=sa.text("fingerprint IS NOT NULL"),
    )
    op.create_index(op.f("ix_payment_methods_stripe_customer_id"), "payment_methods", ["stripe_customer_id"])
    op.create_table(
        "topup_payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("pack_version", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(), nullable=False),
        sa.Column("stripe_payment_method_id", sa.String(), nullable=False),
        sa.Column("stripe_payment_intent_id", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("act_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(ACCOUNT_KIND_CHECK, name=op.f("ck_topup_payments_account_kind_known")),
        sa.CheckConstraint(
            "status IN ('PENDING', 'ACTION_REQUIRED', 'SUCCEEDED', 'FAILED', 'CANCELED')",
            name=op.f("ck_topup_payments_status_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_topup_payments_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topup_payments")),
        sa.UniqueConstraint("stripe_payment_intent_id", name=op.f("uq_topup_payments_stripe_payment_intent_id")),
    )
    op.create_index("ix_topup_payments_account_id_id", "topup_payments", ["account_id", "id"])
    op.create_index(
        "ix_topup_payments_one_open",
        "topup_payments",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('PENDING', 'ACTION_REQUIRED')"),
    )
    op.create_index(
        "ix_topup_payments_waiting",
        "topup_payments",
        ["act_by"],
        postgresql_where=sa.text("status = 'ACTION_REQUIRED'"),
    )
    op.create_index(
        "ix_credit_auto_topups_armed", "credit_auto_topups", ["account_id"], postgresql_where=sa.text(ARMED)
    )


def downgrade() -> None:
    op.drop_index("ix_credit_auto_topups_armed", table_name="credit_auto_topups")
    op.drop_table("topup_payments")
    op.drop_table("payment_methods")
