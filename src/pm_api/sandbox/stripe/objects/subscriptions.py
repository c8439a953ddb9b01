"""The subscription, its items and the old plan that stands for a price."""

from pm_api.sandbox.stripe.objects.common import Json, list_object, new_id


def build_plan(price: Json) -> Json:
    """The price as it was called before prices; Stripe still sends it along."""
    terms = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": terms["interval"],
        "interval_count": terms["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": terms["usage_type"],
    }


def build_subscription_item(
    *,
    created: int,
    subscription_id: str,
    price: Json,
    quantity: int,
    period: tuple[int, int],
    metadata: dict[str, str] | None = None,
    item_id: str | None = None,
) -> Json:
    return {
        "id": item_id or new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": metadata or {},
        "plan": build_plan(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def items_list(subscription_id: str, items: list[Json]) -> Json:
    return list_object(items, f"/v1/subscription_items?subscription={subscription_id}") | {"total_count": len(items)}


def build_subscription(
    *,
    subscription_id: str,
    created: int,
    customer_id: str,
    currency: str,
    items: list[Json],
    status: str,
    billing_cycle_anchor: int,
    billing_mode: Json,
    trial: tuple[int, int] | None = None,
    cancel_at: int | None = None,
    cancel_at_period_end: bool = False,
    default_payment_method: str | None = None,
    description: str | None = None,
    discounts: list[str] | None = None,
    metadata: dict[str, str] | None = None,
    missing_payment_method: str = "create_invoice",
    save_default_payment_method: str = "off",
    test_clock: str | None = None,
) -> Json:
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": billing_cycle_anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": billing_mode,
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": cancel_at,
        "cancel_at_period_end": cancel_at_period_end,
        "canceled_at": created if cancel_at_period_end or cancel_at else None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": "cancellation_requested" if cancel_at_period_end or cancel_at else None,
        },
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "customer": customer_id,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": description,
        "discounts": discounts or [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": items_list(subscription_id, items),
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": metadata or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": save_default_payment_method,
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": created,
        "status": status,
        "status_details": None,
        "test_clock": test_clock,
        "transfer_data": None,
        "trial_end": trial[1] if trial else None,
        "trial_settings": {"end_behavior": {"missing_payment_method": missing_payment_method}},
        "trial_start": trial[0] if trial else None,
    }
