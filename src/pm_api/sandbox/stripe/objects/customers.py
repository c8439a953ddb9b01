"""The customer, and a change of what they are owed or owe."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_customer(
    *,
    created: int,
    customer_id: str | None = None,
    email: str | None = None,
    name: str | None = None,
    phone: str | None = None,
    description: str | None = None,
    address: Json | None = None,
    shipping: Json | None = None,
    metadata: dict[str, str] | None = None,
    preferred_locales: list[str] | None = None,
    tax_exempt: str = "none",
    test_clock: str | None = None,
) -> Json:
    identifier = customer_id or new_id("cus")
    return {
        "id": identifier,
        "object": "customer",
        "address": address,
        "balance": 0,
        "business_name": None,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": description,
        "discount": None,
        "email": email,
        "individual_name": None,
        "invoice_prefix": identifier[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata or {},
        "name": name,
        "next_invoice_sequence": 1,
        "phone": phone,
        "preferred_locales": preferred_locales or [],
        "shipping": shipping,
        "tax_exempt": tax_exempt,
        "test_clock": test_clock,
    }


def build_deleted_customer(customer_id: str) -> Json:
    return {"id": customer_id, "object": "customer", "deleted": True}


def build_balance_adjustment(
    *,
    created: int,
    customer: Json,
    amount: int,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """A change by hand, already in the customer's `balance`; negative is credit for them."""
    return {
        "id": new_id("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": None,
        "created": created,
        "credit_note": None,
        "currency": customer["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "description": description,
        "ending_balance": customer["balance"],
        "invoice": None,
        "livemode": False,
        "metadata": metadata or {},
        "type": "adjustment",
    }
