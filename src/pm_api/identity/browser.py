"""How a session travels: its refresh token as an HttpOnly cookie for browsers, in the body for everybody else."""

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from pm_api.core.platform import Platform
from pm_api.core.ratelimit import client_address
from pm_api.core.settings import Settings
from pm_api.identity.errors import InvalidRefreshToken, OriginNotAllowed
from pm_api.identity.schemas import SignInAnswer, UserRead
from pm_api.identity.sessions import Device, Grant
from pm_api.identity.tokens import ACCESS_LIFETIME, REFRESH_LIFETIME, AccessTokens

REFRESH_COOKIE: Final = "pm_refresh"
COOKIE_PATH: Final = "/api/auth"


def device_of(request: Request) -> Device:
    return Device(request.headers.get("user-agent", ""), client_address(request))


def presented_token(request: Request, settings: Settings, in_body: str | None) -> str:
    """The refresh token of a request: the body's, else the cookie's.

    Raises InvalidRefreshToken without either, and OriginNotAllowed when a page of an unknown site uses the cookie.
    """
    if in_body is not None:
        return in_body
    in_cookie = request.cookies.get(REFRESH_COOKIE)
    if in_cookie is None:
        raise InvalidRefreshToken("No refresh token was sent, neither in the body nor in the cookie.")
    origin = request.headers.get("origin")
    if origin is not None and origin not in (*settings.cors_origins, _origin_of(settings.public_url)):
        raise OriginNotAllowed
    return in_cookie


def sign_in_answer(platform: Platform, request: Request, response: Response, grant: Grant) -> SignInAnswer:
    """The answer to a sign-in, with the cookie set on `response`."""
    response.set_cookie(
        REFRESH_COOKIE,
        grant.refresh_token,
        max_age=int(REFRESH_LIFETIME.total_seconds()),
        path=COOKIE_PATH,
        secure=platform.settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )
    return SignInAnswer(
        user=UserRead.model_validate(grant.user),
        access_token=platform.part(AccessTokens).issue(grant.user.id, grant.session_id),
        expires_in=int(ACCESS_LIFETIME.total_seconds()),
        refresh_token=None if "origin" in request.headers else grant.refresh_token,
    )


def clear_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        REFRESH_COOKIE, path=COOKIE_PATH, secure=settings.secure_cookies, httponly=True, samesite="lax"
    )


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
