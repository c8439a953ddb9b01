"""The labels of a project over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects import labels
from pm_api.domains.projects.errors import LabelExists, ProjectArchived, TooManyLabels
from pm_api.domains.projects.router.parts import CREATED, ExpectedVersion, Manages, Page, ProjectId, Reads, Works
from pm_api.domains.projects.schemas.workflow import LabelAnswer, LabelCreate, LabelRead, LabelsAnswer, LabelUpdate

router: APIRouter = api_router(tag="projects")

LabelId = Annotated[UUID, Path(description="The label.")]


@router.get(
    "/projects/{project_id}/labels",
    operation_id="listLabels",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def list_labels(
    scope: Reads, session: SessionDep, platform: PlatformDep, page: Page, project_id: ProjectId
) -> LabelsAnswer:
    """The labels of a project, by name."""
    return await labels.list_of(session, platform, scope, project_id, page)


@router.post(
    "/projects/{project_id}/labels",
    operation_id="createLabel",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(NotFound, ProjectArchived, LabelExists, TooManyLabels),
)
async def create_label(
    scope: Works,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    wanted: LabelCreate,
) -> LabelAnswer:
    """A new label for the project's tasks. Everybody who works in it may make one."""
    made = await labels.create(session, platform, scope, project_id, wanted)
    response.headers["Location"] = f"/api/projects/{project_id}/labels/{made.id}"
    return _answer(made, response)


@router.get(
    "/projects/{project_id}/labels/{label_id}",
    operation_id="getLabel",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_label(
    scope: Reads, session: SessionDep, response: Response, project_id: ProjectId, label_id: LabelId
) -> LabelAnswer:
    """One label."""
    return _answer(await labels.get(session, scope, project_id, label_id), response)


@router.patch(
    "/projects/{project_id}/labels/{label_id}",
    operation_id="updateLabel",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived, LabelExists),
)
async def update_label(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    label_id: LabelId,
    expected_version: ExpectedVersion,
    change: LabelUpdate,
) -> LabelAnswer:
    """Change the fields sent, on every task that has it."""
    changed = await labels.update(session, platform, scope, project_id, label_id, change, expected_version)
    return _answer(changed, response)


@router.delete(
    "/projects/{project_id}/labels/{label_id}",
    operation_id="deleteLabel",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ProjectArchived),
)
async def delete_label(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    project_id: ProjectId,
    label_id: LabelId,
    expected_version: ExpectedVersion,
) -> None:
    """Take a label off every task, and away."""
    await labels.delete(session, platform, scope, project_id, label_id, expected_version)


def _answer(found: LabelRead, response: Response) -> LabelAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return LabelAnswer(label=found)
