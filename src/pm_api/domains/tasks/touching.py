"""The task that a call is about, read or held for what hangs on it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks import service
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.repository import ties


async def read(session: AsyncSession, at: TaskScope) -> Task:
    """Raises TaskNotFound."""
    task = await repository.task(session, at.scope, at.task_id)
    if task is None:
        raise TaskNotFound
    return task


async def to_add(session: AsyncSession, at: TaskScope) -> Task:
    """For whoever says something of it or works on it; raises TaskNotFound or ProjectArchived."""
    task = await read(session, at)
    await projects.ensure_writable(session, task.project_id)
    return task


async def to_edit(session: AsyncSession, at: TaskScope) -> Task:
    """For whoever changes what is to be done; raises TaskNotFound, ProjectArchived, or Forbidden for a task that is
    neither the caller's nor theirs to manage.
    """
    task = await to_add(session, at)
    service.ensure_may_edit(at.scope, task, await ties.assignee_ids(session, task.id))
    return task


def changed(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    entity: str,
    entity_id: UUID,
    action: str,
    version: int,
) -> None:
    """A change of what hangs on a task, for those who see the task."""
    changes.record(
        session,
        platform,
        workspace_id=task.workspace_id,
        entity=entity,
        entity_id=entity_id,
        action=action,
        version=version,
        scope_id=task.scope_id,
        actor_user_id=scope.user_id,
    )
