"""API keys, who did what with one, and the second factor."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

RECORDS = ("audit_entries", "changes", "credit_entries")
"""What names the person behind an act names the key now too."""


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_reason", sa.String(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name=op.f("ck_api_keys_account_kind_known")),
        sa.CheckConstraint(
            "account_kind <> 'USER' OR account_id = user_id", name=op.f("ck_api_keys_own_or_of_workspace")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_keys_token_hash")),
    )
    op.create_index("ix_api_keys_account_id_id", "api_keys", ["account_id", "id"])
    op.create_index(
        "ix_api_keys_live", "api_keys", ["account_id", "user_id"], postgresql_where=sa.text("revoked_at IS NULL")
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id")),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name=op.f("pk_recovery_codes")),
    )
    for table in RECORDS:
        op.add_column(table, sa.Column("actor_key_id", sa.Uuid(), nullable=True))
    op.alter_column("stream_tickets", "session_id", nullable=True)
    op.add_column("stream_tickets", sa.Column("api_key_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_stream_tickets_api_key_id"), "stream_tickets", "api_keys", ["api_key_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index(op.f("ix_stream_tickets_api_key_id"), "stream_tickets", ["api_key_id"])
    op.create_check_constraint(
        op.f("ck_stream_tickets_one_credential"), "stream_tickets", "num_nonnulls(session_id, api_key_id) = 1"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_stream_tickets_one_credential"), "stream_tickets")
    op.execute("DELETE FROM stream_tickets WHERE session_id IS NULL")  # they live for 30 seconds
    op.drop_index(op.f("ix_stream_tickets_api_key_id"), table_name="stream_tickets")
    op.drop_constraint(op.f("fk_stream_tickets_api_key_id"), "stream_tickets")
    op.drop_column("stream_tickets", "api_key_id")
    op.alter_column("stream_tickets", "session_id", nullable=False)
    for table in RECORDS:
        op.drop_column(table, "actor_key_id")
    op.drop_table("recovery_codes")
    op.drop_table("second_factors")
    op.drop_index("ix_api_keys_user_id", table_name="api_keys")
    op.drop_index("ix_api_keys_live", table_name="api_keys")
    op.drop_index("ix_api_keys_account_id_id", table_name="api_keys")
    op.drop_table("api_keys")
