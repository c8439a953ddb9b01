"""Refunds and disputes, whatever became of them: each brings all that went back of its charge up to date."""

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.sweeping import is_nobodys_fault
from pm_api.domains.billing import money_back, refunds
from pm_api.domains.billing.money_back import MoneyBack
from pm_api.domains.billing.repository import refunds as repository
from pm_api.domains.billing.stripe_events.checkouts import apply_checkout
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.domains.billing.stripe_events.payments import apply_payment
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeDoor, StripeObjectMissing

PAYMENT_MODE: Final = "payment"
LATER: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


async def apply_money_back(session: AsyncSession, platform: Platform, picture: MoneyBack) -> str:
    """Write down what went back of a charge, and all that comes of it; returns what was done."""
    return await refunds.apply(session, platform, picture, _grant_first)


async def _grant_first(session: AsyncSession, platform: Platform, picture: MoneyBack) -> None:
    """What was bought on a checkout, or by a top-up, is granted, if it was not before: its event may still be on its
    way. What cannot be granted is left to that event.
    """
    try:
        async with session.begin_nested():
            if picture.checkout is not None and picture.checkout.mode == PAYMENT_MODE:
                await apply_checkout(session, platform, picture.checkout)
            elif picture.payment is not None:
                await apply_payment(session, platform, picture.payment)
    except EventNotUnderstood as problem:
        _log.warning("refunded_purchase_not_granted", charge=picture.charge.id, reason=str(problem))


async def follow_due(platform: Platform, limit: int) -> None:
    """Look again at charges whose credits could not follow yet, or come month by month; not while Stripe is away."""
    async with platform.database.reading() as session:
        charges = await repository.charges_due(session, refunds.SCOPE, platform.clock.now(), limit)
    for charge_id in charges:
        try:
            picture = await money_back.fetch_by_charge(platform.part(StripeDoor), charge_id)
            async with platform.database.transaction() as session:
                await apply_money_back(session, platform, picture)
        except PaymentProviderUnavailable:
            return
        except (EventNotUnderstood, StripeObjectMissing) as problem:
            _log.warning("refund_not_followed", charge=charge_id, reason=str(problem))
            await _postpone(platform, charge_id)
        except Exception as failure:
            if is_nobodys_fault(failure):
                raise
            _log.exception("refund_not_followed", charge=charge_id)
            await _postpone(platform, charge_id)


async def _postpone(platform: Platform, charge_id: str) -> None:
    """So that it stands in nobody's way."""
    async with platform.database.transaction() as session:
        await repository.postpone(session, refunds.SCOPE, charge_id, platform.clock.now() + LATER)


_CHARGE: Final = Handler(money_back.fetch_by_charge, apply_money_back)
_REFUND: Final = Handler(money_back.fetch_by_refund, apply_money_back)
_DISPUTE: Final = Handler(money_back.fetch_by_dispute, apply_money_back)

HANDLERS: Final[dict[str, Handler]] = {
    "charge.refunded": _CHARGE,
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "refund.failed": _REFUND,
    "charge.dispute.created": _DISPUTE,
    "charge.dispute.updated": _DISPUTE,
    "charge.dispute.closed": _DISPUTE,
    "charge.dispute.funds_withdrawn": _DISPUTE,
    "charge.dispute.funds_reinstated": _DISPUTE,
}
