"""The plan an account is on; the lots of a bundle; an index for the lots of the present period."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_plans",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("yearly", sa.Boolean(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_grant_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("peak_credits", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_credit_plans_starts_before_it_ends")),
        sa.CheckConstraint("peak_credits >= 0", name=op.f("ck_credit_plans_peak_credits_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_plans_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credit_plans")),
    )
    op.create_index(
        "ix_credit_plans_due",
        "credit_plans",
        ["next_grant_at"],
        postgresql_where=sa.text("next_grant_at IS NOT NULL"),
    )
    op.create_table(
        "credit_pack_lots",
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.String(), nullable=True),
        sa.CheckConstraint("credits > 0", name=op.f("ck_credit_pack_lots_credits_positive")),
        sa.ForeignKeyConstraint(
            ["pack", "version"],
            ["credit_packs.name", "credit_packs.version"],
            name=op.f("fk_credit_pack_lots_pack_version"),
        ),
        sa.PrimaryKeyConstraint("pack", "version", "position", name=op.f("pk_credit_pack_lots")),
    )
    op.create_index(
        "ix_credit_grants_ends",
        "credit_grants",
        ["account_id", "expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_credit_grants_ends", table_name="credit_grants", postgresql_where=sa.text("expires_at IS NOT NULL")
    )
    op.drop_table("credit_pack_lots")
    op.drop_table("credit_plans")
