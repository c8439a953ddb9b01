"""Routes of promotion codes."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request

from pm_api.core.actor import AccountScope
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.core.ratelimit import Policy, client_address
from pm_api.domains.billing import promotions
from pm_api.domains.billing.errors import PromotionCodeInvalid
from pm_api.domains.billing.schemas.promotions import PromotionAnswer
from pm_api.identity.guards import require_account
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")


@router.get(
    "/billing/promotion-codes/{promotion_code}",
    operation_id="getPromotionCode",
    openapi_extra=raises(PromotionCodeInvalid, PaymentProviderUnavailable),
)
async def get_promotion_code(
    request: Request,
    scope: Annotated[AccountScope, Depends(require_account("billing.read"))],
    platform: PlatformDep,
    promotion_code: Annotated[
        str, Path(pattern=r"^[A-Za-z0-9-]{1,100}$", description="The code as it was typed.", examples=["SPRING25"])
    ],
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="For a workspace; absent: for yourself.")
    ] = None,
) -> PromotionAnswer:
    """What a promotion code gives, if the account may use it. Codes can be guessed: only so many a minute."""
    guesses = Policy("promotion-code", platform.settings.rate_limit_auth)
    await platform.limiter.hit_request(request, guesses, f"address:{client_address(request)}")
    await platform.limiter.hit(guesses, scope.actor.person)
    return PromotionAnswer(promotion_code=await promotions.look_at(platform, scope, promotion_code))
