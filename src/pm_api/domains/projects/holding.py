"""A project held for a change: what a guard has seen is looked at again under the locks.

The order is the workspace, then the project, then its circle. The workspace's lock is taken by whatever counts
against the plan, names keys, or says who is in a project: so it waits for whoever leaves the workspace meanwhile.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.events import emit
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.projects.events import ProjectChanged
from pm_api.domains.projects.models import Project
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import people as identity

MANAGE = "project.manage"
CREATE = "project.create"


async def hold_workspace(session: AsyncSession, scope: WorkspaceScope) -> Role:
    """The workspace under its lock, and the caller's role in it as it is now; raises WorkspaceNotFound."""
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    role = await repository.role_in_workspace(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or role is None:
        raise WorkspaceNotFound
    return role


async def hold(
    session: AsyncSession,
    scope: WorkspaceScope,
    project_id: UUID,
    *,
    permission: str = MANAGE,
    with_workspace: bool = False,
    deleted: bool | None = False,
    archived: bool = False,
) -> Project:
    """The project under its lock, for somebody who may do this to it now. Raises NotFound, Forbidden, or
    ProjectArchived unless `archived` lets those in.
    """
    if with_workspace:
        try:
            await hold_workspace(session, scope)
        except WorkspaceNotFound:
            raise NotFound from None
    project = await repository.project(session, scope, project_id, lock=True, deleted=deleted)
    in_workspace = await repository.role_in_workspace(session, scope.workspace_id, scope.user_id)
    if project is None or in_workspace is None:
        raise NotFound
    role = await identity.role_in_scope(session, project.scope_id, scope.user_id, in_workspace)
    if role is None:
        raise NotFound
    if not allows(role, permission):
        raise role_lacks(role, permission)
    if project.archived_at is not None and not archived:
        raise ProjectArchived
    return project


async def tell(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    project: Project,
    action: str,
    *,
    fields: tuple[str, ...] = (),
) -> None:
    """Into the feed, for whoever sees the project, among what is found, and to the floors above."""
    await _index(session, project)
    changes.record(
        session,
        platform,
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        entity="project",
        entity_id=project.id,
        action=action,
        version=project.version,
        actor_user_id=actor.user_id,
    )
    await emit(
        session,
        ProjectChanged(
            id=platform.randomness.uuid(),
            workspace_id=project.workspace_id,
            project_id=project.id,
            scope_id=project.scope_id,
            action=action,
            version=project.version,
            actor_user_id=actor.user_id,
            fields=fields,
        ),
    )


async def _index(session: AsyncSession, project: Project) -> None:
    await search.put(
        session,
        kind=Kind.PROJECT,
        entity_id=project.id,
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        project_id=project.id,
        key=project.key,
        title=project.name,
        body=project.description,
        updated_at=project.updated_at,
    )
    if project.deleted_at is not None:
        await search.hide_project(session, project.id)


def touch(project: Project, platform: Platform) -> None:
    project.version += 1
    project.updated_at = platform.clock.now()
