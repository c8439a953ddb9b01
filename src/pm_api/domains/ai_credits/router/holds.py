"""Routes of holds."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import CreditScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits import holds
from pm_api.domains.ai_credits.enums import HoldStatus
from pm_api.domains.ai_credits.errors import (
    AmountTooLarge,
    CaptureExceedsHold,
    HoldAlreadyCaptured,
    HoldAlreadyReleased,
    HoldExpired,
    HoldInUse,
    HoldNotFound,
    InsufficientCredits,
    NotYourHold,
    SpendingCapReached,
    TooManyHolds,
    UnknownService,
)
from pm_api.domains.ai_credits.repository.ledger import account_id_of
from pm_api.domains.ai_credits.router.ledger import LEDGER_PROBLEMS, IdempotencyHeader, WorkspaceParameter
from pm_api.domains.ai_credits.schemas.holds import (
    CaptureAnswer,
    CaptureRequest,
    ExtendRequest,
    HoldAnswer,
    HoldDetailsAnswer,
    HoldList,
    HoldRequest,
    ReleaseRequest,
)
from pm_api.domains.ai_credits.service import ledger_key
from pm_api.identity.guards import require_account, require_account_of

LIST: Final = "credits.holds"
REPLAYED: Final = "Idempotent-Replayed"
RESOLVING_PROBLEMS: Final = (
    HoldNotFound,
    NotFound,
    Forbidden,
    NotYourHold,
    HoldAlreadyCaptured,
    HoldAlreadyReleased,
    HoldExpired,
    HoldInUse,
    *LEDGER_PROBLEMS,
)

HoldId = Annotated[UUID, Path(description="The hold.")]

router = api_router(tag="ai credits")

Spender = Annotated[CreditScope, Depends(require_account_of("credit_holds", "credits.spend", leads=True))]


@router.post(
    "/credits/holds",
    operation_id="placeHold",
    status_code=201,
    responses={201: answers_with("Location", REPLAYED)},
    openapi_extra=raises(
        InsufficientCredits, SpendingCapReached, TooManyHolds, UnknownService, AmountTooLarge, *LEDGER_PROBLEMS
    ),
)
async def place_hold(
    scope: Annotated[CreditScope, Depends(require_account("credits.spend", leads=True))],
    platform: PlatformDep,
    body: HoldRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> HoldAnswer:
    """Set credits aside for work that is about to begin: nobody else can spend them.

    Capture what the work cost, release what it did not; what is forgotten goes back by itself.
    """
    key = ledger_key(idempotency_key, body.idempotency_key)
    answer, replayed = await holds.place(platform, scope, body, key)
    response.headers["Location"] = f"/api/credits/holds/{answer.hold.id}"
    _mark(response, replayed)
    return answer


@router.post(
    "/credits/holds/{hold_id}/capture",
    operation_id="captureHold",
    responses={200: answers_with(REPLAYED)},
    openapi_extra=raises(CaptureExceedsHold, *RESOLVING_PROBLEMS),
)
async def capture_hold(
    scope: Spender,
    platform: PlatformDep,
    hold_id: HoldId,
    response: Response,
    body: CaptureRequest | None = None,
    idempotency_key: IdempotencyHeader = None,
) -> CaptureAnswer:
    """Spend what was held: all of it, or a part, in as many steps as you like. `final` gives the rest back.

    Without a body, all that is left. In a pool this is for whoever placed the hold, and for those with
    `credits.manage`.
    """
    body = body or CaptureRequest()
    key = ledger_key(idempotency_key, body.idempotency_key)
    answer, replayed = await holds.capture(platform, scope, hold_id, body, key)
    _mark(response, replayed)
    return answer


@router.post(
    "/credits/holds/{hold_id}/release",
    operation_id="releaseHold",
    responses={200: answers_with(REPLAYED)},
    openapi_extra=raises(*RESOLVING_PROBLEMS),
)
async def release_hold(
    scope: Spender,
    platform: PlatformDep,
    hold_id: HoldId,
    response: Response,
    body: ReleaseRequest | None = None,
    idempotency_key: IdempotencyHeader = None,
) -> HoldAnswer:
    """Give back what is left of a hold.

    In a pool this is for whoever placed it, and for those with `credits.manage`.
    """
    key = ledger_key(idempotency_key, body.idempotency_key if body else None)
    answer, replayed = await holds.release(platform, scope, hold_id, key)
    _mark(response, replayed)
    return answer


@router.post(
    "/credits/holds/{hold_id}/extend",
    operation_id="extendHold",
    responses={200: answers_with(REPLAYED)},
    openapi_extra=raises(*RESOLVING_PROBLEMS),
)
async def extend_hold(
    scope: Spender,
    platform: PlatformDep,
    hold_id: HoldId,
    body: ExtendRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> HoldAnswer:
    """Let a hold live longer, for work that takes longer than was thought.

    It never gets shorter: a time that ends sooner than the hold does is answered 200 and changes nothing. In a pool
    this is for whoever placed the hold, and for those with `credits.manage`.
    """
    key = ledger_key(idempotency_key, body.idempotency_key)
    answer, replayed = await holds.extend(platform, scope, hold_id, body, key)
    _mark(response, replayed)
    return answer


@router.get("/credits/holds", operation_id="listHolds", openapi_extra=raises(InvalidCursor))
async def list_holds(
    scope: Annotated[CreditScope, Depends(require_account("credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: Annotated[HoldStatus | None, Query(description="Only holds that are so now.")] = None,
    _workspace_id: WorkspaceParameter = None,
) -> HoldList:
    """The account's holds, newest first. In a pool, without `credits.manage`: those you placed."""
    bound = {"account": account_id_of(scope), "status": status}
    key = platform.cursors.decode(page.cursor, of=LIST, **bound)
    before_id = UUID(key[0]) if key else None
    found = await holds.newest(session, platform, scope, page, status=status, before_id=before_id)
    return HoldList(holds=list(found.rows), next_cursor=platform.cursors.encode(found.next_key, of=LIST, **bound))


@router.get(
    "/credits/holds/{hold_id}",
    operation_id="getHold",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(HoldNotFound, NotFound, Forbidden),
)
async def get_hold(
    scope: Annotated[CreditScope, Depends(require_account_of("credit_holds", "credits.read", leads=True))],
    platform: PlatformDep,
    session: SessionDep,
    hold_id: HoldId,
    response: Response,
) -> HoldDetailsAnswer:
    """One hold as it is now; one whose time has passed has expired.

    In a pool, without `credits.manage`, only one that you placed.
    """
    found = await holds.read(session, platform, scope, hold_id)
    response.headers["ETag"] = entity_tag(found.version)
    return HoldDetailsAnswer(hold=found)


def _mark(response: Response, replayed: bool) -> None:
    if replayed:
        response.headers[REPLAYED] = "true"
