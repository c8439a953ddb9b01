"""Routes of billing, one module a noun."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.billing.router import (
    auto_topup,
    checkouts,
    contracts,
    invoices,
    overview,
    payment_methods,
    plans,
    prices,
    promotions,
    reconciliation,
    refunds,
    subscriptions,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    plans.router,
    overview.router,
    contracts.router,
    prices.router,
    subscriptions.router,
    payment_methods.router,
    promotions.router,
    auto_topup.router,
    invoices.router,
    refunds.router,
    checkouts.router,
    reconciliation.router,
)
