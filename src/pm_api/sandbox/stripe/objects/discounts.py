"""The discount: a coupon as it was given to somebody."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_discount(
    *,
    start: int,
    end: int | None,
    coupon_id: str,
    customer_id: str,
    subscription_id: str | None = None,
    promotion_code: str | None = None,
    checkout_session: str | None = None,
) -> Json:
    return {
        "id": new_id("di"),
        "object": "discount",
        "checkout_session": checkout_session,
        "customer": customer_id,
        "customer_account": None,
        "end": end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": promotion_code,
        "source": {"coupon": coupon_id, "type": "coupon"},
        "start": start,
        "subscription": subscription_id,
        "subscription_item": None,
    }
