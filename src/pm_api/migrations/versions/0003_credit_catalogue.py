"""The first catalogue of credits: service prices, plan grants, packs. Data only; later versions are rows, not code."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BEGINNING = "2020-01-01T00:00:00Z"

PRICES = {
    "TASK_GENERATION": 3,
    "SMART_NOTIFICATIONS": 1,
    "PROJECT_ANALYSIS": 5,
    "CHAT_ASSISTANT": 2,
    "INACTIVITY_REMINDER": 1,
    "DOCUMENT_ANALYSIS": 4,
    "WORKFLOW_OPTIMIZATION": 5,
}
PLAN_GRANTS = {
    "FREE": 10,
    "INDIVIDUAL_PRO": 100,
    "TEAM_STANDARD": 500,
    "TEAM_PREMIUM": 1000,
    "ENTERPRISE": 5000,
}
PACKS = {
    "SMALL": (100, 0, 199),
    "MEDIUM": (500, 50, 899),
    "LARGE": (1000, 150, 1599),
    # The price of XL comes from Stripe; until it is known the pack is not on offer.
    "XL": (2000, 0, None),
}


def upgrade() -> None:
    connection = op.get_bind()
    for service, cost in PRICES.items():
        connection.execute(
            sa.text(
                "INSERT INTO credit_price_rules (service, version, cost, effective_at)"
                " VALUES (:service, 1, :cost, CAST(:at AS text)::timestamptz)"
            ),
            {"service": service, "cost": cost, "at": BEGINNING},
        )
    for plan, credits in PLAN_GRANTS.items():
        connection.execute(
            sa.text("INSERT INTO credit_plan_grants (plan, version, credits) VALUES (:plan, 1, :credits)"),
            {"plan": plan, "credits": credits},
        )
    for name, (credits, bonus, price) in PACKS.items():
        connection.execute(
            sa.text(
                "INSERT INTO credit_packs (name, version, credits, bonus, price_minor, currency, created_at)"
                " VALUES (:name, 1, :credits, :bonus, :price, 'USD', CAST(:at AS text)::timestamptz)"
            ),
            {"name": name, "credits": credits, "bonus": bonus, "price": price, "at": BEGINNING},
        )


def downgrade() -> None:
    for table in ("credit_packs", "credit_plan_grants", "credit_price_rules"):
        op.execute(sa.text(f"DELETE FROM {table} WHERE version = 1"))
