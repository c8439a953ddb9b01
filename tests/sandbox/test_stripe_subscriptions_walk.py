"""Random lives of subscriptions at the sandbox Stripe: whatever is done, the books and the events agree."""

import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox
from tests.sandbox.subscription_setup import ASKS, DAY_S, FAILS_LATER, HOUR_S, PAYS, START, Shop, open_shop

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
STEPS = 25


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


class Walk:
    """One customer, one subscription after the other, and a die."""

    def __init__(self, shop: Shop, die: random.Random, customer: str) -> None:
        self.shop = shop
        self.die = die
        self.customer = customer
        self.subscription = ""

    async def step(self) -> None:
        subscription = await self.current()
        action = self.die.choice(
            [self.wait, self.wait, self.wait, self.switch, self.switch, self.change_card, self.cancel, self.pay]
            if subscription is not None
            else [self.begin, self.change_card]
        )
        # Much of what a die wishes is refused; a fault of the sandbox is an APIError, and goes on up.
        with contextlib.suppress(stripe.InvalidRequestError, stripe.CardError):
            await action()

    async def current(self) -> Any:
        if not self.subscription:
            return None
        found = await self.shop.subscription(self.subscription)
        return None if found.status in {"canceled", "incomplete_expired"} else found

    async def begin(self) -> None:
        more: dict[str, Any] = self.die.choice(
            [{}, {"trial_period_days": 10}, {"payment_behavior": "default_incomplete"}]
        )
        mode = {"type": self.die.choice(["classic", "flexible"])}
        plan = self.die.choice(list(self.shop.prices))
        made = await self.shop.subscribe(self.customer, plan, billing_mode=mode, **more)
        self.subscription = made.id

    async def wait(self) -> None:
        clock = await self.shop.v1.test_helpers.test_clocks.retrieve_async(self.shop.clock)
        seconds = self.die.choice([HOUR_S, 3 * DAY_S + 7, 17 * DAY_S + 12_345, 31 * DAY_S])
        await self.shop.advance(clock.frozen_time + seconds)

    async def switch(self) -> None:
        item = (await self.shop.subscription(self.subscription))["items"].data[0]
        wish = {
            "id": item.id,
            "price": self.die.choice(list(self.shop.prices.values())),
            "quantity": self.die.randint(1, 3),
        }
        await self.shop.v1.subscriptions.update_async(
            self.subscription,
            {
                "items": [wish],
                "proration_behavior": self.die.choice(["always_invoice", "create_prorations", "none"]),
                "payment_behavior": self.die.choice(
                    ["allow_incomplete", "error_if_incomplete", "pending_if_incomplete"]
                ),
            },
        )

    async def change_card(self) -> None:
        await self.shop.card(self.die.choice([PAYS, PAYS, FAILS_LATER, ASKS]), self.customer)

    async def cancel(self) -> None:
        if self.die.random() < 0.5:
            leaving = self.die.random() < 0.5
            await self.shop.v1.subscriptions.update_async(self.subscription, {"cancel_at_period_end": leaving})
        else:
            ways = {"prorate": self.die.random() < 0.5, "invoice_now": self.die.random() < 0.5}
            await self.shop.v1.subscriptions.cancel_async(self.subscription, ways)

    async def pay(self) -> None:
        subscription = await self.shop.subscription(self.subscription)
        if subscription.latest_invoice.status == "open":
            ways = [self.shop.v1.invoices.pay_async, self.shop.v1.invoices.void_invoice_async]
            await self.die.choice(ways)(subscription.latest_invoice.id)


async def every(service: Any, **params: Any) -> list[Any]:
    page = await service.list_async({"limit": 100, **params})
    return [one.to_dict() async for one in page.auto_paging_iter()]


async def check(shop: Shop, customer_id: str) -> None:
    invoices = await every(shop.v1.invoices, customer=customer_id)
    subscriptions = await every(shop.v1.subscriptions, customer=customer_id, status="all")
    for invoice in invoices:
        lines, off = invoice["lines"]["data"], invoice["total_discount_amounts"]
        assert invoice["total"] == sum(line["amount"] for line in lines) - sum(one["amount"] for one in off)
        if invoice["status_transitions"]["finalized_at"] is not None:
            assert invoice["amount_due"] == max(0, invoice["total"] + invoice["starting_balance"])
            assert invoice["ending_balance"] == min(0, invoice["total"] + invoice["starting_balance"])
        left = {"paid": 0, "void": 0}.get(invoice["status"], invoice["amount_due"])
        assert invoice["amount_remaining"] == left
    intents = await every(shop.v1.payment_intents, customer=customer_id)
    taken = sum(intent["amount_received"] for intent in intents)
    assert taken == sum(invoice["amount_paid"] for invoice in invoices)
    customer = await shop.v1.customers.retrieve_async(customer_id)
    page = await shop.v1.customers.balance_transactions.list_async(customer_id, {"limit": 100})
    assert customer.balance == sum(one.amount for one in page.data)
    # The newest event of each object is the object: a reader of events alone ends where a reader of objects does.
    newest: dict[str, Any] = {}
    for event in await every(shop.v1.events):
        about = event["data"]["object"]
        newest.setdefault(about.get("id"), about)
    for body in (*invoices, *subscriptions):
        told = newest[body["id"]]
        assert {name: (told[name], body[name]) for name in body if told[name] != body[name]} == {}, body["id"]
    for subscription in subscriptions:
        billed = [one for one in invoices if one["id"] == subscription["latest_invoice"]]
        assert len(billed) == 1
        if subscription["status"] in {"active", "trialing", "past_due"}:
            clock = await shop.v1.test_helpers.test_clocks.retrieve_async(shop.clock)
            item = subscription["items"]["data"][0]
            assert item["current_period_start"] <= clock.frozen_time < item["current_period_end"]


@pytest.mark.parametrize("seed", range(4))
async def test_books_and_events_agree_whatever_is_done(setup: Setup, seed: int) -> None:
    shop = await open_shop(setup, start=START)
    walk = Walk(shop, random.Random(seed), await shop.customer())
    for _ in range(STEPS):
        await walk.step()
    await check(shop, walk.customer)
