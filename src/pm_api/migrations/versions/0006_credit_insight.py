"""Achievements: badges with their reason; one person's usage days found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_achievements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("earned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_achievements_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_credit_achievements_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_achievements")),
        sa.UniqueConstraint("account_id", "code", name=op.f("uq_credit_achievements_account_id_code")),
    )
    op.create_index(
        "ix_credit_achievements_workspace_id",
        "credit_achievements",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("workspace_id IS NOT NULL"),
    )
    op.create_index(
        "ix_credit_usage_days_actor_user_id_account_id_day",
        "credit_usage_days",
        ["actor_user_id", "account_id", "day"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_credit_usage_days_actor_user_id_account_id_day", table_name="credit_usage_days")
    op.drop_index(
        "ix_credit_achievements_workspace_id",
        table_name="credit_achievements",
        postgresql_where=sa.text("workspace_id IS NOT NULL"),
    )
    op.drop_table("credit_achievements")
