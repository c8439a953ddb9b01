"""Mails that wait to be sent, and what people choose to be told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("is_urgent", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("try_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENDING', 'SENT', 'REFUSED', 'FAILED', 'DROPPED')",
            name=op.f("ck_mails_status_known"),
        ),
        sa.CheckConstraint(
            "(status = 'SENDING') = (claimed_by IS NOT NULL AND claimed_until IS NOT NULL)",
            name=op.f("ck_mails_claimed_while_sending"),
        ),
        sa.CheckConstraint(
            "(status IN ('PENDING', 'SENDING')) = (finished_at IS NULL)", name=op.f("ck_mails_finished_when_final")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mails_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint(
            "user_id",
            "kind",
            "subject_id",
            name=op.f("uq_mails_user_id_kind_subject_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_mails_due", "mails", ["due_at", "id"], postgresql_where=sa.text("status = 'PENDING'"))
    op.create_index("ix_mails_claimed", "mails", ["claimed_until"], postgresql_where=sa.text("status = 'SENDING'"))
    op.create_index("ix_mails_status_id", "mails", ["status", "id"])
    op.create_index(
        "ix_mails_counted",
        "mails",
        ["user_id", "finished_at"],
        postgresql_where=sa.text("status = 'SENT' AND NOT is_urgent"),
    )
    op.create_index(
        "ix_mails_finished_at", "mails", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL")
    )
    op.create_table(
        "notification_preferences",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notification_preferences_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_notification_preferences")),
    )


def downgrade() -> None:
    op.drop_table("notification_preferences")
    op.drop_index("ix_mails_finished_at", table_name="mails")
    op.drop_index("ix_mails_counted", table_name="mails")
    op.drop_index("ix_mails_status_id", table_name="mails")
    op.drop_index("ix_mails_claimed", table_name="mails")
    op.drop_index("ix_mails_due", table_name="mails")
    op.drop_table("mails")
