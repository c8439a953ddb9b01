"""What an installation needs at its Stripe account: products and prices, the webhook endpoint, the portal.

Only what is missing is made and only what differs is mended, so a second run changes nothing. It asks Stripe what is
there first, and takes its keys from what it is about to write: a run that was cut off is simply run again.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import catalogue as credit_catalogue
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.catalogue import NewOffer
from pm_api.domains.billing import price_sync
from pm_api.domains.billing.enums import BillingInterval, ItemKind
from pm_api.domains.billing.plans import MONTHS_PAID_OF_A_YEAR
from pm_api.domains.billing.price_sync import Wares
from pm_api.domains.billing.price_terms import SOLD_BY_PRICE, lookup_key_of
from pm_api.domains.billing.schemas.prices import PriceSync
from pm_api.entitlements import service as entitlements
from pm_api.integrations.stripe import StripeDoor, StripePrice, StripeProduct, portal, webhook_endpoints
from pm_api.integrations.stripe import prices as stripe_prices

SETUP: Final = SystemScope("pm-api billing setup-stripe")
WEBHOOK_PATH: Final = "/api/webhooks/stripe"
PORTAL_PATH: Final = "/dashboard/billing"
# What XL costs is left to Stripe; somebody must name a price the first time.
XL_PRICE_MINOR: Final = 2999
STRIPE_INTERVALS: Final[dict[BillingInterval, Literal["month", "year"]]] = {
    BillingInterval.MONTHLY: "month",
    BillingInterval.YEARLY: "year",
}


@dataclass(frozen=True, slots=True)
class WantedPrice:
    """A price that should be there under its lookup key."""

    lookup_key: str
    amount_minor: int
    currency: str
    interval: BillingInterval | None


@dataclass(frozen=True, slots=True)
class WantedProduct:
    """A product that should be there, named by its metadata, with its prices."""

    kind: ItemKind
    item: str
    name: str
    metadata: dict[str, str]
    prices: tuple[WantedPrice, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was, or would be, done at Stripe."""

    what: str
    says: str


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run did (`steps` is empty: nothing), and what the synchronisation after it found.

    `webhook_secret` is the new endpoint's: Stripe tells it this once. `sync` is None for a dry run.
    """

    steps: tuple[Step, ...]
    sync: PriceSync | None
    webhook_secret: str | None = None


async def set_up(platform: Platform, events: Collection[str], *, dry_run: bool) -> Setup:
    """Bring the Stripe account to what we need, then take its prices over. `events` are the types that we handle.

    No session may be open. Raises PaymentProviderUnavailable, StripeRefused and TooManyPrices.
    """
    wares = await price_sync.look(platform)
    steps = [
        step
        for wanted in await _wanted(platform)
        for step in await _product(platform, wares, wanted, dry_run=dry_run)
    ]
    endpoint_steps, secret = await _endpoint(platform, events, dry_run=dry_run)
    steps += endpoint_steps
    steps += await _portal(platform, dry_run=dry_run)
    sync = None if dry_run else await price_sync.synchronise(platform, SETUP, dry_run=False)
    return Setup(tuple(steps), sync, secret)


async def missing(platform: Platform, events: Collection[str]) -> list[str]:
    """What a run would do, one sentence each; nothing is written."""
    return [step.says for step in (await set_up(platform, events, dry_run=True)).steps]


async def make_example_bundle(platform: Platform) -> None:
    """One bundle to try out, in the sandbox alone: what a bundle holds is otherwise for the operator to say."""
    wares = await price_sync.look(platform)
    said = [one.metadata for one in wares.products] + [one.metadata for one in wares.prices]
    if any(ItemKind.BUNDLE.lower() in metadata for metadata in said):
        return
    name = "STARTER_BUNDLE"
    wanted = WantedProduct(
        ItemKind.BUNDLE,
        name,
        "Starter bundle",
        {"bundle": name, "includedCredits": "300", "bonusCredits": "30", "lots": "200:TASK_GENERATION,100"},
        (WantedPrice(lookup_key_of(ItemKind.BUNDLE, name, None), 499, "USD", None),),
    )
    await _product(platform, wares, wanted, dry_run=False)
    await price_sync.synchronise(platform, SETUP, dry_run=False)


# --- products and prices --------------------------------------------------------------------------------------


async def _wanted(platform: Platform) -> list[WantedProduct]:
    """From our catalogue: the plans that are sold by price, and the packs as they were seeded or last offered."""
    async with platform.database.reading() as session:
        credits = await plan_credits.credits_by_plan(session)
        terms = [await entitlements.terms_of(session, plan) for plan in SOLD_BY_PRICE]
        offers = await credit_catalogue.standing_offers(session)
    found = []
    for one in terms:
        assert one.price_minor is not None, "what is sold by price has one"
        year = one.yearly_price_minor
        amounts = {
            BillingInterval.MONTHLY: one.price_minor,
            BillingInterval.YEARLY: one.price_minor * MONTHS_PAID_OF_A_YEAR if year is None else year,
        }
        prices = tuple(
            WantedPrice(lookup_key_of(ItemKind.PLAN, one.plan, interval), amount, one.currency, interval)
            for interval, amount in amounts.items()
        )
        metadata = {"plan": one.plan, "includedCredits": str(credits[one.plan])}
        found.append(WantedProduct(ItemKind.PLAN, one.plan, one.name, metadata, prices))
    # A bundle is made at Stripe by whoever offers it. `lots` are what makes one.
    return found + [_wanted_pack(offer) for offer in offers.values() if not offer.lots]


def _wanted_pack(offer: NewOffer) -> WantedProduct:
    amount = XL_PRICE_MINOR if offer.price_minor is None and offer.name == "XL" else offer.price_minor
    prices = (
        ()
        if amount is None
        else (WantedPrice(lookup_key_of(ItemKind.PACK, offer.name, None), amount, offer.currency, None),)
    )
    metadata = {"pack": offer.name, "includedCredits": str(offer.credits), "bonusCredits": str(offer.bonus)}
    return WantedProduct(ItemKind.PACK, offer.name, f"{offer.name} credit pack", metadata, prices)


async def _product(platform: Platform, wares: Wares, wanted: WantedProduct, *, dry_run: bool) -> list[Step]:
    """What stands at Stripe wins: a price that is there keeps its amount, a product its credits."""
    key = wanted.kind.lower()
    if wanted.kind is ItemKind.PACK and _is_a_bundle_there(wares, wanted.item):
        return []
    ids = {one.product_id for one in wares.prices if one.is_active and _is_price_of(one, wanted)}
    named = [
        one for one in wares.products if one.is_active and (one.metadata.get(key) == wanted.item or one.id in ids)
    ]
    known = {one.lookup_key: one for one in wares.prices if one.lookup_key and one.is_active}
    lacking = [one for one in wanted.prices if one.lookup_key not in known and not _is_sold(wares, wanted, one)]
    if not lacking:
        return []
    steps = []
    product = min(named, key=lambda one: one.id, default=None)
    product_id = product.id if product is not None else None
    if product_id is None:
        steps.append(Step("product", f"product {wanted.name} ({key} {wanted.item})"))
        if not dry_run:
            made = await _make_product(platform, wares, wanted)
            product_id = made.id
    said = product.metadata if product is not None else {}
    # On the price itself, which keeps them when the product's are changed; what the product says now comes first.
    metadata = {name: said.get(name, value) for name, value in wanted.metadata.items()}
    for price in lacking:
        amount = f"{price.amount_minor} {price.currency} minor units"
        steps.append(Step("price", f"price {price.lookup_key} at {amount}"))
        if product_id is not None and not dry_run:
            await _make_price(platform, product_id, price, metadata, len(wares.prices))
    return steps


def _is_a_bundle_there(wares: Wares, name: str) -> bool:
    """Packs and bundles share one list of names: a pack beside a bundle of that name would be its second product."""
    told = [one.metadata for one in wares.products if one.is_active]
    told += [one.metadata for one in wares.prices if one.is_active]
    return any(metadata.get(ItemKind.BUNDLE.lower()) == name for metadata in told)


def _is_price_of(price: StripePrice, wanted: WantedProduct) -> bool:
    """By its own metadata or its lookup key, whatever its product says or does not say."""
    said = price.metadata.get(wanted.kind.lower())
    return said == wanted.item or (
        said is None and price.lookup_key in {one.lookup_key for one in wanted.prices if one.lookup_key}
    )


def _is_sold(wares: Wares, wanted: WantedProduct, price: WantedPrice) -> bool:
    """Whether some other active price sells it already, made by hand and without our lookup key."""
    key, interval = wanted.kind.lower(), STRIPE_INTERVALS[price.interval] if price.interval else None
    return any(
        one.is_active and one.interval == interval and _item_of(one, key) == wanted.item for one in wares.prices
    )


def _item_of(price: StripePrice, key: str) -> str | None:
    if key in price.metadata:
        return price.metadata[key]
    return price.product.metadata.get(key) if price.product is not None and price.product.is_active else None


async def _make_product(platform: Platform, wares: Wares, wanted: WantedProduct) -> StripeProduct:
    return await stripe_prices.create_product(
        platform.part(StripeDoor),
        name=wanted.name,
        metadata=wanted.metadata,
        key=_key(platform, "product", wanted.item, wanted.metadata, len(wares.products)),
    )


async def _make_price(
    platform: Platform, product_id: str, price: WantedPrice, metadata: dict[str, str], known: int
) -> None:
    await stripe_prices.create_price(
        platform.part(StripeDoor),
        product_id=product_id,
        unit_amount=price.amount_minor,
        currency=price.currency,
        interval=STRIPE_INTERVALS[price.interval] if price.interval else None,
        lookup_key=price.lookup_key,
        metadata=metadata,
        key=_key(platform, "price", product_id, price, metadata, known),
    )


def _key(platform: Platform, *parts: object) -> str:
    """Two runs at once make one object; a later one does not hear Stripe's stored failure of this one again."""
    minute = f"{platform.clock.wall():%Y%m%d%H%M}"
    return "pm:setup:" + hashlib.sha256(repr((minute, *parts)).encode()).hexdigest()[:40]


# --- the endpoint and the portal ------------------------------------------------------------------------------


async def _endpoint(platform: Platform, events: Collection[str], *, dry_run: bool) -> tuple[list[Step], str | None]:
    """Stripe sends exactly the types that we handle."""
    door, url = platform.part(StripeDoor), platform.settings.public_url.rstrip("/") + WEBHOOK_PATH
    known = next((one for one in (await webhook_endpoints.list_all(door)).items if one.url == url), None)
    if known is not None and known.is_enabled and known.events == frozenset(events):
        return [], None
    step = Step("webhook endpoint", f"webhook endpoint {url} for {len(events)} types of events")
    if dry_run:
        return [step], None
    standing: Sequence[object] = () if known is None else (known.id, known.is_enabled, *sorted(known.events))
    key = _key(platform, "endpoint", url, sorted(events), standing)
    made = await webhook_endpoints.ensure(door, url=url, events=sorted(events), key=key)
    return [step], made.secret


async def _portal(platform: Platform, *, dry_run: bool) -> list[Step]:
    door = platform.part(StripeDoor)
    return_url = platform.settings.site_url.rstrip("/") + PORTAL_PATH
    found = await portal.find_configuration(door)
    if found is not None and found.is_active and found.is_as_wanted and found.return_url == return_url:
        return []
    if not dry_run:
        standing = None if found is None else (found.id, found.is_active, found.is_as_wanted, found.return_url)
        await portal.ensure_configuration(
            door, return_url=return_url, key=_key(platform, "portal", return_url, standing)
        )
    return [Step("portal", f"portal configuration that returns to {return_url}")]
