"""Subscriptions: one plan, paid again every period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import stripe
from stripe.params import (
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionListParamsCreated,
    SubscriptionUpdateParams,
)

from pm_api.integrations.stripe.door import StripeDoor, StripeObjectMissing, calling, keyed
from pm_api.integrations.stripe.values import (
    FOREVER,
    LIST_LIMIT,
    StripeList,
    everything,
    id_of,
    known_id_of,
    moment,
    moment_of,
    page_size,
    seconds,
    texts,
    upper,
)

# Credits what was really billed, discounts included; what Stripe takes by itself depends on the API version.
BILLING_MODE: Final = "flexible"
PaymentBehavior = Literal["allow_incomplete", "error_if_incomplete", "pending_if_incomplete"]
_LISTED: Final = ("schedule", "discounts")
_EXPANDED: Final = ("latest_invoice.confirmation_secret", "pending_setup_intent", *_LISTED)


@dataclass(frozen=True, slots=True)
class StripeDiscount:
    """A discount that is given; `ends_at` is None for one that lasts."""

    id: str
    coupon_id: str | None
    promotion_code_id: str | None
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription as Stripe has it now, with its one item.

    `amount` is a period's price before discounts and tax. `client_secret` pays the latest invoice in a browser,
    `setup_client_secret` confirms the card when there is nothing to pay yet (a trial); neither is in lists.
    `upcoming_price_id` is what a schedule changes it to, at `upcoming_at`.
    """

    id: str
    customer_id: str
    status: str
    item_id: str
    price_id: str
    product_id: str
    quantity: int
    amount: int | None
    currency: str
    interval: str | None
    interval_count: int | None
    period_start: datetime
    period_end: datetime
    trial_start: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    latest_invoice_id: str | None
    client_secret: str | None
    setup_client_secret: str | None
    schedule_id: str | None
    upcoming_price_id: str | None
    upcoming_at: datetime | None
    has_pending_update: bool
    default_payment_method_id: str | None
    discounts: tuple[StripeDiscount, ...]
    metadata: Mapping[str, str]
    created_at: datetime


async def create(
    door: StripeDoor,
    *,
    customer_id: str,
    price_id: str,
    metadata: Mapping[str, str],
    trial_days: int | None = None,
    promotion_code_id: str | None = None,
    payment_method_id: str | None = None,
    charges_now: bool = False,
    key: str,
) -> StripeSubscription:
    """INCOMPLETE until its first invoice is paid with `client_secret`; a trial starts at once.

    With `charges_now` the payment method is asked at once: ACTIVE when it pays, else INCOMPLETE, also when declined.
    """
    params: SubscriptionCreateParams = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "billing_mode": {"type": BILLING_MODE},
        "payment_behavior": "allow_incomplete" if charges_now else "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": dict(metadata),
        "expand": list(_EXPANDED),
    }
    if trial_days:
        params["trial_period_days"] = trial_days
    if promotion_code_id is not None:
        params["discounts"] = [{"promotion_code": promotion_code_id}]
    if payment_method_id is not None:
        params["default_payment_method"] = payment_method_id
    async with calling("subscription"):
        return read_subscription(await door.client.v1.subscriptions.create_async(params, keyed(key)))


async def retrieve(door: StripeDoor, subscription_id: str) -> StripeSubscription:
    """A subscription as it is now, canceled ones too."""
    async with calling(subscription_id):
        found = await door.client.v1.subscriptions.retrieve_async(subscription_id, {"expand": list(_EXPANDED)})
        return read_subscription(found)


async def list_of_customer(
    door: StripeDoor, customer_id: str, *, limit: int = LIST_LIMIT
) -> StripeList[StripeSubscription]:
    """All that a customer ever had, newest first."""
    return await _list(door, {"customer": customer_id, "status": "all"}, limit)


async def list_created(
    door: StripeDoor, *, since: datetime, until: datetime = FOREVER, limit: int = LIST_LIMIT
) -> StripeList[StripeSubscription]:
    """Everybody's, created in the window [since, until), newest first."""
    created: SubscriptionListParamsCreated = {"gte": seconds(since), "lt": seconds(until)}
    return await _list(door, {"created": created, "status": "all"}, limit)


async def change_price(
    door: StripeDoor,
    subscription_id: str,
    item_id: str,
    price_id: str,
    *,
    prorate_at: datetime | None,
    payment_behavior: PaymentBehavior = "pending_if_incomplete",
    key: str,
) -> StripeSubscription:
    """Another price, at once. With `prorate_at` the difference is invoiced as of that moment; None costs nothing.

    `payment_behavior` says what becomes of the change when that invoice is not paid: by default it waits, with
    `client_secret` to pay it, and lapses after a day; `error_if_incomplete` raises CardDeclined and changes nothing.
    """
    params: SubscriptionUpdateParams = {
        "items": [{"id": item_id, "price": price_id}],
        "proration_behavior": "none",
        "expand": list(_EXPANDED),
    }
    if prorate_at is not None:
        params["proration_behavior"] = "always_invoice"
        params["proration_date"] = seconds(prorate_at)
        params["payment_behavior"] = payment_behavior
    return await _update(door, subscription_id, params, key)


async def cancel_at_period_end(door: StripeDoor, subscription_id: str, *, key: str) -> StripeSubscription:
    """It stays until the period ends. Refused while a schedule is attached: release that first."""
    return await _update(door, subscription_id, {"cancel_at_period_end": True, "expand": list(_EXPANDED)}, key)


async def resume(door: StripeDoor, subscription_id: str, *, with_period: bool = True, key: str) -> StripeSubscription:
    """Take a cancellation back before it takes effect: `cancel_at_period_end`, or without `with_period` a `cancel_at`
    that the portal or the dashboard has set. Stripe takes only one of the two at a time.
    """
    params: SubscriptionUpdateParams = {"cancel_at_period_end": False} if with_period else {"cancel_at": ""}
    params["expand"] = list(_EXPANDED)
    return await _update(door, subscription_id, params, key)


async def set_default_payment_method(
    door: StripeDoor, subscription_id: str, payment_method_id: str, *, key: str
) -> StripeSubscription:
    """It is paid with this one from now on, whatever the customer's default is."""
    params: SubscriptionUpdateParams = {"default_payment_method": payment_method_id, "expand": list(_EXPANDED)}
    return await _update(door, subscription_id, params, key)


async def cancel_now(
    door: StripeDoor, subscription_id: str, *, prorate: bool = False, key: str
) -> StripeSubscription:
    """It ends at once; with `prorate` the rest of the period is credited to the customer's balance.

    To cancel what is canceled answers the subscription as it is: Stripe takes no Idempotency-Key here.
    """
    try:
        async with calling(subscription_id):
            canceled = await door.client.v1.subscriptions.cancel_async(
                subscription_id,
                {"prorate": prorate, "invoice_now": prorate, "expand": list(_EXPANDED)},
                keyed(key),
            )
            return read_subscription(canceled)
    except StripeObjectMissing:
        return await retrieve(door, subscription_id)


def read_subscription(found: stripe.Subscription) -> StripeSubscription:
    item = found.items.data[0]
    price, quantity = item.price, 1 if item.quantity is None else item.quantity
    invoice, setup, schedule = found.latest_invoice, found.pending_setup_intent, found.schedule
    upcoming = _upcoming(schedule) if isinstance(schedule, stripe.SubscriptionSchedule) else None
    return StripeSubscription(
        id=found.id,
        customer_id=known_id_of(found.customer),
        status=found.status,
        item_id=item.id,
        price_id=price.id,
        product_id=known_id_of(price.product),
        quantity=quantity,
        amount=None if price.unit_amount is None else price.unit_amount * quantity,
        currency=upper(found.currency),
        interval=price.recurring.interval if price.recurring else None,
        interval_count=price.recurring.interval_count if price.recurring else None,
        period_start=moment(item.current_period_start),
        period_end=moment(item.current_period_end),
        trial_start=moment_of(found.trial_start),
        trial_end=moment_of(found.trial_end),
        cancel_at_period_end=found.cancel_at_period_end,
        cancel_at=moment_of(found.cancel_at),
        canceled_at=moment_of(found.canceled_at),
        ended_at=moment_of(found.ended_at),
        latest_invoice_id=id_of(invoice),
        client_secret=_confirmation_of(invoice) if isinstance(invoice, stripe.Invoice) else None,
        setup_client_secret=setup.client_secret if isinstance(setup, stripe.SetupIntent) else None,
        schedule_id=id_of(schedule),
        upcoming_price_id=known_id_of(upcoming.items[0].price) if upcoming else None,
        upcoming_at=moment(upcoming.start_date) if upcoming else None,
        has_pending_update=found.pending_update is not None,
        default_payment_method_id=id_of(found.default_payment_method),
        discounts=tuple(_discount(one) for one in found.discounts),
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )


async def _list(door: StripeDoor, params: SubscriptionListParams, limit: int) -> StripeList[StripeSubscription]:
    params["limit"] = page_size(limit)
    params["expand"] = [f"data.{field}" for field in _LISTED]
    async with calling("subscriptions"):
        return await everything(await door.client.v1.subscriptions.list_async(params), read_subscription, limit)


async def _update(
    door: StripeDoor, subscription_id: str, params: SubscriptionUpdateParams, key: str
) -> StripeSubscription:
    async with calling(subscription_id):
        return read_subscription(await door.client.v1.subscriptions.update_async(subscription_id, params, keyed(key)))


def _confirmation_of(invoice: stripe.Invoice) -> str | None:
    # Not there at all unless it was asked for.
    secret = invoice.confirmation_secret if "confirmation_secret" in invoice else None
    return None if secret is None else secret.client_secret


def _upcoming(schedule: stripe.SubscriptionSchedule) -> stripe.SubscriptionSchedule.Phase | None:
    """The phase after the one that runs."""
    if schedule.current_phase is None:
        return None
    ahead = [phase for phase in schedule.phases if phase.start_date >= schedule.current_phase.end_date]
    return ahead[0] if ahead else None


def _discount(given: str | stripe.Discount) -> StripeDiscount:
    if isinstance(given, str):
        return StripeDiscount(given, None, None, None)
    return StripeDiscount(
        id=given.id,
        coupon_id=id_of(given.source.coupon),
        promotion_code_id=id_of(given.promotion_code),
        ends_at=moment_of(given.end),
    )
