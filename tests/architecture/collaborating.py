"""What hangs on tasks, for tests that meet every route: each made by the person given, on a task that is there."""

from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks import checklists, comments, dependencies, time_entries
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.schemas.checklists import ChecklistItemCreate
from pm_api.domains.tasks.schemas.comments import CommentCreate
from pm_api.domains.tasks.schemas.dependencies import DependencyCreate
from pm_api.domains.tasks.schemas.time_entries import TimeEntryCreate


async def _at(session: AsyncSession, scope: WorkspaceScope, task_id: UUID) -> TaskScope:
    task = await repository.task(session, scope, task_id)
    assert task is not None
    return TaskScope(scope, task.id, task.project_id, task.scope_id)


async def comment_on(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    wanted = CommentCreate.model_validate({"body": "Looks good to me"})
    async with platform.database.transaction() as session:
        made, _ = await comments.create(session, platform, await _at(session, scope, task_id), wanted)
    return made.id


async def item_on(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    wanted = ChecklistItemCreate.model_validate({"content": "Check the links"})
    async with platform.database.transaction() as session:
        return (await checklists.add(session, platform, await _at(session, scope, task_id), wanted)).id


async def dependency_of(platform: Platform, scope: WorkspaceScope, task_id: UUID, other_id: UUID) -> UUID:
    wanted = DependencyCreate.model_validate({"otherTaskId": str(other_id), "kind": "BLOCKS"})
    async with platform.database.transaction() as session:
        return (await dependencies.create(session, platform, await _at(session, scope, task_id), wanted)).id


async def time_on(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    wanted = TimeEntryCreate.model_validate({"workedOn": str(date(2026, 3, 2)), "minutes": 30})
    async with platform.database.transaction() as session:
        return (await time_entries.create(session, platform, await _at(session, scope, task_id), wanted)).id
