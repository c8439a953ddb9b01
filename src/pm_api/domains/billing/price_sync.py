"""Stripe's products and prices become our catalogue: what is on sale, at what price, for how many credits.

A dry run does the same and is rolled back, so that it says exactly what would happen.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AdminScope, SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import catalogue as credit_catalogue
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.catalogue import NewOffer
from pm_api.domains.billing import prices
from pm_api.domains.billing.enums import BillingInterval, ItemKind
from pm_api.domains.billing.errors import TooManyPrices
from pm_api.domains.billing.models.prices import Price, Product
from pm_api.domains.billing.plans import MONTHS_PAID_OF_A_YEAR
from pm_api.domains.billing.price_terms import SOLD_BY_PRICE, BadMetadata, Terms, lookup_key_of
from pm_api.domains.billing.repository import prices as repository
from pm_api.domains.billing.schemas.prices import CatalogueDifference, CatalogueProblem, PriceSync
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan
from pm_api.identity import audit
from pm_api.integrations.stripe import StripeDoor, StripePrice, StripeProduct
from pm_api.integrations.stripe import prices as stripe_prices

MOST_PRICES: Final = 5000
OUR_LOOKUP_KEYS: Final = frozenset(
    lookup_key_of(ItemKind.PLAN, plan, interval) for plan in SOLD_BY_PRICE for interval in BillingInterval
)
"""Of prices that nothing else stands in for when they cannot be read."""

Item = tuple[ItemKind, str, BillingInterval | None]


@dataclass(frozen=True, slots=True)
class Wares:
    """Everything Stripe has for sale, as seen at `fetched_at`."""

    fetched_at: datetime
    products: tuple[StripeProduct, ...]
    prices: tuple[StripePrice, ...]


@dataclass(frozen=True, slots=True)
class Ware:
    """One price that could be sold at, and what its metadata says beyond the row."""

    row: Price
    terms: Terms | None


@dataclass(slots=True)
class Findings:
    """What is found on the way. `are_carried_out`: the sentences tell what was done, not what is to do."""

    are_carried_out: bool
    differences: list[CatalogueDifference] = field(default_factory=list)
    problems: list[CatalogueProblem] = field(default_factory=list)

    def differs(self, item: str, name: str, ours: object, stripes: object, price_id: str | None) -> None:
        here, there = _said(ours), _said(stripes)
        says = f"{item}: {name} is {here or 'not set'} here and {there or 'not set'} at Stripe."
        if self.are_carried_out:
            says = f"{item}: {name} was {here or 'not set'} here and is {there or 'not set'} now, as at Stripe."
        self.differences.append(
            CatalogueDifference(item=item, field=name, ours=here, stripe=there, price_id=price_id, says=says)
        )

    def problem(self, says: str, rows: list[Price], item: str | None = None) -> None:
        is_foreign = item is None and not any(row.lookup_key in OUR_LOOKUP_KEYS for row in rows)
        price_ids = sorted(row.id for row in rows)
        self.problems.append(CatalogueProblem(item=item, price_ids=price_ids, is_foreign=is_foreign, says=says))


async def synchronise(platform: Platform, scope: AdminScope | SystemScope, *, dry_run: bool) -> PriceSync:
    """Compare, and unless it is a dry run change our catalogue to what Stripe says. No session may be open.

    What is bought from now on has the new terms; who has a plan gets its new credits with the next period. Raises
    PaymentProviderUnavailable and TooManyPrices.
    """
    wares = await look(platform)
    if dry_run:
        async with platform.database.reading() as session:  # never committed
            return await _synchronise(session, platform, scope, wares, dry_run=True)
    async with platform.database.transaction() as session:
        return await _synchronise(session, platform, scope, wares, dry_run=False)


async def look(platform: Platform) -> Wares:
    """Ask Stripe for all that it sells; raises PaymentProviderUnavailable and TooManyPrices."""
    door, fetched_at = platform.part(StripeDoor), platform.clock.wall()
    products = await stripe_prices.list_products(door, limit=MOST_PRICES)
    found = await stripe_prices.list_all(door, limit=MOST_PRICES)
    if not (products.is_complete and found.is_complete):
        raise TooManyPrices
    return Wares(fetched_at, products.items, found.items)


async def _synchronise(
    session: AsyncSession, platform: Platform, scope: AdminScope | SystemScope, wares: Wares, *, dry_run: bool
) -> PriceSync:
    await repository.lock_catalogue(session)
    await _mirror(session, wares)
    findings = Findings(are_carried_out=not dry_run)
    sold = _choose(await repository.all_prices(session), findings)
    await _sell(session, sold, findings)
    await _offer_packs(session, platform, sold, findings)
    for plan in SOLD_BY_PRICE:
        await _offer_plan(session, platform, plan, sold, findings)
    if findings.differences and not dry_run:
        audit.record(
            session,
            platform,
            scope.actor,
            "catalogue.synchronised",
            subject=("catalogue", "stripe"),
            differences=[one.says for one in findings.differences],
        )
    await session.flush()
    return PriceSync(
        dry_run=dry_run,
        looked_at=wares.fetched_at,
        prices=len(wares.prices),
        differences=sorted(findings.differences, key=lambda one: (one.item, one.field)),
        problems=sorted(findings.problems, key=lambda one: (one.item or "", one.price_ids)),
    )


async def _mirror(session: AsyncSession, wares: Wares) -> None:
    """By id, as every transaction over several takes its locks."""
    for product in sorted(wares.products, key=lambda one: one.id):
        await prices.mirror_product(session, product, wares.fetched_at)
    for price in sorted(wares.prices, key=lambda one: (one.product_id, one.id)):
        # The products were all written just now.
        await prices.mirror_price(session, replace(price, product=None), wares.fetched_at)
    known_products, known_prices = {one.id for one in wares.products}, {one.id for one in wares.prices}
    for row, its_product in await repository.all_prices(session):
        if its_product is not None and its_product.id not in known_products and its_product.deleted_at is None:
            await prices.mirror_product_gone(session, its_product.id, wares.fetched_at)
        if row.id not in known_prices and row.deleted_at is None:
            await prices.mirror_price_gone(session, row.id, wares.fetched_at)
    await session.flush()


# --- which price is whose -------------------------------------------------------------------------------------


def _choose(rows: list[tuple[Price, Product | None]], findings: Findings) -> dict[Item, Ware]:
    """For each thing the one price at which it is sold: the one with its lookup key, else the only one."""
    candidates: dict[Item, list[Ware]] = defaultdict(list)
    for row, product in rows:
        if not row.is_active or row.deleted_at is not None or product is None or not product.is_active:
            continue
        if row.problem is not None:
            findings.problem(row.problem, [row], _item_text(row) if row.item_kind else None)
        if row.item_kind is None or (row.problem is not None and not row.on_sale):
            continue
        candidates[_item(row)].append(Ware(row, _terms(row, product)))
    chosen = {item: one for item, wares in candidates.items() if (one := _one_of(item, wares, findings)) is not None}
    return {item: ware for item, ware in chosen.items() if not _is_named_twice(item, chosen, findings)}


def _one_of(item: Item, wares: list[Ware], findings: Findings) -> Ware | None:
    wanted = lookup_key_of(*item)
    named = [one for one in wares if one.row.lookup_key == wanted]
    if len(wares) == 1 or named:
        return (named or wares)[0]
    rows = [one.row for one in wares]
    findings.problem(
        f"{len(rows)} active prices are for the same; give the one that counts the lookup key {wanted}",
        rows,
        _item_text(rows[0]),
    )
    return next((one for one in wares if one.row.on_sale), None)


def _is_named_twice(item: Item, chosen: dict[Item, Ware], findings: Findings) -> bool:
    """Packs and bundles share one list of names."""
    kind, name, _ = item
    if kind is not ItemKind.BUNDLE or (ItemKind.PACK, name, None) not in chosen:
        return False
    rows = [chosen[item].row, chosen[ItemKind.PACK, name, None].row]
    findings.problem(f"{name} is both a pack and a bundle; the pack counts", rows, _item_text(rows[0]))
    return True


async def _sell(session: AsyncSession, sold: dict[Item, Ware], findings: Findings) -> None:
    before = {_item(row): row.id for row, _ in await repository.all_prices(session) if row.on_sale}
    after = {item: ware.row.id for item, ware in sold.items()}
    for item in sorted(before.keys() | after.keys(), key=_text):
        if before.get(item) != after.get(item):
            findings.differs(_text(item), "onSale", before.get(item), after.get(item), after.get(item))
    await repository.sell_only(session, sorted(after.values()))


# --- packs and bundles ----------------------------------------------------------------------------------------


async def _offer_packs(session: AsyncSession, platform: Platform, sold: dict[Item, Ware], findings: Findings) -> None:
    standing = await credit_catalogue.standing_offers(session)
    for (kind, name, _), ware in sorted(sold.items(), key=lambda one: _text(one[0])):
        if kind is ItemKind.PLAN:
            continue
        item, known = _item_text(ware.row), standing.get(name)
        wanted = _wanted_offer(ware, known, findings)
        if wanted is None or wanted == known:
            continue
        _compare_offers(item, known, wanted, ware.row.id, findings)
        await credit_catalogue.put_offer(session, platform, wanted)
    for item, offer in _taken_off(findings, standing, sold):
        findings.differs(item, "price", offer.price_minor, None, None)
        await credit_catalogue.put_offer(session, platform, replace(offer, price_minor=None))


def _wanted_offer(ware: Ware, known: NewOffer | None, findings: Findings) -> NewOffer | None:
    """What Stripe says; where it says nothing of bonus, lots or end, they stay as they are."""
    row, terms = ware.row, ware.terms
    assert row.item_name is not None
    assert row.included_credits is not None, "a pack without credits is a problem, and never on sale"
    lots = _lots_of(ware, known, row.included_credits)
    if lots and sum(credits for credits, _ in lots) != row.included_credits:
        findings.problem(
            f"the parts known of it do not add up to {row.included_credits} credits; say them in `lots`",
            [row],
            _item_text(row),
        )
        return None
    bonus = row.bonus_credits if row.bonus_credits is not None else known.bonus if known is not None else 0
    ends = terms.valid_until if terms is not None and terms.valid_until else known.valid_until if known else None
    return NewOffer(row.item_name, row.included_credits, bonus, row.unit_amount_minor, row.currency, ends, lots)


def _lots_of(ware: Ware, known: NewOffer | None, credits: int) -> tuple[tuple[int, str | None], ...]:
    """A bundle has lots, a pack has none: by the word that the metadata names it with. A bundle whose metadata says
    no lots keeps those it has, and is one lot for anything where it has none of its own.
    """
    if ware.row.item_kind != ItemKind.BUNDLE:
        return ()
    if ware.terms is not None and ware.terms.lots:
        return ware.terms.lots
    lots = known.lots if known is not None else ()
    is_one_for_anything = len(lots) == 1 and lots[0][1] is None
    return lots if lots and not is_one_for_anything else ((credits, None),)


def _compare_offers(item: str, known: NewOffer | None, wanted: NewOffer, price_id: str, findings: Findings) -> None:
    names = ("credits", "bonus", "price_minor", "currency", "valid_until", "lots")
    shown = ("credits", "bonus", "price", "currency", "validUntil", "lots")
    for name, wire in zip(names, shown, strict=True):
        ours, stripes = getattr(known, name, None), getattr(wanted, name)
        if ours != stripes and (known is not None or stripes):
            findings.differs(item, wire, ours, stripes, price_id)


def _taken_off(
    findings: Findings, standing: dict[str, NewOffer], sold: dict[Item, Ware]
) -> Iterator[tuple[str, NewOffer]]:
    """What was sold by a price of Stripe's that is there no more. What never had one is not Stripe's to end."""
    names = {name for kind, name, _ in sold if kind is not ItemKind.PLAN}
    ended = {one.item for one in findings.differences if one.field == "onSale" and one.stripe is None}
    for item in sorted(ended):
        kind, _, name = item.partition(" ")
        offer = standing.get(name)
        if kind != ItemKind.PLAN and name not in names and offer is not None and offer.price_minor is not None:
            yield item, offer


# --- plans ----------------------------------------------------------------------------------------------------


async def _offer_plan(
    session: AsyncSession, platform: Platform, plan: Plan, sold: dict[Item, Ware], findings: Findings
) -> None:
    monthly = sold.get((ItemKind.PLAN, plan, BillingInterval.MONTHLY))
    yearly = sold.get((ItemKind.PLAN, plan, BillingInterval.YEARLY))
    rows = [one.row for one in (monthly, yearly) if one is not None]
    if not rows:
        return
    item = f"{ItemKind.PLAN} {plan}"
    await _offer_price(session, platform, plan, (monthly, yearly), findings)
    said = {row.included_credits for row in rows if row.included_credits is not None}
    if len(said) > 1:
        findings.problem("the month's price and the year's bring different includedCredits", rows, item)
        return
    for credits in said:
        ours = (await plan_credits.credits_by_plan(session)).get(plan)
        if ours != credits:
            findings.differs(item, "credits", ours, credits, rows[0].id)
            await credit_catalogue.put_plan_credits(session, plan, credits)


async def _offer_price(
    session: AsyncSession,
    platform: Platform,
    plan: Plan,
    wares: tuple[Ware | None, Ware | None],
    findings: Findings,
) -> None:
    """What is shown to everybody. A year at ten months' price needs no word of its own."""
    item, rows = f"{ItemKind.PLAN} {plan}", [one.row for one in wares if one is not None]
    currencies = {row.currency for row in rows}
    if len(currencies) > 1:
        findings.problem(
            f"a month and a year are in different currencies: {', '.join(sorted(currencies))}", rows, item
        )
        return
    terms = await entitlements.terms_of(session, plan)
    month = wares[0].row.unit_amount_minor if wares[0] is not None else terms.price_minor
    year = wares[1].row.unit_amount_minor if wares[1] is not None else terms.yearly_price_minor
    if year is not None and month is not None and year == month * MONTHS_PAID_OF_A_YEAR:
        year = None
    [currency] = currencies
    for name, ours, stripes in (
        ("price", terms.price_minor, month),
        ("yearlyPrice", _year(terms.price_minor, terms.yearly_price_minor), _year(month, year)),
        ("currency", terms.currency, currency),
    ):
        if ours != stripes:
            findings.differs(item, name, ours, stripes, rows[0].id)
    await entitlements.put_plan_price(session, platform, plan, price=(month, year), currency=currency)


def _year(month: int | None, year: int | None) -> int | None:
    """What a year costs, also where it is not written down: ten months."""
    return month * MONTHS_PAID_OF_A_YEAR if year is None and month is not None else year


# --- words ----------------------------------------------------------------------------------------------------


def _terms(row: Price, product: Product) -> Terms | None:
    try:
        return prices.terms_in(row, product)
    except BadMetadata:
        return None  # the row's own `problem` says it


def _item(row: Price) -> Item:
    assert row.item_kind is not None
    assert row.item_name is not None
    interval = BillingInterval(row.billing_interval) if row.billing_interval else None
    return ItemKind(row.item_kind), row.item_name, interval


def _item_text(row: Price) -> str:
    return _text(_item(row))


def _text(item: Item) -> str:
    kind, name, interval = item
    return f"{kind} {name} {interval}" if interval else f"{kind} {name}"


def _said(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return ", ".join(f"{credits} for {service or 'anything'}" for credits, service in value) or None
    return str(value)
