"""Routes of AI credits, one module a noun."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.ai_credits.router import ledger

ROUTERS: Final[tuple[APIRouter, ...]] = (ledger.router,)
