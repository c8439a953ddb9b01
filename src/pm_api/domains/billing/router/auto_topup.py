"""Routes of automatic purchases. Their settings are at `/api/credits/auto-topup`."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import auto_topup
from pm_api.domains.billing.errors import NothingToConfirm
from pm_api.domains.billing.schemas.auto_topup import ConfirmationAnswer, TopUpAnswer, TopUpsAnswer
from pm_api.identity.guards import require_account, require_account_of
from pm_api.integrations.stripe import PaymentProviderUnavailable

TopUpId = Annotated[UUID, Path(description="The automatic purchase.")]
router = api_router(tag="billing")


@router.get("/billing/top-ups", operation_id="listTopUps", openapi_extra=raises(InvalidCursor))
async def list_top_ups(
    scope: Annotated[AccountScope, Depends(require_account("billing.read"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="The workspace's purchases; absent: your own.")
    ] = None,
) -> TopUpsAnswer:
    """What auto top-up has bought, or tried to, newest first."""
    return await auto_topup.list_of(session, platform, scope, page)


@router.get(
    "/billing/top-ups/{top_up_id}",
    operation_id="getTopUp",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_top_up(
    scope: Annotated[AccountScope, Depends(require_account_of("topup_payments", "billing.read"))],
    session: SessionDep,
    response: Response,
    top_up_id: TopUpId,
) -> TopUpAnswer:
    """One automatic purchase."""
    found = await auto_topup.get(session, scope, top_up_id)
    response.headers["ETag"] = entity_tag(found.version)
    return TopUpAnswer(top_up=found)


@router.get(
    "/billing/top-ups/{top_up_id}/confirmation",
    operation_id="getTopUpConfirmation",
    openapi_extra=raises(NotFound, NothingToConfirm, PaymentProviderUnavailable),
)
async def get_top_up_confirmation(
    scope: Annotated[AccountScope, Depends(require_account_of("topup_payments", "billing.manage"))],
    platform: PlatformDep,
    top_up_id: TopUpId,
) -> ConfirmationAnswer:
    """What the browser needs to let the cardholder confirm a purchase that their bank asked about."""
    return ConfirmationAnswer(confirmation=await auto_topup.confirmation(platform, scope, top_up_id))
