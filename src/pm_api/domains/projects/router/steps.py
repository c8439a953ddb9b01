"""The steps of a project's life over HTTP."""

from fastapi import APIRouter, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects import changing
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.projects.router.parts import ExpectedVersion, Manages, ProjectId, answer
from pm_api.domains.projects.schemas.projects import ProjectAnswer
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity.errors.people import InvalidTransition, RestoreExpired

router: APIRouter = api_router(tag="projects")

_STEP = raises(NotFound, PreconditionFailed, InvalidIfMatch, InvalidTransition)


@router.post(
    "/projects/{project_id}/start",
    operation_id="startProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_STEP,
)
async def start_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> ProjectAnswer:
    """ACTIVE, from PLANNED or PAUSED."""
    target = ProjectState.ACTIVE
    return answer(await changing.step(session, platform, scope, project_id, target, expected_version), response)


@router.post(
    "/projects/{project_id}/stop",
    operation_id="stopProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_STEP,
)
async def stop_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> ProjectAnswer:
    """PAUSED, from ACTIVE."""
    target = ProjectState.PAUSED
    return answer(await changing.step(session, platform, scope, project_id, target, expected_version), response)


@router.post(
    "/projects/{project_id}/complete",
    operation_id="completeProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_STEP,
)
async def complete_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> ProjectAnswer:
    """COMPLETED, from PLANNED, ACTIVE or PAUSED."""
    target = ProjectState.COMPLETED
    return answer(await changing.step(session, platform, scope, project_id, target, expected_version), response)


@router.post(
    "/projects/{project_id}/archive",
    operation_id="archiveProject",
    responses={200: ETAG_HEADER},
    openapi_extra=_STEP,
)
async def archive_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> ProjectAnswer:
    """ARCHIVED, from wherever it is: it can only be read from then on."""
    target = ProjectState.ARCHIVED
    return answer(await changing.step(session, platform, scope, project_id, target, expected_version), response)


@router.post(
    "/projects/{project_id}/restore",
    operation_id="restoreProject",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, InvalidTransition, RestoreExpired, PlanLimitReached
    ),
)
async def restore_project(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    project_id: ProjectId,
    expected_version: ExpectedVersion,
) -> ProjectAnswer:
    """Take back its deletion, within 30 days, or else its archiving: then it stands where it stood before."""
    return answer(await changing.restore(session, platform, scope, project_id, expected_version), response)
