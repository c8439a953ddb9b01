"""Routes of saved views."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.tasks import views
from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.errors.views import SavedViewNotFound, TooManySavedViews
from pm_api.domains.tasks.guards_of_places import RequireReader, require_in_place
from pm_api.domains.tasks.schemas.views import (
    SavedViewAnswer,
    SavedViewCreate,
    SavedViewRead,
    SavedViewsAnswer,
    SavedViewUpdate,
)
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="tasks")

InPlace = Annotated[WorkspaceScope, Depends(require_in_place("task.read"))]
OfOne = Annotated[WorkspaceScope, Depends(RequireReader("task.read", of="saved_views"))]
ViewId = Annotated[UUID, Path(description="The saved view.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
WRITTEN: Final = (SavedViewNotFound, PreconditionFailed, InvalidIfMatch, Forbidden)


@router.post(
    "/saved-views",
    operation_id="createSavedView",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(WorkspaceNotFound, NotFound, Forbidden, InvalidFilter, TooManySavedViews),
)
async def create_saved_view(
    scope: InPlace, session: SessionDep, platform: PlatformDep, response: Response, wanted: SavedViewCreate
) -> SavedViewAnswer:
    """Keep a way to look at tasks, of a workspace or of one project; for yourself, or shared with all who see it."""
    made = await views.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/saved-views/{made.id}"
    return _answer(made, response)


@router.get(
    "/saved-views", operation_id="listSavedViews", openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor)
)
async def list_saved_views(
    scope: InPlace,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    workspace_id: Annotated[UUID | None, Query(alias="workspaceId", description="Views of this workspace.")] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Views of this project alone.")] = None,
) -> SavedViewsAnswer:
    """Your own views and those that are shared with you, oldest first."""
    del workspace_id
    found, following = await views.list_of(session, platform, scope, project_id, page)
    return SavedViewsAnswer(saved_views=found, next_cursor=following)


@router.get(
    "/saved-views/{saved_view_id}",
    operation_id="getSavedView",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(SavedViewNotFound),
)
async def get_saved_view(
    scope: OfOne, session: SessionDep, response: Response, saved_view_id: ViewId
) -> SavedViewAnswer:
    """One saved view."""
    return _answer(await views.get(session, scope, saved_view_id), response)


@router.patch(
    "/saved-views/{saved_view_id}",
    operation_id="updateSavedView",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*WRITTEN, InvalidFilter),
)
async def update_saved_view(
    scope: OfOne,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    saved_view_id: ViewId,
    expected_version: ExpectedVersion,
    change: SavedViewUpdate,
) -> SavedViewAnswer:
    """Rename a view of yours, share it or keep it to yourself, or let it show something else."""
    return _answer(await views.update(session, platform, scope, saved_view_id, change, expected_version), response)


@router.delete(
    "/saved-views/{saved_view_id}",
    operation_id="deleteSavedView",
    status_code=204,
    openapi_extra=raises(*WRITTEN),
)
async def delete_saved_view(
    scope: OfOne,
    session: SessionDep,
    platform: PlatformDep,
    saved_view_id: ViewId,
    expected_version: ExpectedVersion,
) -> None:
    """Forget a view of yours."""
    await views.delete(session, platform, scope, saved_view_id, expected_version)


def _answer(view: SavedViewRead, response: Response) -> SavedViewAnswer:
    response.headers["ETag"] = entity_tag(view.version)
    return SavedViewAnswer(saved_view=view)
