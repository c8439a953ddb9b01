"""Routes of plans."""

from fastapi import Response

from pm_api.core.http import content_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import plans
from pm_api.domains.billing.schemas.plans import Plans

PUBLIC_CACHE = "public, max-age=60"

router = api_router(tag="billing")


@router.get("/billing/plans", operation_id="listPlans", responses={200: ETAG_HEADER})
async def list_plans(platform: PlatformDep, response: Response) -> Plans:
    """Plans on offer, smallest first, with what each holds and costs."""
    answer = Plans(plans=await plans.on_offer(platform))
    response.headers["Cache-Control"] = PUBLIC_CACHE
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer
