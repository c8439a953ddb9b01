"""The gate of what is in a project: who sees it, and what they are there."""

from dataclasses import replace
from uuid import UUID

from starlette.requests import Request

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import get_platform
from pm_api.identity.api_key_access import require_scope
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.guards import Require
from pm_api.identity.permissions import KeyScope, allows, scope_of_permission
from pm_api.identity.repository import people as identity

SIGHT = "project.read"


class RequireInProject(Require):
    """Somebody who sees the project named in the path and whose role there has the permission, whatever ids follow
    in it. Ids of what is in the project are the service's to look for within it.
    """

    by_workspace_role = False

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "projects")

    async def _row_id(self, request: Request) -> UUID:
        try:
            return UUID(str(request.path_params["project_id"]))
        except ValueError:
            raise NotFound from None


class RequireInProjectToWrite(RequireInProject):
    """Whoever sees the project; the service tells what they may do there. A key that only reads does not write."""

    def __init__(self) -> None:
        super().__init__(SIGHT)

    async def __call__(self, request: Request) -> WorkspaceScope:
        scope = await super().__call__(request)
        require_scope(scope.actor, KeyScope.PROJECT_WRITE)
        return scope


class RequireOfProject(RequireInProject):
    """Somebody who sees the project, and whose role in its workspace has the permission: what they are in the project
    says nothing of what they may do beside it.
    """

    by_workspace_role = True

    async def __call__(self, request: Request) -> WorkspaceScope:
        permission = self.permission or ""
        seen = await RequireInProject(SIGHT)(request)
        platform = get_platform(request)
        async with platform.database.reading() as session:
            place = await identity.role_in(session, seen.workspace_id, seen.user_id)
        if place is None:
            raise NotFound
        require_scope(seen.actor, scope_of_permission(permission))
        if not allows(place[0], permission):
            raise role_lacks(place[0], permission)
        return replace(seen, role=place[0])


def require_in_project(permission: str) -> RequireInProject:
    return RequireInProject(permission)


def require_of_project(permission: str) -> RequireOfProject:
    return RequireOfProject(permission)
