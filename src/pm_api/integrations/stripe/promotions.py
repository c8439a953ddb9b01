"""Coupons and the promotion codes that people type to get them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import stripe
from stripe.params import CouponCreateParams, PromotionCodeCreateParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import id_of, moment, moment_of, seconds, texts, upper_of


@dataclass(frozen=True, slots=True)
class PercentOff:
    """So much of a hundred."""

    percent: Decimal


@dataclass(frozen=True, slots=True)
class AmountOff:
    """So many minor units."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class StripeCoupon:
    """A coupon as Stripe has it now: exactly one of `percent_off` and `amount_off`."""

    id: str
    name: str | None
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    duration: str
    duration_months: int | None
    is_valid: bool
    max_redemptions: int | None
    times_redeemed: int
    redeem_by: datetime | None
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripePromotionCode:
    """A code as Stripe has it now. `customer_id`: only this customer may use it. The coupon is None if deleted."""

    id: str
    code: str
    is_active: bool
    coupon_id: str | None
    coupon: StripeCoupon | None
    customer_id: str | None
    is_first_time_only: bool
    minimum_amount: int | None
    minimum_amount_currency: str | None
    max_redemptions: int | None
    times_redeemed: int
    expires_at: datetime | None
    metadata: Mapping[str, str]
    created_at: datetime


async def find_code(door: StripeDoor, code: str, *, customer_id: str | None = None) -> StripePromotionCode | None:
    """The active code that is written so; of the same code for several customers, the one this customer may use."""
    async with calling("promotion codes"):
        found = await door.client.v1.promotion_codes.list_async(
            {"code": code, "active": True, "limit": 100, "expand": ["data.promotion.coupon"]}
        )
        codes = [read_promotion_code(one) for one in found.data]
    mine = [one for one in codes if customer_id is not None and one.customer_id == customer_id]
    for_all = [one for one in codes if one.customer_id is None]
    return next(iter(mine + for_all), None)


async def find_codes_written(door: StripeDoor, code: str) -> tuple[StripePromotionCode, ...]:
    """All that are written so, newest first, also those that are over: to say why one cannot be used."""
    async with calling("promotion codes"):
        found = await door.client.v1.promotion_codes.list_async(
            {"code": code, "limit": 100, "expand": ["data.promotion.coupon"]}
        )
        return tuple(read_promotion_code(one) for one in found.data)


async def retrieve_code(door: StripeDoor, promotion_code_id: str) -> StripePromotionCode:
    async with calling(promotion_code_id):
        found = await door.client.v1.promotion_codes.retrieve_async(
            promotion_code_id, {"expand": ["promotion.coupon"]}
        )
        return read_promotion_code(found)


async def create_code(
    door: StripeDoor,
    *,
    coupon_id: str,
    code: str,
    customer_id: str | None = None,
    max_redemptions: int | None = None,
    expires_at: datetime | None = None,
    is_first_time_only: bool = False,
    metadata: Mapping[str, str],
    key: str,
) -> StripePromotionCode:
    """Raises StripeRefused when an active code is written the same."""
    params: PromotionCodeCreateParams = {
        "promotion": {"type": "coupon", "coupon": coupon_id},
        "code": code,
        "metadata": dict(metadata),
        "expand": ["promotion.coupon"],
    }
    if customer_id is not None:
        params["customer"] = customer_id
    if max_redemptions is not None:
        params["max_redemptions"] = max_redemptions
    if expires_at is not None:
        params["expires_at"] = seconds(expires_at)
    if is_first_time_only:
        params["restrictions"] = {"first_time_transaction": True}
    async with calling("promotion code"):
        return read_promotion_code(await door.client.v1.promotion_codes.create_async(params, keyed(key)))


async def retrieve_coupon(door: StripeDoor, coupon_id: str) -> StripeCoupon:
    async with calling(coupon_id):
        return read_coupon(await door.client.v1.coupons.retrieve_async(coupon_id))


async def create_coupon(
    door: StripeDoor,
    *,
    off: PercentOff | AmountOff,
    duration: Literal["once", "forever"] | int,
    name: str,
    max_redemptions: int | None = None,
    redeem_by: datetime | None = None,
    metadata: Mapping[str, str],
    key: str,
) -> StripeCoupon:
    """`duration` is a number of months, `once` or `forever`."""
    params: CouponCreateParams = {"name": name, "metadata": dict(metadata)}
    if isinstance(off, PercentOff):
        params["percent_off"] = float(off.percent)
    else:
        params["amount_off"], params["currency"] = off.amount, off.currency.lower()
    if isinstance(duration, int):
        params["duration"], params["duration_in_months"] = "repeating", duration
    else:
        params["duration"] = duration
    if max_redemptions is not None:
        params["max_redemptions"] = max_redemptions
    if redeem_by is not None:
        params["redeem_by"] = seconds(redeem_by)
    async with calling("coupon"):
        return read_coupon(await door.client.v1.coupons.create_async(params, keyed(key)))


def read_coupon(found: stripe.Coupon) -> StripeCoupon:
    return StripeCoupon(
        id=found.id,
        name=found.name,
        percent_off=None if found.percent_off is None else Decimal(str(found.percent_off)),
        amount_off=found.amount_off,
        currency=upper_of(found.currency),
        duration=found.duration,
        duration_months=found.duration_in_months,
        is_valid=found.valid,
        max_redemptions=found.max_redemptions,
        times_redeemed=found.times_redeemed,
        redeem_by=moment_of(found.redeem_by),
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )


def read_promotion_code(found: stripe.PromotionCode) -> StripePromotionCode:
    coupon = found.promotion.coupon
    whole = isinstance(coupon, stripe.Coupon) and not ("deleted" in coupon and coupon.deleted)
    return StripePromotionCode(
        id=found.id,
        code=found.code,
        is_active=found.active,
        coupon_id=id_of(coupon),
        coupon=read_coupon(coupon) if isinstance(coupon, stripe.Coupon) and whole else None,
        customer_id=id_of(found.customer),
        is_first_time_only=found.restrictions.first_time_transaction,
        minimum_amount=found.restrictions.minimum_amount,
        minimum_amount_currency=upper_of(found.restrictions.minimum_amount_currency),
        max_redemptions=found.max_redemptions,
        times_redeemed=found.times_redeemed,
        expires_at=moment_of(found.expires_at),
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )
