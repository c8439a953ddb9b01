"""A project's own fields over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects import fields
from pm_api.domains.projects.errors import FieldKeyTaken, ProjectArchived, TooManyFields
from pm_api.domains.projects.router.parts import CREATED, ExpectedVersion, Manages, ProjectId, Reads
from pm_api.domains.projects.schemas.workflow import (
    ProjectFieldAnswer,
    ProjectFieldCreate,
    ProjectFieldRead,
    ProjectFieldsAnswer,
    ProjectFieldUpdate,
)

router: APIRouter = api_router(tag="projects")

FieldId = Annotated[UUID, Path(description="The field.")]


@router.get(
    "/projects/{project_id}/fields",
    operation_id="listProjectFields",
    openapi_extra=raises(NotFound),
)
async def list_project_fields(scope: Reads, session: SessionDep, project_id: ProjectId) -> ProjectFieldsAnswer:
    """The fields that the project's tasks have beside the common ones."""
    return ProjectFieldsAnswer(fields=await fields.list_of(session, scope, project_id))


@router.post(
    "/projects/{project_id}/fields",
    operation_id="createProjectField",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(NotFound, ProjectArchived, FieldKeyTaken, TooManyFields),
)
async def create_project_field(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    wanted: ProjectFieldCreate,
) -> ProjectFieldAnswer:
    """One more field for the project's tasks."""
    made = await fields.create(session, platform, scope, project_id, wanted)
    response.headers["Location"] = f"/api/projects/{project_id}/fields/{made.id}"
    return _answer(made, response)


@router.get(
    "/projects/{project_id}/fields/{field_id}",
    operation_id="getProjectField",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_project_field(
    scope: Reads, session: SessionDep, response: Response, project_id: ProjectId, field_id: FieldId
) -> ProjectFieldAnswer:
    """One field."""
    return _answer(await fields.get(session, scope, project_id, field_id), response)


@router.patch(
    "/projects/{project_id}/fields/{field_id}",
    operation_id="updateProjectField",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived),
)
async def update_project_field(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    field_id: FieldId,
    expected_version: ExpectedVersion,
    change: ProjectFieldUpdate,
) -> ProjectFieldAnswer:
    """Change the fields sent."""
    changed = await fields.update(session, platform, scope, project_id, field_id, change, expected_version)
    return _answer(changed, response)


@router.delete(
    "/projects/{project_id}/fields/{field_id}",
    operation_id="deleteProjectField",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived),
)
async def delete_project_field(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    field_id: FieldId,
    expected_version: ExpectedVersion,
) -> None:
    """Take a field away, with what tasks say in it."""
    await fields.delete(session, platform, scope, project_id, field_id, expected_version)


def _answer(found: ProjectFieldRead, response: Response) -> ProjectFieldAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return ProjectFieldAnswer(field=found)
