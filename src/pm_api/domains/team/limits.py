"""How often mails to other people may be set off, and how often a link may be tried.

Dependencies, so that they count before a route has its session: the counters may stand behind a network.
"""

from typing import Final

from fastapi import Request

from pm_api.core.platform import PlatformDep
from pm_api.core.ratelimit import Policy, client_address

INVITING: Final = Policy("team-invite", "60/hour")
RESENDING: Final = Policy("team-resend", "10/hour")
MESSAGING: Final = Policy("team-message", "20/hour")
EXPORTING: Final = Policy("team-export", "60/hour")


async def limit_inviting(request: Request, platform: PlatformDep) -> None:
    """A caller's invitations, up to 100 addresses each; raises TooManyRequests."""
    await platform.limiter.hit_request(request, INVITING, request.state.caller)


async def limit_resending(request: Request, platform: PlatformDep) -> None:
    """Mails to one address, whoever sends them; raises TooManyRequests."""
    invitation_id = str(request.path_params.get("invitation_id"))
    await platform.limiter.hit_request(request, RESENDING, invitation_id)


async def limit_messaging(request: Request, platform: PlatformDep) -> None:
    """A caller's messages to a team; raises TooManyRequests."""
    await platform.limiter.hit_request(request, MESSAGING, request.state.caller)


async def limit_exporting(request: Request, platform: PlatformDep) -> None:
    await platform.limiter.hit_request(request, EXPORTING, request.state.caller)


async def limit_links(request: Request, platform: PlatformDep) -> None:
    """Links tried from one network address, as strict as signing in; raises TooManyRequests."""
    policy = Policy("invitation", platform.settings.rate_limit_auth)
    await platform.limiter.hit_request(request, policy, f"address:{client_address(request)}")
