"""Checkouts that were paid, or ran out."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import purchases
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.domains.payments import service as payments
from pm_api.integrations.stripe import StripeCheckout, StripeDoor, checkouts

_SCOPE = SystemScope("stripe event")


async def fetch_checkout(door: StripeDoor, session_id: str) -> StripeCheckout:
    return await checkouts.retrieve(door, session_id)


async def apply_checkout(session: AsyncSession, platform: Platform, found: StripeCheckout) -> str:
    """Grant the credits of a paid pack, once for ever; note an expired session. Returns what was done.

    Raises EventNotUnderstood when the session is none of ours, or what it paid for cannot be granted.
    """
    checkout_id = _our_id(found)
    try:
        checkout = await payments.claim_checkout(session, _SCOPE, checkout_id, found.id)
    except payments.CheckoutMismatch as mismatch:
        raise EventNotUnderstood(str(mismatch)) from mismatch
    now = platform.clock.now()
    if found.status == "expired":
        payments.close(checkout, status=payments.EXPIRED, now=now)
        return "the checkout expired unpaid"
    if not found.is_paid:
        return f"nothing granted: the session is {found.status} and {found.payment_status}"
    payments.close(checkout, status=payments.COMPLETE, now=now)
    await session.flush()
    purchase = purchases.Purchase(
        account_kind=checkout.account_kind,
        account_id=checkout.account_id,
        pack=checkout.item_name,
        pack_version=checkout.item_version,
        checkout_session=found.id,
        cost_minor=found.amount_total,
        cost_currency=found.currency,
    )
    try:
        granted = await purchases.grant_purchase(session, platform, purchase)
    except (purchases.UnknownPack, purchases.PurchaseRefused) as refused:
        raise EventNotUnderstood(str(refused)) from refused
    return f"granted {granted} credits" if granted else "granted before"


def _our_id(found: StripeCheckout) -> UUID:
    try:
        return UUID(found.client_reference_id or "")
    except ValueError:
        raise EventNotUnderstood("the session carries no checkout id of ours") from None


_CHECKOUT: Final = Handler(fetch_checkout, apply_checkout)

HANDLERS: Final = {
    "checkout.session.completed": _CHECKOUT,
    "checkout.session.async_payment_succeeded": _CHECKOUT,
    "checkout.session.async_payment_failed": _CHECKOUT,
    "checkout.session.expired": _CHECKOUT,
}
