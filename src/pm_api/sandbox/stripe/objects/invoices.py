"""The invoice, its lines and payments, the item that waits for one, and the customer's balance."""

from pm_api.sandbox.stripe.objects.common import Json, list_object, new_id

LINES_SHOWN = 10


def price_details(price: Json) -> Json:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def subscription_parent(
    subscription_id: str,
    item_id: str,
    *,
    proration: bool,
    invoice_item: str | None = None,
    credited: tuple[str, str] | None = None,
) -> Json:
    """What a line came from. `credited` is the invoice and the line that a credit takes back from."""
    credited_items = {"invoice": credited[0], "invoice_line_items": [credited[1]]} if credited else None
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": invoice_item,
            "proration": proration,
            "proration_details": {"credited_items": credited_items},
            "subscription": subscription_id,
            "subscription_item": item_id,
        },
        "type": "subscription_item_details",
    }


def invoice_item_parent(invoice_item: str, subscription_id: str | None) -> Json:
    return {
        "invoice_item_details": {
            "invoice_item": invoice_item,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription_id,
        },
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }


def build_line(
    *,
    line_id: str,
    invoice_id: str,
    amount: int,
    currency: str,
    description: str | None,
    period: tuple[int, int],
    quantity: int,
    parent: Json | None,
    pricing: Json | None,
    subscription_id: str | None = None,
    discountable: bool = True,
    discount_amounts: list[Json] | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """`amount` is before discounts, in minor units."""
    amounts = discount_amounts or []
    return {
        "id": line_id,
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": amounts,
        "discountable": discountable,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": metadata or {},
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [entry | {"type": "discount"} for entry in amounts],
        "pricing": pricing,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription_id,
        "subtotal": amount,
        "taxes": [],
    }


def lines_list(invoice_id: str, lines: list[Json]) -> Json:
    return list_object(lines[:LINES_SHOWN], f"/v1/invoices/{invoice_id}/lines", has_more=len(lines) > LINES_SHOWN) | {
        "total_count": len(lines)
    }


def build_invoice(
    *,
    invoice_id: str,
    created: int,
    customer: Json,
    currency: str,
    billing_reason: str,
    lines: list[Json],
    period: tuple[int, int],
    subscription: Json | None = None,
    auto_advance: bool = True,
    automatically_finalizes_at: int | None = None,
    default_payment_method: str | None = None,
    description: str | None = None,
    discounts: list[str] | None = None,
    discount_amounts: list[Json] | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """A draft. Totals follow from the lines, `discount_amounts` and the customer's balance."""
    subtotal = sum(line["amount"] for line in lines)
    total = subtotal - sum(entry["amount"] for entry in discount_amounts or [])
    due = max(0, total + customer["balance"])
    parent = None
    if subscription is not None:
        parent = {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        }
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": automatically_finalizes_at,
        "billing_reason": billing_reason,
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": description,
        "discounts": discounts or [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": lines_list(invoice_id, lines),
        "livemode": False,
        "metadata": metadata or {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subscription": None,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": customer["test_clock"],
        "total": total,
        "total_discount_amounts": discount_amounts or [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [entry | {"type": "discount"} for entry in discount_amounts or []],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }


def build_invoice_item(
    *,
    created: int,
    customer: Json,
    amount: int,
    currency: str,
    description: str | None,
    period: tuple[int, int],
    quantity: int,
    pricing: Json | None,
    invoice_id: str | None = None,
    subscription_id: str | None = None,
    subscription_item: str | None = None,
    proration: bool = False,
    discountable: bool = True,
    metadata: dict[str, str] | None = None,
) -> Json:
    parent = None
    if subscription_id is not None:
        details = {"subscription": subscription_id, "subscription_item": subscription_item}
        parent = {"subscription_details": details, "type": "subscription_details"}
    return {
        "id": new_id("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "date": created,
        "description": description,
        "discountable": discountable,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": metadata or {},
        "net_amount": amount,
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pricing": pricing,
        "proration": proration,
        "proration_details": None,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": customer["test_clock"],
    }


def build_invoice_payment(*, created: int, invoice: Json, payment_intent: str) -> Json:
    return {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": created,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


def build_balance_transaction(
    *, created: int, customer_id: str, currency: str, amount: int, ending_balance: int, reason: str, invoice_id: str
) -> Json:
    """`amount` is added to the customer's balance, which is negative where Stripe owes the customer."""
    return {
        "id": new_id("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": None,
        "created": created,
        "credit_note": None,
        "currency": currency,
        "customer": customer_id,
        "customer_account": None,
        "description": None,
        "ending_balance": ending_balance,
        "invoice": invoice_id,
        "livemode": False,
        "metadata": {},
        "type": reason,
    }
