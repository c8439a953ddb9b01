"""Routes of refunds of money, for operators. Refunds of credits stand with the ledger: `/credits/refund`."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.flows import FLOW_PROBLEMS, RequestKey, flow_key
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import refund_reading
from pm_api.domains.billing.enums import DisputeStatus, PaymentRefundStatus
from pm_api.domains.billing.errors import (
    InvoiceNotPaid,
    PaymentDisputed,
    RefundExceedsPayment,
    RefundRefused,
)
from pm_api.domains.billing.flows import refunds as flows
from pm_api.domains.billing.schemas.refunds import (
    DisputesAnswer,
    PaymentRefundAnswer,
    PaymentRefundCreate,
    PaymentRefundsAnswer,
)
from pm_api.identity.guards import operator
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")

Operator = Annotated[AdminScope, Depends(operator)]


@router.post(
    "/admin/billing/refunds",
    operation_id="createPaymentRefund",
    status_code=201,
    response_model=PaymentRefundAnswer,
    responses={201: answers_with("Location", "ETag", "Idempotent-Replayed")},
    openapi_extra=raises(
        NotFound,
        InvoiceNotPaid,
        RefundExceedsPayment,
        PaymentDisputed,
        RefundRefused,
        PaymentProviderUnavailable,
        *FLOW_PROBLEMS,
    ),
)
async def create_payment_refund(
    scope: Operator,
    platform: PlatformDep,
    request_key: Annotated[RequestKey, Depends(flow_key)],
    wanted: PaymentRefundCreate,
) -> Response:
    """Give money back that was paid by card, whole or in part, exactly once.

    What was bought with it goes back in the same proportion: a pack's credits, or those that the plan brought for the
    period of this invoice. The subscription goes on; cancel it apart. Refunds of credits that were spent are another
    thing: `POST /api/credits/refund`.
    """
    return await flows.refund(platform, scope, wanted, request_key)


@router.get("/admin/billing/refunds", operation_id="listPaymentRefunds", openapi_extra=raises(InvalidCursor))
async def list_payment_refunds(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    account_id: Annotated[
        UUID | None, Query(alias="accountId", description="Only those of this user or workspace.")
    ] = None,
    status: Annotated[PaymentRefundStatus | None, Query(description="Only those that stand so.")] = None,
) -> PaymentRefundsAnswer:
    """Refunds of everybody, newest first, also those given at Stripe itself."""
    return await refund_reading.list_of(session, platform, scope, page, account_id=account_id, status=status)


@router.get(
    "/admin/billing/refunds/{refund_id}",
    operation_id="getPaymentRefund",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_payment_refund(
    scope: Operator,
    session: SessionDep,
    response: Response,
    refund_id: Annotated[UUID, Path(description="The refund.")],
) -> PaymentRefundAnswer:
    """One refund."""
    found = await refund_reading.get(session, scope, refund_id)
    response.headers["ETag"] = entity_tag(found.version)
    return PaymentRefundAnswer(refund=found)


@router.get("/admin/billing/disputes", operation_id="listDisputes", openapi_extra=raises(InvalidCursor))
async def list_disputes(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: Annotated[DisputeStatus | None, Query(description="Only those that stand so.")] = None,
) -> DisputesAnswer:
    """Payments that cardholders dispute, newest first. They are answered at Stripe."""
    return await refund_reading.list_disputes(session, platform, scope, page, status=status)
