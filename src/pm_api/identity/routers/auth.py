"""Signing in and out, and who one is."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Path, Request, Response

from pm_api.core import signing
from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.http import content_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.identity import browser, sessions, users
from pm_api.identity.errors.credentials import SecondFactorLocked, TotpInvalid, TotpRequired
from pm_api.identity.errors.people import (
    InvalidCredentials,
    InvalidRefreshToken,
    OriginNotAllowed,
    RefreshTokenReused,
)
from pm_api.identity.guards import itself, signed_in
from pm_api.identity.guards_signing_out import leaving
from pm_api.identity.limits import limit_refresh, limit_sign_in
from pm_api.identity.schemas.people import (
    JsonWebKey,
    JsonWebKeys,
    MeAnswer,
    RefreshRequest,
    SessionsAnswer,
    SignIn,
    SignInAnswer,
)
from pm_api.identity.tokens import AccessTokens

PUBLIC_CACHE = "public, max-age=300"

router = api_router(tag="identity")
well_known = api_router(tag="identity", prefix="")

Caller = Annotated[UserScope, Depends(signed_in)]
SessionId = Annotated[UUID, Path(description="One of the caller's sessions.")]


@router.post(
    "/auth/login",
    operation_id="login",
    openapi_extra=raises(InvalidCredentials, TotpRequired, TotpInvalid, SecondFactorLocked),
)
async def login(request: Request, response: Response, platform: PlatformDep, credentials: SignIn) -> SignInAnswer:
    """Sign in with e-mail address and password, and `totpCode` where a second factor was enabled."""
    await limit_sign_in(platform, request, credentials.email)
    device = browser.device_of(request)
    grant = await sessions.sign_in(platform, credentials.email, credentials.password, device, credentials.totp_code)
    return browser.sign_in_answer(platform, request, response, grant)


@router.post(
    "/auth/refresh",
    operation_id="refresh",
    openapi_extra=raises(InvalidRefreshToken, RefreshTokenReused, OriginNotAllowed),
)
async def refresh(
    request: Request,
    response: Response,
    platform: PlatformDep,
    body: Annotated[RefreshRequest | None, Body(description="Leave it out to use the cookie.")] = None,
) -> SignInAnswer:
    """Exchange a refresh token for its successor and a new access token."""
    await limit_refresh(platform, request)
    token = browser.presented_token(request, platform.settings, body.refresh_token if body else None)
    grant = await sessions.refresh(platform, token, browser.caller_of(request))
    return browser.sign_in_answer(platform, request, response, grant)


@router.post("/auth/logout", operation_id="logout", status_code=204, openapi_extra=raises(OriginNotAllowed))
async def logout(
    scope: Annotated[UserScope, Depends(leaving)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _body: Annotated[
        RefreshRequest | None, Body(description="The refresh token, for who has no cookie and no access token.")
    ] = None,
) -> None:
    """End this session, on every server at once. Without a good access token it is the session of the refresh token
    in the cookie or the body.
    """
    await sessions.end(
        session, platform, user_id=scope.user_id, session_id=scope.actor.session_id, reason="signed out"
    )
    browser.clear_cookie(response, platform.settings)


@router.post("/auth/logout-all", operation_id="logoutAll", status_code=204)
async def logout_all(scope: Caller, session: SessionDep, platform: PlatformDep, response: Response) -> None:
    """End every session of the caller, this one included."""
    await sessions.end(session, platform, user_id=scope.user_id, reason="signed out everywhere")
    browser.clear_cookie(response, platform.settings)


@router.get("/auth/me", operation_id="getMe", responses={200: ETAG_HEADER})
async def get_me(
    scope: Annotated[UserScope, Depends(itself)], session: SessionDep, platform: PlatformDep, response: Response
) -> MeAnswer:
    """Who the caller is, and their workspaces with their role in each. An API key of one workspace learns its id, its
    scopes and that workspace; of its maker only who it is.
    """
    answer = await users.describe(session, platform, scope)
    # Of the whole answer: the user's version alone does not tell of a new workspace or role.
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer


@router.get("/auth/sessions", operation_id="listSessions", openapi_extra=raises(InvalidCursor))
async def list_sessions(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> SessionsAnswer:
    """Where the caller is signed in, newest first."""
    return await sessions.list_live(session, platform, scope.user_id, scope.actor.session_id, page)


@router.delete(
    "/auth/sessions/{session_id}", operation_id="endSession", status_code=204, openapi_extra=raises(NotFound)
)
async def end_session(scope: Caller, session: SessionDep, platform: PlatformDep, session_id: SessionId) -> None:
    """End one of the caller's sessions, on every server at once."""
    await sessions.end_one(session, platform, user_id=scope.user_id, session_id=session_id)


@well_known.get("/.well-known/jwks.json", operation_id="getJwks", responses={200: ETAG_HEADER})
async def get_jwks(platform: PlatformDep, response: Response) -> JsonWebKeys:
    """The public keys that access tokens and credit statements are signed with (RFC 7517)."""
    keys = [*platform.part(AccessTokens).public_keys(), *signing.public_keys(platform.keys)]
    answer = JsonWebKeys(keys=[JsonWebKey.model_validate(key) for key in keys])
    response.headers["Cache-Control"] = PUBLIC_CACHE
    response.headers["ETag"] = content_tag(answer.model_dump_json())
    return answer
