"""Checkout sessions: hosted pages where a person pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import stripe
from stripe.params.checkout import (
    SessionCreateParams,
    SessionCreateParamsLineItem,
    SessionCreateParamsSubscriptionData,
)

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.subscriptions import BILLING_MODE
from pm_api.integrations.stripe.values import (
    FOREVER,
    LIST_LIMIT,
    UNKNOWN,
    StripeList,
    everything,
    id_of,
    moment_of,
    page_size,
    seconds,
    texts,
    upper_of,
)


@dataclass(frozen=True, slots=True)
class PricedItem:
    """Something Stripe has a price for."""

    price_id: str
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class NamedItem:
    """Something that is priced here and now; `unit_amount` is minor units."""

    name: str
    unit_amount: int
    currency: str
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class CheckoutVisit:
    """Who is sent to the page, and where they come back to.

    `reference` is the id of our own checkout row. `promotion_code_id` takes a code that was given before; otherwise
    the page itself may ask for one.
    """

    customer_id: str
    reference: str
    metadata: Mapping[str, str]
    success_url: str
    cancel_url: str
    locale: str | None = None
    expires_at: datetime | None = None
    promotion_code_id: str | None = None
    asks_for_promotion_code: bool = False


@dataclass(frozen=True, slots=True)
class StripeCheckout:
    """A checkout session as Stripe has it now. Amounts are minor units; `currency` is upper case.

    The subscription and its invoice are there only when the session is complete. What a paid session gives must not
    hang on what it does not need: only the id and the two statuses are sure to be there.
    """

    id: str
    mode: str
    status: str
    payment_status: str
    client_reference_id: str | None
    customer_id: str | None
    payment_intent_id: str | None
    subscription_id: str | None
    invoice_id: str | None
    amount_total: int | None
    currency: str | None
    url: str | None
    metadata: Mapping[str, str]
    created_at: datetime | None
    expires_at: datetime | None

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status == "paid"


async def open_payment(
    door: StripeDoor, visit: CheckoutVisit, items: Sequence[PricedItem | NamedItem], *, key: str
) -> StripeCheckout:
    """A page where packs or bundles are paid once; an invoice is made of it too."""
    params = _page(visit)
    params["mode"] = "payment"
    params["line_items"] = [_line(item) for item in items]
    params["payment_intent_data"] = {"metadata": dict(visit.metadata)}
    params["invoice_creation"] = {"enabled": True, "invoice_data": {"metadata": dict(visit.metadata)}}
    return await _open(door, params, key)


async def open_subscription(
    door: StripeDoor, visit: CheckoutVisit, item: PricedItem, *, trial_days: int | None = None, key: str
) -> StripeCheckout:
    """A page where a plan is subscribed to. A card is asked for, also when a trial comes first."""
    data: SessionCreateParamsSubscriptionData = {
        "billing_mode": {"type": BILLING_MODE},
        "metadata": dict(visit.metadata),
    }
    if trial_days:
        data["trial_period_days"] = trial_days
    params = _page(visit)
    params["mode"] = "subscription"
    params["line_items"] = [_line(item)]
    params["payment_method_collection"] = "always"
    params["subscription_data"] = data
    return await _open(door, params, key)


async def retrieve(door: StripeDoor, session_id: str) -> StripeCheckout:
    """A checkout session as it is now; raises StripeObjectMissing or PaymentProviderUnavailable."""
    async with calling(session_id):
        return read_checkout(await door.client.v1.checkout.sessions.retrieve_async(session_id))


async def find_by_payment(door: StripeDoor, payment_intent_id: str) -> StripeCheckout | None:
    """The checkout session that a payment was made on; None when it was made on none."""
    async with calling(payment_intent_id):
        found = await door.client.v1.checkout.sessions.list_async({"payment_intent": payment_intent_id, "limit": 1})
    return read_checkout(found.data[0]) if found.data else None


async def list_of_customer(
    door: StripeDoor, customer_id: str, *, limit: int = LIST_LIMIT
) -> StripeList[StripeCheckout]:
    """One customer's, newest first."""
    async with calling("checkout sessions"):
        first = await door.client.v1.checkout.sessions.list_async(
            {"customer": customer_id, "limit": page_size(limit)}
        )
        return await everything(first, read_checkout, limit)


async def list_created(
    door: StripeDoor, *, since: datetime, until: datetime = FOREVER, limit: int = LIST_LIMIT
) -> StripeList[StripeCheckout]:
    """Everybody's, opened in the window [since, until), newest first."""
    async with calling("checkout sessions"):
        first = await door.client.v1.checkout.sessions.list_async(
            {"created": {"gte": seconds(since), "lt": seconds(until)}, "limit": page_size(limit)}
        )
        return await everything(first, read_checkout, limit)


async def expire(door: StripeDoor, session_id: str, *, key: str) -> StripeCheckout:
    """Close a page that is still open; raises StripeRefused when it is not."""
    async with calling(session_id):
        return read_checkout(await door.client.v1.checkout.sessions.expire_async(session_id, None, keyed(key)))


def read_checkout(found: stripe.checkout.Session) -> StripeCheckout:
    return StripeCheckout(
        id=found.id,
        mode=found.mode or UNKNOWN,
        status=found.status or UNKNOWN,
        payment_status=found.payment_status,
        client_reference_id=found.client_reference_id,
        customer_id=id_of(found.customer),
        payment_intent_id=id_of(found.payment_intent),
        subscription_id=id_of(found.subscription),
        invoice_id=id_of(found.invoice),
        amount_total=found.amount_total,
        currency=upper_of(found.currency),
        url=found.url,
        metadata=texts(found.metadata),
        created_at=moment_of(found.created),
        expires_at=moment_of(found.expires_at),
    )


async def _open(door: StripeDoor, params: SessionCreateParams, key: str) -> StripeCheckout:
    async with calling("checkout session"):
        return read_checkout(await door.client.v1.checkout.sessions.create_async(params, keyed(key)))


def _page(visit: CheckoutVisit) -> SessionCreateParams:
    params: SessionCreateParams = {
        "customer": visit.customer_id,
        "client_reference_id": visit.reference,
        "metadata": dict(visit.metadata),
        "success_url": visit.success_url,
        "cancel_url": visit.cancel_url,
    }
    if visit.locale is not None:
        params["locale"] = visit.locale
    if visit.expires_at is not None:
        params["expires_at"] = seconds(visit.expires_at)
    if visit.promotion_code_id is not None:
        params["discounts"] = [{"promotion_code": visit.promotion_code_id}]
    elif visit.asks_for_promotion_code:
        params["allow_promotion_codes"] = True
    return params


def _line(item: PricedItem | NamedItem) -> SessionCreateParamsLineItem:
    if isinstance(item, PricedItem):
        return {"price": item.price_id, "quantity": item.quantity}
    return {
        "price_data": {
            "currency": item.currency.lower(),
            "unit_amount": item.unit_amount,
            "product_data": {"name": item.name},
        },
        "quantity": item.quantity,
    }
