"""The setup intent, and one attempt at it."""

from typing import Any

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_setup_intent(
    *,
    created: int,
    customer_id: str | None = None,
    payment_method: str | None = None,
    usage: str = "off_session",
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    identifier = new_id("seti")
    return {
        "id": identifier,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{identifier}_{new_id('secret')}",
        "created": created,
        "customer": customer_id,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mandate": None,
        "metadata": metadata or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_confirmation" if payment_method else "requires_payment_method",
        "usage": usage,
    }


def build_setup_attempt(
    *, created: int, intent: Json, payment_method: Json, status: str, error: Json | None = None
) -> Json:
    card: dict[str, Any] = payment_method["card"]
    shown = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {
        "id": new_id("setatt"),
        "object": "setup_attempt",
        "application": None,
        "created": created,
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": payment_method["id"],
        "payment_method_details": {
            "card": {name: card[name] for name in shown}
            | {"network": card["brand"], "three_d_secure": None, "wallet": None},
            "type": "card",
        },
        "setup_error": error,
        "setup_intent": intent["id"],
        "status": status,
        "usage": intent["usage"],
    }
