"""What people coming to and leaving a workspace means for its conversations."""

from typing import Final

from pm_api.core.actor import SystemScope
from pm_api.core.events import on
from pm_api.core.jobs import JobContext
from pm_api.domains.messages import membership, reading
from pm_api.identity.events import MemberChanged

AT_ONCE: Final = 500
COMING, GOING = SystemScope("somebody joined the workspace"), SystemScope("somebody left the workspace")


@on(MemberChanged)
async def follow_members(context: JobContext, event: MemberChanged) -> None:
    """Some conversations a transaction, until there are none left that need it."""
    if event.action not in ("added", "removed"):
        return
    touched = AT_ONCE
    while touched == AT_ONCE:
        async with context.platform.database.transaction() as session:
            if event.action == "added":
                touched = await reading.begin_here(session, COMING, event.workspace_id, event.user_id, limit=AT_ONCE)
            else:
                touched = await membership.mend(session, context.platform, GOING, event.workspace_id, limit=AT_ONCE)
