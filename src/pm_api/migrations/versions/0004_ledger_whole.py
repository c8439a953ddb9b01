"""The ledger whole: where each lot's credits went, holds with their work, caps, debts, alerts, refunds in day sums."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOT_SUMS = (
    *("spent", "expired", "voided", "transferred_out"),
    *("clawed_back", "clawed_as_debt", "clawed_elsewhere"),
)


def upgrade() -> None:
    op.drop_constraint(op.f("ck_credit_accounts_one_owner"), "credit_accounts", type_="check")
    op.add_column("credit_accounts", sa.Column("lead_id", sa.Uuid(), nullable=True))
    op.create_check_constraint(
        op.f("ck_credit_accounts_one_owner"),
        "credit_accounts",
        "num_nonnulls(user_id, workspace_id, lead_id) = 1 AND id = coalesce(user_id, workspace_id, lead_id)",
    )
    op.add_column("credit_accounts", sa.Column("alert_base", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "credit_accounts", sa.Column("alerted_percent", sa.SmallInteger(), server_default="100", nullable=False)
    )
    op.add_column(
        "credit_accounts", sa.Column("capped", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("credit_accounts", sa.Column("open_holds", sa.Integer(), server_default="0", nullable=False))
    for name in LOT_SUMS:
        op.add_column("credit_grants", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_credit_grants_id", "credit_grants", ["id"], unique=True)
    op.add_column("credit_entries", sa.Column("hold_id", sa.Uuid(), nullable=True))
    op.add_column("credit_entries", sa.Column("debt_after", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_credit_entries_reverses",
        "credit_entries",
        ["account_id", "reverses_seq"],
        postgresql_where=sa.text("reverses_seq > 0"),
    )
    op.create_index(
        "ix_credit_entries_hold",
        "credit_entries",
        ["account_id", "hold_id"],
        postgresql_where=sa.text("hold_id IS NOT NULL"),
    )
    op.add_column("credit_holds", sa.Column("quantity", sa.Integer(), nullable=True))
    op.add_column("credit_holds", sa.Column("price_version", sa.Integer(), nullable=True))
    op.add_column(
        "credit_holds",
        sa.Column("metadata", postgresql.JSON(), server_default=sa.text("'{}'::json"), nullable=False),
    )
    op.add_column("credit_holds", sa.Column("actor_user_id", sa.Uuid(), nullable=True))
    op.add_column("credit_holds", sa.Column("guarded", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_credit_holds_id", "credit_holds", ["id"], unique=True)
    op.create_index(
        "ix_credit_holds_open",
        "credit_holds",
        ["account_id", "expires_at"],
        postgresql_where=sa.text("status = 'OPEN'"),
    )
    op.add_column("credit_usage_days", sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "credit_caps",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("cap_window", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_credit_caps_amount_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_caps_account_id")),
        sa.PrimaryKeyConstraint("account_id", "subject", "cap_window", name=op.f("pk_credit_caps")),
    )
    op.create_table(
        "credit_cap_usage",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("cap_window", sa.String(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "subject", "cap_window", "starts_at", name=op.f("pk_credit_cap_usage")),
    )
    op.create_table(
        "credit_alerts",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("details", postgresql.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "kind", "reference", name=op.f("pk_credit_alerts")),
    )
    op.create_index(
        "ix_credit_alerts_waiting",
        "credit_alerts",
        ["created_at"],
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.add_column(
        "credit_plan_grants", sa.Column("rollover_percent", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column("credit_plan_grants", sa.Column("rollover_months", sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("credit_plan_grants", "rollover_months")
    op.drop_column("credit_plan_grants", "rollover_percent")
    op.drop_table("credit_alerts")
    op.drop_table("credit_cap_usage")
    op.drop_table("credit_caps")
    op.drop_column("credit_usage_days", "refunded")
    op.drop_index("ix_credit_holds_open", table_name="credit_holds")
    op.drop_index("ix_credit_holds_id", table_name="credit_holds")
    for name in ("guarded", "actor_user_id", "metadata", "price_version", "quantity"):
        op.drop_column("credit_holds", name)
    op.drop_index("ix_credit_entries_hold", table_name="credit_entries")
    op.drop_index("ix_credit_entries_reverses", table_name="credit_entries")
    op.drop_column("credit_entries", "debt_after")
    op.drop_column("credit_entries", "hold_id")
    op.drop_index("ix_credit_grants_id", table_name="credit_grants")
    for name in reversed(LOT_SUMS):
        op.drop_column("credit_grants", name)
    for name in ("open_holds", "capped", "alerted_percent", "alert_base"):
        op.drop_column("credit_accounts", name)
    op.drop_constraint(op.f("ck_credit_accounts_one_owner"), "credit_accounts", type_="check")
    op.drop_column("credit_accounts", "lead_id")
    op.create_check_constraint(
        op.f("ck_credit_accounts_one_owner"),
        "credit_accounts",
        "num_nonnulls(user_id, workspace_id) = 1 AND id = coalesce(user_id, workspace_id)",
    )
