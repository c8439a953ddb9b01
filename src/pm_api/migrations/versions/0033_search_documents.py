"""Search documents: the words of each thing, and the projects of which nothing is found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("search_positions")))
    op.create_table(
        "search_documents",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("owner_user_id", sa.Uuid(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_search_documents_workspace_id")),
        sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name=op.f("fk_search_documents_owner_user_id")),
        sa.PrimaryKeyConstraint("kind", "entity_id", name=op.f("pk_search_documents")),
    )
    op.create_index(
        "ix_search_documents_words",
        "search_documents",
        ["words"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        "ix_search_documents_workspace_id_position", "search_documents", ["workspace_id", "position"], unique=False
    )
    op.create_index(
        "ix_search_documents_parent_id",
        "search_documents",
        ["parent_id"],
        unique=False,
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_search_documents_owner_user_id",
        "search_documents",
        ["owner_user_id"],
        unique=False,
        postgresql_where=sa.text("owner_user_id IS NOT NULL"),
    )
    op.create_index(
        "ix_search_documents_project_id_number", "search_documents", ["project_id", "number"], unique=False
    )
    op.create_index(
        "ix_search_documents_key",
        "search_documents",
        ["workspace_id", "key"],
        unique=False,
        postgresql_where=sa.text("key IS NOT NULL"),
    )
    op.create_table(
        "search_hidden_projects",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_search_hidden_projects")),
    )


def downgrade() -> None:
    op.drop_table("search_hidden_projects")
    op.drop_table("search_documents")
    op.execute(sa.schema.DropSequence(sa.Sequence("search_positions")))
