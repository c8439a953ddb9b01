"""Profiles, exports of a person's data, deletions of accounts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("job_title", sa.String(), nullable=True))
    op.add_column("users", sa.Column("about", sa.String(), nullable=True))
    op.add_column("users", sa.Column("theme", sa.String(), server_default="SYSTEM", nullable=False))
    op.add_column("users", sa.Column("deletes_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_users_erased_at", "users", ["erased_at"], postgresql_where=sa.text("erased_at IS NOT NULL"))
    op.create_table(
        "account_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("files", sa.Integer(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "status IN ('PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')",
            name=op.f("ck_account_exports_status_known"),
        ),
        sa.CheckConstraint(
            "(status IN ('PENDING', 'RUNNING')) = (finished_at IS NULL)",
            name=op.f("ck_account_exports_finished_when_final"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_account_exports_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_exports")),
    )
    op.create_index("ix_account_exports_user_id_id", "account_exports", ["user_id", "id"])
    op.create_index(
        "uq_account_exports_one_at_a_time",
        "account_exports",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('PENDING', 'RUNNING')"),
    )
    op.create_index(
        "ix_account_exports_expires_at",
        "account_exports",
        ["expires_at"],
        postgresql_where=sa.text("status = 'READY'"),
    )
    op.create_index(
        "ix_account_exports_waiting",
        "account_exports",
        ["looked_at"],
        postgresql_where=sa.text("status IN ('PENDING', 'RUNNING')"),
    )
    op.create_table(
        "account_export_parts",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["export_id"],
            ["account_exports.id"],
            name=op.f("fk_account_export_parts_export_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_account_export_parts")),
    )
    op.create_table(
        "account_deletions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erase_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sealed_person", sa.LargeBinary(), nullable=True),
        sa.Column("closed_workspaces", postgresql.JSONB(), nullable=False),
        sa.Column("left_workspaces", postgresql.JSONB(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "status IN ('PENDING', 'CANCELLED', 'ERASING', 'ERASED')", name=op.f("ck_account_deletions_status_known")
        ),
        sa.CheckConstraint(
            "(status IN ('CANCELLED', 'ERASED')) = (ended_at IS NOT NULL)",
            name=op.f("ck_account_deletions_ended_when_final"),
        ),
        sa.CheckConstraint(
            "(status = 'ERASING') = (sealed_person IS NOT NULL)",
            name=op.f("ck_account_deletions_person_known_while_erasing"),
        ),
        sa.CheckConstraint(
            "look_at IS NOT NULL OR status IN ('CANCELLED', 'ERASED')",
            name=op.f("ck_account_deletions_open_is_looked_at"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_account_deletions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_deletions")),
    )
    op.create_index(
        "uq_account_deletions_one",
        "account_deletions",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('PENDING', 'ERASING', 'ERASED')"),
    )
    op.create_index(
        "ix_account_deletions_due",
        "account_deletions",
        ["look_at"],
        postgresql_where=sa.text("status IN ('PENDING', 'ERASING')"),
    )
    op.create_index(
        "ix_account_deletions_late",
        "account_deletions",
        ["look_at", "id"],
        postgresql_where=sa.text("status = 'ERASED'"),
    )

    op.add_column("workspaces", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_workspaces_to_close",
        "workspaces",
        ["deleted_at", "id"],
        postgresql_where=sa.text("deleted_at IS NOT NULL AND closed_at IS NULL"),
    )
    op.create_index(
        "ix_audit_entries_actor_user_id_id",
        "audit_entries",
        ["actor_user_id", "id"],
        postgresql_where=sa.text("actor_user_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_audit_entries_actor_user_id_id", table_name="audit_entries")
    op.drop_index("ix_workspaces_to_close", table_name="workspaces")
    op.drop_column("workspaces", "closed_at")
    op.drop_table("account_deletions")
    op.drop_table("account_export_parts")
    op.drop_table("account_exports")
    op.drop_index("ix_users_erased_at", table_name="users")
    for name in ("erased_at", "deletes_at", "theme", "about", "job_title"):
        op.drop_column("users", name)
