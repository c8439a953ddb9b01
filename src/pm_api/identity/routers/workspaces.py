"""Workspaces over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import UserScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity import workspaces
from pm_api.identity.errors.people import InvalidTransition, RestoreExpired, SlugTaken, WorkspaceNotFound
from pm_api.identity.guards import require, signed_in_or_key
from pm_api.identity.schemas.people import (
    WorkspaceAnswer,
    WorkspaceCreate,
    WorkspaceRead,
    WorkspacesAnswer,
    WorkspaceTransfer,
    WorkspaceUpdate,
)

router = api_router(tag="identity")

CREATED: Final = answers_with("ETag", "Location")

# The guard reads the id from the path; it is declared here so that the document shows it.
WorkspaceId = Annotated[UUID, Path(alias="workspace_id", description="The workspace.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.post(
    "/workspaces",
    operation_id="createWorkspace",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(SlugTaken),
)
async def create_workspace(
    scope: Annotated[UserScope, Depends(signed_in_or_key("workspace"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: WorkspaceCreate,
) -> WorkspaceAnswer:
    """Make a workspace; the caller becomes its owner."""
    workspace = await workspaces.create(
        session, platform, scope.actor, name=wanted.name, slug=wanted.slug, description=wanted.description
    )
    response.headers["Location"] = f"/api/workspaces/{workspace.id}"
    return _answer(workspace, response)


@router.get("/workspaces", operation_id="listWorkspaces", openapi_extra=raises(InvalidCursor))
async def list_workspaces(
    scope: Annotated[UserScope, Depends(signed_in_or_key("workspace"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    archived: Annotated[bool | None, Query(description="Only archived ones, or only those in use.")] = None,
    deleted: Annotated[bool, Query(description="Deleted ones instead of the living.")] = False,
) -> WorkspacesAnswer:
    """The caller's workspaces, newest first."""
    return await workspaces.list_of(session, platform, scope.user_id, page, archived=archived, deleted=deleted)


@router.get(
    "/workspaces/{workspace_id}",
    operation_id="getWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound),
)
async def get_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.read", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
) -> WorkspaceAnswer:
    """One workspace."""
    return _answer(await workspaces.get(session, platform, scope), response)


@router.patch(
    "/workspaces/{workspace_id}",
    operation_id="updateWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound, SlugTaken, PreconditionFailed, InvalidIfMatch),
)
async def update_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.update", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
    expected_version: ExpectedVersion,
    change: WorkspaceUpdate,
) -> WorkspaceAnswer:
    """Change the fields sent; null clears the description. Archived workspaces may be changed too."""
    return _answer(await workspaces.update(session, platform, scope, change, expected_version), response)


@router.delete(
    "/workspaces/{workspace_id}",
    operation_id="deleteWorkspace",
    status_code=204,
    openapi_extra=raises(WorkspaceNotFound, PreconditionFailed, InvalidIfMatch),
)
async def delete_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.delete", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    _workspace_id: WorkspaceId,
    expected_version: ExpectedVersion,
) -> None:
    """Delete a workspace; an owner may restore it for 30 days."""
    await workspaces.delete(session, platform, scope, expected_version)


@router.post(
    "/workspaces/{workspace_id}/archive",
    operation_id="archiveWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound, InvalidTransition),
)
async def archive_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.archive", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
) -> WorkspaceAnswer:
    """Put a workspace away."""
    return _answer(await workspaces.archive(session, platform, scope), response)


@router.post(
    "/workspaces/{workspace_id}/unarchive",
    operation_id="unarchiveWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound, InvalidTransition),
)
async def unarchive_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.archive", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
) -> WorkspaceAnswer:
    """Take an archived workspace back into use."""
    return _answer(await workspaces.unarchive(session, platform, scope), response)


@router.post(
    "/workspaces/{workspace_id}/restore",
    operation_id="restoreWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound, InvalidTransition, RestoreExpired),
)
async def restore_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.restore", of="workspaces", deleted=None))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
) -> WorkspaceAnswer:
    """Undo a deletion within 30 days."""
    return _answer(await workspaces.restore(session, platform, scope), response)


@router.post(
    "/workspaces/{workspace_id}/transfer",
    operation_id="transferWorkspace",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidTransition, PlanLimitReached),
)
async def transfer_workspace(
    scope: Annotated[WorkspaceScope, Depends(require("workspace.transfer", of="workspaces"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    _workspace_id: WorkspaceId,
    transfer: WorkspaceTransfer,
) -> WorkspaceAnswer:
    """Make another member the owner; the caller becomes admin."""
    return _answer(await workspaces.transfer(session, platform, scope, transfer.user_id), response)


def _answer(workspace: WorkspaceRead, response: Response) -> WorkspaceAnswer:
    # The body shows the reader's role, of which the version does not tell.
    response.headers["ETag"] = entity_tag(workspace.version, workspace.role)
    return WorkspaceAnswer(workspace=workspace)
