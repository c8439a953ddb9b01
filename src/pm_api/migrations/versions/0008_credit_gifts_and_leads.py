"""Gifts, their codes and claims; leads."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("address_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("converted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_leads_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leads")),
    )
    op.create_index("ix_leads_address_digest_created_at", "leads", ["address_digest", "created_at"], unique=False)
    op.create_index("ix_leads_created_at", "leads", ["created_at"], unique=False)
    op.create_foreign_key(op.f("fk_credit_accounts_lead_id"), "credit_accounts", "leads", ["lead_id"], ["id"])
    op.create_index(
        "ix_credit_accounts_lead_id",
        "credit_accounts",
        ["lead_id"],
        unique=True,
        postgresql_where=sa.text("lead_id IS NOT NULL"),
    )
    op.create_table(
        "credit_gifts",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("command_key", sa.String(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("max_claims", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("returned", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("message", sa.String(), server_default="", nullable=False),
        sa.Column("recipient_user_id", sa.Uuid(), nullable=True),
        sa.Column("created_by_user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_seed", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('USER', 'CODE', 'CODES')", name=op.f("ck_credit_gifts_kind_known")),
        sa.CheckConstraint(
            "status IN ('OPEN', 'CLAIMED', 'CANCELLED', 'EXPIRED', 'WITHDRAWN')",
            name=op.f("ck_credit_gifts_status_known"),
        ),
        sa.CheckConstraint("amount > 0 AND max_claims > 0", name=op.f("ck_credit_gifts_something_given")),
        sa.CheckConstraint("claims BETWEEN 0 AND max_claims", name=op.f("ck_credit_gifts_claims_within_limit")),
        sa.CheckConstraint(
            "claims * amount + returned <= max_claims * amount", name=op.f("ck_credit_gifts_given_once")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_gifts_account_id")),
        sa.ForeignKeyConstraint(["recipient_user_id"], ["users.id"], name=op.f("fk_credit_gifts_recipient_user_id")),
        sa.ForeignKeyConstraint(
            ["created_by_user_id"], ["users.id"], name=op.f("fk_credit_gifts_created_by_user_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_credit_gifts")),
        sa.UniqueConstraint("account_id", "command_key", name=op.f("uq_credit_gifts_account_id_command_key")),
    )
    op.create_index("ix_credit_gifts_id", "credit_gifts", ["id"], unique=True)
    op.create_index("ix_credit_gifts_entry", "credit_gifts", ["account_id", "entry_seq"], unique=False)
    op.create_index(
        "ix_credit_gifts_due",
        "credit_gifts",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'OPEN'"),
    )
    op.create_table(
        "credit_gift_codes",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("max_claims", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("claims BETWEEN 0 AND max_claims", name=op.f("ck_credit_gift_codes_claims_within_limit")),
        sa.ForeignKeyConstraint(
            ["account_id", "gift_id"],
            ["credit_gifts.account_id", "credit_gifts.id"],
            name=op.f("fk_credit_gift_codes_account_id_gift_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "gift_id", "number", name=op.f("pk_credit_gift_codes")),
    )
    op.create_index("ix_credit_gift_codes_digest", "credit_gift_codes", ["digest"], unique=True)
    op.create_table(
        "credit_gift_claims",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_ref", sa.String(), nullable=False),
        sa.Column("client_key", sa.String(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "gift_id"],
            ["credit_gifts.account_id", "credit_gifts.id"],
            name=op.f("fk_credit_gift_claims_account_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credit_gift_claims_user_id")),
        sa.PrimaryKeyConstraint("account_id", "gift_id", "number", "user_id", name=op.f("pk_credit_gift_claims")),
    )
    op.create_index("ix_credit_gift_claims_user_id_id", "credit_gift_claims", ["user_id", "id"], unique=False)
    op.create_table(
        "credit_gift_clawbacks",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_credit_gift_clawbacks_amount_not_negative")),
        sa.ForeignKeyConstraint(
            ["account_id", "gift_id"],
            ["credit_gifts.account_id", "credit_gifts.id"],
            name=op.f("fk_credit_gift_clawbacks_account_id_gift_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "gift_id", "grant_id", name=op.f("pk_credit_gift_clawbacks")),
    )


def downgrade() -> None:
    op.drop_table("credit_gift_clawbacks")
    op.drop_table("credit_gift_claims")
    op.drop_table("credit_gift_codes")
    op.drop_table("credit_gifts")
    op.drop_index(
        "ix_credit_accounts_lead_id", table_name="credit_accounts", postgresql_where=sa.text("lead_id IS NOT NULL")
    )
    op.drop_constraint(op.f("fk_credit_accounts_lead_id"), "credit_accounts", type_="foreignkey")
    op.drop_table("leads")
