"""What a member of a pool leaves behind: caps, holds and requests. None of it can be another's: it was for them."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.engine import caps as rules
from pm_api.domains.ai_credits.repository import belongings as repository
from pm_api.identity.belongings import Belonging, Leaver, register

CAPS_STAY: Final = "They stay until an admin removes them, and hold again should the person come back."
HOLDS_STAY: Final = "What they set aside comes back to the pool when each runs out, or is captured before."
REQUESTS_STAY: Final = "They stay open until an admin decides."
REFUNDS_STAY: Final = "They stay for the operator to decide; what is given back goes to the pool."


async def _caps(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_caps(session, leaver.workspace_id, rules.member(leaver.user_id))


async def _holds(session: AsyncSession, platform: Platform, leaver: Leaver) -> int:
    return await repository.count_holds(session, leaver.workspace_id, leaver.user_id, platform.clock.now())


async def _requests(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_pool_requests(session, leaver.workspace_id, leaver.user_id)


async def _refunds(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_refund_requests(session, leaver.workspace_id, leaver.user_id)


register(Belonging("credit_caps", CAPS_STAY, _caps))
register(Belonging("credit_holds", HOLDS_STAY, _holds))
register(Belonging("credit_pool_requests", REQUESTS_STAY, _requests))
register(Belonging("credit_refund_requests", REFUNDS_STAY, _refunds))
