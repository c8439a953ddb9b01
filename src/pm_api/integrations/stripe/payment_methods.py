"""Payment methods: what a customer pays with. Only what may be shown of a card comes here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import stripe
from stripe.params import PaymentMethodUpdateParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import (
    LIST_LIMIT,
    StripeList,
    everything,
    id_of,
    moment,
    page_size,
    texts,
)


@dataclass(frozen=True, slots=True)
class StripePaymentMethod:
    """A payment method as Stripe has it now; `customer_id` is None for one that is detached.

    `fingerprint` is the same for the same card wherever it is used. What only cards have is None for other types.
    """

    id: str
    customer_id: str | None
    type: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    fingerprint: str | None
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripeSetupIntent:
    """The taking of a card for later; `client_secret` is for the browser that asks for it."""

    id: str
    status: str
    client_secret: str | None
    customer_id: str | None
    payment_method_id: str | None
    metadata: Mapping[str, str]
    created_at: datetime


async def list_of_customer(
    door: StripeDoor, customer_id: str, *, limit: int = LIST_LIMIT
) -> StripeList[StripePaymentMethod]:
    """All that are attached, newest first. Which is the default stands on the customer."""
    async with calling(customer_id):
        first = await door.client.v1.payment_methods.list_async({"customer": customer_id, "limit": page_size(limit)})
        return await everything(first, read_payment_method, limit)


async def retrieve(door: StripeDoor, payment_method_id: str) -> StripePaymentMethod:
    async with calling(payment_method_id):
        return read_payment_method(await door.client.v1.payment_methods.retrieve_async(payment_method_id))


async def attach(door: StripeDoor, payment_method_id: str, customer_id: str, *, key: str) -> StripePaymentMethod:
    """Raises CardDeclined when the bank refuses, StripeRefused when it is another customer's or was used before."""
    async with calling(payment_method_id):
        return read_payment_method(
            await door.client.v1.payment_methods.attach_async(
                payment_method_id, {"customer": customer_id}, keyed(key)
            )
        )


async def detach(door: StripeDoor, payment_method_id: str, *, key: str) -> StripePaymentMethod:
    """For good: it can never be attached again. Raises StripeRefused when it is attached to nobody."""
    async with calling(payment_method_id):
        return read_payment_method(
            await door.client.v1.payment_methods.detach_async(payment_method_id, None, keyed(key))
        )


async def update_expiry(
    door: StripeDoor, payment_method_id: str, *, exp_month: int | None, exp_year: int | None, key: str
) -> StripePaymentMethod:
    """A card's new date; None leaves the month or year as it is."""
    params: PaymentMethodUpdateParams = {"card": {}}
    if exp_month is not None:
        params["card"]["exp_month"] = exp_month
    if exp_year is not None:
        params["card"]["exp_year"] = exp_year
    async with calling(payment_method_id):
        return read_payment_method(
            await door.client.v1.payment_methods.update_async(payment_method_id, params, keyed(key))
        )


async def create_setup_intent(
    door: StripeDoor, customer_id: str, *, metadata: Mapping[str, str], key: str
) -> StripeSetupIntent:
    """So that a browser can ask for a card which is charged later, with nobody there.

    Which other methods it may offer is chosen in Stripe's dashboard; none that lead away from our page.
    """
    async with calling("setup intent"):
        return read_setup_intent(
            await door.client.v1.setup_intents.create_async(
                {
                    "customer": customer_id,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "usage": "off_session",
                    "metadata": dict(metadata),
                },
                keyed(key),
            )
        )


async def retrieve_setup_intent(door: StripeDoor, setup_intent_id: str) -> StripeSetupIntent:
    async with calling(setup_intent_id):
        return read_setup_intent(await door.client.v1.setup_intents.retrieve_async(setup_intent_id))


def read_payment_method(found: stripe.PaymentMethod) -> StripePaymentMethod:
    # Each type has a field of its own; those of the other types are not there.
    card = found.card if "card" in found else None
    return StripePaymentMethod(
        id=found.id,
        customer_id=id_of(found.customer),
        type=found.type,
        brand=card.brand if card else None,
        last4=card.last4 if card else None,
        exp_month=card.exp_month if card else None,
        exp_year=card.exp_year if card else None,
        fingerprint=card.fingerprint if card and "fingerprint" in card else None,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )


def read_setup_intent(found: stripe.SetupIntent) -> StripeSetupIntent:
    return StripeSetupIntent(
        id=found.id,
        status=found.status,
        client_secret=found.client_secret,
        customer_id=id_of(found.customer),
        payment_method_id=id_of(found.payment_method),
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )
