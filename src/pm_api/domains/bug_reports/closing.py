"""What of bug reports is somebody's: those they made, whose words go with them by their marks, and those they look
after.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import hands_out
from pm_api.core.platform import Platform
from pm_api.domains.bug_reports import repository
from pm_api.domains.bug_reports.models import BugReport
from pm_api.identity.belongings import Belonging, Leaver, register

LEFT_STAY: Final = "They stay with the person's name on them until an admin gives them to somebody else."


async def _looked_after(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_looked_after(session, leaver.workspace_id, leaver.user_id)


hands_out(
    BugReport, "bug_reports.json", "Bug reports you made.", of="reporter_user_id", without=("assignee_user_id",)
)
register(Belonging("bug_reports", LEFT_STAY, _looked_after))
