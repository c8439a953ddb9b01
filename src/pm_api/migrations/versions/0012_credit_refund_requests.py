"""Refund requests: asked for by people, decided once by an operator."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_refund_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refund_entry_id", sa.Uuid(), nullable=True),
        sa.Column("refunded_amount", sa.BigInteger(), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "category IN ('FAILED', 'POOR_RESULT', 'OTHER')", name=op.f("ck_credit_refund_requests_category_known")
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'APPROVED', 'DECLINED')", name=op.f("ck_credit_refund_requests_status_known")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_refund_requests_amount_positive")),
        sa.CheckConstraint(
            "(status = 'PENDING') = (decided_at IS NULL)",
            name=op.f("ck_credit_refund_requests_decided_when_not_pending"),
        ),
        sa.CheckConstraint(
            "(status = 'APPROVED') = (refund_entry_id IS NOT NULL)",
            name=op.f("ck_credit_refund_requests_approved_with_a_refund"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["credit_accounts.id"], name=op.f("fk_credit_refund_requests_account_id")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("fk_credit_refund_requests_decided_by")),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("fk_credit_refund_requests_requested_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_refund_requests")),
    )
    op.create_index("ix_credit_refund_requests_account_id_id", "credit_refund_requests", ["account_id", "id"])
    op.create_index("ix_credit_refund_requests_status_id", "credit_refund_requests", ["status", "id"])
    op.create_index(
        "ix_credit_refund_requests_open",
        "credit_refund_requests",
        ["account_id", "entry_id"],
        unique=True,
        postgresql_where=sa.text("status = 'PENDING'"),
    )


def downgrade() -> None:
    op.drop_table("credit_refund_requests")
