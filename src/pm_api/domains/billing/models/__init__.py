"""Tables, one module a noun; imported together so that Alembic knows them all."""

from pm_api.domains.billing.models import (
    contracts,
    invoices,
    payment_methods,
    prices,
    reconciliation,
    refunds,
    subscriptions,
    usage_records,
)

__all__ = [
    "contracts",
    "invoices",
    "payment_methods",
    "prices",
    "reconciliation",
    "refunds",
    "subscriptions",
    "usage_records",
]
