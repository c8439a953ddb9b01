"""The sweep that looks for who has stayed away."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import JobContext, periodic
from pm_api.core.platform import Platform
from pm_api.core.sweeping import sweep
from pm_api.domains.ai_credits import system_spends
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.notifications import absences
from pm_api.domains.reminders import service

LOOKED_AT: Final = 200


class Away(NamedTuple):
    """Somebody to be reminded; their wallet has their own id."""

    account_id: UUID


async def _find(session: AsyncSession, now: datetime, after: Away | None, limit: int) -> Sequence[Away]:
    place = after.account_id if after is not None else None
    return [Away(user_id) for user_id in await absences.due(session, now, place, limit)]


@periodic("reminders.remind_absent", "11 * * * *")
async def remind_absent(context: JobContext) -> None:
    """Remind, for credits, who has been away for as long as they said; each in a transaction of their own."""
    platform = context.platform
    if not platform.settings.sends_mail:
        return
    price = await system_spends.price(platform, Service.INACTIVITY_REMINDER)
    if price is None:
        return

    async def remind(session: AsyncSession, platform: Platform, found: Sequence[Away]) -> None:
        for one in found:
            await service.remind(session, platform, one.account_id, price)

    await sweep(context, _find, remind, at_a_time=LOOKED_AT, together=False)
