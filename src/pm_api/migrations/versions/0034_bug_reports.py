"""Bug reports: what is broken, and what is done about it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bug_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("reporter_user_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("steps", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("page_url", sa.String(), nullable=True),
        sa.Column("browser_info", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("duplicate_of_id", sa.Uuid(), nullable=True),
        sa.Column("assignee_user_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'DUPLICATE') = (duplicate_of_id IS NOT NULL)", name=op.f("ck_bug_reports_duplicate_of_another")
        ),
        sa.CheckConstraint(
            "severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')", name=op.f("ck_bug_reports_severity_known")
        ),
        sa.CheckConstraint(
            "status IN ('OPEN', 'TRIAGED', 'IN_PROGRESS', 'RESOLVED', 'CLOSED', 'DUPLICATE')",
            name=op.f("ck_bug_reports_status_known"),
        ),
        sa.CheckConstraint("duplicate_of_id <> id", name=op.f("ck_bug_reports_not_of_itself")),
        sa.ForeignKeyConstraint(["assignee_user_id"], ["users.id"], name=op.f("fk_bug_reports_assignee_user_id")),
        sa.ForeignKeyConstraint(["duplicate_of_id"], ["bug_reports.id"], name=op.f("fk_bug_reports_duplicate_of_id")),
        sa.ForeignKeyConstraint(["reporter_user_id"], ["users.id"], name=op.f("fk_bug_reports_reporter_user_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_bug_reports_task_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_bug_reports_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bug_reports")),
    )
    op.create_index("ix_bug_reports_assignee_user_id", "bug_reports", ["assignee_user_id"], unique=False)
    op.create_index("ix_bug_reports_duplicate_of_id", "bug_reports", ["duplicate_of_id"], unique=False)
    op.create_index(
        "ix_bug_reports_on_the_product",
        "bug_reports",
        ["id"],
        unique=False,
        postgresql_where=sa.text("workspace_id IS NULL"),
    )
    op.create_index("ix_bug_reports_reporter_user_id_id", "bug_reports", ["reporter_user_id", "id"], unique=False)
    op.create_index("ix_bug_reports_task_id", "bug_reports", ["task_id"], unique=False)
    op.create_index("ix_bug_reports_workspace_id_id", "bug_reports", ["workspace_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_bug_reports_workspace_id_id", table_name="bug_reports")
    op.drop_index("ix_bug_reports_task_id", table_name="bug_reports")
    op.drop_index("ix_bug_reports_reporter_user_id_id", table_name="bug_reports")
    op.drop_index(
        "ix_bug_reports_on_the_product", table_name="bug_reports", postgresql_where=sa.text("workspace_id IS NULL")
    )
    op.drop_index("ix_bug_reports_duplicate_of_id", table_name="bug_reports")
    op.drop_index("ix_bug_reports_assignee_user_id", table_name="bug_reports")
    op.drop_table("bug_reports")
