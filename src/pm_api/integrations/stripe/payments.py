"""Payments without a page: the intent to pay, and the charge it became."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import stripe
from stripe.params import PaymentIntentCreateParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import (
    BEGINNING,
    FOREVER,
    LIST_LIMIT,
    StripeList,
    everything,
    id_of,
    moment,
    page_size,
    seconds,
    texts,
    upper,
)

_CHARGE: Final = "latest_charge"


@dataclass(frozen=True, slots=True)
class StripePayment:
    """A payment intent as Stripe has it now. `error_code` and `decline_code` say why the last attempt failed,
    `paid_at` when the money was taken.
    """

    id: str
    status: str
    amount: int
    amount_received: int
    currency: str
    customer_id: str | None
    payment_method_id: str | None
    charge_id: str | None
    client_secret: str | None
    error_code: str | None
    decline_code: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeCharge:
    """A charge as Stripe has it now; `amount_refunded` is the sum of its refunds so far."""

    id: str
    status: str
    amount: int
    amount_refunded: int
    currency: str
    customer_id: str | None
    payment_intent_id: str | None
    is_refunded: bool
    is_disputed: bool
    receipt_url: str | None
    metadata: Mapping[str, str]
    created_at: datetime


async def charge_off_session(
    door: StripeDoor,
    *,
    customer_id: str,
    payment_method_id: str,
    amount: int,
    currency: str,
    description: str,
    metadata: Mapping[str, str],
    key: str,
) -> StripePayment:
    """Take money from a card on file with nobody there, at once.

    Raises CardDeclined, also when the bank wants the buyer: `payment_intent_id` then names what they can confirm.
    """
    params: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": currency.lower(),
        "customer": customer_id,
        "payment_method": payment_method_id,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "confirm": True,
        "off_session": True,
        "description": description,
        "metadata": dict(metadata),
        "expand": [_CHARGE],
    }
    async with calling("payment intent"):
        return read_payment(await door.client.v1.payment_intents.create_async(params, keyed(key)))


async def cancel(door: StripeDoor, payment_intent_id: str, *, key: str) -> StripePayment:
    """It can be paid no more. Raises StripeRefused when it was paid or canceled before."""
    async with calling(payment_intent_id):
        return read_payment(
            await door.client.v1.payment_intents.cancel_async(
                payment_intent_id, {"cancellation_reason": "abandoned", "expand": [_CHARGE]}, keyed(key)
            )
        )


async def retrieve(door: StripeDoor, payment_intent_id: str) -> StripePayment:
    async with calling(payment_intent_id):
        return read_payment(
            await door.client.v1.payment_intents.retrieve_async(payment_intent_id, {"expand": [_CHARGE]})
        )


async def list_of_customer(
    door: StripeDoor, customer_id: str, *, since: datetime = BEGINNING, limit: int = LIST_LIMIT
) -> StripeList[StripePayment]:
    """A customer's payments, invoices' too, newest first: to find one again whose answer was not heard."""
    async with calling(customer_id):
        first = await door.client.v1.payment_intents.list_async(
            {
                "customer": customer_id,
                "created": {"gte": seconds(since)},
                "limit": page_size(limit),
                "expand": [f"data.{_CHARGE}"],
            }
        )
        return await everything(first, read_payment, limit)


async def list_created(
    door: StripeDoor, *, since: datetime, until: datetime = FOREVER, limit: int = LIST_LIMIT
) -> StripeList[StripePayment]:
    """Everybody's, also those of invoices and checkouts, begun in the window [since, until), newest first."""
    async with calling("payment intents"):
        first = await door.client.v1.payment_intents.list_async(
            {
                "created": {"gte": seconds(since), "lt": seconds(until)},
                "limit": page_size(limit),
                "expand": [f"data.{_CHARGE}"],
            }
        )
        return await everything(first, read_payment, limit)


async def retrieve_charge(door: StripeDoor, charge_id: str) -> StripeCharge:
    async with calling(charge_id):
        return read_charge(await door.client.v1.charges.retrieve_async(charge_id))


def read_payment(found: stripe.PaymentIntent) -> StripePayment:
    # An error has only the fields that say something.
    error, charge = found.last_payment_error, found.latest_charge
    return StripePayment(
        id=found.id,
        status=found.status,
        amount=found.amount,
        amount_received=found.amount_received,
        currency=upper(found.currency),
        customer_id=id_of(found.customer),
        payment_method_id=id_of(found.payment_method),
        charge_id=id_of(found.latest_charge),
        client_secret=found.client_secret,
        error_code=error.code if error and "code" in error else None,
        decline_code=error.decline_code if error and "decline_code" in error else None,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
        paid_at=moment(charge.created) if found.amount_received and isinstance(charge, stripe.Charge) else None,
    )


def read_charge(found: stripe.Charge) -> StripeCharge:
    return StripeCharge(
        id=found.id,
        status=found.status,
        amount=found.amount,
        amount_refunded=found.amount_refunded,
        currency=upper(found.currency),
        customer_id=id_of(found.customer),
        payment_intent_id=id_of(found.payment_intent),
        is_refunded=found.refunded,
        is_disputed=found.disputed,
        receipt_url=found.receipt_url,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )
