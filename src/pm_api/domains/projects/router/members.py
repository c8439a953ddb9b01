"""Who is in a project, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects import members
from pm_api.domains.projects.errors import LastProjectAdmin, NotAWorkspaceMember, ProjectArchived
from pm_api.domains.projects.router.parts import CREATED, Enters, ExpectedVersion, Manages, Page, ProjectId, Reads
from pm_api.domains.projects.schemas.members import (
    ProjectMemberAnswer,
    ProjectMemberRead,
    ProjectMembersAnswer,
    ProjectMemberWrite,
)

router: APIRouter = api_router(tag="projects")

UserId = Annotated[UUID, Path(description="The person's id (the user's, not the membership's).")]


@router.get(
    "/projects/{project_id}/members",
    operation_id="listProjectMembers",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def list_project_members(
    scope: Reads, session: SessionDep, platform: PlatformDep, page: Page, project_id: ProjectId
) -> ProjectMembersAnswer:
    """Those who were put into the project. Of one that is not private, all members of the workspace see it too."""
    return await members.list_of(session, platform, scope, project_id, page)


@router.get(
    "/projects/{project_id}/members/{user_id}",
    operation_id="getProjectMember",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_project_member(
    scope: Reads,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    user_id: UserId,
) -> ProjectMemberAnswer:
    """Somebody in the project."""
    return _answer(await members.get(session, platform, scope, project_id, user_id), response)


@router.put(
    "/projects/{project_id}/members/{user_id}",
    operation_id="putProjectMember",
    responses={200: ETAG_HEADER, 201: CREATED | {"model": ProjectMemberAnswer, "description": "They are new in it."}},
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived, NotAWorkspaceMember, LastProjectAdmin
    ),
)
async def put_project_member(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    user_id: UserId,
    expected_version: ExpectedVersion,
    wanted: ProjectMemberWrite,
) -> ProjectMemberAnswer:
    """Put a member of the workspace into the project, or give them another role there."""
    found, is_new = await members.put(session, platform, scope, project_id, user_id, wanted.role, expected_version)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/projects/{project_id}/members/{user_id}"
    return _answer(found, response)


@router.delete(
    "/projects/{project_id}/members/{user_id}",
    operation_id="removeProjectMember",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, LastProjectAdmin),
)
async def remove_project_member(
    scope: Enters,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    user_id: UserId,
    expected_version: ExpectedVersion,
) -> None:
    """Take somebody out of the project; everybody may leave it themselves."""
    await members.remove(session, platform, scope, project_id, user_id, expected_version)


def _answer(found: ProjectMemberRead, response: Response) -> ProjectMemberAnswer:
    # Their name and their role in the workspace change without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return ProjectMemberAnswer(member=found)
