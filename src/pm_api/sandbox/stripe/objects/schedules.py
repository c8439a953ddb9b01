"""The subscription schedule and its phases."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_phase_item(*, price_id: str, quantity: int, metadata: dict[str, str] | None = None) -> Json:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": metadata or {},
        "plan": price_id,
        "price": price_id,
        "quantity": quantity,
        "tax_rates": [],
    }


def build_phase(
    *,
    start_date: int,
    end_date: int,
    items: list[Json],
    currency: str,
    proration_behavior: str = "create_prorations",
    billing_cycle_anchor: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    default_payment_method: str | None = None,
) -> Json:
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": billing_cycle_anchor,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": currency,
        "default_payment_method": default_payment_method,
        "default_tax_rates": [],
        "description": description,
        "discounts": [],
        "end_date": end_date,
        "invoice_settings": None,
        "items": items,
        "metadata": metadata or {},
        "on_behalf_of": None,
        "proration_behavior": proration_behavior,
        "start_date": start_date,
        "transfer_data": None,
        "trial": None,
        "trial_end": None,
    }


def build_schedule(*, created: int, subscription: Json, phase: Json, metadata: dict[str, str] | None = None) -> Json:
    """A running schedule over a subscription whose current period is the first phase."""
    return {
        "id": new_id("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": subscription["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": created,
        "current_phase": {"end_date": phase["end_date"], "start_date": phase["start_date"]},
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": subscription["default_payment_method"],
            "description": None,
            "invoice_settings": {
                "account_tax_ids": None,
                "custom_fields": None,
                "days_until_due": None,
                "description": None,
                "footer": None,
                "issuer": {"type": "self"},
            },
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "livemode": False,
        "metadata": metadata or {},
        "pause_schedules": [],
        "phases": [phase],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": subscription["test_clock"],
    }
