"""Housekeeping of identity."""

from typing import Final

from pm_api.core.jobs import JobContext, periodic
from pm_api.identity import repository
from pm_api.identity.sessions import DEAD_SESSIONS_KEPT

BATCH: Final = 1000


@periodic("identity.forget_dead_sessions", "17 * * * *")
async def forget_dead_sessions(context: JobContext) -> None:
    """Sessions 30 days after their end, and refresh tokens of living ones once they have expired."""
    platform = context.platform
    now = platform.clock.wall()
    for forget, before in (
        (repository.delete_dead_sessions, now - DEAD_SESSIONS_KEPT),
        (repository.delete_expired_tokens, now),
    ):
        gone = BATCH
        while gone == BATCH:
            async with platform.database.transaction() as session:
                gone = await forget(session, before, limit=BATCH)
