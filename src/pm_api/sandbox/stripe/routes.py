"""The one list of API routes; a new resource is a module in `resources` and a line here."""

from pm_api.sandbox.stripe.resources import (
    catalogue,
    checkout,
    clocks,
    coupons,
    customers,
    events,
    invoices,
    payment_intents,
    payment_methods,
    payments,
    portal,
    previews,
    refunds,
    schedules,
    setup_intents,
    subscriptions,
)
from pm_api.sandbox.stripe.wire import ApiRoute

API_ROUTES: tuple[ApiRoute, ...] = (
    *customers.ROUTES,
    *catalogue.ROUTES,
    *checkout.ROUTES,
    *payments.ROUTES,
    *payment_methods.ROUTES,
    *payment_intents.ROUTES,
    *setup_intents.ROUTES,
    *refunds.ROUTES,
    *coupons.ROUTES,
    *portal.ROUTES,
    *subscriptions.ROUTES,
    *schedules.ROUTES,
    # A fixed word comes before the same place filled by an id.
    *previews.ROUTES,
    *invoices.ROUTES,
    *clocks.ROUTES,
    *events.ROUTES,
)
