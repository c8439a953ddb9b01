"""Routes of gifts."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from pm_api.core.actor import AccountScope, UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import InvalidIdempotencyKey, api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep, get_platform
from pm_api.core.ratelimit import Policy, client_address
from pm_api.domains.ai_credits import gift_claims, gifts
from pm_api.domains.ai_credits.enums import GiftDirection
from pm_api.domains.ai_credits.errors import (
    AmountTooLarge,
    BalanceLimitExceeded,
    GiftAlreadyClaimed,
    GiftClosed,
    GiftCodeExpired,
    GiftCodeNotFound,
    GiftCodeSpent,
    GiftToSelf,
    InsufficientCredits,
    InvalidGiftExpiry,
    RecipientFull,
    RecipientNotFound,
    TooManyLots,
)
from pm_api.domains.ai_credits.router.ledger import LEDGER_PROBLEMS, IdempotencyHeader, WorkspaceParameter
from pm_api.domains.ai_credits.schemas.gifts import (
    GiftAnswer,
    GiftCodesRequest,
    GiftRedeemed,
    GiftRequest,
    GiftsAnswer,
    GiftSent,
    RedeemRequest,
)
from pm_api.domains.ai_credits.service import ledger_key
from pm_api.identity.guards import require_account, require_account_of, signed_in_or_key

router = api_router(tag="ai credits")

GiftId = Annotated[UUID, Path(description="A gift of your own wallet, or of a pool you belong to.")]
CREATED: Final = answers_with("Location", "ETag", "Idempotent-Replayed")


async def limit_guesses(request: Request) -> None:
    """Codes are not to be tried out: strict, for a caller and for a network address. Raises TooManyRequests."""
    platform = get_platform(request)
    guesses = Policy("gift-redeem", platform.settings.rate_limit_auth)
    await platform.limiter.hit(guesses, str(request.state.person))
    await platform.limiter.hit_request(request, guesses, f"address:{client_address(request)}")


def _created(response: Response, sent: GiftSent, *, replayed: bool) -> GiftSent:
    response.headers["Location"] = f"/api/credits/gifts/{sent.gift.id}"
    response.headers["ETag"] = entity_tag(sent.gift.version)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return sent


@router.post(
    "/credits/gifts",
    operation_id="sendGift",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(
        InsufficientCredits,
        RecipientNotFound,
        GiftToSelf,
        AmountTooLarge,
        InvalidGiftExpiry,
        BalanceLimitExceeded,
        RecipientFull,
        *LEDGER_PROBLEMS,
    ),
)
async def send_gift(
    scope: Annotated[AccountScope, Depends(require_account("credits.manage"))],
    request: Request,
    platform: PlatformDep,
    body: GiftRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> GiftSent:
    """Give credits to a user at once, or make a code that others can redeem. The credits leave the account now."""
    key = ledger_key(idempotency_key, body.idempotency_key)
    sent, replayed = await gifts.send(platform, scope, body, key, client_address(request))
    return _created(response, sent, replayed=replayed)


@router.post(
    "/credits/gifts/codes",
    operation_id="createGiftCodes",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(InsufficientCredits, AmountTooLarge, InvalidGiftExpiry, *LEDGER_PROBLEMS),
)
async def create_gift_codes(
    scope: Annotated[AccountScope, Depends(require_account("credits.manage"))],
    platform: PlatformDep,
    body: GiftCodesRequest,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> GiftSent:
    """Many single-use codes at once, as for a team. The credits of all of them leave the account now."""
    key = ledger_key(idempotency_key, body.idempotency_key)
    sent, replayed = await gifts.send_codes(platform, scope, body, key)
    return _created(response, sent, replayed=replayed)


@router.post(
    "/credits/gifts/redeem",
    operation_id="redeemGift",
    openapi_extra=raises(
        GiftCodeNotFound,
        GiftToSelf,
        GiftAlreadyClaimed,
        GiftCodeSpent,
        GiftCodeExpired,
        BalanceLimitExceeded,
        TooManyLots,
        InvalidIdempotencyKey,
    ),
)
async def redeem_gift(
    scope: Annotated[UserScope, Depends(signed_in_or_key("credits"))],
    _limited: Annotated[None, Depends(limit_guesses)],
    request: Request,
    platform: PlatformDep,
    session: SessionDep,
    body: RedeemRequest,
) -> GiftRedeemed:
    """Redeem a code for your own wallet: once a person, for credits that live 12 months."""
    key = gift_claims.claim_key(request.headers.get("idempotency-key"), body.idempotency_key)
    return await gift_claims.redeem(session, platform, scope, body.code, key)


@router.get("/credits/gifts", operation_id="listGifts", openapi_extra=raises(InvalidCursor))
async def list_gifts(
    scope: Annotated[AccountScope, Depends(require_account("credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
    direction: Annotated[
        GiftDirection, Query(description="What the account gave, or what you received; a pool receives nothing.")
    ] = GiftDirection.SENT,
) -> GiftsAnswer:
    """Gifts given or received, newest first."""
    return await gifts.listed(session, platform, scope, direction, page)


@router.get(
    "/credits/gifts/{gift_id}",
    operation_id="getGift",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, Forbidden),
)
async def get_gift(
    scope: Annotated[AccountScope, Depends(require_account_of("credit_gifts", "credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    gift_id: GiftId,
    response: Response,
) -> GiftAnswer:
    """A gift this account gave, and how its codes stand."""
    answer, headers = await gifts.one(session, platform, scope, gift_id)
    response.headers.update(headers)
    return answer


@router.post(
    "/credits/gifts/{gift_id}/cancel",
    operation_id="cancelGift",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, Forbidden, GiftClosed, PreconditionFailed, InvalidIfMatch),
)
async def cancel_gift(
    scope: Annotated[AccountScope, Depends(require_account_of("credit_gifts", "credits.manage"))],
    platform: PlatformDep,
    session: SessionDep,
    gift_id: GiftId,
    response: Response,
    expected_version: Annotated[int | None, Depends(if_match)],
) -> GiftAnswer:
    """Take back what nobody has claimed: it returns at once to where it came from."""
    await gift_claims.cancel(session, platform, scope, gift_id, expected_version)
    answer, headers = await gifts.one(session, platform, scope, gift_id)
    response.headers.update(headers)
    return answer
