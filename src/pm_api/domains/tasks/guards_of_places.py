"""The gate of what is done in a place: one project, or a whole workspace."""

from uuid import UUID

from fastapi import Request

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import get_platform
from pm_api.domains.tasks.guards import READS
from pm_api.domains.tasks.rules import refused
from pm_api.identity.api_key_access import require_scope
from pm_api.identity.guards import Require, authenticate, named_value, read_id, workspace_scope
from pm_api.identity.permissions import KeyScope


class RequireInPlace(Require):
    """A member whose role has the permission in the project of `projectId`, or without one in the workspace of
    `workspaceId`; in the query or in the body. A key that only reads does not write, whatever reading allows.
    """

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "workspaces", "workspaceId")

    async def __call__(self, request: Request) -> WorkspaceScope:
        actor = await authenticate(request)
        project, workspace = await named_value(request, "projectId"), await named_value(request, "workspaceId")
        if project is None and workspace is None:
            raise refused("/workspaceId", "Name a workspace, or a project")
        table, row_id = (
            ("workspaces", read_id(workspace, "workspaceId"))
            if project is None
            else ("projects", read_id(project, "projectId"))
        )
        scope = await workspace_scope(get_platform(request), actor, table, row_id, self.permission or "")
        if workspace is not None and read_id(workspace, "workspaceId") != scope.workspace_id:
            raise NotFound
        return _for_writing(request, scope)


class RequireReader(Require):
    """Whoever may read the row; the service tells who may write it. A key that only reads does not write."""

    async def __call__(self, request: Request) -> WorkspaceScope:
        return _for_writing(request, await super().__call__(request))


def _for_writing(request: Request, scope: WorkspaceScope) -> WorkspaceScope:
    if request.method not in READS:
        require_scope(scope.actor, KeyScope.TASK_WRITE)
    return scope


def require_in_place(permission: str) -> RequireInPlace:
    return RequireInPlace(permission)


class RequireProjectInQuery(Require):
    """For the project of the query alone: the body is a file, which nobody reads before the guard is done."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "projects", "projectId")

    async def _row_id(self, request: Request) -> UUID:
        raw = request.query_params.get("projectId")
        if raw is None:
            raise refused("/projectId", "Field required")
        return read_id(raw, "projectId")
