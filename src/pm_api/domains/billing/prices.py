"""What Stripe has for sale, mirrored; and which of it is what: the plan of a price, the price of a plan.

Products and prices are written by two functions, with a freshly fetched object, forward only. Locks: the product,
then its prices by id.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits import catalogue as credit_catalogue
from pm_api.domains.billing.enums import BillingInterval, ItemKind
from pm_api.domains.billing.errors import PlanNotOnSale
from pm_api.domains.billing.models.prices import Price, Product
from pm_api.domains.billing.price_terms import BadMetadata, PriceFacts, Terms, read_terms
from pm_api.domains.billing.repository import prices as repository
from pm_api.entitlements.enums import Plan
from pm_api.integrations.stripe import StripePrice, StripeProduct

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """A price at which a plan is or was bought. `included_credits` come each month; None: as the plan's terms say."""

    plan: Plan
    interval: BillingInterval
    amount_minor: int
    currency: str
    included_credits: int | None
    price_id: str
    product_id: str


@dataclass(frozen=True, slots=True)
class OfferPrice:
    """The price at which a pack or bundle is bought."""

    kind: ItemKind
    name: str
    amount_minor: int
    currency: str
    price_id: str
    product_id: str


# --- reading ---------------------------------------------------------------------------------------------------


async def plan_of(session: AsyncSession, price_id: str) -> PlanPrice | None:
    """What a price sells, also one that is no longer sold: who subscribed at it keeps it. None: no plan of ours.

    Metadata that was broken since does not count: what could last be read does.
    """
    row = await repository.price(session, price_id)
    return None if row is None else _plan_price(row)


async def price_of(session: AsyncSession, plan: Plan, interval: BillingInterval) -> PlanPrice:
    """The price at which a plan is bought now; raises PlanNotOnSale."""
    row = await repository.on_sale(session, (ItemKind.PLAN,), plan, interval)
    found = None if row is None else _plan_price(row)
    if found is None:
        raise PlanNotOnSale(f"{plan} cannot be bought {interval.lower()} just now.", plan=plan, interval=interval)
    return found


async def offer_price_of(session: AsyncSession, name: str) -> OfferPrice | None:
    """The price at which a pack or bundle is bought, if Stripe has one."""
    row = await repository.on_sale(session, (ItemKind.PACK, ItemKind.BUNDLE), name, None)
    if row is None or row.unit_amount_minor is None or row.item_kind is None:
        return None
    return OfferPrice(ItemKind(row.item_kind), name, row.unit_amount_minor, row.currency, row.id, row.product_id)


async def offer_credits_of(session: AsyncSession, price_id: str) -> int | None:
    """How many credits a pack or bundle at this price brings, the bonus too; None: it sells something else."""
    row = await repository.price(session, price_id)
    if row is None or row.item_kind not in (ItemKind.PACK, ItemKind.BUNDLE) or row.included_credits is None:
        return None
    bonus = row.bonus_credits
    if bonus is None:
        known = (await credit_catalogue.standing_offers(session)).get(row.item_name or "")
        bonus = known.bonus if known is not None else 0
    return row.included_credits + bonus


def _plan_price(row: Price) -> PlanPrice | None:
    if row.item_kind != ItemKind.PLAN or row.unit_amount_minor is None:
        return None
    return PlanPrice(
        plan=Plan(row.item_name or ""),
        interval=BillingInterval(row.billing_interval or ""),
        amount_minor=row.unit_amount_minor,
        currency=row.currency,
        included_credits=row.included_credits,
        price_id=row.id,
        product_id=row.product_id,
    )


# --- mirrors ---------------------------------------------------------------------------------------------------


async def mirror_product(session: AsyncSession, found: StripeProduct, fetched_at: datetime) -> bool:
    """Write a product as seen at `fetched_at`, and read its prices' metadata anew; False if older than known."""
    values: dict[str, Any] = {
        "name": found.name,
        "description": found.description,
        "is_active": found.is_active,
        "details": dict(found.metadata),
        "created_at": found.created_at,
        "deleted_at": None,
        "synced_at": fetched_at,
    }
    await repository.insert_product(session, {"id": found.id, **values})
    row = await repository.lock_product(session, found.id)
    assert row is not None, "a product's row is never deleted"
    if fetched_at < row.synced_at:
        return False
    _write(row, values)
    await _read_prices_of(session, row)
    return True


async def mirror_product_gone(session: AsyncSession, product_id: str, fetched_at: datetime) -> bool:
    """Stripe no longer has the product; False if we never had it, or looked later."""
    row = await repository.lock_product(session, product_id)
    if row is None or fetched_at < row.synced_at:
        return False
    _write(row, {"is_active": False, "deleted_at": row.deleted_at or fetched_at, "synced_at": fetched_at})
    return True


async def mirror_price(session: AsyncSession, found: StripePrice, fetched_at: datetime) -> bool:
    """Write a price (and the product that came with it) as seen at `fetched_at`; False if older than known."""
    if found.product is not None:
        await mirror_product(session, found.product, fetched_at)
    product = await repository.lock_product(session, found.product_id)
    values: dict[str, Any] = {
        "product_id": found.product_id,
        "is_active": found.is_active,
        "type": found.type,
        "currency": found.currency,
        "unit_amount_minor": found.unit_amount,
        "interval": found.interval,
        "interval_count": found.interval_count,
        "lookup_key": found.lookup_key,
        "nickname": found.nickname,
        "details": dict(found.metadata),
        "created_at": found.created_at,
        "deleted_at": None,
        "synced_at": fetched_at,
    }
    await repository.insert_price(session, {"id": found.id, **values})
    row = await repository.lock_price(session, found.id)
    assert row is not None, "a price's row is never deleted"
    if fetched_at < row.synced_at:
        return False
    _write(row, values)
    _read_metadata(row, product)
    await session.flush()
    return True


async def mirror_price_gone(session: AsyncSession, price_id: str, fetched_at: datetime) -> bool:
    """Stripe no longer has the price; False if we never had it, or looked later. What it sold is still known."""
    row = await repository.lock_price(session, price_id)
    if row is None or fetched_at < row.synced_at:
        return False
    _write(row, {"is_active": False, "deleted_at": row.deleted_at or fetched_at, "synced_at": fetched_at})
    return True


def terms_in(row: Price, product: Product | None) -> Terms | None:
    """What a price sells by its metadata as it stands now; raises BadMetadata."""
    facts = PriceFacts(row.type, row.unit_amount_minor, row.interval, row.interval_count)
    return read_terms(facts, row.details, product.details if product is not None else None)


async def _read_prices_of(session: AsyncSession, product: Product) -> None:
    await session.flush()
    for row in await repository.lock_prices_of(session, product.id):
        _read_metadata(row, product)
    await session.flush()


def _read_metadata(row: Price, product: Product | None) -> None:
    """What was read once stays when the metadata is broken or taken away later: somebody may be subscribed at it."""
    try:
        terms = terms_in(row, product)
    except BadMetadata as bad:
        row.problem = str(bad)
        _log.warning("price_metadata_unreadable", price_id=row.id, problem=row.problem)
        return
    if terms is None:
        row.problem = None if row.item_kind is None else "the metadata no longer says what this price sells"
        return
    item = (terms.kind, terms.name, terms.interval)
    if item != (row.item_kind, row.item_name, row.billing_interval):
        row.on_sale = False  # it was put on sale as something else
    row.item_kind, row.item_name, row.billing_interval = item
    row.included_credits, row.bonus_credits, row.problem = terms.credits, terms.bonus, None


def _write(row: Product | Price, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
