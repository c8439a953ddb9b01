"""A subscription as a whole, as Stripe has it now: whichever event tells of it, all of it is brought up to date.

Fetched with no session open. `fetched_at` is the wall time before the first call, so that nothing in the picture is
older than it says.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pm_api.integrations.stripe import (
    StripeDoor,
    StripeInvoice,
    StripeObjectMissing,
    StripeSubscription,
    invoices,
    payment_methods,
    subscriptions,
)

OVER: Final = frozenset({"canceled", "incomplete_expired"})
"""Stripe's words for a subscription that will never live again."""

EMBEDDED_LINES: Final = 10
MOST_SUBSCRIPTIONS: Final = 100


@dataclass(frozen=True, slots=True)
class SubscriptionPart:
    """One subscription with all of its invoices, oldest first, each with all of its lines."""

    subscription: StripeSubscription
    invoices: tuple[StripeInvoice, ...]
    card_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionPicture:
    """`others` are further subscriptions of the same customer that live: there should be none. `over` are those that
    do not any more, without their invoices: what ended before must not stand in the way of what began after.
    `card_fingerprint` is Stripe's word for the card of a trial, where it has one.
    """

    fetched_at: datetime
    subscription: StripeSubscription
    invoices: tuple[StripeInvoice, ...]
    others: tuple[SubscriptionPart, ...] = ()
    over: tuple[StripeSubscription, ...] = ()
    card_fingerprint: str | None = None

    @property
    def parts(self) -> tuple[SubscriptionPart, ...]:
        return (SubscriptionPart(self.subscription, self.invoices, self.card_fingerprint), *self.others)


@dataclass(frozen=True, slots=True)
class InvoicePicture:
    """An invoice that belongs to no subscription."""

    fetched_at: datetime
    invoice: StripeInvoice


async def fetch_by_subscription(door: StripeDoor, subscription_id: str) -> SubscriptionPicture:
    """Raises StripeObjectMissing or PaymentProviderUnavailable."""
    return await _fetch(door, subscription_id, door.clock.wall())


async def fetch_by_invoice(door: StripeDoor, invoice_id: str) -> SubscriptionPicture | InvoicePicture:
    """The whole that an invoice is part of; raises StripeObjectMissing or PaymentProviderUnavailable."""
    fetched_at = door.clock.wall()
    found = await invoices.retrieve(door, invoice_id)
    if found.subscription_id is None:
        return InvoicePicture(fetched_at, found)
    return await _fetch(door, found.subscription_id, fetched_at)


async def _fetch(door: StripeDoor, subscription_id: str, fetched_at: datetime) -> SubscriptionPicture:
    found = await subscriptions.retrieve(door, subscription_id)
    siblings = await subscriptions.list_of_customer(door, found.customer_id, limit=MOST_SUBSCRIPTIONS)
    strangers = [one for one in siblings.items if one.id != found.id]
    return SubscriptionPicture(
        fetched_at,
        found,
        await _invoices(door, found.id),
        others=tuple(
            [SubscriptionPart(one, await _invoices(door, one.id)) for one in strangers if one.status not in OVER]
        ),
        over=tuple(one for one in strangers if one.status in OVER),
        card_fingerprint=await _card_of_trial(door, found),
    )


async def _card_of_trial(door: StripeDoor, found: StripeSubscription) -> str | None:
    """A card is good for one trial: asked for here, because its own event may come after the trial's."""
    may_matter = found.trial_start is not None and (found.status == "trialing" or found.status in OVER)
    if not may_matter or found.default_payment_method_id is None:
        return None
    try:
        return (await payment_methods.retrieve(door, found.default_payment_method_id)).fingerprint
    except StripeObjectMissing:
        return None


async def _invoices(door: StripeDoor, subscription_id: str) -> tuple[StripeInvoice, ...]:
    """A list has only the first lines of each: who may have more is asked for alone."""
    listed = await invoices.list_all(door, subscription_id=subscription_id)
    whole = [
        await invoices.retrieve(door, one.id) if len(one.lines) >= EMBEDDED_LINES else one for one in listed.items
    ]
    return tuple(sorted(whole, key=lambda one: (one.created_at, one.id)))
