"""Projects themselves over HTTP: made, read, changed, deleted."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.projects import changing, making, reading
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.projects.errors import ProjectArchived, ProjectKeyTaken
from pm_api.domains.projects.guards import require_of_project
from pm_api.domains.projects.router.parts import CREATED, ExpectedVersion, Manages, Page, ProjectId, Reads, answer
from pm_api.domains.projects.schemas.projects import (
    ProjectAnswer,
    ProjectCopy,
    ProjectCopyAnswer,
    ProjectCreate,
    ProjectsAnswer,
    ProjectUpdate,
)
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity.errors.people import InvalidTransition, WorkspaceNotFound
from pm_api.identity.guards import require, require_account

router: APIRouter = api_router(tag="projects")

_CHANGES = raises(NotFound, PreconditionFailed, InvalidIfMatch, InvalidTransition, ProjectArchived, ProjectKeyTaken)


@router.post(
    "/projects",
    operation_id="createProject",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(WorkspaceNotFound, PlanLimitReached, ProjectKeyTaken),
)
async def create_project(
    scope: Annotated[WorkspaceScope, Depends(require("project.create", of="workspaces", at="workspaceId"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: ProjectCreate,
) -> ProjectAnswer:
    """A new project with the common workflow; whoever makes it is in it as ADMIN."""
    made = await making.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/projects/{made.id}"
    return answer(made, response)


@router.get("/projects", operation_id="listProjects", openapi_extra=raises(WorkspaceNotFound, InvalidCursor))
async def list_projects(
    scope: Annotated[AccountScope, Depends(require_account("project.read"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="One workspace; left out: all the caller belongs to.")
    ] = None,
    status: Annotated[ProjectState | None, Query(description="Only those that stand there.")] = None,
    archived: Annotated[bool | None, Query(description="Only archived ones, or only those in use.")] = None,
    deleted: Annotated[
        bool, Query(description="Deleted ones that the caller may restore, instead of others.")
    ] = False,
    template: Annotated[bool | None, Query(description="Only templates, or only others.")] = None,
    q: Annotated[Text | None, Query(max_length=200, description="Part of the name, or the key.")] = None,
) -> ProjectsAnswer:
    """Projects the caller sees, newest first."""
    return await reading.list_of(
        session,
        platform,
        scope,
        page,
        status=status,
        archived=archived,
        deleted=deleted,
        template=template,
        name_part=q,
    )


@router.get(
    "/projects/{project_id}",
    operation_id="getProject",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_project(
    scope: Reads, session: SessionDep, platform: PlatformDep, response: Response, project_id: ProjectId
) -> ProjectAnswer:
    """One project, how far it is, and what the caller may do with it."""
    return answer(await reading.read(session, platform, scope, project_id), response)


@router.put(
    "/projects/{project_id}",
    operation_id="putProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_CHANGES,
)
async def put_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
    change: ProjectUpdate,
) -> ProjectAnswer:
    """The same as PATCH, for clients that start and stop projects with `PUT {"status": …}`: fields left out stay."""
    return answer(await changing.update(session, platform, scope, project_id, change, expected_version), response)


@router.patch(
    "/projects/{project_id}",
    operation_id="updateProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_CHANGES,
)
async def update_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
    change: ProjectUpdate,
) -> ProjectAnswer:
    """Change the fields sent. `status` does what its verb does, and is refused where the verb would be."""
    return answer(await changing.update(session, platform, scope, project_id, change, expected_version), response)


@router.delete(
    "/projects/{project_id}",
    operation_id="deleteProject",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch),
)
async def delete_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> None:
    """Out of everybody's sight with all that is in it. For 30 days it can be restored whole, then it is gone."""
    await changing.delete(session, platform, scope, project_id, expected_version)


@router.post(
    "/projects/{project_id}/copy",
    operation_id="copyProject",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(NotFound, WorkspaceNotFound, PlanLimitReached, ProjectKeyTaken),
)
async def copy_project(
    scope: Annotated[WorkspaceScope, Depends(require_of_project("project.create"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    wanted: ProjectCopy,
) -> ProjectCopyAnswer:
    """A new project like this one, template or not: its statuses, labels and fields, and its tasks if asked for.
    Whoever copies is its ADMIN, and needs a role in the workspace that makes projects.
    """
    made, copied = await making.copy(session, platform, scope, project_id, wanted)
    response.headers["Location"] = f"/api/projects/{made.id}"
    return ProjectCopyAnswer(project=answer(made, response).project, copied=copied)
