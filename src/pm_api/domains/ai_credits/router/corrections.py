"""Routes of an operator's corrections, and of refund requests."""

from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import AccountScope, AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits import corrections, service
from pm_api.domains.ai_credits.enums import RefundStatus
from pm_api.domains.ai_credits.errors import (
    AccountNotFound,
    BalanceLimitExceeded,
    EntryNotFound,
    EntryNotReversible,
    InsufficientCredits,
    LeadConverted,
    LotEmpty,
    LotNotFound,
    NotYourSpend,
    RefundAlreadyDecided,
    RefundAlreadyRequested,
    RefundRequestNotFound,
    RefundTooLate,
    ReversalExceedsEntry,
)
from pm_api.domains.ai_credits.router.ledger import LEDGER_PROBLEMS, IdempotencyHeader, WorkspaceParameter
from pm_api.domains.ai_credits.schemas import samples
from pm_api.domains.ai_credits.schemas.corrections import (
    AdjustCreditsRequest,
    ApprovedAnswer,
    ApproveRefundRequest,
    DeclinedAnswer,
    DeclineRefundRequest,
    RefundCreditsRequest,
    RefundQueue,
    RefundRequestAnswer,
    RefundRequestCreate,
    RefundRequestRead,
    RefundRequests,
    VoidGrantRequest,
)
from pm_api.domains.ai_credits.schemas.ledger import EntryAnswer, GrantAnswer
from pm_api.identity.guards import operator, require_account, require_account_of

router = api_router(tag="ai credits")

Operator = Annotated[AdminScope, Depends(operator)]
RefundRequestId = Annotated[UUID, Path(description="The refund request.")]
StatusParameter = Annotated[RefundStatus | None, Query(description="Only those that stand so.")]
Answer = TypeVar("Answer", bound=EntryAnswer)
REPLAYED: Final[dict[int | str, dict[str, Any]]] = {200: answers_with("Idempotent-Replayed")}


def _marked(response: Response, outcome: tuple[Answer, bool]) -> Answer:
    answer, replayed = outcome
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return answer


@router.post(
    "/credits/refund",
    operation_id="refundCredits",
    responses={200: REPLAYED[200] | samples.shown(samples.after(samples.GIVEN_BACK))},
    openapi_extra=raises(EntryNotFound, EntryNotReversible, ReversalExceedsEntry, LeadConverted, *LEDGER_PROBLEMS),
)
async def refund_credits(
    scope: Operator,
    platform: PlatformDep,
    body: RefundCreditsRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> EntryAnswer:
    """Give back a spend, whole or in part, exactly once: into the very lots it came from. What would go into a lot
    that has run out meanwhile comes as credits of 30 days.
    """
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    return _marked(response, await corrections.refund(platform, scope, body, key))


@router.post(
    "/credits/adjust",
    operation_id="adjustCredits",
    responses=REPLAYED,
    openapi_extra=raises(AccountNotFound, InsufficientCredits, BalanceLimitExceeded, *LEDGER_PROBLEMS),
)
async def adjust_credits(
    scope: Operator,
    platform: PlatformDep,
    body: AdjustCreditsRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> GrantAnswer:
    """Set an account right by an operator's hand, exactly once: credits are brought, or taken out of circulation."""
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    return _marked(response, await corrections.adjust(platform, scope, body, key))


@router.post(
    "/credits/grants/{grant_id}/void",
    operation_id="voidGrant",
    responses={200: REPLAYED[200] | samples.shown(samples.after(samples.VOIDED))},
    openapi_extra=raises(LotNotFound, LotEmpty, *LEDGER_PROBLEMS),
)
async def void_grant(
    scope: Operator,
    platform: PlatformDep,
    grant_id: Annotated[UUID, Path(description="The lot, as in the balance.")],
    body: VoidGrantRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> EntryAnswer:
    """Take what is left of one lot out of circulation, exactly once. Held credits stay with their hold."""
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    return _marked(response, await corrections.void_grant(platform, scope, grant_id, body, key))


@router.post(
    "/credits/refund-requests",
    operation_id="requestRefund",
    status_code=201,
    responses={201: answers_with("Location", "ETag")},
    openapi_extra=raises(
        EntryNotFound, EntryNotReversible, NotYourSpend, RefundTooLate, RefundAlreadyRequested, ReversalExceedsEntry
    ),
)
async def request_refund(
    scope: Annotated[AccountScope, Depends(require_account("credits.spend"))],
    platform: PlatformDep,
    session: SessionDep,
    wanted: RefundRequestCreate,
    response: Response,
) -> RefundRequestAnswer:
    """Ask for the credits of a spend that brought nothing, or nothing good. An operator decides; you are told."""
    made = await corrections.request_refund(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/credits/refund-requests/{made.id}"
    response.headers["ETag"] = entity_tag(made.version)
    return RefundRequestAnswer(refund_request=RefundRequestRead.model_validate(made))


@router.get("/credits/refund-requests", operation_id="listRefundRequests", openapi_extra=raises(InvalidCursor))
async def list_refund_requests(
    scope: Annotated[AccountScope, Depends(require_account("credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: StatusParameter = None,
    _workspace_id: WorkspaceParameter = None,
) -> RefundRequests:
    """What you asked for, newest first; of a pool everybody's, when you manage its credits."""
    return await corrections.list_requests(session, platform, scope, page, status)


@router.get(
    "/credits/refund-requests/{refund_request_id}",
    operation_id="getRefundRequest",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(RefundRequestNotFound, NotFound, Forbidden),
)
async def get_refund_request(
    scope: Annotated[AccountScope, Depends(require_account_of("credit_refund_requests", "credits.read"))],
    session: SessionDep,
    refund_request_id: RefundRequestId,
    response: Response,
) -> RefundRequestAnswer:
    """One of your requests, and what became of it."""
    found = await corrections.one_request(session, scope, refund_request_id)
    response.headers["ETag"] = entity_tag(found.version)
    return RefundRequestAnswer(refund_request=RefundRequestRead.model_validate(found))


@router.get("/admin/credits/refund-requests", operation_id="listRefundQueue", openapi_extra=raises(InvalidCursor))
async def list_refund_queue(
    scope: Operator,  # noqa: ARG001  the gate
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: StatusParameter = None,
) -> RefundQueue:
    """Everybody's refund requests, who waits longest first."""
    return await corrections.queue(session, platform, page, status)


@router.post(
    "/admin/credits/refund-requests/{refund_request_id}/approve",
    operation_id="approveRefund",
    responses={200: samples.shown(samples.after(samples.GIVEN_BACK, refundRequest=samples.APPROVED))},
    openapi_extra=raises(RefundRequestNotFound, RefundAlreadyDecided, ReversalExceedsEntry),
)
async def approve_refund(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    refund_request_id: RefundRequestId,
    body: ApproveRefundRequest,
) -> ApprovedAnswer:
    """Give the credits back and say so; decided once, refunded once."""
    return await corrections.approve(session, platform, scope, refund_request_id, body)


@router.post(
    "/admin/credits/refund-requests/{refund_request_id}/decline",
    operation_id="declineRefund",
    openapi_extra=raises(RefundRequestNotFound, RefundAlreadyDecided),
)
async def decline_refund(
    scope: Operator,
    platform: PlatformDep,
    session: SessionDep,
    refund_request_id: RefundRequestId,
    body: DeclineRefundRequest,
) -> DeclinedAnswer:
    """Turn a refund down, with a word why; decided once."""
    return await corrections.decline(session, platform, scope, refund_request_id, body)
