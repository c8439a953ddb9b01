"""Rate limits: per address before anything else, per caller in the guards, stricter where secrets can be guessed.

Counters live in this process, or in Redis when `PM_REDIS_URL` is set. Wall time, never business time.
Headers follow draft-ietf-httpapi-ratelimit-headers.
"""

import time
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string
from starlette.requests import HTTPConnection

from pm_api.core.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Policy:
    """`name` appears in the headers; `rate` is written as `600/minute`."""

    name: str
    rate: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a policy is left after this request."""

    policy: str
    quota: int
    window_s: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={self.window_s}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.reset_s}',
        }


class RateLimiter:
    def __init__(self, *, redis_url: str | None, enabled: bool) -> None:
        self._storage: Storage = MemoryStorage()
        if redis_url:
            shared: Any = storage_from_string(f"async+{redis_url}", implementation="redispy")
            self._storage = shared
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)
        self._enabled = enabled
        self._items: dict[str, RateLimitItem] = {}

    async def hit(self, policy: Policy, identity: str) -> Standing | None:
        """Count one request; raises TooManyRequests with `Retry-After`. None when limits are switched off."""
        if not self._enabled:
            return None
        item = self._items.get(policy.rate)
        if item is None:
            item = self._items[policy.rate] = parse(policy.rate)
        allowed = await self._strategy.hit(item, policy.name, identity)
        stats = await self._strategy.get_window_stats(item, policy.name, identity)
        standing = Standing(
            policy=policy.name,
            quota=item.amount,
            window_s=item.get_expiry(),
            remaining=max(0, stats.remaining),
            reset_s=max(1, int(stats.reset_time - time.time()) + 1),
        )
        if not allowed:
            raise TooManyRequests(headers={"Retry-After": str(standing.reset_s), **standing.headers()})
        return standing

    async def hit_request(self, connection: HTTPConnection, policy: Policy, identity: str) -> None:
        """The same, and leave the standing where the answer's headers are written."""
        standing = await self.hit(policy, identity)
        if standing is not None:
            connection.state.rate_limit = standing


def client_address(connection: HTTPConnection) -> str:
    """The caller's address; the server has already applied `X-Forwarded-For` of trusted proxies."""
    return connection.client.host if connection.client else "unknown"
