"""What each charged piece of work used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ai_usage_logs",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("tokens_in", sa.BigInteger(), nullable=True),
        sa.Column("tokens_out", sa.BigInteger(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("entry_id", sa.Uuid(), nullable=True),
        sa.Column("request_data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("credits >= 0 AND duration_ms >= 0", name=op.f("ck_ai_usage_logs_never_negative")),
        sa.CheckConstraint("success OR error_code IS NOT NULL", name=op.f("ck_ai_usage_logs_failures_have_a_code")),
        sa.ForeignKeyConstraint(["account_id"], ["credit_accounts.id"], name=op.f("fk_ai_usage_logs_account_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_ai_usage_logs_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_ai_usage_logs_workspace_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_ai_usage_logs")),
    )
    op.create_index(
        "ix_ai_usage_logs_account_id_created_at", "ai_usage_logs", ["account_id", "created_at"], unique=False
    )
    op.create_index("ix_ai_usage_logs_user_id_created_at", "ai_usage_logs", ["user_id", "created_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_ai_usage_logs_user_id_created_at", table_name="ai_usage_logs")
    op.drop_index("ix_ai_usage_logs_account_id_created_at", table_name="ai_usage_logs")
    op.drop_table("ai_usage_logs")
