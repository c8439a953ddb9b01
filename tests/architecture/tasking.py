"""Tasks for tests that meet every route."""

from uuid import UUID

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks import removing, service
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.schemas.tasks import TaskCreate


async def task_of(platform: Platform, scope: WorkspaceScope, project_id: UUID) -> UUID:
    """A new one, made by this person."""
    wanted = TaskCreate.model_validate({"projectId": project_id, "title": "Write the release notes"})
    async with platform.database.transaction() as session:
        return (await service.create(session, platform, scope, project_id, wanted)).id


async def delete(platform: Platform, owner: WorkspaceScope, task_id: UUID) -> None:
    async with platform.database.transaction() as session:
        task = await repository.task(session, owner, task_id, lock=True)
        assert task is not None
        await removing.delete(session, platform, owner, await removing.tree_of(session, owner, task))
