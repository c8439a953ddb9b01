"""Routes of AI credits, one module a noun."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.ai_credits.router import (
    charging,
    corrections,
    explaining,
    gifts,
    holds,
    insight,
    leads,
    ledger,
    operating,
    pools,
    statements,
    topups,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    ledger.router,
    holds.router,
    charging.router,
    insight.router,
    gifts.router,
    leads.router,
    corrections.router,
    explaining.router,
    statements.router,
    operating.router,
    pools.router,
    topups.router,
)
