"""Plans, clocks, customers with cards: what the tests of the sandbox's billing start from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import stripe

from tests.sandbox.stripe_setup import Setup

PAYS, DECLINES, ASKS, FAILS_LATER = "4242424242424242", "4000000000000002", "4000002500003155", "4000000000000341"
START = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
HOUR_S, DAY_S = 3600, 86400
FLEXIBLE: Any = {"type": "flexible"}


def moment(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


@dataclass
class Shop:
    """Three plans of one sandbox, and one test clock in which its customers live."""

    setup: Setup
    clock: str
    prices: dict[str, str]

    @property
    def v1(self) -> Any:
        return self.setup.client.v1

    async def card(self, number: str, customer: str, *, default: bool = True) -> str:
        made = await self.v1.payment_methods.create_async({"type": "card", "card": typed(number)})
        await self.v1.payment_methods.attach_async(made.id, {"customer": customer})
        if default:
            settings = {"default_payment_method": made.id}
            await self.v1.customers.update_async(customer, {"invoice_settings": settings})
        return str(made.id)

    async def customer(self, number: str | None = PAYS) -> str:
        made = await self.v1.customers.create_async({"email": "ada@example.com", "test_clock": self.clock})
        if number is not None:
            await self.card(number, made.id)
        return str(made.id)

    async def subscribe(self, customer: str, plan: str = "standard", **more: Any) -> Any:
        params = {
            "customer": customer,
            "items": [{"price": self.prices[plan]}],
            "billing_mode": FLEXIBLE,
            "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
            **more,
        }
        return await self.v1.subscriptions.create_async(params)

    async def subscription(self, identifier: str) -> Any:
        return await self.v1.subscriptions.retrieve_async(identifier, {"expand": ["latest_invoice"]})

    async def invoices(self, subscription: str) -> list[Any]:
        """Oldest first."""
        page = await self.v1.invoices.list_async({"subscription": subscription, "limit": 100})
        return list(page.data)[::-1]

    async def advance(self, until: int) -> None:
        """Step by step: one advance may not pass two periods."""
        here = (await self.v1.test_helpers.test_clocks.retrieve_async(self.clock)).frozen_time
        while here < until:
            here = min(until, here + 28 * DAY_S)
            answer = await self.v1.test_helpers.test_clocks.advance_async(self.clock, {"frozen_time": here})
            assert answer.status == "advancing"
        assert (await self.v1.test_helpers.test_clocks.retrieve_async(self.clock)).status == "ready"

    async def pay_by_hand(self, secret: str, **entry: Any) -> Any:
        """What Stripe's library does in the buyer's browser."""
        return await self.setup.control("PUT", f"/elements/{secret}", entry)

    async def events(self, prefixes: tuple[str, ...] = ("customer.sub", "invoice.", "payment_intent.")) -> list[Any]:
        """Oldest first."""
        page = await self.v1.events.list_async({"limit": 100})
        return [event for event in reversed(page.data) if event.type.startswith(prefixes)]

    async def event_types(self) -> list[str]:
        return [event.type for event in await self.events()]


def typed(number: str) -> dict[str, Any]:
    return {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}


async def open_shop(setup: Setup, *, start: int = START) -> Shop:
    client: Any = setup.client.v1
    prices = {}
    for name, amount, interval in (
        ("standard", 9999, "month"),
        ("premium", 19999, "month"),
        ("premium_yearly", 199990, "year"),
    ):
        product = await client.products.create_async({"name": name.title(), "metadata": {"plan": name}})
        price = await client.prices.create_async(
            {
                "product": product.id,
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": interval},
                "lookup_key": name,
            }
        )
        prices[name] = price.id
    clock = await client.test_helpers.test_clocks.create_async({"frozen_time": start, "name": "test"})
    return Shop(setup, clock.id, prices)


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end
