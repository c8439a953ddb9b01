"""Sweeps of outgoing webhooks."""

from datetime import timedelta
from typing import Final

from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.webhooks_out import closing, flows, repository

assert closing, "what people leave behind is counted only when this module is loaded"

KEPT: Final = timedelta(days=30)
FORGOTTEN_AT_A_TIME: Final = 1000


@periodic("webhooks_out.deliver", "* * * * *")
async def deliver(context: JobContext) -> None:
    """What the workers' own sending missed, and what became due because the clock was moved."""
    await flows.deliver_due(context.platform)


@periodic("webhooks_out.forget", "47 * * * *")
async def forget(context: JobContext) -> None:
    """Forget deliveries 30 days after their end, and what is left of deleted endpoints."""
    platform = context.platform
    before = platform.clock.now() - KEPT
    for forget_some in (repository.delete_finished, repository.delete_stranded):
        gone = FORGOTTEN_AT_A_TIME
        while gone == FORGOTTEN_AT_A_TIME:
            async with platform.database.transaction() as session:
                gone = await forget_some(session, before, limit=FORGOTTEN_AT_A_TIME)
    async with platform.database.transaction() as session:
        await repository.delete_emptied(session, limit=FORGOTTEN_AT_A_TIME)
