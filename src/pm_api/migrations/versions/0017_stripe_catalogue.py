"""Products and prices as Stripe has them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("unit_amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("interval", sa.String(), nullable=True),
        sa.Column("interval_count", sa.Integer(), nullable=True),
        sa.Column("lookup_key", sa.String(), nullable=True),
        sa.Column("nickname", sa.String(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("item_kind", sa.String(), nullable=True),
        sa.Column("item_name", sa.String(), nullable=True),
        sa.Column("billing_interval", sa.String(), nullable=True),
        sa.Column("included_credits", sa.BigInteger(), nullable=True),
        sa.Column("bonus_credits", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("on_sale", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("item_kind IN ('PLAN', 'PACK', 'BUNDLE')", name=op.f("ck_prices_item_kind_known")),
        sa.CheckConstraint(
            "billing_interval IN ('MONTHLY', 'YEARLY')", name=op.f("ck_prices_billing_interval_known")
        ),
        sa.CheckConstraint(
            "(item_kind = 'PLAN') = (billing_interval IS NOT NULL)", name=op.f("ck_prices_plans_have_an_interval")
        ),
        sa.CheckConstraint("(item_kind IS NULL) = (item_name IS NULL)", name=op.f("ck_prices_item_has_a_name")),
        sa.CheckConstraint(
            "NOT on_sale OR (item_kind IS NOT NULL AND unit_amount_minor IS NOT NULL)",
            name=op.f("ck_prices_what_is_on_sale_costs"),
        ),
        sa.CheckConstraint(
            "included_credits >= 0 AND bonus_credits >= 0", name=op.f("ck_prices_credits_not_negative")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index("ix_prices_product_id", "prices", ["product_id"])
    op.create_index(
        "ix_prices_plan_on_sale",
        "prices",
        ["item_name", "billing_interval"],
        unique=True,
        postgresql_where=sa.text("on_sale AND item_kind = 'PLAN'"),
    )
    op.create_index(
        "ix_prices_offer_on_sale",
        "prices",
        ["item_name"],
        unique=True,
        postgresql_where=sa.text("on_sale AND item_kind <> 'PLAN'"),
    )
    # Null: ten months' price, as for every plan that was seeded.
    op.add_column("plans", sa.Column("yearly_price_minor", sa.BigInteger(), nullable=True))
    op.create_check_constraint("yearly_price_not_negative", "plans", "yearly_price_minor >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_plans_yearly_price_not_negative"), "plans", type_="check")
    op.drop_column("plans", "yearly_price_minor")
    op.drop_table("prices")
    op.drop_table("products")
