"""Routes of invoices, and of past periods."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.domains.billing import history, invoice_reading
from pm_api.domains.billing.enums import InvoiceStatus
from pm_api.domains.billing.errors import InvoiceHasNoFile, InvoiceNotFinal
from pm_api.domains.billing.flows import invoices as files
from pm_api.domains.billing.repository.invoices import Wanted
from pm_api.domains.billing.schemas.invoices import HistoryAnswer, InvoiceAnswer, InvoicesAnswer
from pm_api.identity.guards import require_account, require_account_of
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")

Reader = Annotated[AccountScope, Depends(require_account("billing.read"))]
ReaderOfOne = Annotated[AccountScope, Depends(require_account_of("invoices", "billing.read"))]
WorkspaceParameter = Annotated[
    UUID | None, Query(alias="workspaceId", description="The workspace's; absent: your own.")
]
InvoiceId = Annotated[UUID, Path(description="The invoice.")]
PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/billing/invoices", operation_id="listInvoices", openapi_extra=raises(InvalidCursor))
async def list_invoices(
    scope: Reader,
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
    status: Annotated[InvoiceStatus | None, Query(description="Only those that stand so.")] = None,
    since: Annotated[Timestamp | None, Query(alias="from", description="Issued from here on, included.")] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="Issued before this.")] = None,
) -> InvoicesAnswer:
    """An account's invoices, of plans, of packs and of automatic top-ups, the last issued first."""
    return await invoice_reading.list_of(session, platform, scope, page, Wanted(status, since, until))


@router.get(
    "/billing/invoices/{invoice_id}",
    operation_id="getInvoice",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_invoice(
    scope: ReaderOfOne, session: SessionDep, response: Response, invoice_id: InvoiceId
) -> InvoiceAnswer:
    """One invoice, line by line."""
    found = await invoice_reading.get(session, scope, invoice_id)
    response.headers["ETag"] = entity_tag(found.version)
    return InvoiceAnswer(invoice=found)


@router.get(
    "/billing/invoices/{invoice_id}/pdf",
    operation_id="getInvoicePdf",
    response_class=StreamingResponse,
    responses=PDF,
    openapi_extra=raises(NotFound, InvoiceHasNoFile, InvoiceNotFinal, PaymentProviderUnavailable),
)
async def get_invoice_pdf(scope: ReaderOfOne, platform: PlatformDep, invoice_id: InvoiceId) -> StreamingResponse:
    """The invoice's file, as Stripe made it. A draft has none yet, an automatic charge has none at all."""
    found = await files.open_pdf(platform, scope, invoice_id)
    headers = {"Content-Disposition": f'attachment; filename="{found.name}"'}
    if found.size is not None:
        headers["Content-Length"] = str(found.size)
    return StreamingResponse(found.pieces, media_type="application/pdf", headers=headers)


@router.get("/billing/history", operation_id="listBillingHistory", openapi_extra=raises(InvalidCursor))
async def list_billing_history(
    scope: Reader,
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
) -> HistoryAnswer:
    """Periods that are over, the last one first: the plan, what was paid, AI credits, and the peak of each metric.

    A period is what was paid for, or a month of a contract; without a plan, the calendar month in UTC.
    """
    return await history.list_of(session, platform, scope, page)
