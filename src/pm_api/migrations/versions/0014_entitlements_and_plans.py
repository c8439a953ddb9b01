"""Plans on offer, what accounts have bought, contracts, and a contract's own number of credits."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BEGINNING = "2020-01-01T00:00:00Z"
MEGABYTE = 1024**2
GIGABYTE = 1024**3

LIMITS = ("max_users", "max_storage_bytes", "max_api_calls", "max_projects", "max_api_keys", "max_file_bytes")
PLANS: tuple[dict[str, Any], ...] = (
    {
        "plan": "FREE",
        "name": "Free",
        "account_kind": None,
        "price_minor": 0,
        "limits": (1, GIGABYTE, 1_000, 3, 2, 50 * MEGABYTE),
        "support": None,
        "features": ("1 user", "3 projects", "1 GB storage"),
        "by_contract": (),
    },
    {
        "plan": "INDIVIDUAL_PRO",
        "name": "Individual Pro",
        "account_kind": "USER",
        "price_minor": 2999,
        "limits": (1, 10 * GIGABYTE, 50_000, None, 10, 2 * GIGABYTE),
        "support": "EMAIL",
        "features": ("Unlimited projects", "10 GB storage", "Email support"),
        "by_contract": (),
    },
    {
        "plan": "TEAM_STANDARD",
        "name": "Team Standard",
        "account_kind": "WORKSPACE",
        "price_minor": 9999,
        "limits": (10, 100 * GIGABYTE, 250_000, None, 50, 5 * GIGABYTE),
        "support": "PRIORITY",
        "features": ("Up to 10 users", "100 GB storage", "Priority support", "Advanced analytics"),
        "by_contract": (),
    },
    {
        "plan": "TEAM_PREMIUM",
        "name": "Team Premium",
        "account_kind": "WORKSPACE",
        "price_minor": 19999,
        "limits": (None, 1024 * GIGABYTE, 1_000_000, None, 200, 20 * GIGABYTE),
        "support": "24/7",
        "features": ("Unlimited users", "1 TB storage", "24/7 support", "Custom integrations"),
        "by_contract": (),
    },
    {
        "plan": "ENTERPRISE",
        "name": "Enterprise",
        "account_kind": "WORKSPACE",
        "price_minor": None,
        "limits": (None, None, None, None, None, None),
        "support": "24/7",
        "features": ("Unlimited users", "Unlimited API calls", "Storage and limits by contract", "24/7 support"),
        "by_contract": ("price", "maxStorage", "maxApiKeys", "maxFileSize"),
    },
)


def limit_columns() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in LIMITS]


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(), nullable=False),
        *limit_columns(),
        sa.Column("support", sa.String(), nullable=True),
        sa.Column("features", postgresql.JSONB(), nullable=False),
        sa.Column("by_contract", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_plans_price_not_negative")),
        sa.PrimaryKeyConstraint("plan", "version", name=op.f("pk_plans")),
    )
    op.create_table(
        "entitlements",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("plan_version", sa.Integer(), nullable=False),
        *limit_columns(),
        sa.Column("max_ai_credits", sa.BigInteger(), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("grace_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name=op.f("ck_entitlements_account_kind_known")),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'TRIALING', 'GRACE', 'ENDED')", name=op.f("ck_entitlements_status_known")
        ),
        sa.CheckConstraint("source IN ('SUBSCRIPTION', 'CONTRACT')", name=op.f("ck_entitlements_source_known")),
        sa.CheckConstraint("status <> 'GRACE' OR grace_ends_at IS NOT NULL", name=op.f("ck_entitlements_grace_ends")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_entitlements")),
    )
    op.create_table(
        "contracts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("plan_version", sa.Integer(), nullable=False),
        sa.Column("limits", postgresql.JSONB(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name=op.f("ck_contracts_account_kind_known")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_contracts_starts_before_it_ends")),
        sa.CheckConstraint("credits >= 0 AND price_minor >= 0", name=op.f("ck_contracts_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contracts")),
    )
    op.create_index(
        "ix_contracts_one_at_a_time",
        "contracts",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_contracts_account_id_id", "contracts", ["account_id", "id"])
    op.create_index("ix_contracts_ends", "contracts", ["ends_at"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index(
        "ix_contracts_begins",
        "contracts",
        ["starts_at"],
        postgresql_where=sa.text("ended_at IS NULL AND begun_at IS NULL"),
    )
    op.add_column("credit_plans", sa.Column("credits", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_credit_plans_credits_not_negative"), "credit_plans", "credits >= 0")
    _offer_plans()


def _offer_plans() -> None:
    plans = sa.table(
        "plans",
        *(sa.column(name) for name in ("plan", "version", "position", "name", "account_kind", "price_minor")),
        *(sa.column(name) for name in ("currency", *LIMITS, "support")),
        sa.column("features", postgresql.JSONB()),
        sa.column("by_contract", postgresql.JSONB()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    rows = [
        {
            **{name: value for name, value in one.items() if name != "limits"},
            **dict(zip(LIMITS, one["limits"], strict=True)),
            "features": list(one["features"]),
            "by_contract": list(one["by_contract"]),
            "version": 1,
            "position": position,
            "currency": "USD",
            "created_at": sa.text(f"CAST('{BEGINNING}' AS timestamptz)"),
        }
        for position, one in enumerate(PLANS, start=1)
    ]
    for row in rows:
        op.execute(sa.insert(plans).values(**row))


def downgrade() -> None:
    op.drop_constraint(op.f("ck_credit_plans_credits_not_negative"), "credit_plans", type_="check")
    op.drop_column("credit_plans", "credits")
    op.drop_table("contracts")
    op.drop_table("entitlements")
    op.drop_table("plans")
