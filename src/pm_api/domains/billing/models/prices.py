"""What Stripe has for sale, as it was when somebody last looked."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base

ON_SALE = "on_sale AND item_kind"


class Product(Base):
    """A product at Stripe. `synced_at` is the wall time of the look: an older one changes nothing."""

    __tablename__ = "products"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    is_active: Mapped[bool]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    synced_at: Mapped[datetime]


class Price(Base):
    """A price at Stripe, and what its metadata says that it sells. What it costs never changes.

    The `item_` columns are the last that could be read; `problem` says what is wrong with the metadata now. `on_sale`
    is our decision, made by the synchronisation alone: the one price at which a plan or pack is bought. No foreign
    key: a price outlives its product, and may be told of before it.
    """

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("item_kind IN ('PLAN', 'PACK', 'BUNDLE')", name="item_kind_known"),
        CheckConstraint("billing_interval IN ('MONTHLY', 'YEARLY')", name="billing_interval_known"),
        CheckConstraint("(item_kind = 'PLAN') = (billing_interval IS NOT NULL)", name="plans_have_an_interval"),
        CheckConstraint("(item_kind IS NULL) = (item_name IS NULL)", name="item_has_a_name"),
        CheckConstraint(
            "NOT on_sale OR (item_kind IS NOT NULL AND unit_amount_minor IS NOT NULL)", name="what_is_on_sale_costs"
        ),
        CheckConstraint("included_credits >= 0 AND bonus_credits >= 0", name="credits_not_negative"),
        Index("ix_prices_product_id", "product_id"),
        Index(
            "ix_prices_plan_on_sale",
            "item_name",
            "billing_interval",
            unique=True,
            postgresql_where=text(f"{ON_SALE} = 'PLAN'"),
        ),
        Index("ix_prices_offer_on_sale", "item_name", unique=True, postgresql_where=text(f"{ON_SALE} <> 'PLAN'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str]
    is_active: Mapped[bool]
    type: Mapped[str]
    currency: Mapped[str]
    unit_amount_minor: Mapped[int | None]
    interval: Mapped[str | None]
    interval_count: Mapped[int | None] = mapped_column(Integer)
    lookup_key: Mapped[str | None]
    nickname: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    item_kind: Mapped[str | None]
    item_name: Mapped[str | None]
    billing_interval: Mapped[str | None]
    included_credits: Mapped[int | None]
    bonus_credits: Mapped[int | None]
    problem: Mapped[str | None]
    on_sale: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    synced_at: Mapped[datetime]
