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
REDIS_REST_S: Final = 10.0  # how long Redis is left alone after it failed

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
        self._shared_rests_until = 0.0
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
        return await self._ask(policy, identity, count=True)

    async def test(self, policy: Policy, identity: str) -> Standing | None:
        """The same without counting: for what only counts when it fails."""
        return await self._ask(policy, identity, count=False)

    async def _ask(self, policy: Policy, identity: str, *, count: bool) -> Standing | None:
        if not self._enabled:
            return None
        item = self._items.get(policy.rate)
        if item is None:
            item = self._items[policy.rate] = parse(policy.rate)
        allowed, stats = await self._ask_store(item, policy.name, identity, count=count)
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

    async def _ask_store(self, item: RateLimitItem, *identifiers: str, count: bool) -> tuple[bool, WindowStats]:
        """In Redis when there is one. While it is away each process counts for itself: nobody is locked out, and
        only one request in ten seconds waits for Redis in vain.
        """
        if self._shared is not None and time.monotonic() >= self._shared_rests_until:
            try:
                return await _ask(self._shared, item, *identifiers, count=count)
            except (RedisError, OSError) as error:
                if time.monotonic() >= self._shared_rests_until:  # of many that waited together the first tells
                    _log.warning("rate_limit_store_away", error=repr(error), rest_s=REDIS_REST_S)
                self._shared_rests_until = time.monotonic() + REDIS_REST_S
        return await _ask(self._own, item, *identifiers, count=count)

    async def hit_request(self, connection: HTTPConnection, policy: Policy, identity: str) -> None:
        """The same, and leave the standing where the answer's headers are written."""
        standing = await self.hit(policy, identity)
        if standing is not None:
            connection.state.rate_limit = standing


async def _ask(
    counters: SlidingWindowCounterRateLimiter, item: RateLimitItem, *identifiers: str, count: bool
) -> tuple[bool, WindowStats]:
    allowed = await (counters.hit if count else counters.test)(item, *identifiers)
    return allowed, await counters.get_window_stats(item, *identifiers)


def client_address(connection: HTTPConnection) -> str:
    """The caller's address; the server has already applied `X-Forwarded-For` of trusted proxies."""
    return connection.client.host if connection.client else "unknown"
