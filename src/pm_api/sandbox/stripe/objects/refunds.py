"""The refund and the dispute: two ways in which a payment goes back."""

from pm_api.sandbox.stripe.objects.common import Json, empty_address, new_id

EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
# How Visa numbers what a cardholder says.
NETWORK_REASONS = {
    "credit_not_processed": "13.7",
    "duplicate": "12.6",
    "fraudulent": "10.4",
    "general": "13.3",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}


def build_refund(
    *,
    created: int,
    charge: Json,
    amount: int,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """Money given back to the card at once. `amount` in minor units of the charge's currency."""
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": metadata or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def build_dispute(
    *, created: int, charge: Json, amount: int, reason: str, due_by: int, is_inquiry: bool = False
) -> Json:
    """A cardholder's complaint: an inquiry only asks, a dispute takes the money first."""
    card = charge["payment_method_details"]["card"]
    evidence: Json = {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}}
    billing = charge["billing_details"]
    evidence.update(customer_email_address=billing["email"], customer_name=billing["name"])
    address = billing["address"]
    if address != empty_address():
        evidence["billing_address"] = ", ".join(part for part in address.values() if part)
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card["brand"],
                "case_type": "inquiry" if is_inquiry else "chargeback",
                "network": card["network"],
                "network_reason_code": NETWORK_REASONS.get(reason, "13.3"),
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }
