"""Routes of comparisons with Stripe, for operators."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import reconciliation
from pm_api.domains.billing.errors import InvalidWindow
from pm_api.domains.billing.schemas.reconciliation import (
    ReconciliationAnswer,
    ReconciliationReport,
    ReconciliationRequest,
    ReconciliationRuns,
)
from pm_api.identity.guards import operator

router = api_router(tag="billing")

Operator = Annotated[AdminScope, Depends(operator)]
Page = Annotated[PageRequest, Depends(page_request)]


@router.get("/admin/reconciliation", operation_id="listReconciliations", openapi_extra=raises(InvalidCursor))
async def list_reconciliations(
    scope: Operator, platform: PlatformDep, session: SessionDep, page: Page
) -> ReconciliationRuns:
    """Comparisons with Stripe, the newest first: what was compared, how much did not agree."""
    return await reconciliation.list_runs(session, platform, scope, page)


@router.post(
    "/admin/reconciliation",
    operation_id="startReconciliation",
    status_code=201,
    responses={
        200: {"model": ReconciliationAnswer, "description": "One was running already: this one."},
        201: answers_with("Location"),
    },
    openapi_extra=raises(InvalidWindow),
)
async def start_reconciliation(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    wanted: ReconciliationRequest,
) -> ReconciliationAnswer:
    """Compare checkouts, subscriptions, invoices, refunds, disputes and their credits with Stripe, both ways.

    A job does it. What is missing with us is brought in line; what cannot be is reported. While one runs, that one
    is the answer.
    """
    run, is_new = await reconciliation.start(
        session, platform, scope, since=wanted.since, until=wanted.until, reason="asked for by an operator"
    )
    response.headers["Location"] = f"/api/admin/reconciliation/{run.id}"
    if not is_new:
        response.status_code = 200
    return ReconciliationAnswer(run=run)


@router.get(
    "/admin/reconciliation/{run_id}",
    operation_id="getReconciliation",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def get_reconciliation(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    page: Page,
    run_id: Annotated[UUID, Path(description="The comparison.")],
) -> ReconciliationReport:
    """One comparison and what it found: each thing in one sentence, with both sides and what was done."""
    return await reconciliation.report(session, platform, scope, run_id, page)
