"""Products and prices that were made, changed or taken away.

Their rows follow at once; what is on sale, and for how many credits, changes by the synchronisation alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.billing import prices
from pm_api.domains.billing.stripe_events.handling import Handler
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing, StripePrice, StripeProduct
from pm_api.integrations.stripe import prices as stripe_prices


@dataclass(frozen=True, slots=True)
class PricePicture:
    """A price as seen at `fetched_at`; None when Stripe has it no more."""

    fetched_at: datetime
    price_id: str
    price: StripePrice | None


@dataclass(frozen=True, slots=True)
class ProductPicture:
    """A product as seen at `fetched_at`; None when Stripe has it no more."""

    fetched_at: datetime
    product_id: str
    product: StripeProduct | None


async def fetch_price(door: StripeDoor, price_id: str) -> PricePicture:
    fetched_at = door.clock.wall()
    try:
        return PricePicture(fetched_at, price_id, await stripe_prices.retrieve(door, price_id))
    except StripeObjectMissing:
        return PricePicture(fetched_at, price_id, None)


async def fetch_product(door: StripeDoor, product_id: str) -> ProductPicture:
    fetched_at = door.clock.wall()
    try:
        return ProductPicture(fetched_at, product_id, await stripe_prices.retrieve_product(door, product_id))
    except StripeObjectMissing:
        return ProductPicture(fetched_at, product_id, None)


async def apply_price(session: AsyncSession, _platform: Platform, found: PricePicture) -> str:
    if found.price is None:
        gone = await prices.mirror_price_gone(session, found.price_id, found.fetched_at)
        return "the price is gone" if gone else "nothing to do: the price is gone"
    written = await prices.mirror_price(session, found.price, found.fetched_at)
    return "the price is as Stripe has it" if written else "a later look was written before"


async def apply_product(session: AsyncSession, _platform: Platform, found: ProductPicture) -> str:
    if found.product is None:
        gone = await prices.mirror_product_gone(session, found.product_id, found.fetched_at)
        return "the product is gone" if gone else "nothing to do: the product is gone"
    written = await prices.mirror_product(session, found.product, found.fetched_at)
    return "the product is as Stripe has it" if written else "a later look was written before"


_PRICE: Final = Handler(fetch_price, apply_price)
_PRODUCT: Final = Handler(fetch_product, apply_product)

HANDLERS: Final = {
    "price.created": _PRICE,
    "price.updated": _PRICE,
    "price.deleted": _PRICE,
    "product.created": _PRODUCT,
    "product.updated": _PRODUCT,
    "product.deleted": _PRODUCT,
}
