"""Routes of the account."""

from typing import Any, Final

from fastapi import Request, Response

from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.account import service
from pm_api.domains.account.schemas import Registration
from pm_api.identity import browser
from pm_api.identity.errors import EmailTaken, WeakPassword
from pm_api.identity.limits import limit_sign_in
from pm_api.identity.schemas import SignInAnswer

router = api_router(tag="account")

CREATED: Final[dict[str, Any]] = {
    "headers": {"Location": {"description": "Address of the new account.", "schema": {"type": "string"}}}
}


@router.post(
    "/auth/register",
    operation_id="register",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(EmailTaken, WeakPassword),
)
async def register(request: Request, response: Response, platform: PlatformDep, wanted: Registration) -> SignInAnswer:
    """Open an account and sign in."""
    await limit_sign_in(platform, request)
    grant = await service.register(platform, wanted, browser.device_of(request))
    response.headers["Location"] = "/api/auth/me"
    return browser.sign_in_answer(platform, request, response, grant)
