"""Projects for tests that meet every route, and what their tasks may be."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.projects import changing, fields, labels, making, members, service
from pm_api.domains.projects.enums import ProjectRole, ProjectState
from pm_api.domains.projects.schemas.projects import ProjectCreate
from pm_api.domains.projects.schemas.workflow import LabelCreate, ProjectFieldCreate

ROLE_WITHIN = {
    "GUEST": ProjectRole.MEMBER,
    "VIEWER": ProjectRole.VIEWER,
    "MEMBER": ProjectRole.MEMBER,
    "ADMIN": ProjectRole.ADMIN,
    "OWNER": ProjectRole.ADMIN,
}
"""As what somebody is put into a project, so that their role there is what it is in the workspace; a guest works."""


async def project_of(platform: Platform, owner: WorkspaceScope, guest_id: UUID) -> UUID:
    """One that every member sees, and with a guest in it."""
    made = await new_project(platform, owner)
    await put_into(platform, owner, made, guest_id, "GUEST")
    return made


async def new_project(platform: Platform, owner: WorkspaceScope) -> UUID:
    body = {"workspaceId": owner.workspace_id, "name": "Website relaunch"}
    async with platform.database.transaction() as session:
        return (await making.create(session, platform, owner, ProjectCreate.model_validate(body))).id


async def put_into(platform: Platform, owner: WorkspaceScope, project_id: UUID, user_id: UUID, role: str) -> None:
    async with platform.database.transaction() as session:
        await _put(session, platform, owner, project_id, user_id, role)


async def _put(
    session: AsyncSession, platform: Platform, owner: WorkspaceScope, project_id: UUID, user_id: UUID, role: str
) -> None:
    await members.put(session, platform, owner, project_id, user_id, ROLE_WITHIN[role], None)


async def status_of(platform: Platform, project_id: UUID) -> UUID:
    """One that the workflow can do without."""
    async with platform.database.reading() as session:
        found = await service.statuses_of(session, project_id)
    return next(one.id for one in found if one.key == "IN_REVIEW")


async def label_of(platform: Platform, owner: WorkspaceScope, project_id: UUID) -> UUID:
    async with platform.database.transaction() as session:
        found = await service.labels_of(session, project_id)
        if found:
            return found[0].id
        wanted = LabelCreate.model_validate({"name": "Bug"})
        return (await labels.create(session, platform, owner, project_id, wanted)).id


async def field_of(platform: Platform, owner: WorkspaceScope, project_id: UUID) -> UUID:
    async with platform.database.transaction() as session:
        found = await service.fields_of(session, project_id)
        if found:
            return found[0].id
        wanted = ProjectFieldCreate.model_validate({"name": "Effort", "kind": "NUMBER"})
        return (await fields.create(session, platform, owner, project_id, wanted)).id


async def step(platform: Platform, owner: WorkspaceScope, project_id: UUID, target: ProjectState) -> None:
    async with platform.database.transaction() as session:
        await changing.step(session, platform, owner, project_id, target, None)
