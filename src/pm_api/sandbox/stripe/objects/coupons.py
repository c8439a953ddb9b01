"""The coupon and the promotion code that leads to it."""

import secrets
import string

from pm_api.sandbox.stripe.objects.common import Json, new_id

CODE_ALPHABET = string.ascii_uppercase + string.digits
CODE_LENGTH = 8


def new_code() -> str:
    """A code as Stripe makes one up: eight capitals and digits."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))


def build_coupon(
    *,
    created: int,
    coupon_id: str | None = None,
    percent_off: float | None = None,
    amount_off: int | None = None,
    currency: str | None = None,
    duration: str = "once",
    duration_in_months: int | None = None,
    max_redemptions: int | None = None,
    redeem_by: int | None = None,
    name: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """Either `percent_off`, or `amount_off` in minor units of `currency`."""
    return {
        "id": coupon_id or new_code(),
        "object": "coupon",
        "amount_off": amount_off,
        "created": created,
        "currency": currency,
        "duration": duration,
        "duration_in_months": duration_in_months,
        "livemode": False,
        "max_redemptions": max_redemptions,
        "metadata": metadata or {},
        "name": name,
        "percent_off": percent_off,
        "redeem_by": redeem_by,
        "times_redeemed": 0,
        "valid": True,
    }


def build_deleted_coupon(coupon_id: str) -> Json:
    return {"id": coupon_id, "object": "coupon", "deleted": True}


def build_promotion_code(
    *,
    created: int,
    coupon_id: str,
    code: str | None = None,
    active: bool = True,
    customer_id: str | None = None,
    expires_at: int | None = None,
    max_redemptions: int | None = None,
    first_time_transaction: bool = False,
    metadata: dict[str, str] | None = None,
) -> Json:
    return {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": active,
        "code": code or new_code(),
        "created": created,
        "customer": customer_id,
        "customer_account": None,
        "expires_at": expires_at,
        "livemode": False,
        "max_redemptions": max_redemptions,
        "metadata": metadata or {},
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": first_time_transaction,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    }
