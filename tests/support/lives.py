"""The life of a team's subscription at Stripe, with everything that can befall one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from pm_api.integrations.stripe import (
    StripeDoor,
    StripeInvoice,
    StripeSubscription,
    customers,
    invoices,
    payment_methods,
    refunds,
    schedules,
    subscriptions,
)
from tests.support.past import Past

PAYS, PAYS_TOO, DECLINES_LATER = "pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail"
HOURS_TO_COLLECT: Final = timedelta(hours=2)
"""An invoice of a renewal is a draft for an hour."""


@dataclass(frozen=True)
class Prices:
    standard: str
    premium: str


class Life:
    """Somebody does these things at Stripe, one after the other; each is a step of the past."""

    def __init__(
        self, past: Past, door: StripeDoor, prices: Prices, customer_id: str, metadata: Mapping[str, str]
    ) -> None:
        self.past = past
        self.door = door
        self.prices = prices
        self.customer_id = customer_id
        self.metadata = metadata
        self.subscription_id = ""
        self._numbers = count(1)

    async def live(self) -> None:
        """From the first card to the end of the subscription and the last refund."""
        await self._begin()
        await self._first_month()
        await self._unpaid()
        await self._second_half()
        await self._end()

    async def _begin(self) -> None:
        visa = await self.card(PAYS)
        await self.past.keep("a card is on file")
        made = await subscriptions.create(
            self.door,
            customer_id=self.customer_id,
            price_id=self.prices.standard,
            metadata=self.metadata,
            payment_method_id=visa,
            key=self.key(),
        )
        self.subscription_id = made.id
        await self.past.keep("subscribed, not paid")
        await self.past.wait(minutes=3)
        assert made.client_secret is not None
        body = {"paymentMethod": visa, "confirm": True}
        paid = await self.past.control("PUT", f"/elements/{made.client_secret}", body)
        assert paid["intent"]["status"] == "succeeded", paid
        await self.past.keep("paid")

    async def _first_month(self) -> None:
        first = (await self.bills())[0]
        await self.past.wait(days=9)
        found = await self.subscription()
        await subscriptions.change_price(
            self.door,
            found.id,
            found.item_id,
            self.prices.premium,
            prorate_at=self.past.clock.moment,
            key=self.key(),
        )
        await self.past.keep("upgraded")
        await self.past.wait(days=1)
        await self.refund(first, 4000)
        await self.past.keep("a part refunded")
        await self.past.wait(days=2)
        upgrade = (await self.bills())[0]
        dispute = await self.past.control("POST", "/disputes", {"paymentIntent": intent_of(upgrade)})
        await self.past.keep("the upgrade disputed")
        await self.past.wait(days=2)
        await self.refund(first, 2500)
        await self.past.keep("another part refunded")
        await self.past.wait(days=6)
        await self.past.control("POST", f"/disputes/{dispute['id']}/close", {"outcome": "won"})
        await self.past.keep("the dispute won")

    async def _unpaid(self) -> None:
        await self.past.wait(days=4)
        await self.card(DECLINES_LATER)
        await self.past.keep("a card that will not pay")
        await self.past.wait_until(await self.period_end() + HOURS_TO_COLLECT)
        assert (await self.subscription()).status == "past_due"
        await self.past.keep("renewed, the payment failed")
        await self.past.wait(days=3, hours=1)
        await self.past.keep("failed again")
        await self.past.wait(days=1)
        await self.card(PAYS_TOO)
        await self.past.keep("another card")
        await invoices.pay(self.door, (await self.bills())[0].id, key=self.key())
        assert (await self.subscription()).status == "active"
        await self.past.keep("recovered")

    async def _second_half(self) -> None:
        await self.past.wait(days=6)
        await schedules.schedule_change(self.door, self.subscription_id, self.prices.standard, key=self.key())
        await self.past.keep("a downgrade is scheduled")
        await self.past.wait_until(await self.period_end() + HOURS_TO_COLLECT)
        await self.past.keep("renewed at the lower price")
        await self.past.wait(days=2)
        renewal = (await self.bills())[0]
        assert renewal.total == 9999
        dispute = await self.past.control("POST", "/disputes", {"paymentIntent": intent_of(renewal)})
        await self.past.keep("the renewal disputed")
        await self.past.wait(days=5)
        await self.past.control("POST", f"/disputes/{dispute['id']}/close", {"outcome": "lost"})
        await self.past.keep("the dispute lost")
        await self.past.wait(days=1)
        kept = (await self.subscription()).default_payment_method_id
        for one in (await payment_methods.list_of_customer(self.door, self.customer_id)).items:
            if one.id != kept:
                await payment_methods.detach(self.door, one.id, key=self.key())
        await self.past.keep("the other cards removed")

    async def _end(self) -> None:
        await self.past.wait(days=2)
        await subscriptions.cancel_at_period_end(self.door, self.subscription_id, key=self.key())
        await self.past.keep("canceled for the end of the period")
        await self.past.wait(days=1)
        await subscriptions.resume(self.door, self.subscription_id, key=self.key())
        await self.past.keep("resumed")
        await self.past.wait_until(await self.period_end() + HOURS_TO_COLLECT)
        await self.past.keep("renewed once more")
        await self.past.wait(days=3)
        await self.refund((await self.bills())[0], None)
        await self.past.keep("the last payment refunded whole")
        await self.past.wait(days=1)
        await subscriptions.cancel_at_period_end(self.door, self.subscription_id, key=self.key())
        await self.past.keep("canceled again")
        await self.past.wait_until(await self.period_end() + HOURS_TO_COLLECT)
        assert (await self.subscription()).status == "canceled"
        await self.past.keep("over")

    # --- pieces ---------------------------------------------------------------------------------------------------

    async def card(self, token: str) -> str:
        """A further card, which everything is paid with from now on."""
        made = await payment_methods.attach(self.door, token, self.customer_id, key=self.key())
        await customers.set_default_payment_method(self.door, self.customer_id, made.id, key=self.key())
        if self.subscription_id:
            await subscriptions.set_default_payment_method(self.door, self.subscription_id, made.id, key=self.key())
        return made.id

    async def refund(self, invoice: StripeInvoice, amount: int | None) -> None:
        await refunds.create(
            self.door, payment_intent_id=intent_of(invoice), amount=amount, metadata={}, key=self.key()
        )

    async def subscription(self) -> StripeSubscription:
        return await subscriptions.retrieve(self.door, self.subscription_id)

    async def period_end(self) -> datetime:
        return (await self.subscription()).period_end

    async def bills(self) -> list[StripeInvoice]:
        """Newest first."""
        found = await invoices.list_all(self.door, subscription_id=self.subscription_id)
        return list(found.items)

    def key(self) -> str:
        return f"life-{next(self._numbers)}"


def intent_of(invoice: StripeInvoice) -> str:
    assert invoice.payment is not None
    assert invoice.payment.payment_intent_id is not None
    return invoice.payment.payment_intent_id
