"""Jobs of the outbox."""

from pm_api.core.jobs import JobContext, implements, periodic
from pm_api.outbox import flows, service
from pm_api.outbox.service import SEND_WAITING, Waiting

FORGOTTEN_AT_A_TIME = 1000


@implements(SEND_WAITING)
async def send_waiting(context: JobContext, _payload: Waiting) -> None:
    """Send what was put with this job, and whatever else is due."""
    await flows.send_waiting(context.platform)


@periodic("outbox.send_due", "* * * * *")
async def send_due(context: JobContext) -> None:
    """Try again what is due again, and take up what a dead worker has left."""
    await flows.send_waiting(context.platform)


@periodic("outbox.forget", "41 * * * *")
async def forget(context: JobContext) -> None:
    """Forget mails 30 days after they came to their end."""
    platform = context.platform
    gone = FORGOTTEN_AT_A_TIME
    while gone == FORGOTTEN_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await service.forget_old(session, platform, FORGOTTEN_AT_A_TIME)
