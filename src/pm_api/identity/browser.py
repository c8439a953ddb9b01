"""How a session travels: its refresh token as an HttpOnly cookie for browsers, in the body for everybody else.

Beside it three cookies: the device's, which only makes it known again; the browser's that began a sign-in at another
provider; and, after that provider, the one that waits for the second factor.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from pm_api.core.platform import Platform, get_platform
from pm_api.core.ratelimit import client_address
from pm_api.core.settings import Settings
from pm_api.identity import users
from pm_api.identity.devices import Device
from pm_api.identity.errors.people import InvalidRefreshToken, OriginNotAllowed
from pm_api.identity.schemas.people import SignInAnswer
from pm_api.identity.sessions import Grant
from pm_api.identity.tokens import ACCESS_LIFETIME, REFRESH_LIFETIME, AccessTokens

REFRESH_COOKIE: Final = "pm_refresh"
COOKIE_PATH: Final = "/api/auth"
DEVICE_COOKIE: Final = "pm_device"
DEVICE_COOKIE_S: Final = 365 * 24 * 3600
OAUTH_COOKIE: Final = "pm_oauth"
OAUTH_PATH: Final = "/api/auth/oauth"
SECOND_FACTOR_COOKIE: Final = "pm_second_factor"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def device_of(request: Request) -> Device:
    """The device a request comes from; one that was not seen before gets a token, which `sign_in_answer` sets."""
    given = request.cookies.get(DEVICE_COOKIE, "")
    token = given if _TOKEN.fullmatch(given) else get_platform(request).randomness.token()
    request.state.device_token = token
    return Device(request.headers.get("user-agent", ""), client_address(request), token)


def caller_of(request: Request) -> Device:
    """Where a request comes from, for the record of what it does: nobody signs in with it."""
    return Device(request.headers.get("user-agent", ""), client_address(request))


def oauth_browser_of(request: Request, platform: Platform) -> str:
    """What binds a sign-in at a provider to this browser: the same for two tabs that begin at once."""
    return presented_oauth_browser(request) or platform.randomness.token()


def presented_oauth_browser(request: Request) -> str | None:
    given = request.cookies.get(OAUTH_COOKIE, "")
    return given if _TOKEN.fullmatch(given) else None


def wants_page(request: Request) -> bool:
    """Whether a browser is being led somewhere; a program asks for JSON, or for nothing in particular."""
    return "text/html" in request.headers.get("accept", "")


def presented_token(request: Request, settings: Settings, in_body: str | None) -> str:
    """The refresh token of a request: the body's, else the cookie's.

    Raises InvalidRefreshToken without either, and OriginNotAllowed when a page of an unknown site uses the cookie.
    """
    if in_body is not None:
        return in_body
    in_cookie = request.cookies.get(REFRESH_COOKIE)
    if in_cookie is None:
        raise InvalidRefreshToken("No refresh token was sent, neither in the body nor in the cookie.")
    check_origin(request, settings)
    return in_cookie


def check_origin(request: Request, settings: Settings) -> None:
    """Raises OriginNotAllowed when a page of an unknown site makes a browser send its cookies."""
    origin = request.headers.get("origin")
    if origin is not None and origin not in (*settings.cors_origins, _origin_of(settings.public_url)):
        raise OriginNotAllowed


def sign_in_answer(platform: Platform, request: Request, response: Response, grant: Grant) -> SignInAnswer:
    """The answer to a sign-in, with the cookies set on `response`."""
    set_session_cookies(platform, request, response, grant)
    return SignInAnswer(
        user=users.read(platform, grant.user),
        access_token=platform.part(AccessTokens).issue(grant.user.id, grant.session_id),
        expires_in=int(ACCESS_LIFETIME.total_seconds()),
        refresh_token=None if "origin" in request.headers else grant.refresh_token,
    )


def set_session_cookies(platform: Platform, request: Request, response: Response, grant: Grant) -> None:
    """The refresh token's, and after a sign-in the device's."""
    settings = platform.settings
    lifetime_s = int(REFRESH_LIFETIME.total_seconds())
    set_cookie(response, settings, REFRESH_COOKIE, grant.refresh_token, lifetime_s)
    device_token = getattr(request.state, "device_token", None)
    if device_token is not None:
        set_cookie(response, settings, DEVICE_COOKIE, device_token, DEVICE_COOKIE_S)


def set_cookie(
    response: Response, settings: Settings, name: str, value: str, lifetime_s: int, path: str = COOKIE_PATH
) -> None:
    """One that no script can read and no other site sends along."""
    response.set_cookie(
        name,
        value,
        max_age=lifetime_s,
        path=path,
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, settings: Settings, name: str = REFRESH_COOKIE, path: str = COOKIE_PATH) -> None:
    response.delete_cookie(name, path=path, secure=settings.secure_cookies, httponly=True, samesite="lax")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
