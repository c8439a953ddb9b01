"""The one list of API routes; a new resource is a module in `resources` and a line here."""

from pm_api.sandbox.stripe.resources import catalogue, checkout, customers, events, payments
from pm_api.sandbox.stripe.wire import ApiRoute

API_ROUTES: tuple[ApiRoute, ...] = (
    *customers.ROUTES,
    *catalogue.ROUTES,
    *checkout.ROUTES,
    *payments.ROUTES,
    *events.ROUTES,
)
