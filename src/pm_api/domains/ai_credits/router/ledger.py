"""Routes of AI credits."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Response

from pm_api.core.actor import AdminScope, CreditScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import IdempotencyKeyRequired
from pm_api.core.http import content_tag
from pm_api.core.idempotency import IdempotencyKeyReused, InvalidIdempotencyKey, api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Timestamp
from pm_api.domains.ai_credits import balances, batch, estimates, service, verification
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.enums import EntryType, Service
from pm_api.domains.ai_credits.errors import (
    AccountNotFound,
    AmountTooLarge,
    BalanceLimitExceeded,
    ExpiryPassed,
    InsufficientCredits,
    LedgerBusy,
    SpendingCapReached,
    UnknownService,
)
from pm_api.domains.ai_credits.schemas.batch import SpendBatchAnswer, SpendBatchRequest
from pm_api.domains.ai_credits.schemas.estimates import EstimateAnswer, EstimateRequest
from pm_api.domains.ai_credits.schemas.ledger import (
    BalanceAnswer,
    CreditOverview,
    EntryAnswer,
    GrantAnswer,
    GrantRequest,
    History,
    Packs,
    SpendRequest,
    VerificationAnswer,
)
from pm_api.identity.guards import operator, require_account

PUBLIC_CACHE = "public, max-age=60"

router = api_router(tag="ai credits")

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention, the same for its retries. Required here or as `idempotencyKey`.",
    ),
]
WorkspaceParameter = Annotated[
    UUID | None, Query(alias="workspaceId", description="The workspace's pool; absent: your own wallet.")
]
MemberParameter = Annotated[
    UUID | None,
    Query(alias="memberId", description="Only what this user did; in a pool others than you need credits.manage."),
]
LEDGER_PROBLEMS = (IdempotencyKeyRequired, IdempotencyKeyReused, InvalidIdempotencyKey, LedgerBusy)


@router.post(
    "/credits/spend",
    operation_id="spendCredits",
    responses={200: answers_with("Idempotent-Replayed")},
    openapi_extra=raises(InsufficientCredits, SpendingCapReached, UnknownService, AmountTooLarge, *LEDGER_PROBLEMS),
)
async def spend_credits(
    scope: Annotated[CreditScope, Depends(require_account("credits.spend", leads=True))],
    platform: PlatformDep,
    body: SpendRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> EntryAnswer:
    """Take credits exactly once: from your own wallet, or with `workspaceId` from that workspace's pool."""
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    answer, replayed = await service.spend(platform, scope, body, key)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return answer


@router.post(
    "/credits/spend:batch",
    operation_id="spendCreditsBatch",
    response_model=SpendBatchAnswer,
    openapi_extra=raises(InvalidIdempotencyKey, LedgerBusy),
)
async def spend_credits_batch(
    scope: Annotated[CreditScope, Depends(require_account("credits.spend", leads=True))],
    platform: PlatformDep,
    body: SpendBatchRequest,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)] = None,
) -> Response:
    """Up to 500 spends in one request, each exactly once under its own key, each standing alone.

    The answer is 200 as soon as the items were tried: whether each went through is its own `status`. After a 503
    send the whole request again; what was written is answered from its keys. An item is the same spend as one sent
    to `POST /api/credits/spend` with this key and content.

    There is no key for the whole: an `Idempotency-Key` header is refused with 422 `invalid_idempotency_key`.
    """
    if idempotency_key is not None:
        raise InvalidIdempotencyKey(batch.NO_KEY_FOR_THE_WHOLE)
    return Response(await batch.spend_many(platform, scope, body), media_type="application/json")


@router.post(
    "/credits/estimate",
    operation_id="estimateCredits",
    openapi_extra=raises(UnknownService, AmountTooLarge),
)
async def estimate_credits(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    body: EstimateRequest,
) -> EstimateAnswer:
    """What work would cost, which lots would pay, and what would stand in its way. Nothing is written."""
    return EstimateAnswer(estimate=await estimates.estimate(platform, scope, body))


@router.post(
    "/credits/grant",
    operation_id="grantCredits",
    responses={200: answers_with("Idempotent-Replayed")},
    openapi_extra=raises(AccountNotFound, BalanceLimitExceeded, ExpiryPassed, *LEDGER_PROBLEMS),
)
async def grant_credits(
    scope: Annotated[AdminScope, Depends(operator)],
    platform: PlatformDep,
    body: GrantRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> GrantAnswer:
    """Bring credits by an operator's hand, exactly once."""
    key = service.ledger_key(idempotency_key, body.idempotency_key)
    answer, replayed = await service.grant(platform, scope, body, key)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return answer


@router.get("/credits/balance", operation_id="getCreditBalance", responses={200: ETAG_HEADER})
async def get_credit_balance(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    _workspace_id: WorkspaceParameter = None,
) -> BalanceAnswer:
    """What an account has, lot by lot, and where every credit it ever got is now."""
    answer = BalanceAnswer(balance=await balances.balance(session, platform, scope))
    # Of what it says: holds and the clock change a balance without a line.
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer


@router.get("/ai/credits", operation_id="getCreditOverview")
async def get_credit_overview(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
) -> CreditOverview:
    """Everything the credits page shows: balance, this month's usage, prices."""
    return await balances.overview(session, platform, scope)


@router.get("/credits/history", operation_id="listCreditHistory", openapi_extra=raises(InvalidCursor))
async def list_credit_history(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
    service_name: Annotated[Service | None, Query(alias="service", description="Only this service.")] = None,
    entry_type: Annotated[EntryType | None, Query(alias="type", description="Only this kind of entry.")] = None,
    member_id: MemberParameter = None,
    since: Annotated[Timestamp | None, Query(alias="from", description="From here on, included.")] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="Up to here, not included.")] = None,
) -> History:
    """The account's book, newest line first. In a pool, without `credits.manage`: your own lines and the system's."""
    return await balances.history(
        session,
        platform,
        scope,
        page,
        service=service_name,
        type=entry_type,
        member_id=member_id,
        since=since,
        until=until,
    )


@router.get("/credits/verify", operation_id="verifyCredits")
async def verify_credits(
    scope: Annotated[CreditScope, Depends(require_account("credits.verify", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
) -> VerificationAnswer:
    """Prove the account's book from its raw lines: the hash chain, the sums, and every lot."""
    return VerificationAnswer(verification=await verification.verify(session, platform, scope))


@router.get("/credits/packs", operation_id="listCreditPacks", responses={200: ETAG_HEADER})
async def list_credit_packs(platform: PlatformDep, response: Response) -> Packs:
    """Packs on offer, smallest first."""
    answer = Packs(packs=balances.offers(await platform.part(Catalogue).packs()))
    response.headers["Cache-Control"] = PUBLIC_CACHE
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer
