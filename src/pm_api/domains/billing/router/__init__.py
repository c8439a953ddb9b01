"""Routes of billing, one module a noun."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.billing.router import contracts, overview, plans

ROUTERS: Final[tuple[APIRouter, ...]] = (plans.router, overview.router, contracts.router)
