"""The gates of tasks: one task by its id or its name among people, or lists over what somebody sees."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Query, Request

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import get_platform
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.rules import refused
from pm_api.identity.api_key_access import own_scope, require_scope
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import Require, RequireAccount, authenticate, workspace_scope
from pm_api.identity.permissions import KeyScope

READ: Final = "task.read"
READS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class TaskScope:
    """A member over one task; `scope.role` is theirs in its project."""

    scope: WorkspaceScope
    task_id: UUID
    project_id: UUID
    scope_id: UUID


class RequireTask(Require):
    """Somebody who sees the task in the path, and whose role in its project has the permission.

    The path names it by id, or by `WEB-42` together with the query parameter `workspaceId`. Deleted tasks, and those
    of deleted projects, are not there, except with `of_deleted`, which sees deleted ones alone.
    """

    def __init__(self, permission: str, *, of_deleted: bool = False) -> None:
        super().__init__(permission, "tasks")
        self.of_deleted = of_deleted

    async def __call__(  # type: ignore[override]  # it hands on more than the row's workspace, and reads more to do so
        self,
        request: Request,
        task_id: Annotated[
            str,
            Path(description="The task's id, or its key such as `WEB-42` together with `workspaceId`."),
        ],
        in_workspace: Annotated[
            str | None,
            Query(
                alias="workspaceId",
                description="The workspace a key such as `WEB-42` is looked for in; not needed with an id.",
                json_schema_extra={"format": "uuid"},
            ),
        ] = None,
    ) -> TaskScope:
        actor = await authenticate(request)
        workspace_id = _id(in_workspace, "workspaceId") if in_workspace is not None else None
        platform = get_platform(request)
        async with platform.database.reading() as session:
            place = await repository.place_of(session, task_id, workspace_id, deleted=self.of_deleted)
        if place is None:
            raise TaskNotFound
        scope = await workspace_scope(platform, actor, "tasks", place.task_id, self.permission or "")
        if request.method not in READS:
            require_scope(actor, KeyScope.TASK_WRITE)
        return TaskScope(scope, place.task_id, place.project_id, place.scope_id)


class TasksInSight(RequireAccount):
    """Somebody over tasks: of the project in `projectId`, of the workspace in `workspaceId`, or without either over
    those of theirs in all workspaces.
    """

    def __init__(self) -> None:
        super().__init__(READ)

    async def __call__(self, request: Request) -> AccountScope:
        actor = await authenticate(request)
        platform, asked = get_platform(request), request.query_params
        workspace_id = _id(asked["workspaceId"], "workspaceId") if "workspaceId" in asked else None
        if "projectId" in asked:
            scope = await workspace_scope(platform, actor, "projects", _id(asked["projectId"], "projectId"), READ)
            if workspace_id not in (None, scope.workspace_id):
                raise NotFound
            return scope
        if workspace_id is not None:
            return await workspace_scope(platform, actor, "workspaces", workspace_id, READ)
        return own_scope(actor, KeyScope.TASK_READ, WorkspaceNotFound)


def _id(raw: str, name: str) -> UUID:
    try:
        return UUID(raw)
    except ValueError:
        raise refused(f"/{name}", "Input should be a valid UUID") from None


def require_task(permission: str, *, of_deleted: bool = False) -> RequireTask:
    return RequireTask(permission, of_deleted=of_deleted)


tasks_in_sight: Final = TasksInSight()
