"""Rooms over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import ZoneUnknown
from pm_api.domains.calendar import places
from pm_api.domains.calendar.errors.places import (
    ResourceBooked,
    ResourceExists,
    ResourceNotFound,
    TooManyResources,
)
from pm_api.domains.calendar.schemas.resources import (
    ResourceAnswer,
    ResourceCreate,
    ResourceList,
    ResourceRead,
    ResourceUpdate,
)
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

TABLE: Final = "calendar_resources"
READ: Final = "calendar.read"
MANAGE: Final = "calendar.manage"

router = api_router(tag="calendar")

ReadsWorkspace = Annotated[WorkspaceScope, Depends(require(READ, of="workspaces", at="workspaceId"))]
ManagesWorkspace = Annotated[WorkspaceScope, Depends(require(MANAGE, of="workspaces", at="workspaceId"))]
Reads = Annotated[WorkspaceScope, Depends(require(READ, of=TABLE))]
Manages = Annotated[WorkspaceScope, Depends(require(MANAGE, of=TABLE))]
ResourceId = Annotated[UUID, Path(description="The room.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.post(
    "/calendar/resources",
    operation_id="createCalendarResource",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(WorkspaceNotFound, Forbidden, ResourceExists, TooManyResources, ZoneUnknown),
)
async def create_calendar_resource(
    scope: ManagesWorkspace, session: SessionDep, platform: PlatformDep, response: Response, wanted: ResourceCreate
) -> ResourceAnswer:
    """A room, or a thing, that one event at a time may take: name it in `resourceIds` of an event. Two events never
    have it at one time.
    """
    made = await places.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/calendar/resources/{made.id}"
    return _answer(made, response)


@router.get(
    "/calendar/resources",
    operation_id="listCalendarResources",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor),
)
async def list_calendar_resources(
    scope: ReadsWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    active: Annotated[bool | None, Query(description="Only those that events may take, or only the others.")] = None,
) -> ResourceList:
    """The rooms of a workspace, oldest first. Which are free: `POST /api/calendar/free-busy`."""
    return await places.list_of(session, platform, scope, page, is_active=active)


@router.get(
    "/calendar/resources/{resource_id}",
    operation_id="getCalendarResource",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(ResourceNotFound),
)
async def get_calendar_resource(
    scope: Reads, session: SessionDep, response: Response, resource_id: ResourceId
) -> ResourceAnswer:
    """One room."""
    return _answer(await places.get(session, scope, resource_id), response)


@router.patch(
    "/calendar/resources/{resource_id}",
    operation_id="updateCalendarResource",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        *(ResourceNotFound, Forbidden, PreconditionFailed, InvalidIfMatch, ResourceExists, ResourceBooked),
        ZoneUnknown,
    ),
)
async def update_calendar_resource(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    resource_id: ResourceId,
    expected_version: ExpectedVersion,
    wanted: ResourceUpdate,
) -> ResourceAnswer:
    """Change what a room is. With `isActive` false no event takes it any more, and what is booked stays."""
    return _answer(await places.update(session, platform, scope, resource_id, wanted, expected_version), response)


@router.delete(
    "/calendar/resources/{resource_id}",
    operation_id="deleteCalendarResource",
    status_code=204,
    openapi_extra=raises(ResourceNotFound, Forbidden, PreconditionFailed, InvalidIfMatch, ResourceBooked),
)
async def delete_calendar_resource(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    resource_id: ResourceId,
    expected_version: ExpectedVersion,
    unbook: Annotated[
        bool,
        Query(description="Also when events have it from now on: they go on without, their organizers are told."),
    ] = False,
) -> None:
    """Forget a room. While an event has it from now on this is refused, unless `unbook` says otherwise."""
    await places.delete(session, platform, scope, resource_id, expected_version, unbook=unbook)


def _answer(found: ResourceRead, response: Response) -> ResourceAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return ResourceAnswer(resource=found)
