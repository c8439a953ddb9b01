"""The route that explains a line."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from pm_api.core.actor import CreditScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.domains.ai_credits import explaining
from pm_api.domains.ai_credits.errors import EntryNotFound
from pm_api.domains.ai_credits.schemas.explaining import ExplanationAnswer
from pm_api.identity.guards import require_account_of

router = api_router(tag="ai credits")


@router.get(
    "/credits/entries/{entry_id}/explain",
    operation_id="explainCreditEntry",
    openapi_extra=raises(EntryNotFound, NotFound, Forbidden),
)
async def explain_credit_entry(
    scope: Annotated[CreditScope, Depends(require_account_of("credit_entries", "credits.read", leads=True))],
    session: SessionDep,
    entry_id: Annotated[
        UUID, Path(description="A line that you see in the history: of your own wallet's book, or of a pool's.")
    ],
) -> ExplanationAnswer:
    """Why this line is as it is: its lots and their order, price, hold, limits, who did it, and what undid it."""
    return ExplanationAnswer(explanation=await explaining.explain(session, scope, entry_id))
