"""What makes a coupon or promotion code usable: its dates, its count and whom it is meant for."""

from pm_api.sandbox.stripe.errors import InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.world import Sandbox


def coupon_is_valid(coupon: Json, now: int) -> bool:
    """Neither too late nor redeemed too often."""
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] < now
    return not late and not is_spent(coupon)


def is_spent(counted: Json) -> bool:
    return counted["max_redemptions"] is not None and counted["times_redeemed"] >= counted["max_redemptions"]


def refresh(sandbox: Sandbox) -> None:
    """Bring `valid` and `active` up to the moment and the count; called before they are looked at.

    Stripe tells nobody when time or the last redemption does this, so neither does the sandbox.
    """
    now = sandbox.now()
    for coupon in sandbox.store.all("coupon", [field_is("valid", True), Condition("NOT frozen")]):
        if not coupon_is_valid(coupon, now):
            sandbox.store.save(coupon | {"valid": False})
    for code in sandbox.store.all("promotion_code", [field_is("active", True), Condition("NOT frozen")]):
        if not _code_can_be_used(sandbox, code, now):
            sandbox.store.save(code | {"active": False})


def _code_can_be_used(sandbox: Sandbox, code: Json, now: int) -> bool:
    coupon = sandbox.store.find(code["promotion"]["coupon"], "coupon")
    late = code["expires_at"] is not None and code["expires_at"] < now
    usable_coupon = coupon is not None and not coupon.get("deleted") and bool(coupon["valid"])
    return usable_coupon and not late and not is_spent(code)


def check_restrictions(
    sandbox: Sandbox, code: Json, *, customer_id: str | None, param: str = "promotion_code"
) -> None:
    """Whom a promotion code is meant for. Raises `InvalidRequest` in Stripe's words."""
    if code["customer"] is not None and code["customer"] != customer_id:
        raise InvalidRequest("This promotion code cannot be used by this customer.", param=param)
    if code["restrictions"]["first_time_transaction"] and customer_id is not None and has_paid(sandbox, customer_id):
        raise InvalidRequest(
            "This promotion code cannot be redeemed because the associated customer has prior transactions.",
            param=param,
            code="promotion_code_customer_not_first_time",
        )


def has_paid(sandbox: Sandbox, customer_id: str) -> bool:
    """Whether the customer has a successful payment, or a paid invoice over more than nothing."""
    charges, _ = sandbox.store.page(
        "charge", conditions=[field_is("customer", customer_id), field_is("status", "succeeded")], limit=1
    )
    if charges:
        return True
    invoices, _ = sandbox.store.page(
        "invoice",
        conditions=[
            field_is("customer", customer_id),
            field_is("status", "paid"),
            Condition("json_extract(body, '$.total') > 0"),
        ],
        limit=1,
    )
    return bool(invoices)
