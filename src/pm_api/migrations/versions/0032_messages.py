"""Messages: conversations, where people are in them, and what was said."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_user_id", sa.Uuid(), nullable=True),
        sa.Column("second_user_id", sa.Uuid(), nullable=True),
        sa.Column("created_by_user_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'DIRECT') = (first_user_id IS NOT NULL)", name=op.f("ck_conversations_direct_has_two")
        ),
        sa.CheckConstraint("kind IN ('DIRECT', 'GROUP', 'CHANNEL')", name=op.f("ck_conversations_kind_known")),
        sa.CheckConstraint("first_user_id < second_user_id", name=op.f("ck_conversations_pair_in_order")),
        sa.ForeignKeyConstraint(
            ["created_by_user_id"], ["users.id"], name=op.f("fk_conversations_created_by_user_id")
        ),
        sa.ForeignKeyConstraint(["first_user_id"], ["users.id"], name=op.f("fk_conversations_first_user_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_conversations_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_conversations_scope_id")),
        sa.ForeignKeyConstraint(["second_user_id"], ["users.id"], name=op.f("fk_conversations_second_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_conversations_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "workspace_id",
            "first_user_id",
            "second_user_id",
            name=op.f("uq_conversations_workspace_id_first_user_id_second_user_id"),
        ),
    )
    op.create_index("ix_conversations_created_by_user_id", "conversations", ["created_by_user_id"], unique=False)
    op.create_index(
        "ix_conversations_project_id",
        "conversations",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_index("ix_conversations_scope_id", "conversations", ["scope_id"], unique=False)
    op.create_index(
        "ix_conversations_workspace_id_active_at_id",
        "conversations",
        ["workspace_id", "active_at", "id"],
        unique=False,
    )
    op.create_table(
        "conversation_readers",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("read_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("is_muted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_conversation_readers_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_conversation_readers_user_id")),
        sa.PrimaryKeyConstraint("conversation_id", "user_id", name=op.f("pk_conversation_readers")),
    )
    op.create_index(
        "ix_conversation_readers_user_id_conversation_id",
        "conversation_readers",
        ["user_id", "conversation_id"],
        unique=False,
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("author_user_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("mentions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reply_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_reply_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["author_user_id"], ["users.id"], name=op.f("fk_messages_author_user_id")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_messages_conversation_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["messages.id"], name=op.f("fk_messages_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_messages_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("conversation_id", "number", name=op.f("uq_messages_conversation_id_number")),
    )
    op.create_index("ix_messages_author_user_id_id", "messages", ["author_user_id", "id"], unique=False)
    op.create_index(
        "ix_messages_parent_id_number",
        "messages",
        ["parent_id", "number"],
        unique=False,
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_table(
        "message_reactions",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("emoji", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_message_reactions_message_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_message_reactions_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_message_reactions_workspace_id")),
        sa.PrimaryKeyConstraint("message_id", "user_id", "emoji", name=op.f("pk_message_reactions")),
    )
    op.create_index(
        "ix_message_reactions_user_id_message_id", "message_reactions", ["user_id", "message_id"], unique=False
    )
    op.create_table(
        "message_revisions",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("author_user_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["author_user_id"], ["users.id"], name=op.f("fk_message_revisions_author_user_id")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_message_revisions_message_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_message_revisions_workspace_id")),
        sa.PrimaryKeyConstraint("message_id", "version", name=op.f("pk_message_revisions")),
    )
    op.create_index(
        "ix_message_revisions_author_user_id_message_id",
        "message_revisions",
        ["author_user_id", "message_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_message_revisions_author_user_id_message_id", table_name="message_revisions")
    op.drop_table("message_revisions")
    op.drop_index("ix_message_reactions_user_id_message_id", table_name="message_reactions")
    op.drop_table("message_reactions")
    op.drop_index(
        "ix_messages_parent_id_number", table_name="messages", postgresql_where=sa.text("parent_id IS NOT NULL")
    )
    op.drop_index("ix_messages_author_user_id_id", table_name="messages")
    op.drop_table("messages")
    op.drop_index("ix_conversation_readers_user_id_conversation_id", table_name="conversation_readers")
    op.drop_table("conversation_readers")
    op.drop_index("ix_conversations_workspace_id_active_at_id", table_name="conversations")
    op.drop_index("ix_conversations_scope_id", table_name="conversations")
    op.drop_index(
        "ix_conversations_project_id", table_name="conversations", postgresql_where=sa.text("project_id IS NOT NULL")
    )
    op.drop_index("ix_conversations_created_by_user_id", table_name="conversations")
    op.drop_table("conversations")
