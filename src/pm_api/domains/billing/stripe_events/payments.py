"""Payments that automatic top-ups made. Every other payment is told of by its invoice or its checkout."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.purchases import PurchaseRefused, UnknownPack
from pm_api.domains.billing import auto_topup
from pm_api.domains.billing.auto_topup import TopUpMismatch
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.integrations.stripe import StripeDoor, StripePayment, payments

OURS: Final = frozenset({"flow", "pack", "packVersion"})


async def fetch_payment(door: StripeDoor, payment_intent_id: str) -> StripePayment:
    return await payments.retrieve(door, payment_intent_id)


async def apply_payment(session: AsyncSession, platform: Platform, found: StripePayment) -> str:
    """Grant, ask, or write down a decline, whichever the payment shows and nobody has done.

    Raises EventNotUnderstood for a payment that says it is ours and is not known.
    """
    if not found.metadata.keys() >= OURS:
        return "ignored: the payment is no automatic top-up"
    try:
        return await auto_topup.apply(session, platform, UUID(found.metadata["flow"]), found)
    except (TopUpMismatch, UnknownPack, PurchaseRefused, ValueError) as problem:
        raise EventNotUnderstood(str(problem)) from problem


_PAYMENT: Final = Handler(fetch_payment, apply_payment)

HANDLERS: Final = {
    "payment_intent.succeeded": _PAYMENT,
    "payment_intent.payment_failed": _PAYMENT,
    "payment_intent.requires_action": _PAYMENT,
    "payment_intent.canceled": _PAYMENT,
}
