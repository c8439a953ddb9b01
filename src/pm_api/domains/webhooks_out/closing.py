"""What becomes of webhook endpoints when whoever made them leaves, and when their workspace ends for good."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import repository, service
from pm_api.identity.belongings import Belonging, Leaver, register


async def _count(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_made_by(session, service.READING, leaver.workspace_id, leaver.user_id)


register(
    Belonging(
        kind="webhook_endpoints",
        stays="They go on: whoever reads at their addresses is told of changes until an admin deletes them.",
        count=_count,
    )
)


async def end_workspace(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """Nothing is sent for it any more, and its secrets are gone; the logs are forgotten by the sweep. Done again, it
    finds nothing more.
    """
    for row in await repository.lock_all(session, service.READING, workspace_id):
        service.end(platform, row)
