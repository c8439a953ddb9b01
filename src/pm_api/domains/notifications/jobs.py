"""Mails of notifications are composed here when the outbox sends them; and what the clock brings: digests, the end of
quiet hours, sleepers that wake, what has grown old.
"""

from datetime import timedelta
from typing import Final

from pm_api.core.jobs import JobContext, periodic
from pm_api.core.sweeping import sweep
from pm_api.domains.notifications import mailings, mails, service
from pm_api.domains.notifications.repository import mailings as repository
from pm_api.domains.notifications.service import MAIL_KIND
from pm_api.outbox.service import composes

LOOKED_AT: Final = 200
WOKEN_AT_A_TIME: Final = 200
FORGOTTEN_AT_A_TIME: Final = 1000
KEPT: Final = timedelta(days=365)
MAILINGS_KEPT: Final = timedelta(days=60)

composes(MAIL_KIND)(mails.compose)
composes(mailings.KIND)(mailings.compose)


@periodic("notifications.gather", "* * * * *")
async def gather(context: JobContext) -> None:
    """Put the mails that are due into the outbox: one for each person and kind of delivery, each in a transaction of
    its own. Whose cannot be made holds up nobody.
    """
    await sweep(context, repository.due, mailings.gather_each, at_a_time=LOOKED_AT, together=False)


@periodic("notifications.wake", "* * * * *")
async def wake(context: JobContext) -> None:
    """Tell again of what was put to sleep until now."""
    platform, woken = context.platform, WOKEN_AT_A_TIME
    while woken == WOKEN_AT_A_TIME:
        async with platform.database.transaction() as session:
            woken = await service.wake(session, platform, WOKEN_AT_A_TIME)


@periodic("notifications.forget", "23 * * * *")
async def forget(context: JobContext) -> None:
    """Forget notifications a year after they were told, sleeping ones once they woke; and mails of several."""
    platform, now = context.platform, context.platform.clock.now()
    for delete, before in (
        (repository.delete_notifications, now - KEPT),
        (repository.delete_mailings, now - MAILINGS_KEPT),
    ):
        gone = FORGOTTEN_AT_A_TIME
        while gone == FORGOTTEN_AT_A_TIME:
            async with platform.database.transaction() as session:
                gone = await delete(session, before, limit=FORGOTTEN_AT_A_TIME)
