"""Checkout pages, the portal, promotions, webhook endpoints and events: through the sandbox, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from pm_api.integrations.stripe import (
    API_VERSION,
    AmountOff,
    CheckoutVisit,
    NamedItem,
    PercentOff,
    PricedItem,
    StripeCheckout,
    StripeRefused,
    checkouts,
    customers,
    events,
    invoices,
    payments,
    portal,
    promotions,
    subscriptions,
    webhook_endpoints,
)
from tests.integrations.stripe_doors import Shop, door_to, new_key, open_shop, this_second
from tests.sandbox.stripe_setup import listening
from tests.support.settings import STRIPE_KEY, WEBHOOK_SECRET
from tests.support.stripe import encoded, sandbox_stripe, signed

DAY = timedelta(days=1)
CARD = {"email": "ada@example.com", "card_number": "4242 4242 4242 4242", "expiry": "12 / 40", "name": "Ada"}


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def visit_of(shop: Shop) -> CheckoutVisit:
    buyer = await shop.customer(card=None)
    return CheckoutVisit(
        customer_id=buyer.id,
        reference=f"row-{new_key()}",
        metadata={"accountType": "USER", "pack": "MEDIUM"},
        success_url="http://localhost:3000/done?session={CHECKOUT_SESSION_ID}",
        cancel_url="http://localhost:3000/credits",
    )


async def paid(shop: Shop, opened: StripeCheckout) -> StripeCheckout:
    """Somebody types a card that pays."""
    answer = await shop.stripe.http.post(f"/checkout/{opened.id}", data=CARD)
    assert answer.status_code in {200, 302, 303}, answer.text
    return await checkouts.retrieve(shop.door, opened.id)


async def until(read: Callable[[], Awaitable[list[str]]], expected: list[str]) -> None:
    async with asyncio.timeout(10):
        while await read() != expected:  # noqa: ASYNC110  what is waited for happens in the sandbox's own thread
            await asyncio.sleep(0.05)


# --- checkout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["price", "amount"])
async def test_a_pack_is_paid_on_the_page(shop: Shop, kind: str) -> None:
    visit = await visit_of(shop)
    item = (
        PricedItem(shop.pack.id, quantity=2)
        if kind == "price"
        else NamedItem("550 credits", unit_amount=899, currency="USD", quantity=2)
    )
    opened = await checkouts.open_payment(shop.door, visit, [item], key=new_key())
    assert (opened.mode, opened.status, opened.payment_status) == ("payment", "open", "unpaid")
    assert (opened.client_reference_id, opened.customer_id) == (visit.reference, visit.customer_id)
    assert (opened.amount_total, opened.currency, opened.metadata) == (1798, "USD", visit.metadata)
    assert opened.url is not None
    assert opened.url.startswith("http")
    assert opened.created_at is not None
    assert opened.expires_at == opened.created_at + DAY
    assert (opened.is_paid, opened.invoice_id, opened.subscription_id) == (False, None, None)
    done = await paid(shop, opened)
    assert (done.is_paid, done.status, done.url) == (True, "complete", None)
    assert done.payment_intent_id is not None
    payment = await payments.retrieve(shop.door, done.payment_intent_id)
    assert (payment.amount_received, payment.metadata) == (1798, visit.metadata)
    assert done.invoice_id is not None
    invoice = await invoices.retrieve(shop.door, done.invoice_id)
    assert (invoice.status, invoice.total, invoice.customer_id) == ("paid", 1798, visit.customer_id)
    assert (invoice.subscription_id, invoice.metadata) == (None, visit.metadata)
    assert invoice.payment_intent_id == done.payment_intent_id


@pytest.mark.parametrize(("trial_days", "status", "total"), [(None, "active", 9999), (14, "trialing", 0)])
async def test_a_plan_is_subscribed_to_on_the_page(
    shop: Shop, trial_days: int | None, status: str, total: int
) -> None:
    visit = replace(await visit_of(shop), metadata={"accountType": "WORKSPACE", "plan": "TEAM_STANDARD"})
    opened = await checkouts.open_subscription(
        shop.door, visit, PricedItem(shop.monthly.id), trial_days=trial_days, key=new_key()
    )
    assert (opened.mode, opened.subscription_id, opened.invoice_id) == ("subscription", None, None)
    assert opened.amount_total == total
    done = await paid(shop, opened)
    assert done.status == "complete"
    assert done.subscription_id is not None
    subscription = await subscriptions.retrieve(shop.door, done.subscription_id)
    assert (subscription.status, subscription.price_id) == (status, shop.monthly.id)
    assert (subscription.customer_id, subscription.metadata) == (visit.customer_id, visit.metadata)
    assert done.invoice_id == subscription.latest_invoice_id
    assert (subscription.trial_end is None) is (trial_days is None)


async def test_a_promotion_code_that_was_given_before(shop: Shop) -> None:
    coupon = await promotions.create_coupon(
        shop.door,
        off=AmountOff(99, "USD"),
        duration="once",
        name="99 cents",
        metadata={},
        key=new_key(),
    )
    code = await promotions.create_code(shop.door, coupon_id=coupon.id, code="CENTS", metadata={}, key=new_key())
    visit = replace(await visit_of(shop), promotion_code_id=code.id)
    opened = await checkouts.open_payment(shop.door, visit, [PricedItem(shop.pack.id)], key=new_key())
    assert opened.amount_total == 800


async def test_a_page_that_asks_for_a_code_in_a_language_until_a_moment(shop: Shop) -> None:
    ends_at = this_second() + timedelta(hours=2)
    visit = replace(await visit_of(shop), asks_for_promotion_code=True, locale="de", expires_at=ends_at)
    opened = await checkouts.open_payment(shop.door, visit, [PricedItem(shop.pack.id)], key=new_key())
    assert opened.expires_at == ends_at


async def test_pages_are_listed_by_window(shop: Shop) -> None:
    since = this_second()
    opened = await checkouts.open_payment(shop.door, await visit_of(shop), [PricedItem(shop.pack.id)], key=new_key())
    found = await checkouts.list_created(shop.door, since=since, until=since + DAY)
    assert opened in found.items
    assert opened not in (await checkouts.list_created(shop.door, since=since - DAY, until=since)).items


async def test_a_page_is_closed(shop: Shop) -> None:
    opened = await checkouts.open_payment(shop.door, await visit_of(shop), [PricedItem(shop.pack.id)], key=new_key())
    closed = await checkouts.expire(shop.door, opened.id, key=new_key())
    assert (closed.status, closed.is_paid, closed.url) == ("expired", False, None)
    with pytest.raises(StripeRefused):
        await checkouts.expire(shop.door, opened.id, key=new_key())


# --- portal and endpoints ---------------------------------------------------------------------------------------


async def test_the_portal_is_set_up_once_and_opened() -> None:
    async with open_shop() as shop:
        return_url = "http://localhost:3000/billing"
        assert await portal.find_configuration(shop.door) is None
        made = await portal.ensure_configuration(shop.door, return_url=return_url, key=new_key())
        assert (made.is_active, made.is_as_wanted, made.return_url) == (True, True, return_url)
        assert await portal.ensure_configuration(shop.door, return_url=return_url, key=new_key()) == made
        moved = await portal.ensure_configuration(shop.door, return_url=f"{return_url}/2", key=new_key())
        assert (moved.id, moved.return_url) == (made.id, f"{return_url}/2")
        assert await portal.find_configuration(shop.door) == moved

        buyer = await shop.customer()
        address = await portal.open_session(
            shop.door, buyer.id, return_url=return_url, configuration_id=made.id, locale="de", key=new_key()
        )
        page = await shop.stripe.http.get(address)
        assert page.status_code == 200
        assert return_url in page.text
        plain = await portal.open_session(
            shop.door, (await shop.customer()).id, return_url=return_url, configuration_id=made.id, key=new_key()
        )
        assert plain != address


async def test_a_webhook_endpoint_is_made_once_and_mended(shop: Shop) -> None:
    url, wanted = "https://api.example.com/api/webhooks/stripe", ["invoice.paid", "customer.updated"]
    made = await webhook_endpoints.ensure(shop.door, url=url, events=wanted, key=new_key())
    assert (made.url, made.is_enabled, made.events) == (url, True, frozenset(wanted))
    assert made.api_version == API_VERSION
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    same = await webhook_endpoints.ensure(shop.door, url=url, events=wanted[::-1], key=new_key())
    assert (same.id, same.secret) == (made.id, None)
    more = await webhook_endpoints.ensure(shop.door, url=url, events=[*wanted, "price.updated"], key=new_key())
    assert (more.id, more.events) == (made.id, frozenset({*wanted, "price.updated"}))
    other = await webhook_endpoints.ensure(shop.door, url=f"{url}/2", events=wanted, key=new_key())
    found = await webhook_endpoints.list_all(shop.door)
    assert {one.id for one in found.items} == {made.id, other.id}


# --- promotions -------------------------------------------------------------------------------------------------


async def test_coupons_and_codes(shop: Shop) -> None:
    ends_at = this_second() + 30 * DAY
    coupon = await promotions.create_coupon(
        shop.door,
        off=PercentOff(Decimal("12.5")),
        duration="forever",
        name="Friends",
        max_redemptions=5,
        redeem_by=ends_at,
        metadata={"referral": "r1"},
        key=new_key(),
    )
    assert (coupon.percent_off, coupon.amount_off, coupon.currency) == (Decimal("12.5"), None, None)
    assert (coupon.duration, coupon.duration_months, coupon.is_valid) == ("forever", None, True)
    assert (coupon.max_redemptions, coupon.times_redeemed, coupon.redeem_by) == (5, 0, ends_at)
    assert (coupon.name, coupon.metadata) == ("Friends", {"referral": "r1"})
    assert await promotions.retrieve_coupon(shop.door, coupon.id) == coupon

    mine = await customers.create(shop.door, name="Ada", email=None, metadata={}, key=new_key())
    code = await promotions.create_code(
        shop.door,
        coupon_id=coupon.id,
        code="FRIENDS",
        customer_id=mine.id,
        max_redemptions=1,
        expires_at=ends_at - DAY,
        is_first_time_only=True,
        metadata={"referral": "r1"},
        key=new_key(),
    )
    assert (code.coupon, code.coupon_id, code.customer_id) == (coupon, coupon.id, mine.id)
    assert (code.is_active, code.is_first_time_only, code.max_redemptions) == (True, True, 1)
    assert (code.expires_at, code.minimum_amount, code.metadata) == (ends_at - DAY, None, {"referral": "r1"})
    assert await promotions.retrieve_code(shop.door, code.id) == code
    assert await promotions.find_code(shop.door, "friends", customer_id=mine.id) == code
    assert await promotions.find_code(shop.door, "FRIENDS", customer_id="cus_other") is None
    assert await promotions.find_code(shop.door, "FRIENDS") is None
    assert await promotions.find_code(shop.door, "ENEMIES") is None


async def test_a_coupon_for_some_months(shop: Shop) -> None:
    coupon = await promotions.create_coupon(
        shop.door, off=AmountOff(500, "EUR"), duration=3, name="Five", metadata={}, key=new_key()
    )
    assert (coupon.amount_off, coupon.currency, coupon.percent_off) == (500, "EUR", None)
    assert (coupon.duration, coupon.duration_months) == ("repeating", 3)
    code = await promotions.create_code(shop.door, coupon_id=coupon.id, code="FIVE", metadata={}, key=new_key())
    assert await promotions.find_code(shop.door, "FIVE", customer_id="cus_1") == code
    with pytest.raises(StripeRefused):
        await promotions.create_code(shop.door, coupon_id=coupon.id, code="FIVE", metadata={}, key=new_key())


# --- events -----------------------------------------------------------------------------------------------------


async def test_events_are_asked_for() -> None:
    async with open_shop() as shop:
        since = this_second()
        buyer = await shop.customer()
        kinds = ["customer.created", "payment_method.attached", "customer.updated"]
        found = await events.list_since(shop.door, since, types=kinds)
        assert [event.type for event in found.items] == kinds
        assert found.is_complete
        assert {event.subject for event in found.items} == {buyer.id}
        assert found.items[0].object_id == buyer.id
        assert found.items[1].object_id == buyer.default_payment_method_id
        assert all(since <= event.created_at <= this_second() for event in found.items)
        one_kind = await events.list_since(shop.door, since, types=kinds[:1])
        assert [event.id for event in one_kind.items] == [found.items[0].id]
        nothing = await events.list_since(shop.door, since, types=kinds, until=since)
        assert (nothing.items, nothing.is_complete) == ((), True)
        cut = await events.list_since(shop.door, since, types=kinds, limit=2)
        assert ([event.id for event in cut.items], cut.is_complete) == ([one.id for one in found.items[1:]], False)
        assert (await events.list_since(shop.door, this_second() + DAY, types=kinds)).items == ()


async def test_more_types_than_stripe_takes_at_once() -> None:
    async with open_shop() as shop:
        since = this_second()
        buyer = await shop.customer(card=None)
        kinds = [f"account.kind_{number:02}" for number in range(45)]
        found = await events.list_since(shop.door, since, types=[*kinds, "customer.created"])
        assert [event.object_id for event in found.items] == [buyer.id]


async def test_only_what_was_not_delivered() -> None:
    kinds = ["customer.created"]
    with listening() as (receiver, webhook_url):
        receiver.statuses += [500] * 50
        async with sandbox_stripe(webhook_url) as stripe, door_to(stripe.url) as door:
            since = this_second()
            made = await customers.create(door, name="Ada", email=None, metadata={}, key=new_key())

            async def undelivered() -> list[str]:
                found = await events.list_since(door, since, types=kinds, undelivered_only=True)
                return [event.object_id for event in found.items]

            await until(undelivered, [made.id])
            receiver.statuses.clear()  # from now on it takes them
            [event] = (await events.list_since(door, since, types=kinds)).items
            assert await stripe.deliver(event.id) == [200]
            await until(undelivered, [])


async def test_an_event_that_is_asked_for_says_the_same_as_one_that_arrives(shop: Shop) -> None:
    since = this_second()
    await shop.customer()
    kinds = ["customer.created", "payment_method.attached", "product.created"]
    for event in (await events.list_since(shop.door, since, types=kinds)).items:
        answer = await shop.stripe.http.get(f"/v1/events/{event.id}", auth=(STRIPE_KEY, ""))
        assert answer.status_code == 200, answer.text
        body = encoded(answer.json())
        arrived = events.verify_event(
            body, signed(body)["Stripe-Signature"], [WEBHOOK_SECRET], now=this_second(), livemode=False
        )
        assert json.loads(arrived.body) == json.loads(event.body)
        assert replace(arrived, body=event.body) == event
