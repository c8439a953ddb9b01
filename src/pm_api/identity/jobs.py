"""Housekeeping of identity."""

from pm_api.core.jobs import JobContext, periodic
from pm_api.identity import repository
from pm_api.identity.sessions import DEAD_SESSIONS_KEPT


@periodic("identity.forget_dead_sessions", "17 * * * *")
async def forget_dead_sessions(context: JobContext) -> None:
    platform = context.platform
    async with platform.database.transaction() as session:
        await repository.delete_dead_sessions(session, platform.clock.wall() - DEAD_SESSIONS_KEPT, limit=1000)
