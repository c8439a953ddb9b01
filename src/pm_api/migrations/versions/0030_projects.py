"""Projects: what they are, and what their tasks may be."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("colour", sa.String(), nullable=False),
        sa.Column("icon", sa.String(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("is_template", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("enforce_blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_task_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_by_user_id", sa.Uuid(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_from", sa.String(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('PLANNED', 'ACTIVE', 'PAUSED', 'COMPLETED', 'ARCHIVED')",
            name=op.f("ck_projects_status_known"),
        ),
        sa.CheckConstraint("starts_on <= due_on", name=op.f("ck_projects_starts_before_it_is_due")),
        sa.ForeignKeyConstraint(["created_by_user_id"], ["users.id"], name=op.f("fk_projects_created_by_user_id")),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_projects_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_projects_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("scope_id", name=op.f("uq_projects_scope_id")),
    )
    op.create_index("ix_projects_created_by_user_id", "projects", ["created_by_user_id"], unique=False)
    op.create_index(
        "ix_projects_deleted",
        "projects",
        ["deleted_at", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index("ix_projects_workspace_id_id", "projects", ["workspace_id", "id"], unique=False)
    op.create_index("ix_projects_workspace_id_key", "projects", ["workspace_id", "key"], unique=True)
    op.create_table(
        "project_fields",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "kind IN ('TEXT', 'NUMBER', 'DATE', 'SELECT', 'USER')", name=op.f("ck_project_fields_kind_known")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_fields_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_project_fields_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_project_fields_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_fields")),
        sa.UniqueConstraint("project_id", "key", name=op.f("uq_project_fields_project_id_key")),
    )
    op.create_index("ix_project_fields_scope_id", "project_fields", ["scope_id"], unique=False)
    op.create_index(
        "ix_project_fields_project_id_position", "project_fields", ["project_id", "position"], unique=False
    )
    op.create_table(
        "project_labels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("colour", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_labels_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_project_labels_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_project_labels_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_labels")),
    )
    op.create_index("ix_project_labels_scope_id", "project_labels", ["scope_id"], unique=False)
    op.create_index(
        "ix_project_labels_name", "project_labels", ["project_id", sa.literal_column("lower(name)")], unique=True
    )
    op.create_table(
        "project_statuses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("colour", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "category IN ('TODO', 'IN_PROGRESS', 'DONE', 'CANCELED')", name=op.f("ck_project_statuses_category_known")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_statuses_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_project_statuses_scope_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_project_statuses_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_statuses")),
        sa.UniqueConstraint("project_id", "key", name=op.f("uq_project_statuses_project_id_key")),
    )
    op.create_index("ix_project_statuses_scope_id", "project_statuses", ["scope_id"], unique=False)
    op.create_index(
        "ix_project_statuses_project_id_position", "project_statuses", ["project_id", "position"], unique=False
    )
    op.add_column(
        "invitations",
        sa.Column(
            "project_ids", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
    )
    op.add_column("invitations", sa.Column("project_role", sa.String(), nullable=True))
    op.create_check_constraint(
        op.f("ck_invitations_project_role_known"), "invitations", "project_role IN ('ADMIN', 'MEMBER', 'VIEWER')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_invitations_project_role_known"), "invitations")
    op.drop_column("invitations", "project_role")
    op.drop_column("invitations", "project_ids")
    op.drop_index("ix_project_statuses_project_id_position", table_name="project_statuses")
    op.drop_index("ix_project_statuses_scope_id", table_name="project_statuses")
    op.drop_table("project_statuses")
    op.drop_index("ix_project_labels_name", table_name="project_labels")
    op.drop_index("ix_project_labels_scope_id", table_name="project_labels")
    op.drop_table("project_labels")
    op.drop_index("ix_project_fields_project_id_position", table_name="project_fields")
    op.drop_index("ix_project_fields_scope_id", table_name="project_fields")
    op.drop_table("project_fields")
    op.drop_index("ix_projects_workspace_id_key", table_name="projects")
    op.drop_index("ix_projects_workspace_id_id", table_name="projects")
    op.drop_index("ix_projects_deleted", table_name="projects", postgresql_where=sa.text("deleted_at IS NOT NULL"))
    op.drop_index("ix_projects_created_by_user_id", table_name="projects")
    op.drop_table("projects")
