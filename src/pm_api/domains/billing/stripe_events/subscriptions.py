"""Events of subscriptions: each brings the whole subscription up to date."""

from typing import Final

from pm_api.domains.billing.pictures import fetch_by_subscription
from pm_api.domains.billing.stripe_events.handling import Handler
from pm_api.domains.billing.subscriptions import apply_picture

_SUBSCRIPTION: Final = Handler(fetch_by_subscription, apply_picture)

HANDLERS: Final = {
    "customer.subscription.created": _SUBSCRIPTION,
    "customer.subscription.updated": _SUBSCRIPTION,
    "customer.subscription.deleted": _SUBSCRIPTION,
    "customer.subscription.trial_will_end": _SUBSCRIPTION,
    "customer.subscription.paused": _SUBSCRIPTION,
    "customer.subscription.resumed": _SUBSCRIPTION,
}
