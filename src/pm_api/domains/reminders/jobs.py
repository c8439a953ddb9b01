"""The sweep that looks for who has stayed away."""

from typing import Final

from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.ai_credits import system_spends
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.notifications import absences
from pm_api.domains.reminders import service

LOOKED_AT: Final = 200
RUNS: Final = 500


@periodic("reminders.remind_absent", "11 * * * *")
async def remind_absent(context: JobContext) -> None:
    """Remind, for credits, who has been away for as long as they said. Whoever was looked at is not due any more."""
    platform = context.platform
    if not platform.settings.sends_mail:
        return
    for _ in range(RUNS):
        price = await system_spends.price(platform, Service.INACTIVITY_REMINDER)
        if price is None:
            return
        async with platform.database.reading() as session:
            found = await absences.due(session, platform, LOOKED_AT)
        for user_id in found:
            async with platform.database.transaction() as session:
                await service.remind(session, platform, user_id, price)
        if len(found) < LOOKED_AT:
            return
