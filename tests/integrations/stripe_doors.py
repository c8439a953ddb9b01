"""Doors to a sandbox Stripe, and what a test there starts from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pydantic import SecretStr

from pm_api.core.settings import StripeSettings
from pm_api.integrations.stripe import (
    StripeCustomer,
    StripeDoor,
    StripePaymentMethod,
    StripePrice,
    customers,
    payment_methods,
    prices,
)
from tests.support.settings import STRIPE_KEY
from tests.support.stripe import SandboxStripe, sandbox_stripe

PAYS, DECLINES_LATER, ASKS_ALWAYS = "pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"
_numbers = count(1)


def new_key() -> str:
    """As from a row of ours."""
    return f"key-{next(_numbers)}"


def this_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@asynccontextmanager
async def door_to(address: str, *, timeout_s: float = 10.0) -> AsyncIterator[StripeDoor]:
    door = StripeDoor(
        StripeSettings.model_validate(
            {"secret_key": SecretStr(STRIPE_KEY), "api_base": address, "timeout_s": timeout_s}
        )
    )
    try:
        yield door
    finally:
        await door.close()


@dataclass
class Shop:
    """A sandbox, our door to it, and one product with a price a month, a dearer one and one a year."""

    stripe: SandboxStripe
    door: StripeDoor
    monthly: StripePrice
    dearer: StripePrice
    yearly: StripePrice
    pack: StripePrice

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.stripe.http.request(method, f"/_sandbox{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def customer(self, card: str | None = PAYS) -> StripeCustomer:
        made = await customers.create(
            self.door, name="Ada", email="ada@example.com", metadata={"accountType": "USER"}, key=new_key()
        )
        if card is None:
            return made
        kept = await self.card(made.id, card)
        return await customers.set_default_payment_method(self.door, made.id, kept.id, key=new_key())

    async def card(self, customer_id: str, card: str = PAYS) -> StripePaymentMethod:
        return await payment_methods.attach(self.door, card, customer_id, key=new_key())


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    async with sandbox_stripe() as stripe, door_to(stripe.url) as door:
        product = await prices.create_product(
            door, name="Team", metadata={"plan": "TEAM_STANDARD", "includedCredits": "500"}, key=new_key()
        )

        async def price(lookup_key: str, amount: int, interval: Any) -> StripePrice:
            return await prices.create_price(
                door,
                product_id=product.id,
                unit_amount=amount,
                currency="USD",
                interval=interval,
                lookup_key=lookup_key,
                metadata={"bonusCredits": "5"},
                key=new_key(),
            )

        yield Shop(
            stripe,
            door,
            monthly=await price("team_monthly", 9999, "month"),
            dearer=await price("premium_monthly", 19999, "month"),
            yearly=await price("team_yearly", 99990, "year"),
            pack=await price("pack_medium", 899, None),
        )
