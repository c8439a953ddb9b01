"""Routes of auto top-up."""

from typing import Annotated

from fastapi import Depends, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits import topups
from pm_api.domains.ai_credits.errors import MonthlyCapTooLow, OfferExpired, TopUpCurrencyDiffers, UnknownPackName
from pm_api.domains.ai_credits.pools import snapshot_tag
from pm_api.domains.ai_credits.router.ledger import WorkspaceParameter
from pm_api.domains.ai_credits.schemas.topups import AutoTopUpAnswer, AutoTopUpWrite
from pm_api.identity.guards import require_account

router = api_router(tag="ai credits")


@router.get("/credits/auto-topup", operation_id="getAutoTopUp", responses={200: ETAG_HEADER})
async def get_auto_top_up(
    scope: Annotated[AccountScope, Depends(require_account("credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    _workspace_id: WorkspaceParameter = None,
) -> AutoTopUpAnswer:
    """What is to be bought when credits run low, and how it has gone."""
    answer = AutoTopUpAnswer(auto_top_up=await topups.read(session, platform, scope))
    response.headers["ETag"] = snapshot_tag(answer.auto_top_up.version, answer.model_dump_json())
    return answer


@router.put(
    "/credits/auto-topup",
    operation_id="putAutoTopUp",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        UnknownPackName, OfferExpired, TopUpCurrencyDiffers, MonthlyCapTooLow, PreconditionFailed, InvalidIfMatch
    ),
)
async def put_auto_top_up(
    scope: Annotated[AccountScope, Depends(require_account("credits.manage"))],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    expected_version: Annotated[int | None, Depends(if_match)],
    wanted: AutoTopUpWrite,
    _workspace_id: WorkspaceParameter = None,
) -> AutoTopUpAnswer:
    """Set what is bought when credits run low, with the default payment method and within the month's cap. It is
    kept, but not armed, while no payment method is known; and after repeated declines only a new card arms it again.
    """
    answer = AutoTopUpAnswer(auto_top_up=await topups.put(session, platform, scope, wanted, expected_version))
    response.headers["ETag"] = snapshot_tag(answer.auto_top_up.version, answer.model_dump_json())
    return answer
