"""The balance transaction: what a refund or dispute did to the account's own money."""

from pm_api.sandbox.stripe.objects.common import Json, new_id


def build_balance_transaction(
    *,
    created: int,
    amount: int,
    currency: str,
    source: str,
    kind: str,
    fee: int = 0,
    fee_description: str = "Stripe processing fees",
    description: str | None = None,
    reporting_category: str | None = None,
) -> Json:
    """`amount` is what came in, negative for what went out; `kind` as in `refund` and `adjustment`."""
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": fee_description,
            "type": "stripe_fee",
        }
    ]
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": reporting_category or kind,
        "source": source,
        "status": "available",
        "type": kind,
    }
