"""Routes of what an account has and uses."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.pools import snapshot_tag
from pm_api.domains.billing import overview
from pm_api.domains.billing.schemas.overview import SubscriptionAnswer, UsageAnswer
from pm_api.identity.guards import require_account

router = api_router(tag="billing")

Reader = Annotated[AccountScope, Depends(require_account("billing.read"))]
WorkspaceParameter = Annotated[
    UUID | None, Query(alias="workspaceId", description="The workspace's plan; absent: your own.")
]


@router.get("/billing/subscriptions", operation_id="getSubscription", responses={200: ETAG_HEADER})
async def get_subscription(
    scope: Reader,
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
    _workspace_id: WorkspaceParameter = None,
) -> SubscriptionAnswer:
    """The plan an account has, and what is used of it. Without a subscription or a contract it is FREE.

    A workspace without a plan of its own lives under its owner's limits, together with the owner's other such
    workspaces. `apiCalls` are 0 until calls with API keys are counted.
    """
    answer = SubscriptionAnswer(subscription=await overview.subscription(session, platform, scope))
    response.headers["ETag"] = snapshot_tag(answer.subscription.version, answer.model_dump_json())
    return answer


@router.get("/billing/usage", operation_id="getBillingUsage")
async def get_billing_usage(
    scope: Reader,
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: WorkspaceParameter = None,
) -> UsageAnswer:
    """Each metric: how much is used, its limit, its period, and what comes of it if things go on as they went.

    AI credits are forecast from their own history, the others in a straight line. API_CALLS are 0 until such things
    are counted.
    """
    return await overview.usage(session, platform, scope)
