"""The statuses of a project over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects import statuses
from pm_api.domains.projects.errors import (
    InvalidStatusOrder,
    LastStatusOfItsKind,
    ProjectArchived,
    StatusInUse,
    StatusKeyTaken,
    TooManyStatuses,
)
from pm_api.domains.projects.router.parts import CREATED, ExpectedVersion, Manages, ProjectId, Reads
from pm_api.domains.projects.schemas.workflow import (
    ProjectStatusAnswer,
    ProjectStatusCreate,
    ProjectStatusesAnswer,
    ProjectStatusOrder,
    ProjectStatusRead,
    ProjectStatusUpdate,
    WordKey,
)

router: APIRouter = api_router(tag="projects")

StatusId = Annotated[UUID, Path(description="The status.")]


@router.get(
    "/projects/{project_id}/statuses",
    operation_id="listProjectStatuses",
    openapi_extra=raises(NotFound),
)
async def list_project_statuses(scope: Reads, session: SessionDep, project_id: ProjectId) -> ProjectStatusesAnswer:
    """The workflow of a project, in the order of its board."""
    return ProjectStatusesAnswer(statuses=await statuses.list_of(session, scope, project_id))


@router.post(
    "/projects/{project_id}/statuses",
    operation_id="createProjectStatus",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(NotFound, ProjectArchived, StatusKeyTaken, TooManyStatuses),
)
async def create_project_status(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    wanted: ProjectStatusCreate,
) -> ProjectStatusAnswer:
    """One more step of the workflow, after all others."""
    made = await statuses.create(session, platform, scope, project_id, wanted)
    response.headers["Location"] = f"/api/projects/{project_id}/statuses/{made.id}"
    return _answer(made, response)


@router.put(
    "/projects/{project_id}/statuses",
    operation_id="orderProjectStatuses",
    openapi_extra=raises(NotFound, ProjectArchived, InvalidStatusOrder),
)
async def order_project_statuses(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    wanted: ProjectStatusOrder,
) -> ProjectStatusesAnswer:
    """The columns of the board in another order."""
    return ProjectStatusesAnswer(statuses=await statuses.order(session, platform, scope, project_id, wanted.keys))


@router.get(
    "/projects/{project_id}/statuses/{status_id}",
    operation_id="getProjectStatus",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_project_status(
    scope: Reads, session: SessionDep, response: Response, project_id: ProjectId, status_id: StatusId
) -> ProjectStatusAnswer:
    """One step of the workflow."""
    return _answer(await statuses.get(session, scope, project_id, status_id), response)


@router.patch(
    "/projects/{project_id}/statuses/{status_id}",
    operation_id="updateProjectStatus",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived, LastStatusOfItsKind, StatusInUse
    ),
)
async def update_project_status(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    status_id: StatusId,
    expected_version: ExpectedVersion,
    change: ProjectStatusUpdate,
) -> ProjectStatusAnswer:
    """Change the fields sent."""
    changed = await statuses.update(session, platform, scope, project_id, status_id, change, expected_version)
    return _answer(changed, response)


@router.delete(
    "/projects/{project_id}/statuses/{status_id}",
    operation_id="deleteProjectStatus",
    status_code=204,
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived, LastStatusOfItsKind, StatusInUse
    ),
)
async def delete_project_status(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    status_id: StatusId,
    expected_version: ExpectedVersion,
    move_to: Annotated[
        WordKey | None, Query(alias="moveTo", description="Key of the status in which its tasks go on.")
    ] = None,
) -> None:
    """Take a step out of the workflow. One with tasks needs `moveTo`."""
    await statuses.delete(session, platform, scope, project_id, status_id, expected_version, move_to=move_to)


def _answer(found: ProjectStatusRead, response: Response) -> ProjectStatusAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return ProjectStatusAnswer(status=found)
