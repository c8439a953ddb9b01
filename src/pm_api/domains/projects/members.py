"""Who is in a project, and as what. All of it happens under the workspace's lock, so that nobody is put into a
project while they leave the workspace, and two ADMINs of a private project do not leave it at once.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.projects import holding
from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.projects.errors import LastProjectAdmin, NotAWorkspaceMember
from pm_api.domains.projects.models import Project
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.schemas.members import ProjectMemberRead, ProjectMembersAnswer
from pm_api.identity import audit, pictures
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import circles
from pm_api.identity.repository.circles import Companion

LISTED: Final = "project-members"
READ: Final = "project.read"


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, page: PageRequest
) -> ProjectMembersAnswer:
    """A page of those who were put into the project; raises NotFound."""
    project = await _seen(session, scope, project_id)
    key = platform.cursors.decode(page.cursor, of=LISTED, project=project_id)
    rows = await circles.companions(
        session, project.scope_id, limit=page.limit + 1, after=UUID(key[0]) if key else None
    )
    shown = rows[: page.limit]
    following = (shown[-1].user.id,) if len(rows) > page.limit else None
    return ProjectMembersAnswer(
        members=[_read(platform, project, one) for one in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, project=project_id),
    )


async def get(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, user_id: UUID
) -> ProjectMemberRead:
    """One of them; raises NotFound."""
    project = await _seen(session, scope, project_id)
    found = await _companion(session, project, user_id)
    if found is None:
        raise NotFound
    return _read(platform, project, found)


async def put(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    user_id: UUID,
    role: ProjectRole,
    expected_version: int | None,
) -> tuple[ProjectMemberRead, bool]:
    """Somebody of the workspace into the project, or to another role there; returns whether they are new. Raises
    NotFound, Forbidden, ProjectArchived, PreconditionFailed, NotAWorkspaceMember or LastProjectAdmin.
    """
    project = await holding.hold(session, scope, project_id, with_workspace=True)
    is_open = bool(await circles.lock_circle(session, project.scope_id))
    before = await _companion(session, project, user_id)
    check_version(before.version if before is not None else 0, expected_version)
    if before is None and await repository.role_in_workspace(session, project.workspace_id, user_id) is None:
        raise NotAWorkspaceMember
    if before is not None and before.role == role:
        return _read(platform, project, before), False
    if role is not ProjectRole.ADMIN:
        await _keep_an_admin(session, project, before, is_open=is_open)
    await enter(session, platform, scope.actor, project, user_id, role)
    if before is None:
        await holding.tell(session, platform, scope.actor, project, "member_added")
        await _notify(session, platform, scope, project, user_id)
    else:
        await holding.tell(session, platform, scope.actor, project, "member_changed")
    found = await _companion(session, project, user_id)
    assert found is not None, "they were just put into it"
    return _read(platform, project, found), before is None


async def remove(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    user_id: UUID,
    expected_version: int | None,
) -> None:
    """Somebody out of the project, oneself too. Raises NotFound, Forbidden, PreconditionFailed, LastProjectAdmin."""
    permission = READ if user_id == scope.user_id else holding.MANAGE
    project = await holding.hold(
        session, scope, project_id, permission=permission, with_workspace=True, archived=True
    )
    is_open = bool(await circles.lock_circle(session, project.scope_id))
    before = await _companion(session, project, user_id)
    if before is None:
        raise NotFound
    check_version(before.version, expected_version)
    await _keep_an_admin(session, project, before, is_open=is_open)
    await circles.drop_companion(session, project.scope_id, user_id)
    _audit(session, platform, scope.actor, project, "removed", user_id, role=before.role)
    await holding.tell(session, platform, scope.actor, project, "member_removed")
    # Also into their own feed: what is told within the project they may not see any more.
    changes.record(
        session,
        platform,
        user_ids=[user_id],
        entity="project",
        entity_id=project.id,
        action="left",
        version=project.version,
        actor_user_id=scope.user_id,
    )


async def managed_by(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, project_ids: Collection[UUID]
) -> list[Project]:
    """Those of the ids that are living projects of the workspace which somebody sees and manages."""
    if not project_ids:
        return []
    seen = await repository.seen_by(session, user_id, workspace_id=workspace_id, only=project_ids)
    return [one.project for one in seen if allows(one.role, holding.MANAGE)]


async def enter(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    project: Project,
    user_id: UUID,
    role: ProjectRole,
) -> None:
    """Into the circle, or to another role in it, whatever there was before. The workspace's lock is held."""
    await circles.put_companion(session, project.scope_id, user_id, role, platform.clock.now())
    _audit(session, platform, actor, project, "put", user_id, role=role)
    changes.record(
        session,
        platform,
        user_ids=[user_id],
        entity="project",
        entity_id=project.id,
        action="entered",
        version=project.version,
        actor_user_id=actor.user_id,
    )


def _audit(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    project: Project,
    action: str,
    user_id: UUID,
    **details: object,
) -> None:
    audit.record(
        session,
        platform,
        actor,
        f"project_member.{action}",
        subject=("project", project.id),
        workspace_id=project.workspace_id,
        user_id=str(user_id),
        **details,
    )


async def _notify(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project: Project, user_id: UUID
) -> None:
    await notifications.notify(
        session,
        platform,
        user_ids=[user_id],
        category=Category.WORKSPACE,
        type="project.member_added",
        dedup_key=f"project-member:{project.id}:{platform.randomness.uuid()}",
        title=f"You are in the project {project.name}",
        body="You see its tasks from now on, and what happens to them.",
        reason="Somebody put you into the project.",
        data={"projectId": str(project.id)},
        link=f"/dashboard/projects/{project.id}",
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        actor_user_id=scope.user_id,
    )


async def _keep_an_admin(
    session: AsyncSession, project: Project, leaving: Companion | None, *, is_open: bool
) -> None:
    """Raises LastProjectAdmin when a private project would have none any more. An open one is in the sight of the
    workspace's own administrators.
    """
    if is_open or leaving is None or leaving.role != ProjectRole.ADMIN:
        return
    if not await circles.count_in_role(session, project.scope_id, ProjectRole.ADMIN, but=leaving.user.id):
        raise LastProjectAdmin


async def _seen(session: AsyncSession, scope: WorkspaceScope, project_id: UUID) -> Project:
    project = await repository.project(session, scope, project_id)
    if project is None:
        raise NotFound
    return project


async def _companion(session: AsyncSession, project: Project, user_id: UUID) -> Companion | None:
    found = await circles.companions(session, project.scope_id, only=[user_id])
    return found[0] if found else None


def _read(platform: Platform, project: Project, found: Companion) -> ProjectMemberRead:
    return ProjectMemberRead(
        project_id=project.id,
        user_id=found.user.id,
        name=found.user.name,
        avatar=pictures.address_of(platform, found.user.avatar),
        role=ProjectRole(found.role or ProjectRole.MEMBER),
        workspace_role=Role(found.workspace_role),
        added_at=found.added_at,
        version=found.version,
    )
