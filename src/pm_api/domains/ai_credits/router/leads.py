"""The route by which visitors come."""

from fastapi import Request, Response

from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.core.ratelimit import client_address
from pm_api.domains.ai_credits import leads
from pm_api.domains.ai_credits.errors import TooManyLeads
from pm_api.domains.ai_credits.schemas.leads import LeadAnswer, LeadCreate

router = api_router(tag="ai credits")


@router.post(
    "/leads",
    operation_id="createLead",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra=raises(TooManyLeads),
)
async def create_lead(request: Request, response: Response, platform: PlatformDep, wanted: LeadCreate) -> LeadAnswer:
    """Try the product without an account: 20 credits for 30 days, and a token for the credit routes.

    Send the token as `leadToken` when registering, and what is left moves along.
    """
    answer = await leads.create(platform, wanted, client_address(request))
    response.headers["Location"] = "/api/credits/balance"
    return answer
