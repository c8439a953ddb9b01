"""Products and prices: what is for sale. What a price costs never changes; a new price takes its lookup key over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import stripe
from stripe.params import PriceCreateParams, PriceUpdateParams, ProductCreateParams

from pm_api.integrations.stripe.door import StripeDoor, StripeObjectMissing, calling, keyed
from pm_api.integrations.stripe.values import (
    LIST_LIMIT,
    StripeList,
    everything,
    known_id_of,
    moment,
    page_size,
    texts,
    upper,
)


@dataclass(frozen=True, slots=True)
class StripeProduct:
    """A product as Stripe has it now."""

    id: str
    name: str
    description: str | None
    is_active: bool
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A price as Stripe has it now. `unit_amount` is None for tiers and fractions of a minor unit.

    `product` is None when it was deleted.
    """

    id: str
    product_id: str
    product: StripeProduct | None
    is_active: bool
    type: str
    currency: str
    unit_amount: int | None
    interval: str | None
    interval_count: int | None
    lookup_key: str | None
    nickname: str | None
    metadata: Mapping[str, str]
    created_at: datetime


async def list_all(door: StripeDoor, *, limit: int = LIST_LIMIT) -> StripeList[StripePrice]:
    """Every price, active or not, with its product; newest first."""
    async with calling("prices"):
        first = await door.client.v1.prices.list_async({"limit": page_size(limit), "expand": ["data.product"]})
        return await everything(first, read_price, limit)


async def list_products(door: StripeDoor, *, limit: int = LIST_LIMIT) -> StripeList[StripeProduct]:
    """Every product, active or not; newest first."""
    async with calling("products"):
        first = await door.client.v1.products.list_async({"limit": page_size(limit)})
        return await everything(first, read_product, limit)


async def retrieve(door: StripeDoor, price_id: str) -> StripePrice:
    """A price with its product; raises StripeObjectMissing for a deleted one."""
    async with calling(price_id):
        found = await door.client.v1.prices.retrieve_async(price_id, {"expand": ["product"]})
    if "deleted" in found and found.deleted:
        raise StripeObjectMissing(price_id)
    return read_price(found)


async def retrieve_product(door: StripeDoor, product_id: str) -> StripeProduct:
    """A product; raises StripeObjectMissing for a deleted one."""
    async with calling(product_id):
        found = await door.client.v1.products.retrieve_async(product_id)
    if "deleted" in found and found.deleted:
        raise StripeObjectMissing(product_id)
    return read_product(found)


async def create_product(
    door: StripeDoor, *, name: str, description: str | None = None, metadata: Mapping[str, str], key: str
) -> StripeProduct:
    params: ProductCreateParams = {"name": name, "metadata": dict(metadata)}
    if description:
        params["description"] = description
    async with calling("product"):
        return read_product(await door.client.v1.products.create_async(params, keyed(key)))


async def create_price(
    door: StripeDoor,
    *,
    product_id: str,
    unit_amount: int,
    currency: str,
    interval: Literal["month", "year"] | None,
    lookup_key: str,
    metadata: Mapping[str, str],
    key: str,
) -> StripePrice:
    """Paid once when `interval` is None. A price that had this lookup key loses it."""
    params: PriceCreateParams = {
        "product": product_id,
        "unit_amount": unit_amount,
        "currency": currency.lower(),
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
        "metadata": dict(metadata),
        "expand": ["product"],
    }
    if interval is not None:
        params["recurring"] = {"interval": interval}
    async with calling("price"):
        return read_price(await door.client.v1.prices.create_async(params, keyed(key)))


async def update_price(
    door: StripeDoor, price_id: str, *, is_active: bool | None = None, metadata: Mapping[str, str], key: str
) -> StripePrice:
    """Set these entries of its metadata (others stay), and whether it can be bought; None leaves that as it is."""
    params: PriceUpdateParams = {"metadata": dict(metadata), "expand": ["product"]}
    if is_active is not None:
        params["active"] = is_active
    async with calling(price_id):
        return read_price(await door.client.v1.prices.update_async(price_id, params, keyed(key)))


async def update_product(
    door: StripeDoor, product_id: str, *, name: str, metadata: Mapping[str, str], key: str
) -> StripeProduct:
    """Set its name and these entries of its metadata (others stay)."""
    async with calling(product_id):
        return read_product(
            await door.client.v1.products.update_async(
                product_id, {"name": name, "metadata": dict(metadata)}, keyed(key)
            )
        )


def read_price(found: stripe.Price) -> StripePrice:
    product = found.product
    known = isinstance(product, stripe.Product) and not ("deleted" in product and product.deleted)
    return StripePrice(
        id=found.id,
        product_id=known_id_of(product),
        product=read_product(product) if isinstance(product, stripe.Product) and known else None,
        is_active=found.active,
        type=found.type,
        currency=upper(found.currency),
        unit_amount=found.unit_amount,
        interval=found.recurring.interval if found.recurring else None,
        interval_count=found.recurring.interval_count if found.recurring else None,
        lookup_key=found.lookup_key,
        nickname=found.nickname,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )


def read_product(found: stripe.Product) -> StripeProduct:
    return StripeProduct(
        id=found.id,
        name=found.name,
        description=found.description,
        is_active=found.active,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
        updated_at=moment(found.updated),
    )
