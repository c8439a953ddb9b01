"""Invoices of automatic charges: Stripe makes none of them, so that their payment is what they are known by."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

WITHOUT_STRIPES = sa.text("stripe_invoice_id IS NULL")


def upgrade() -> None:
    op.alter_column("invoices", "stripe_invoice_id", existing_type=sa.String(), nullable=True)
    op.create_check_constraint(
        op.f("ck_invoices_known_at_stripe"),
        "invoices",
        "stripe_invoice_id IS NOT NULL OR stripe_payment_intent_id IS NOT NULL",
    )
    op.create_index(
        "uq_invoices_automatic_charge",
        "invoices",
        ["stripe_payment_intent_id"],
        unique=True,
        postgresql_where=WITHOUT_STRIPES,
    )


def downgrade() -> None:
    # A comparison with Stripe makes them anew from their payments.
    op.execute("DELETE FROM invoices WHERE stripe_invoice_id IS NULL")
    op.drop_index("uq_invoices_automatic_charge", table_name="invoices", postgresql_where=WITHOUT_STRIPES)
    op.drop_constraint(op.f("ck_invoices_known_at_stripe"), "invoices", type_="check")
    op.alter_column("invoices", "stripe_invoice_id", existing_type=sa.String(), nullable=False)
