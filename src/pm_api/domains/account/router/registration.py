"""Routes of the account."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.account import service
from pm_api.domains.account.errors.registration import UnknownOperation
from pm_api.domains.account.schemas.registration import IdempotencyOutcomeAnswer, Registration
from pm_api.identity import browser
from pm_api.identity.errors.people import EmailTaken, WeakPassword
from pm_api.identity.guards import require_account
from pm_api.identity.limits import limit_sign_in
from pm_api.identity.schemas.people import SignInAnswer

router = api_router(tag="account")

CREATED: Final = answers_with("Location")


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


@router.get(
    "/idempotency/{key:path}", operation_id="getIdempotencyOutcome", openapi_extra=raises(NotFound, UnknownOperation)
)
async def get_idempotency_outcome(
    request: Request,
    scope: Annotated[AccountScope, Depends(require_account("credits.read"))],
    platform: PlatformDep,
    session: SessionDep,
    key: Annotated[Text, Path(min_length=1, max_length=255, description="The Idempotency-Key.")],
    route: Annotated[
        Text,
        Query(
            max_length=100, description="The operation it was sent to, by its operationId.", examples=["spendCredits"]
        ),
    ],
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="The workspace whose pool the request was for.")
    ] = None,
) -> IdempotencyOutcomeAnswer:
    """What became of a request of yours whose answer was lost: kept 48 hours, on credit routes for ever."""
    if route not in request.app.state.keyed_operations:
        raise UnknownOperation
    outcome = await service.idempotency_outcome(session, platform, scope, route=route, key=key)
    return IdempotencyOutcomeAnswer(outcome=outcome)
