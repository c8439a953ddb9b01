"""The agenda over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import EXPANSION
from pm_api.core.schema import Moment
from pm_api.domains.calendar import agenda
from pm_api.domains.calendar.enums import AgendaKind
from pm_api.domains.calendar.errors.events import TooManyEvents
from pm_api.domains.calendar.guards import require_calendar
from pm_api.domains.calendar.schemas.agenda import AgendaAnswer
from pm_api.domains.calendar.schemas.events import ZoneName
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="calendar")


@router.get(
    "/calendar/agenda",
    operation_id="getAgenda",
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor, TooManyEvents, *EXPANSION),
)
async def get_agenda(
    scope: Annotated[WorkspaceScope, Depends(require_calendar("calendar.read"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    start: Annotated[
        Moment,
        Query(description="What has not ended by then. A day is its midnight in `tz`.", examples=["2026-03-01"]),
    ],
    end: Annotated[
        Moment,
        Query(description="What begins before, at most 400 days after `start`.", examples=["2026-04-01"]),
    ],
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    project_id: Annotated[
        UUID | None, Query(alias="projectId", description="Only what is part of this project.")
    ] = None,
    tz: Annotated[
        ZoneName | None,
        Query(description="IANA zone in which days lie; that of your settings when left out.", examples=["UTC"]),
    ] = None,
    types: Annotated[
        tuple[AgendaKind, ...],
        Query(max_length=len(AgendaKind), description="Only these kinds, each named once; all when left out."),
    ] = (),
) -> AgendaAnswer:
    """Events, and the dates of tasks and projects, in one list: what you see of them in a range of time.

    Tasks and projects stand where they start and where they are due, a task with both dates twice. Those of templates
    do not. What is private to others is "Busy". An API key sees only the kinds it may read.
    """
    return await agenda.agenda(
        session,
        platform,
        scope,
        page,
        start=start,
        end=end,
        zone_name=tz,
        project_id=project_id,
        kinds=frozenset(types),
    )
