"""Invoices with their lines, refunds and disputes; daily records of usage, and reminders to those who owe."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ACCOUNT_KINDS = "account_kind IN ('USER', 'WORKSPACE')"


def moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def word(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=nullable)


def number(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, server_default=default)


def upgrade() -> None:
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid(), nullable=False),
        word("account_kind"),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        word("stripe_invoice_id"),
        word("stripe_customer_id", nullable=True),
        word("stripe_subscription_id", nullable=True),
        word("stripe_payment_intent_id", nullable=True),
        word("number", nullable=True),
        word("status"),
        word("provider_status"),
        word("billing_reason"),
        word("description"),
        word("currency"),
        *(number(name) for name in ("subtotal_minor", "tax_minor", "discount_minor", "total_minor")),
        *(number(name) for name in ("due_minor", "paid_minor")),
        number("refunded_minor", default="0"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        moment("next_attempt_at", nullable=True),
        moment("due_at", nullable=True),
        moment("period_start"),
        moment("period_end"),
        moment("issued_at"),
        moment("paid_at", nullable=True),
        word("hosted_url", nullable=True),
        moment("synced_at"),
        number("version", default="1"),
        moment("created_at"),
        moment("updated_at"),
        sa.CheckConstraint(ACCOUNT_KINDS, name=op.f("ck_invoices_account_kind_known")),
        sa.CheckConstraint(
            "status IN ('PENDING', 'FAILED', 'PAID', 'REFUNDED', 'VOID', 'UNCOLLECTIBLE')",
            name=op.f("ck_invoices_status_known"),
        ),
        sa.CheckConstraint(
            "provider_status IN ('draft', 'open', 'paid', 'void', 'uncollectible')",
            name=op.f("ck_invoices_provider_status_known"),
        ),
        sa.CheckConstraint("refunded_minor >= 0", name=op.f("ck_invoices_refunded_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("stripe_invoice_id", name=op.f("uq_invoices_stripe_invoice_id")),
    )
    op.create_index("ix_invoices_account_id_issued_at_id", "invoices", ["account_id", "issued_at", "id"])
    op.create_index("ix_invoices_stripe_subscription_id", "invoices", ["stripe_subscription_id"])
    op.create_index("ix_invoices_stripe_payment_intent_id", "invoices", ["stripe_payment_intent_id"])
    op.create_table(
        "invoice_lines",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        word("stripe_line_id"),
        word("description", nullable=True),
        number("quantity", nullable=True),
        number("amount_minor"),
        word("currency"),
        word("price_id", nullable=True),
        word("product_id", nullable=True),
        sa.Column("is_proration", sa.Boolean(), nullable=False),
        moment("period_start"),
        moment("period_end"),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_lines_invoice_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("invoice_id", "position", name=op.f("pk_invoice_lines")),
        sa.UniqueConstraint("invoice_id", "stripe_line_id", name=op.f("uq_invoice_lines_invoice_id_stripe_line_id")),
    )
    op.create_index("ix_invoice_lines_account_id_period_start", "invoice_lines", ["account_id", "period_start"])
    _create_money_back()
    _create_usage()


def _create_money_back() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Uuid(), nullable=False),
        word("account_kind"),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        word("stripe_refund_id", nullable=True),
        sa.Column("flow_id", sa.Uuid(), nullable=True),
        word("stripe_payment_intent_id"),
        word("stripe_charge_id", nullable=True),
        number("amount_minor"),
        word("currency"),
        word("status"),
        word("reason", nullable=True),
        word("failure_reason", nullable=True),
        word("requested_by", nullable=True),
        moment("issued_at"),
        moment("credits_due_at", nullable=True),
        moment("synced_at", nullable=True),
        number("version", default="1"),
        moment("created_at"),
        moment("updated_at"),
        sa.CheckConstraint(ACCOUNT_KINDS, name=op.f("ck_refunds_account_kind_known")),
        sa.CheckConstraint(
            "status IN ('REQUESTED', 'PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED')",
            name=op.f("ck_refunds_status_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount_positive")),
        sa.CheckConstraint(
            "stripe_refund_id IS NOT NULL OR flow_id IS NOT NULL", name=op.f("ck_refunds_asked_for_by_somebody")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint("stripe_refund_id", name=op.f("uq_refunds_stripe_refund_id")),
        sa.UniqueConstraint("flow_id", name=op.f("uq_refunds_flow_id")),
    )
    op.create_index("ix_refunds_stripe_payment_intent_id", "refunds", ["stripe_payment_intent_id"])
    op.create_index("ix_refunds_account_id_id", "refunds", ["account_id", "id"])
    op.create_table(
        "disputes",
        sa.Column("id", sa.Uuid(), nullable=False),
        word("account_kind"),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        word("stripe_dispute_id"),
        word("stripe_payment_intent_id"),
        word("stripe_charge_id"),
        number("amount_minor"),
        word("currency"),
        word("status"),
        word("provider_status"),
        word("reason"),
        moment("issued_at"),
        moment("credits_due_at", nullable=True),
        moment("synced_at"),
        number("version", default="1"),
        moment("created_at"),
        moment("updated_at"),
        sa.CheckConstraint(ACCOUNT_KINDS, name=op.f("ck_disputes_account_kind_known")),
        sa.CheckConstraint("status IN ('OPEN', 'WON', 'LOST', 'CLOSED')", name=op.f("ck_disputes_status_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("stripe_dispute_id", name=op.f("uq_disputes_stripe_dispute_id")),
    )
    op.create_index("ix_disputes_stripe_payment_intent_id", "disputes", ["stripe_payment_intent_id"])
    op.create_index("ix_disputes_open", "disputes", ["id"], postgresql_where=sa.text("status = 'OPEN'"))
    for table in ("refunds", "disputes"):
        op.create_index(
            f"ix_{table}_credits_due",
            table,
            ["credits_due_at"],
            postgresql_where=sa.text("credits_due_at IS NOT NULL"),
        )


def _create_usage() -> None:
    op.create_table(
        "usage_records",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        moment("period_start"),
        word("metric"),
        sa.Column("day", sa.Date(), nullable=False),
        word("account_kind"),
        word("plan"),
        moment("period_end"),
        number("used"),
        number("usage_limit", nullable=True),
        moment("sampled_at"),
        sa.CheckConstraint(ACCOUNT_KINDS, name=op.f("ck_usage_records_account_kind_known")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_usage_records_used_not_negative")),
        sa.PrimaryKeyConstraint("account_id", "period_start", "metric", "day", name=op.f("pk_usage_records")),
    )
    op.create_table(
        "dunnings",
        sa.Column("id", sa.Uuid(), nullable=False),
        word("account_kind"),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        word("plan"),
        moment("began_at"),
        moment("grace_ends_at"),
        sa.Column("step", sa.Integer(), nullable=False),
        moment("due_at", nullable=True),
        moment("closed_at", nullable=True),
        word("outcome", nullable=True),
        sa.CheckConstraint(ACCOUNT_KINDS, name=op.f("ck_dunnings_account_kind_known")),
        sa.CheckConstraint("closed_at IS NOT NULL OR due_at IS NOT NULL", name=op.f("ck_dunnings_open_is_due")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dunnings")),
    )
    op.create_index(
        "ix_dunnings_one_open",
        "dunnings",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("ix_dunnings_due", "dunnings", ["due_at"], postgresql_where=sa.text("closed_at IS NULL"))


def downgrade() -> None:
    for table in ("dunnings", "usage_records", "disputes", "refunds", "invoice_lines", "invoices"):
        op.drop_table(table)
