"""Which event types are applied, and how. A type that stands here nowhere is stored as ignored."""

from typing import Final

from pm_api.domains.billing.stripe_events import (
    catalogue,
    checkouts,
    invoices,
    payment_methods,
    payments,
    refunds,
    subscriptions,
)
from pm_api.domains.billing.stripe_events.handling import Handler

STRIPE: Final[dict[str, Handler]] = {
    **checkouts.HANDLERS,
    **catalogue.HANDLERS,
    **subscriptions.HANDLERS,
    **payment_methods.HANDLERS,
    **payments.HANDLERS,
    **invoices.HANDLERS,
    **refunds.HANDLERS,
}
