"""Promotion codes: what one gives, and whether a customer may use it for what they buy.

Stripe keeps the codes, and has the last word when one is redeemed; here people hear beforehand, and why not.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts
from pm_api.domains.billing.enums import PromotionRefusal
from pm_api.domains.billing.errors import PromotionCodeInvalid
from pm_api.domains.billing.schemas.promotions import PromotionRead
from pm_api.domains.payments import customers
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing, StripePromotionCode, payments, promotions

LOOKED_THROUGH: Final = 100

SENTENCES: Final = {
    PromotionRefusal.UNKNOWN: "There is no such promotion code.",
    PromotionRefusal.INACTIVE: "This promotion code is not in force.",
    PromotionRefusal.EXPIRED: "This promotion code has expired.",
    PromotionRefusal.USED_UP: "This promotion code was used as often as it may be.",
    PromotionRefusal.OTHER_CUSTOMER: "This promotion code is meant for somebody else.",
    PromotionRefusal.FIRST_TIME_ONLY: "This promotion code is for a first purchase.",
    PromotionRefusal.MINIMUM_AMOUNT: "This promotion code needs a larger purchase.",
    PromotionRefusal.OTHER_CURRENCY: "This promotion code is for another currency.",
    PromotionRefusal.NOTHING_TO_PAY: "This promotion code leaves nothing to pay, and credits come only of a payment.",
}


async def usable(
    platform: Platform,
    customer_id: str | None,
    code: str,
    *,
    amount: int | None = None,
    currency: str | None = None,
    may_be_free: bool = True,
) -> str:
    """Stripe's id of a code that this customer may use for a purchase of so much; no session may be open.

    Raises PromotionCodeInvalid with its reason, and PaymentProviderUnavailable.
    """
    found = await _usable(platform, customer_id, code, amount, currency)
    if not may_be_free and amount is not None and left_to_pay(found, amount) <= 0:
        raise _invalid(PromotionRefusal.NOTHING_TO_PAY)
    return found.id


async def look_at(platform: Platform, scope: AccountScope, code: str) -> PromotionRead:
    """What a code gives to an account. Raises PromotionCodeInvalid, PaymentProviderUnavailable."""
    async with platform.database.reading() as session:
        customer_id = await customers.known(session, *accounts.of_scope(scope))
    return _read(await _usable(platform, customer_id, code, None, None))


async def _usable(
    platform: Platform, customer_id: str | None, code: str, amount: int | None, currency: str | None
) -> StripePromotionCode:
    door = platform.part(StripeDoor)
    written = await promotions.find_codes_written(door, code)
    found = _best(written, customer_id)
    if found is None:
        raise _invalid(PromotionRefusal.UNKNOWN)
    if found.customer_id not in (None, customer_id):
        raise _invalid(PromotionRefusal.OTHER_CUSTOMER)
    reason = why_over(found, platform.clock.now()) or why_not_for(found, amount, currency)
    if reason is None and found.is_first_time_only and await _has_paid(door, customer_id):
        reason = PromotionRefusal.FIRST_TIME_ONLY
    if reason is not None:
        raise _invalid(reason)
    return found


def _best(written: tuple[StripePromotionCode, ...], customer_id: str | None) -> StripePromotionCode | None:
    """Of the same text: what is in force before what was, the customer's own before everybody's, those before
    another's.
    """

    def rank(one: StripePromotionCode) -> tuple[bool, int]:
        is_mine = one.customer_id is not None and one.customer_id == customer_id
        return one.customer_id not in (None, customer_id), (0 if one.is_active else 2) + (0 if is_mine else 1)

    return min(written, key=rank, default=None)


def why_over(found: StripePromotionCode, now: datetime) -> PromotionRefusal | None:
    """Why nobody may use it any more; None while it is in force."""
    coupon = found.coupon
    ends = [moment for moment in (found.expires_at, coupon.redeem_by if coupon else None) if moment is not None]
    if any(moment <= now for moment in ends):
        return PromotionRefusal.EXPIRED
    if _is_spent(found.max_redemptions, found.times_redeemed):
        return PromotionRefusal.USED_UP
    if coupon is not None and _is_spent(coupon.max_redemptions, coupon.times_redeemed):
        return PromotionRefusal.USED_UP
    if not found.is_active or coupon is None or not coupon.is_valid:
        return PromotionRefusal.INACTIVE
    return None


def why_not_for(found: StripePromotionCode, amount: int | None, currency: str | None) -> PromotionRefusal | None:
    """Why it does not fit a purchase of so many minor units; what is not told does not count."""
    coupon = found.coupon
    if currency is not None and coupon is not None and coupon.currency not in (None, currency):
        return PromotionRefusal.OTHER_CURRENCY
    if found.minimum_amount is None or amount is None:
        return None
    if currency is not None and found.minimum_amount_currency not in (None, currency):
        return PromotionRefusal.OTHER_CURRENCY
    return PromotionRefusal.MINIMUM_AMOUNT if amount < found.minimum_amount else None


def left_to_pay(found: StripePromotionCode, amount: int) -> int:
    """Of so many minor units, with the discount rounded as Stripe does: to the nearest, halves up."""
    coupon = found.coupon
    if coupon is None:
        return amount
    if coupon.percent_off is None:
        return amount - (coupon.amount_off or 0)
    off = (amount * coupon.percent_off / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return amount - int(off)


def _is_spent(limit: int | None, times: int) -> bool:
    return limit is not None and times >= limit


async def _has_paid(door: StripeDoor, customer_id: str | None) -> bool:
    if customer_id is None:
        return False
    try:
        made = await payments.list_of_customer(door, customer_id, limit=LOOKED_THROUGH)
    except StripeObjectMissing:
        return False
    return any(one.amount_received > 0 for one in made.items)


def _invalid(reason: PromotionRefusal) -> PromotionCodeInvalid:
    return PromotionCodeInvalid(SENTENCES[reason], reason=reason.value)


def _read(found: StripePromotionCode) -> PromotionRead:
    coupon = found.coupon
    assert coupon is not None  # else it is not in force
    return PromotionRead(
        code=found.code,
        name=coupon.name,
        percent_off=None if coupon.percent_off is None else float(coupon.percent_off),
        amount_off=coupon.amount_off,
        currency=coupon.currency,
        duration=coupon.duration,
        duration_months=coupon.duration_months,
        first_time_only=found.is_first_time_only,
        minimum_amount=found.minimum_amount,
        minimum_amount_currency=found.minimum_amount_currency,
        expires_at=found.expires_at,
    )
