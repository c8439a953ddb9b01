"""What one process is made of, chosen once at its entry point and handed down."""

from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from pm_api.core.clock import SystemClock
from pm_api.core.crypto import KeyRing
from pm_api.core.db import Database
from pm_api.core.ids import Randomness
from pm_api.core.paging import Cursors
from pm_api.core.ratelimit import RateLimiter
from pm_api.core.settings import Settings
from pm_api.core.signals import Signals

Part = TypeVar("Part")


@dataclass
class Platform:
    settings: Settings
    database: Database
    clock: SystemClock
    randomness: Randomness
    keys: KeyRing
    cursors: Cursors
    signals: Signals
    limiter: RateLimiter
    _parts: dict[type[Any], Any] = field(default_factory=dict)

    def provide(self, part: object) -> None:
        """Hand in something an upper floor owns (the ledger's writer, the Stripe door)."""
        self._parts[type(part)] = part

    def part(self, kind: type[Part]) -> Part:
        found: Part = self._parts[kind]
        return found


def get_platform(connection: HTTPConnection) -> Platform:
    platform: Platform = connection.app.state.platform
    return platform


async def platform_of(connection: HTTPConnection) -> Platform:
    """`get_platform` for FastAPI, which takes a dependency that is not `async` through a thread."""
    return get_platform(connection)


PlatformDep = Annotated[Platform, Depends(platform_of)]
