"""How often somebody may report: those in charge hear of each."""

from typing import Final

from fastapi import Request

from pm_api.core.platform import PlatformDep
from pm_api.core.ratelimit import Policy

REPORTING: Final = Policy("bug-reports", "20/hour")
HINTING: Final = Policy("bug-report-duplicates", "120/hour")


async def limit_reporting(request: Request, platform: PlatformDep) -> None:
    """A caller's reports; raises TooManyRequests."""
    await platform.limiter.hit_request(request, REPORTING, request.state.caller)


async def limit_hinting(request: Request, platform: PlatformDep) -> None:
    """A caller's questions for duplicates; raises TooManyRequests."""
    await platform.limiter.hit_request(request, HINTING, request.state.caller)
