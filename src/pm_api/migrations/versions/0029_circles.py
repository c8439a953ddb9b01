"""Circles: open ones, a role within one, and members of single projects alone (GUEST)."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BEFORE = "role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER')"
AFTER = "role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER', 'GUEST')"
WITH_ROLES = ("workspace_members", "invitations")


def upgrade() -> None:
    for table in WITH_ROLES:
        op.drop_constraint(op.f(f"ck_{table}_role_known"), table)
        op.create_check_constraint(op.f(f"ck_{table}_role_known"), table, AFTER)
    op.add_column("scopes", sa.Column("is_open", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_scopes_open", "scopes", ["workspace_id", "id"], postgresql_where=sa.text("is_open"))
    op.add_column("scope_members", sa.Column("role", sa.String(), nullable=True))
    op.add_column("scope_members", sa.Column("added_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("scope_members", sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False))
    op.create_check_constraint(
        op.f("ck_scope_members_role_known"), "scope_members", "role IN ('ADMIN', 'MEMBER', 'VIEWER')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_scope_members_role_known"), "scope_members")
    op.drop_column("scope_members", "version")
    op.drop_column("scope_members", "added_at")
    op.drop_column("scope_members", "role")
    op.drop_index("ix_scopes_open", table_name="scopes")
    op.drop_column("scopes", "is_open")
    for table in WITH_ROLES:
        op.execute(f"DELETE FROM {table} WHERE role = 'GUEST'")
        op.drop_constraint(op.f(f"ck_{table}_role_known"), table)
        op.create_check_constraint(op.f(f"ck_{table}_role_known"), table, BEFORE)
