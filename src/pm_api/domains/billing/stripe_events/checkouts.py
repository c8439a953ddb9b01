"""Checkouts that were paid, ran out, or began a subscription."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import purchases
from pm_api.domains.billing import pictures, subscriptions, telling
from pm_api.domains.billing.pictures import SubscriptionPicture
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.domains.payments import checkouts as till
from pm_api.domains.payments.models.checkouts import CheckoutSession
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeCheckout, StripeDoor, checkouts

FOR_NOTHING: Final = "no_payment_required"


@dataclass(frozen=True, slots=True)
class CheckoutPicture:
    """A checkout session, and the subscription that was begun on it."""

    checkout: StripeCheckout
    subscription: SubscriptionPicture | None


async def fetch_checkout(door: StripeDoor, session_id: str) -> CheckoutPicture:
    found = await checkouts.retrieve(door, session_id)
    begun = found.subscription_id if found.status == "complete" else None
    return CheckoutPicture(found, await pictures.fetch_by_subscription(door, begun) if begun else None)


async def apply_picture(session: AsyncSession, platform: Platform, picture: CheckoutPicture) -> str:
    """Write down the subscription that was begun, then the checkout. Returns what was done; raises
    EventNotUnderstood.
    """
    if picture.subscription is None:
        return await apply_checkout(session, platform, picture.checkout)
    # Its account's lock comes before the checkout's.
    done = await subscriptions.apply_picture(session, platform, picture.subscription)
    await _claimed(session, platform, picture.checkout)
    return done


async def apply_checkout(session: AsyncSession, platform: Platform, found: StripeCheckout) -> str:
    """Grant the credits of a paid pack or bundle, once for ever; note a session that ran out. Returns what was done.

    Raises EventNotUnderstood when the session is none of ours, or what it paid for cannot be granted.
    """
    checkout = await _claimed(session, platform, found)
    if found.status == "expired":
        return "the checkout expired unpaid"
    if not found.is_paid:
        if found.status == "complete" and found.payment_status == FOR_NOTHING and checkout.item_version is not None:
            await _tell_nothing_came(session, platform, checkout, found)
        return f"nothing granted: the session is {found.status} and {found.payment_status}"
    return await _grant(session, platform, checkout, found)


async def _tell_nothing_came(
    session: AsyncSession, platform: Platform, checkout: CheckoutSession, found: StripeCheckout
) -> None:
    """A discount that leaves nothing to pay is refused before a page is opened, but may be put on it at Stripe."""
    await telling.tell(
        session,
        platform,
        (AccountType(checkout.account_kind), checkout.account_id),
        type="billing.nothing_paid",
        dedup_key=f"nothing-paid:{found.id}",
        title=f"{checkout.item_name} brought no credits",
        body="A discount left nothing to pay, and credits come only of a payment. Nothing was charged. Buy it "
        "without that discount, or write to us.",
        data={"checkoutId": str(checkout.id), "name": checkout.item_name},
    )


async def _claimed(session: AsyncSession, platform: Platform, found: StripeCheckout) -> CheckoutSession:
    try:
        checkout = await till.claim(session, _our_id(found), found.id)
    except till.CheckoutMismatch as mismatch:
        raise EventNotUnderstood(str(mismatch)) from mismatch
    till.follow(checkout, found, platform.clock.now())
    return checkout


async def _grant(session: AsyncSession, platform: Platform, checkout: CheckoutSession, found: StripeCheckout) -> str:
    """By the catalogue's version in our row, whatever is on offer now."""
    if checkout.item_version is None:
        raise EventNotUnderstood(f"checkout {checkout.id} is for a plan, and {found.id} began no subscription")
    purchase = purchases.Purchase(
        account_kind=checkout.account_kind,
        account_id=checkout.account_id,
        pack=checkout.item_name,
        pack_version=checkout.item_version,
        reference=found.id,
        cost_minor=found.amount_total,
        cost_currency=found.currency,
    )
    await session.flush()
    try:
        granted = await purchases.grant_purchase(session, platform, purchase)
    except (purchases.UnknownPack, purchases.PurchaseRefused) as refused:
        raise EventNotUnderstood(str(refused)) from refused
    if not granted:
        return "granted before"
    till.granted(checkout, granted)
    return f"granted {granted} credits"


def _our_id(found: StripeCheckout) -> UUID:
    try:
        return UUID(found.client_reference_id or "")
    except ValueError:
        raise EventNotUnderstood("the session carries no checkout id of ours") from None


_CHECKOUT: Final = Handler(fetch_checkout, apply_picture)

HANDLERS: Final = {
    "checkout.session.completed": _CHECKOUT,
    "checkout.session.async_payment_succeeded": _CHECKOUT,
    "checkout.session.async_payment_failed": _CHECKOUT,
    "checkout.session.expired": _CHECKOUT,
}
