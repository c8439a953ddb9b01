"""The checkout session and its line items."""

from typing import Literal

from pm_api.sandbox.stripe.objects.common import Json, new_id

Status = Literal["open", "complete", "expired"]
PaymentStatus = Literal["paid", "unpaid", "no_payment_required"]


def build_line_item(*, price: Json, quantity: int, description: str) -> Json:
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def customer_details(email: str | None, name: str | None) -> Json:
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def build_invoice_creation(
    *, enabled: bool = False, description: str | None = None, metadata: dict[str, str] | None = None
) -> Json:
    return {
        "enabled": enabled,
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": description,
            "footer": None,
            "issuer": None,
            "metadata": metadata or {},
            "rendering_options": None,
        },
    }


def usual_collection(mode: str) -> str:
    return "if_required" if mode == "payment" else "always"


def build_session(
    *,
    created: int,
    expires_at: int,
    currency: str | None,
    amount_total: int | None,
    mode: str = "payment",
    session_id: str | None = None,
    url: str | None = None,
    success_url: str | None = None,
    cancel_url: str | None = None,
    client_reference_id: str | None = None,
    customer_id: str | None = None,
    customer_email: str | None = None,
    customer_creation: str | None = None,
    metadata: dict[str, str] | None = None,
    locale: str | None = None,
    submit_type: str | None = None,
    allow_promotion_codes: bool | None = None,
    invoice_creation: Json | None = None,
    payment_method_collection: str | None = None,
    setup_intent: str | None = None,
) -> Json:
    """An open, unpaid session on the hosted page. Amounts in minor units; in setup mode there are none."""
    return {
        "id": session_id or new_id("cs_test"),
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": allow_promotion_codes,
        "amount_subtotal": amount_total,
        "amount_total": amount_total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "branding_settings": None,
        "cancel_url": cancel_url,
        "client_reference_id": client_reference_id,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": created,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer_id,
        "customer_account": None,
        "customer_creation": customer_creation,
        "customer_details": None,
        "customer_email": customer_email,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": (invoice_creation or build_invoice_creation()) if mode == "payment" else None,
        "livemode": False,
        "locale": locale,
        "managed_payments": {"enabled": False},
        "metadata": metadata or {},
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": payment_method_collection or usual_collection(mode),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": setup_intent,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": submit_type,
        "subscription": None,
        "success_url": success_url,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": url,
        "wallet_options": None,
    }
