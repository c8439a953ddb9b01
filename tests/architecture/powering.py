"""Saved views, undo tokens and recurring tasks for tests that meet every route."""

from datetime import date
from uuid import UUID

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks import changing, recurring, views
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.schemas.recurring import RecurrenceWrite
from pm_api.domains.tasks.schemas.views import SavedViewCreate

RULE = {"rrule": "FREQ=WEEKLY", "timeZone": "Europe/Berlin"}


async def view_of(platform: Platform, scope: WorkspaceScope, project_id: UUID) -> UUID:
    """Somebody's own, of a project."""
    wanted = SavedViewCreate.model_validate({"projectId": project_id, "name": "Mine", "query": {}})
    async with platform.database.transaction() as session:
        return (await views.create(session, platform, scope, wanted)).id


async def undo_of(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    """The token of a change that somebody made."""
    async with platform.database.transaction() as session:
        at = await _at(platform, scope, task_id)
        done = await changing.update(session, platform, at, {"title": "Write them again"}, None)
        assert done.undo_token is not None
        return done.undo_token


async def due(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    """Let it be due some day."""
    async with platform.database.transaction() as session:
        at = await _at(platform, scope, task_id)
        await changing.update(session, platform, at, {"due_on": date(2026, 3, 27)}, None)
    return task_id


async def recurring_of(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    """Let it come again."""
    await due(platform, scope, task_id)
    async with platform.database.transaction() as session:
        at = await _at(platform, scope, task_id)
        await recurring.put(session, platform, at, RecurrenceWrite.model_validate(RULE), None)
    return task_id


async def _at(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> TaskScope:
    """As its maker, who may change it whatever they are besides."""
    async with platform.database.reading() as session:
        task = await repository.task(session, scope, task_id)
    assert task is not None
    as_maker = WorkspaceScope(scope.actor, scope.workspace_id, scope.user_id, "MEMBER")
    return TaskScope(as_maker, task.id, task.project_id, task.scope_id)
