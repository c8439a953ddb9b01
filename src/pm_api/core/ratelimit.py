"""Rate limits: per address before anything else, per caller in the guards, stricter where secrets can be guessed.

Counters live in this process, or in Redis when `PM_REDIS_URL` is set. Wall time, never business time.
Headers follow draft-ietf-httpapi-ratelimit-headers.
"""

import time
from dataclasses import dataclass
from typing import Final

import structlog
from limits import RateLimitItem, WindowStats, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from pm_api.core.errors import TooManyRequests

REDIS_TIMEOUT_S: Final = 1.0

_log = structlog.get_logger(__name__)


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
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._pool: ConnectionPool | None = None
        if redis_url:
            self._pool = ConnectionPool.from_url(redis_url, socket_timeout=REDIS_TIMEOUT_S)
            storage = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                connection_pool=self._pool,  # type: ignore[arg-type]  # typed as an option, taken as a pool
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._enabled = enabled
        self._items: dict[str, RateLimitItem] = {}

    async def close(self) -> None:
        """Let go of Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def hit(self, policy: Policy, identity: str) -> Standing | None:
        """Count one request; raises TooManyRequests with `Retry-After`. None when limits are switched off."""
        if not self._enabled:
            return None
        item = self._items.get(policy.rate)
        if item is None:
            item = self._items[policy.rate] = parse(policy.rate)
        allowed, stats = await self._count(item, policy.name, identity)
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

    async def _count(self, item: RateLimitItem, *identifiers: str) -> tuple[bool, WindowStats]:
        """In Redis when there is one. While it is away each process counts for itself: nobody is locked out."""
        if self._shared is not None:
            try:
                allowed = await self._shared.hit(item, *identifiers)
                return allowed, await self._shared.get_window_stats(item, *identifiers)
            except (RedisError, OSError) as error:
                _log.warning("rate_limit_store_away", error=repr(error))
        allowed = await self._own.hit(item, *identifiers)
        return allowed, await self._own.get_window_stats(item, *identifiers)

    async def hit_request(self, connection: HTTPConnection, policy: Policy, identity: str) -> None:
        """The same, and leave the standing where the answer's headers are written."""
        standing = await self.hit(policy, identity)
        if standing is not None:
            connection.state.rate_limit = standing


def client_address(connection: HTTPConnection) -> str:
    """The caller's address; the server has already applied `X-Forwarded-For` of trusted proxies."""
    return connection.client.host if connection.client else "unknown"
