"""Strict rate limits where a password or token can be guessed: per address, and per e-mail address tried."""

from typing import Final

from fastapi import Request

from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy, client_address

REFRESHES: Final = Policy("refresh", "300/minute")
"""Of many people behind one address; a refresh token is too long to be guessed."""


async def limit_refresh(platform: Platform, request: Request) -> None:
    """Count a refresh apart from sign-ins; raises TooManyRequests."""
    await platform.limiter.hit_request(request, REFRESHES, client_address(request))


async def limit_sign_in(platform: Platform, request: Request, email: str | None = None) -> None:
    """Count an attempt; raises TooManyRequests. The counters' store sees only a digest of the e-mail address."""
    policy = Policy("sign-in", platform.settings.rate_limit_auth)
    await platform.limiter.hit_request(request, policy, f"address:{client_address(request)}")
    if email is not None:
        await platform.limiter.hit(policy, f"email:{digest_token(email).hex()}")
