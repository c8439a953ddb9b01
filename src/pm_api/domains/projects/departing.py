"""What of projects is somebody's: those that only they manage, and those they are in."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import contributes
from pm_api.core.personal.handing import Stretch, wire_form
from pm_api.core.platform import Platform
from pm_api.domains.projects import holding, members
from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.projects.models import Project
from pm_api.domains.projects.repository import projects as repository
from pm_api.identity.belongings import Belonging, Leaver, register
from pm_api.identity.permissions import RANK, Role


async def _count(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return len(await repository.without_an_admin(session, leaver.workspace_id, leaver.user_id))


async def _hand_over(session: AsyncSession, platform: Platform, leaver: Leaver, to_user_id: UUID) -> int:
    """The heir is their ADMIN from now on."""
    found = await repository.without_an_admin(session, leaver.workspace_id, leaver.user_id)
    return await _appoint(session, platform, leaver, found, to_user_id)


async def _settle(session: AsyncSession, platform: Platform, leaver: Leaver) -> None:
    """A private project that nobody manages could not be seen by whoever might mend that: so the administrator who
    removes its last ADMIN takes it over, or else the first owner of the workspace.
    """
    found = await repository.without_an_admin(session, leaver.workspace_id, leaver.user_id, private_alone=True)
    if not found:
        return
    heir_id = leaver.actor.user_id if leaver.actor.user_id != leaver.user_id else None
    if heir_id is not None:
        role = await repository.role_in_workspace(session, leaver.workspace_id, heir_id)
        heir_id = heir_id if role is not None and RANK[role] >= RANK[Role.ADMIN] else None
    if heir_id is None:
        heir_id = await repository.first_owner(session, leaver.workspace_id, but=leaver.user_id)
    if heir_id is not None:
        await _appoint(session, platform, leaver, found, heir_id)


async def _appoint(
    session: AsyncSession, platform: Platform, leaver: Leaver, projects: Collection[Project], user_id: UUID
) -> int:
    for project in projects:
        await members.enter(session, platform, leaver.actor, project, user_id, ProjectRole.ADMIN)
        await holding.tell(session, platform, leaver.actor, project, "member_changed")
    return len(projects)


register(
    Belonging(
        kind="projects",
        stays="Open ones are managed by the workspace's admins; private ones go to the admin who removes the person,"
        " or else to the owner.",
        count=_count,
        hand_over=_hand_over,
        settle=_settle,
    )
)


@contributes("projects.json", "Projects you are in, your role there, and what you wrote about them.", Project)
async def projects_of(session: AsyncSession, person_id: UUID, after: Any, limit: int) -> Stretch:
    """Those in their sight alone: what was made private without them is not theirs to read any more."""
    rows = await repository.joined_by(session, person_id, after=after, limit=limit)
    told = [
        wire_form(
            {
                "id": project.id,
                "workspace_id": project.workspace_id,
                "key": project.key,
                "name": project.name,
                "role": role,
                "made_by_you": project.created_by_user_id == person_id,
                "description": project.description if project.created_by_user_id == person_id else None,
                "created_at": project.created_at,
                "deleted_at": project.deleted_at,
            }
        )
        for project, role in rows
    ]
    return Stretch(told, rows[-1][0].id if len(rows) == limit else None)
