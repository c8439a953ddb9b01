"""Stripe's prices as ours: mirrored forward only, read or reported, put on sale by the synchronisation alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.billing import plans, price_sync, prices, setup
from pm_api.domains.billing.enums import BillingInterval
from pm_api.domains.billing.errors import PlanNotOnSale
from pm_api.domains.billing.schemas.prices import PriceSync
from pm_api.entitlements.cache import Entitlements
from pm_api.entitlements.enums import Plan
from pm_api.integrations.stripe import StripeDoor, StripePrice
from pm_api.integrations.stripe import prices as stripe_prices
from pm_api.webhooks.handlers import STRIPE
from tests.domains.billing.accounts import OPERATOR
from tests.integrations.stripe_doors import new_key
from tests.support.catalogue import stock
from tests.support.shelf import SHELF
from tests.support.stripe import Till, event_about

MONTHLY, YEARLY = BillingInterval.MONTHLY, BillingInterval.YEARLY
ROUTE = "/api/billing/sync-prices"


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    async with SHELF.till(stocked=False) as kept:
        yield kept.till


@dataclass
class Shelf:
    """A set-up account, and what one does to it."""

    till: Till
    ids: dict[str, str]

    @property
    def door(self) -> StripeDoor:
        return self.till.platform.part(StripeDoor)

    async def price(self, lookup_key: str) -> StripePrice:
        return await stripe_prices.retrieve(self.door, self.ids[lookup_key])

    async def say(self, lookup_key: str, **metadata: str) -> None:
        """Change a price's own metadata at Stripe."""
        await stripe_prices.update_price(self.door, self.ids[lookup_key], metadata=metadata, key=new_key())

    async def add(self, product_id: str, lookup_key: str, amount: int, interval: Any, **metadata: str) -> StripePrice:
        return await stripe_prices.create_price(
            self.door,
            product_id=product_id,
            unit_amount=amount,
            currency="USD",
            interval=interval,
            lookup_key=lookup_key,
            metadata=metadata,
            key=new_key(),
        )

    async def archive(self, price_id: str) -> None:
        await stripe_prices.update_price(self.door, price_id, is_active=False, metadata={}, key=new_key())

    async def sync(self, *, dry_run: bool = False) -> PriceSync:
        return await price_sync.synchronise(self.till.platform, setup.SETUP, dry_run=dry_run)

    async def price_of(self, plan: Plan, interval: BillingInterval) -> prices.PlanPrice:
        async with self.till.platform.database.reading() as session:
            return await prices.price_of(session, plan, interval)

    async def plan_of(self, price_id: str) -> prices.PlanPrice | None:
        async with self.till.platform.database.reading() as session:
            return await prices.plan_of(session, price_id)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self.till.query(statement, **values)]


@pytest.fixture
async def shelf(till: Till) -> Shelf:
    return Shelf(till, await stock(till.platform))


def told(sync: PriceSync) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.item, one.field, one.ours, one.stripe) for one in sync.differences]


# --- setting an account up --------------------------------------------------------------------------------------


async def test_everything_can_be_bought_after_one_setup_and_a_second_changes_nothing(till: Till) -> None:
    planned = await setup.set_up(till.platform, STRIPE, dry_run=True)
    assert planned.sync is None
    assert len(planned.steps) == 7 + 10 + 1 + 1, "products, prices, endpoint, portal"
    assert (await stripe_prices.list_all(till.platform.part(StripeDoor))).items == (), "a dry run writes nothing"
    done = await setup.set_up(till.platform, STRIPE, dry_run=False)
    assert done.steps == planned.steps
    assert done.webhook_secret is not None
    assert done.sync is not None
    assert done.sync.problems == []
    again = await setup.set_up(till.platform, STRIPE, dry_run=False)
    assert (again.steps, again.webhook_secret) == ((), None)
    assert again.sync is not None
    assert again.sync.differences == []
    assert await setup.missing(till.platform, STRIPE) == []


async def test_the_prices_are_those_of_the_page(shelf: Shelf) -> None:
    assert sorted(shelf.ids) == [
        "individual_pro_monthly",
        "individual_pro_yearly",
        "pack_large",
        "pack_medium",
        "pack_small",
        "pack_xl",
        "team_premium_monthly",
        "team_premium_yearly",
        "team_standard_monthly",
        "team_standard_yearly",
    ]
    amounts = {
        (Plan.INDIVIDUAL_PRO, MONTHLY): (2999, 100),
        (Plan.INDIVIDUAL_PRO, YEARLY): (29990, 100),
        (Plan.TEAM_STANDARD, MONTHLY): (9999, 500),
        (Plan.TEAM_STANDARD, YEARLY): (99990, 500),
        (Plan.TEAM_PREMIUM, MONTHLY): (19999, 1000),
        (Plan.TEAM_PREMIUM, YEARLY): (199990, 1000),
    }
    for (plan, interval), (amount, credits) in amounts.items():
        found = await shelf.price_of(plan, interval)
        assert (found.plan, found.interval, found.currency) == (plan, interval, "USD")
        assert (found.amount_minor, found.included_credits) == (amount, credits)
        assert found.price_id == shelf.ids[f"{plan.lower()}_{interval.lower()}"]
        assert await shelf.plan_of(found.price_id) == found


async def test_a_changed_set_of_events_is_mended(till: Till) -> None:
    await setup.set_up(till.platform, {"price.created"}, dry_run=False)
    [step] = (await setup.set_up(till.platform, STRIPE, dry_run=False)).steps
    assert (step.what, f"{len(STRIPE)} types" in step.says) == ("webhook endpoint", True)
    assert (await setup.set_up(till.platform, STRIPE, dry_run=False)).steps == ()


async def test_what_a_person_made_by_hand_is_left_alone(till: Till) -> None:
    """A price without our lookup key that sells the plan already: another would be two for the same."""
    door = till.platform.part(StripeDoor)
    product = await stripe_prices.create_product(
        door, name="By hand", metadata={"plan": "INDIVIDUAL_PRO", "includedCredits": "150"}, key=new_key()
    )
    shelf = Shelf(till, {})
    mine = await shelf.add(product.id, "handmade", 1999, "month")
    ids = await stock(till.platform)
    assert "individual_pro_monthly" not in ids
    assert "individual_pro_yearly" in ids
    found = await shelf.price_of(Plan.INDIVIDUAL_PRO, MONTHLY)
    assert (found.price_id, found.amount_minor, found.included_credits) == (mine.id, 1999, 150)


# --- what is on sale --------------------------------------------------------------------------------------------


async def test_what_is_not_there_is_not_on_sale(shelf: Shelf) -> None:
    for plan in (Plan.FREE, Plan.ENTERPRISE):
        with pytest.raises(PlanNotOnSale):
            await shelf.price_of(plan, MONTHLY)
    assert await shelf.plan_of("price_unknown") is None
    assert await shelf.plan_of(shelf.ids["pack_medium"]) is None


async def test_an_archived_price_is_not_sold_and_still_known(shelf: Shelf) -> None:
    old = await shelf.price("team_standard_monthly")
    await shelf.archive(old.id)
    await shelf.till.tell(event_about("price.updated", {"id": old.id, "object": "price"}))
    await shelf.till.drain(old.id)
    with pytest.raises(PlanNotOnSale):
        await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)
    kept = await shelf.plan_of(old.id)
    assert kept is not None
    assert (kept.plan, kept.amount_minor, kept.included_credits) == (Plan.TEAM_STANDARD, 9999, 500)


async def test_a_dearer_price_takes_over_at_the_synchronisation_and_not_before(shelf: Shelf) -> None:
    old = await shelf.price("team_standard_monthly")
    new = await shelf.add(old.product_id, "team_standard_monthly", 12_999, "month", includedCredits="600")
    await shelf.say("team_standard_yearly", includedCredits="600")
    await shelf.till.tell(event_about("price.created", {"id": new.id, "object": "price"}))
    await shelf.till.drain(new.id)
    assert (await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)).price_id == old.id
    expected = [
        ("PLAN TEAM_STANDARD", "credits", "500", "600"),
        ("PLAN TEAM_STANDARD", "price", "9999", "12999"),
        # A year costs what it did: ten of the old months.
        ("PLAN TEAM_STANDARD MONTHLY", "onSale", old.id, new.id),
    ]
    dry = await shelf.sync(dry_run=True)
    assert (told(dry), dry.problems) == (expected, [])
    assert told(await shelf.sync(dry_run=True)) == expected, "a dry run changes nothing"
    assert (await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)).price_id == old.id
    assert dry.differences[0].says == "PLAN TEAM_STANDARD: credits is 500 here and 600 at Stripe."
    done = await shelf.sync()
    assert told(done) == expected
    assert done.differences[0].says == "PLAN TEAM_STANDARD: credits was 500 here and is 600 now, as at Stripe."
    assert told(await shelf.sync()) == []
    assert (await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)).price_id == new.id
    kept = await shelf.plan_of(old.id)
    assert kept is not None
    assert (kept.amount_minor, kept.included_credits) == (9999, 500), "who subscribed at the old price keeps it"


async def test_what_everybody_sees_follows(shelf: Shelf) -> None:
    product = (await shelf.price("team_standard_monthly")).product_id
    await shelf.add(product, "team_standard_monthly", 12_999, "month", includedCredits="600")
    await shelf.add(product, "team_standard_yearly", 111_100, "year", includedCredits="600")
    heard = asyncio.Event()
    shelf.till.platform.signals.on("pm_plans", lambda _: heard.set())
    await shelf.sync()
    shelf.till.platform.part(Entitlements).forget_plans()
    shelf.till.platform.part(Catalogue).forget()
    shown = await plans.offered(shelf.till.platform, Plan.TEAM_STANDARD)
    assert (shown.price, shown.yearly_price, shown.ai_credits, shown.version) == (12_999, 111_100, 600, 2)
    assert await shelf.rows(
        "SELECT version, price_minor, yearly_price_minor, max_users FROM plans"
        " WHERE plan = 'TEAM_STANDARD' ORDER BY 1"
    ) == [(1, 9999, None, 10), (2, 12_999, 111_100, 10)]


async def test_packs_and_bundles_come_from_stripe(shelf: Shelf) -> None:
    """XL's price, a bonus that is left unsaid, a pack that is new, and a bundle with its parts and its end."""
    door = shelf.door
    product = await stripe_prices.create_product(
        door, name="Winter", metadata={"bundle": "WINTER", "includedCredits": "500"}, key=new_key()
    )
    await shelf.add(
        product.id,
        "bundle_winter",
        799,
        None,
        lots="300:CHAT_ASSISTANT, 200",
        bonusCredits="20",
        validUntil="2027-01-06T00:00:00Z",
    )
    other = await stripe_prices.create_product(
        door, name="Tiny", metadata={"pack": "TINY", "includedCredits": "10"}, key=new_key()
    )
    await shelf.add(other.id, "pack_tiny", 49, None)
    xl = await shelf.price("pack_xl")
    await shelf.add(xl.product_id, "pack_xl", 3499, None)
    await shelf.archive(xl.id)
    await shelf.sync()
    assert await shelf.rows(
        "SELECT DISTINCT ON (name) name, version, credits, bonus, price_minor, valid_until::date::text"
        " FROM credit_packs WHERE name IN ('XL', 'TINY', 'WINTER', 'MEDIUM') ORDER BY name, version DESC"
    ) == [
        ("MEDIUM", 1, 500, 50, 899, None),
        ("TINY", 1, 10, 0, 49, None),
        ("WINTER", 1, 500, 20, 799, "2027-01-06"),
        ("XL", 3, 2000, 0, 3499, None),
    ]
    assert await shelf.rows(
        "SELECT credits, service FROM credit_pack_lots WHERE pack = 'WINTER' ORDER BY position"
    ) == [(300, "CHAT_ASSISTANT"), (200, None)]
    async with shelf.till.platform.database.reading() as session:
        found = await prices.offer_price_of(session, "XL")
    assert found is not None
    assert found.amount_minor == 3499


async def test_a_bundle_is_one_by_its_metadata_alone_and_setup_makes_nothing_beside_it(shelf: Shelf) -> None:
    """As an operator makes one by hand: a word and two figures on the product, and a price without a lookup key."""
    product = await stripe_prices.create_product(
        shelf.door,
        name="Starter bundle",
        metadata={"bundle": "STARTER_BUNDLE", "includedCredits": "300", "bonusCredits": "30"},
        key=new_key(),
    )
    await stripe_prices.create_price(
        shelf.door,
        product_id=product.id,
        unit_amount=499,
        currency="USD",
        interval=None,
        lookup_key="made_by_hand",
        metadata={},
        key=new_key(),
    )
    await shelf.sync()
    shelf.till.platform.part(Catalogue).forget()
    packs = (await shelf.till.client.get("/api/credits/packs")).json()["packs"]
    [shown] = [one for one in packs if one["name"] == "STARTER_BUNDLE"]
    assert (shown["kind"], shown["credits"], shown["bonus"]) == ("BUNDLE", 300, 30), shown
    again = await setup.set_up(shelf.till.platform, STRIPE, dry_run=False)
    assert again.steps == ()
    # More credits, still without a word of lots.
    metadata = {"bundle": "STARTER_BUNDLE", "includedCredits": "400"}
    await stripe_prices.update_product(
        shelf.door, product.id, name="Starter bundle", metadata=metadata, key=new_key()
    )
    changed = await shelf.sync()
    assert changed.problems == []
    assert await shelf.rows(
        "SELECT credits, service FROM credit_pack_lots WHERE pack = 'STARTER_BUNDLE' ORDER BY version"
    ) == [(300, None), (400, None)]
    # One that an earlier version took for a pack is no reason to make a product beside it.
    await shelf.till.query("DELETE FROM credit_pack_lots WHERE pack = 'STARTER_BUNDLE' RETURNING pack")
    again = await setup.set_up(shelf.till.platform, STRIPE, dry_run=False)
    assert again.steps == ()


async def test_the_example_bundle_is_made_once_and_never_beside_another(shelf: Shelf) -> None:
    before = len((await stripe_prices.list_products(shelf.door)).items)
    for _ in range(2):
        await setup.make_example_bundle(shelf.till.platform)
    products = (await stripe_prices.list_products(shelf.door)).items
    assert len(products) == before + 1
    shelf.till.platform.part(Catalogue).forget()
    packs = (await shelf.till.client.get("/api/credits/packs")).json()["packs"]
    [shown] = [one for one in packs if one["kind"] == "BUNDLE"]
    assert (shown["name"], shown["credits"], shown["bonus"], shown["price"]) == ("STARTER_BUNDLE", 300, 30, 499)
    assert (await setup.set_up(shelf.till.platform, STRIPE, dry_run=False)).steps == ()


async def test_setup_puts_what_is_missing_at_the_product_an_operator_made(till: Till) -> None:
    """Only the price says what it sells; the year goes to the same product."""
    door = till.platform.part(StripeDoor)
    product = await stripe_prices.create_product(door, name="Our teams", metadata={}, key=new_key())
    shelf = Shelf(till, {})
    await shelf.add(product.id, "teams", 8888, "month", plan="TEAM_STANDARD", includedCredits="500")
    ids = await stock(till.platform)
    year = await stripe_prices.retrieve(door, ids["team_standard_yearly"])
    assert year.product_id == product.id
    found = await stripe_prices.list_products(door)
    assert len(found.items) == 7, "none beside the operator's"


async def test_a_pack_whose_price_is_archived_is_no_longer_offered(shelf: Shelf) -> None:
    await shelf.archive(shelf.ids["pack_large"])
    assert told(await shelf.sync()) == [
        ("PACK LARGE", "onSale", shelf.ids["pack_large"], None),
        ("PACK LARGE", "price", "1599", None),
    ]
    shelf.till.platform.part(Catalogue).forget()
    names = {one.pack.name for one in await shelf.till.platform.part(Catalogue).packs()}
    assert names == {"SMALL", "MEDIUM", "XL"}


# --- what cannot be read ----------------------------------------------------------------------------------------

BAD = [
    ({"includedCredits": "many"}, "includedCredits is no whole number"),
    ({"includedCredits": "-5"}, "includedCredits is no whole number"),
    ({"includedCredits": "1e3"}, "includedCredits is no whole number"),
    ({"includedCredits": "٥"}, "includedCredits is no whole number"),
    ({"includedCredits": "9" * 30}, "includedCredits is no whole number"),
    ({"plan": "TEAM_STANDART"}, "plan 'TEAM_STANDART' is none of"),
    ({"plan": "ENTERPRISE"}, "plan 'ENTERPRISE' is none of"),
    ({"plan": "team_standard"}, "plan 'team_standard' is none of"),
    ({"plan": "TEAM_STANDARD", "pack": "SMALL"}, "names pack and plan at once"),
    ({"plan": "", "pack": "SMALL"}, "the price is recurring, not one_time"),
    ({"bonusCredits": "5"}, "bonusCredits belong to packs"),
]


@pytest.mark.parametrize(("metadata", "says"), BAD, ids=[repr(one) for one, _ in BAD])
async def test_bad_metadata_is_reported_and_changes_nothing(
    shelf: Shelf, metadata: dict[str, str], says: str
) -> None:
    before = await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)
    await shelf.say("team_standard_monthly", **metadata)
    found = await shelf.sync()
    assert found.differences == []
    [problem] = found.problems
    assert problem.price_ids == [before.price_id]
    assert says in problem.says
    assert await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY) == before
    assert await shelf.plan_of(before.price_id) == before


async def test_two_prices_for_the_same_are_reported_and_neither_is_guessed(shelf: Shelf) -> None:
    old = await shelf.price("pack_medium")
    first = await shelf.add(old.product_id, "one", 888, None)
    second = await shelf.add(old.product_id, "two", 777, None)
    await shelf.archive(old.id)
    found = await shelf.sync()
    [problem] = found.problems
    assert problem.price_ids == sorted([first.id, second.id])
    assert "pack_medium" in problem.says
    assert {(one.field, one.stripe) for one in found.differences} == {("onSale", None), ("price", None)}


async def test_a_month_and_a_year_that_disagree_are_reported(shelf: Shelf) -> None:
    await shelf.say("team_premium_yearly", includedCredits="1200")
    found = await shelf.sync()
    [problem] = found.problems
    assert (problem.item, "different includedCredits" in problem.says) == ("PLAN TEAM_PREMIUM", True)
    assert found.differences == []
    assert await shelf.rows("SELECT max(version) FROM credit_plan_grants WHERE plan = 'TEAM_PREMIUM'") == [(1,)]


async def test_prices_of_nobody_knows_what_are_left_alone(shelf: Shelf) -> None:
    product = await stripe_prices.create_product(shelf.door, name="T-shirt", metadata={}, key=new_key())
    made = await shelf.add(product.id, "shirt", 1500, None)
    found = await shelf.sync()
    assert (found.differences, found.problems) == ([], [])
    assert await shelf.rows("SELECT item_kind, on_sale FROM prices WHERE id = :id", id=made.id) == [(None, False)]


async def test_credits_are_read_from_the_product_where_the_price_says_nothing(shelf: Shelf) -> None:
    old = await shelf.price("pack_small")
    assert old.product is not None
    await stripe_prices.update_product(
        shelf.door, old.product_id, name=old.product.name, metadata={"bonusCredits": "7"}, key=new_key()
    )
    await stripe_prices.update_price(shelf.door, old.id, metadata={"bonusCredits": ""}, key=new_key())
    found = await shelf.sync()
    assert told(found) == [("PACK SMALL", "bonus", "0", "7")]


# --- mirrors ----------------------------------------------------------------------------------------------------


async def test_an_older_look_changes_nothing(shelf: Shelf) -> None:
    price = await shelf.price("pack_small")
    now = shelf.till.platform.clock.wall()
    async with shelf.till.platform.database.transaction() as session:
        assert await prices.mirror_price(session, replace(price, is_active=False, product=None), now)
        assert not await prices.mirror_price(session, price, now - timedelta(seconds=1))
        assert not await prices.mirror_price_gone(session, price.id, now - timedelta(seconds=1))
    assert await shelf.rows("SELECT is_active FROM prices WHERE id = :id", id=price.id) == [(False,)]


async def test_a_price_told_of_before_its_product_is_read_when_the_product_comes(till: Till) -> None:
    door = till.platform.part(StripeDoor)
    product = await stripe_prices.create_product(
        door, name="Solo", metadata={"plan": "INDIVIDUAL_PRO", "includedCredits": "100"}, key=new_key()
    )
    shelf = Shelf(till, {})
    price = await shelf.add(product.id, "solo", 2999, "month")
    now = till.platform.clock.wall()
    async with till.platform.database.transaction() as session:
        await prices.mirror_price(session, replace(price, product=None), now)
    assert await shelf.plan_of(price.id) is None
    async with till.platform.database.transaction() as session:
        await prices.mirror_product(session, product, now)
    found = await shelf.plan_of(price.id)
    assert found is not None
    assert found.plan is Plan.INDIVIDUAL_PRO


async def test_what_is_deleted_at_stripe_is_gone_here_and_its_event_is_handled(shelf: Shelf) -> None:
    """Stripe answers 404 for it; that is news, not a failure."""
    now = shelf.till.platform.clock.wall()
    price = replace(await shelf.price("pack_small"), id="price_deleted")
    async with shelf.till.platform.database.transaction() as session:
        await prices.mirror_price(session, price, now)
    for kind, about in (("price.deleted", "price_deleted"), ("product.deleted", "prod_never_heard_of")):
        event = event_about(kind, {"id": about, "object": kind.partition(".")[0]})
        await shelf.till.tell(event)
        await shelf.till.drain(about)
        assert (await shelf.till.stored(event["id"]))["status"] == "HANDLED"
    [(active, deleted)] = await shelf.rows(
        "SELECT is_active, deleted_at IS NOT NULL FROM prices WHERE id = 'price_deleted'"
    )
    assert (active, deleted) == (False, True)


async def test_a_price_that_becomes_something_else_is_taken_off_sale(shelf: Shelf) -> None:
    """Two prices may not be on sale for one thing: the event's own mirror must not trip over that."""
    await shelf.say("team_standard_monthly", plan="TEAM_PREMIUM")
    price_id = shelf.ids["team_standard_monthly"]
    await shelf.till.tell(event_about("price.updated", {"id": price_id, "object": "price"}))
    await shelf.till.drain(price_id)
    with pytest.raises(PlanNotOnSale):
        await shelf.price_of(Plan.TEAM_STANDARD, MONTHLY)
    assert (await shelf.price_of(Plan.TEAM_PREMIUM, MONTHLY)).price_id == shelf.ids["team_premium_monthly"]


# --- the route --------------------------------------------------------------------------------------------------


async def test_the_route_is_the_operators_and_a_dry_run_by_default(shelf: Shelf) -> None:
    client = shelf.till.client
    await shelf.archive(shelf.ids["pack_large"])
    assert (await client.post(ROUTE, json={})).status_code == 401
    for _ in range(2):
        answer = await client.post(ROUTE, json={}, headers=OPERATOR)
        assert answer.status_code == 200, answer.text
        found = answer.json()["sync"]
        assert (found["dryRun"], found["prices"], len(found["differences"])) == (True, 10, 2)
        assert found["differences"][0]["says"].startswith("PACK LARGE: onSale is ")
    answer = await client.post(ROUTE, json={"dryRun": False}, headers=OPERATOR)
    assert (answer.json()["sync"]["dryRun"], len(answer.json()["sync"]["differences"])) == (False, 2)
    assert (await client.post(ROUTE, json={}, headers=OPERATOR)).json()["sync"]["differences"] == []
    [(details,)] = await shelf.rows(
        "SELECT details->'differences' FROM audit_entries WHERE action = 'catalogue.synchronised'"
        " ORDER BY id DESC LIMIT 1"
    )
    assert len(details) == 2


async def test_while_stripe_is_away_nothing_is_changed(shelf: Shelf) -> None:
    await shelf.till.stripe.fail(status=500, times=50)
    answer = await shelf.till.client.post(ROUTE, json={"dryRun": False}, headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")
    await shelf.till.stripe.heal()
    assert told(await shelf.sync(dry_run=True)) == []


async def test_two_at_once_are_one_after_the_other(shelf: Shelf) -> None:
    product = (await shelf.price("pack_small")).product_id
    await shelf.add(product, "pack_small", 249, None)
    found = await asyncio.gather(*(shelf.sync() for _ in range(4)))
    assert sum(bool(one.differences) for one in found) == 1
    assert await shelf.rows("SELECT max(version) FROM credit_packs WHERE name = 'SMALL'") == [(2,)]
