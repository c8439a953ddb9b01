"""A customer with all of their payment methods, as Stripe has them now: whichever event tells of one, all are brought
up to date.

Fetched with no session open. `fetched_at` is the wall time before the first call, so that nothing in the picture is
older than it says.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pm_api.integrations.stripe import (
    StripeCustomer,
    StripeDoor,
    StripePaymentMethod,
    StripeSubscription,
    customers,
    payment_methods,
    subscriptions,
)

PAID_AGAIN: Final = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
"""Subscriptions that more invoices are to come of."""


@dataclass(frozen=True, slots=True)
class CustomerPicture:
    """A customer and what they pay with, newest first; which of it their running subscriptions are paid with. A
    deleted customer has nothing left.
    """

    fetched_at: datetime
    customer: StripeCustomer
    methods: tuple[StripePaymentMethod, ...]
    is_complete: bool
    subscriptions: tuple[StripeSubscription, ...] = ()

    @property
    def default_id(self) -> str | None:
        """The customer's own; without any, the one that a subscription is paid with."""
        if self.customer.default_payment_method_id is not None:
            return self.customer.default_payment_method_id
        return next(
            (one.default_payment_method_id for one in self.subscriptions if one.default_payment_method_id), None
        )

    def paid_otherwise(self, payment_method_id: str) -> tuple[StripeSubscription, ...]:
        """Subscriptions that are paid with one of their own, which is another: the customer's default does not count
        for them.
        """
        return tuple(
            one for one in self.subscriptions if one.default_payment_method_id not in (None, payment_method_id)
        )

    def method(self, payment_method_id: str) -> StripePaymentMethod | None:
        return next((one for one in self.methods if one.id == payment_method_id), None)


@dataclass(frozen=True, slots=True)
class DetachedPicture:
    """A payment method that belongs to nobody (any more): whose it was, only our row knows."""

    fetched_at: datetime
    method: StripePaymentMethod


async def fetch_by_customer(door: StripeDoor, customer_id: str) -> CustomerPicture:
    """Raises StripeObjectMissing or PaymentProviderUnavailable."""
    return await _fetch(door, customer_id, door.clock.wall())


async def fetch_by_method(door: StripeDoor, payment_method_id: str) -> CustomerPicture | DetachedPicture:
    """The customer whose payment method it is; raises StripeObjectMissing or PaymentProviderUnavailable."""
    fetched_at = door.clock.wall()
    found = await payment_methods.retrieve(door, payment_method_id)
    if found.customer_id is None:
        return DetachedPicture(fetched_at, found)
    return await _fetch(door, found.customer_id, fetched_at)


async def fetch_by_setup_intent(door: StripeDoor, setup_intent_id: str) -> CustomerPicture | None:
    """The customer it took a payment method for; None for one without a customer, which is none of ours."""
    fetched_at = door.clock.wall()
    found = await payment_methods.retrieve_setup_intent(door, setup_intent_id)
    return None if found.customer_id is None else await _fetch(door, found.customer_id, fetched_at)


async def _fetch(door: StripeDoor, customer_id: str, fetched_at: datetime) -> CustomerPicture:
    customer = await customers.retrieve(door, customer_id)
    if customer.is_deleted:
        return CustomerPicture(fetched_at, customer, (), is_complete=True)
    methods = await payment_methods.list_of_customer(door, customer_id)
    found = await subscriptions.list_of_customer(door, customer_id)
    running = tuple(one for one in found.items if one.status in PAID_AGAIN)
    return CustomerPicture(fetched_at, customer, methods.items, methods.is_complete, running)
