"""Settings of pools and wallets, requests for more, auto top-up."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_pools",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("leaderboard_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("use_expiring", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_pools_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credit_pools")),
    )
    op.create_table(
        "credit_pool_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cap_window", sa.String(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("approved_amount", sa.BigInteger(), nullable=True),
        sa.Column("lasting", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("raised_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("inherited", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("taken_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_user_id", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('OPEN', 'APPROVED', 'DECLINED')", name=op.f("ck_credit_pool_requests_status_known")
        ),
        sa.CheckConstraint(
            "amount > 0 AND (approved_amount IS NULL OR approved_amount > 0)",
            name=op.f("ck_credit_pool_requests_amount_positive"),
        ),
        sa.CheckConstraint(
            "(status = 'OPEN') = (decided_at IS NULL)", name=op.f("ck_credit_pool_requests_decided_when_not_open")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_credit_pool_requests_workspace_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credit_pool_requests_user_id")),
        sa.ForeignKeyConstraint(
            ["decided_by_user_id"], ["users.id"], name=op.f("fk_credit_pool_requests_decided_by_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_pool_requests")),
    )
    op.create_index(
        "ix_credit_pool_requests_workspace_id_id", "credit_pool_requests", ["workspace_id", "id"], unique=False
    )
    op.create_index(
        "ix_credit_pool_requests_workspace_id_user_id_id",
        "credit_pool_requests",
        ["workspace_id", "user_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_credit_pool_requests_raised",
        "credit_pool_requests",
        ["raised_until"],
        unique=False,
        postgresql_where=sa.text("raised_until IS NOT NULL AND taken_back_at IS NULL"),
    )
    op.create_table(
        "credit_auto_topups",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("monthly_cap_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disarmed_reason", sa.String(), nullable=True),
        sa.Column("spent_month", sa.Date(), nullable=True),
        sa.Column("spent_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "threshold >= 0 AND monthly_cap_minor > 0", name=op.f("ck_credit_auto_topups_limits_make_sense")
        ),
        sa.CheckConstraint(
            "failures >= 0 AND spent_minor >= 0", name=op.f("ck_credit_auto_topups_counts_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_auto_topups_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credit_auto_topups")),
    )


def downgrade() -> None:
    op.drop_table("credit_auto_topups")
    op.drop_index(
        "ix_credit_pool_requests_raised",
        table_name="credit_pool_requests",
        postgresql_where=sa.text("raised_until IS NOT NULL AND taken_back_at IS NULL"),
    )
    op.drop_index("ix_credit_pool_requests_workspace_id_user_id_id", table_name="credit_pool_requests")
    op.drop_index("ix_credit_pool_requests_workspace_id_id", table_name="credit_pool_requests")
    op.drop_table("credit_pool_requests")
    op.drop_table("credit_pools")
