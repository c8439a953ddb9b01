"""What projects do by the clock."""

from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.projects import ending


@periodic("projects.erase_expired", "41 * * * *")
async def erase_expired(context: JobContext) -> None:
    """Projects that were deleted more than 30 days ago go for good."""
    await ending.erase_expired(context.platform)
