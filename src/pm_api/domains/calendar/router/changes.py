"""Following what changes in a calendar, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.calendar import syncing
from pm_api.domains.calendar.errors.series import InvalidSyncToken, SyncTokenExpired
from pm_api.domains.calendar.guards import require_calendar
from pm_api.domains.calendar.schemas.series import EventChanges
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="calendar")


@router.get(
    "/calendar/changes",
    operation_id="getEventChanges",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor, InvalidSyncToken, SyncTokenExpired),
)
async def get_event_changes(
    scope: Annotated[WorkspaceScope, Depends(require_calendar("calendar.read"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="Whose calendar.")],
    sync_token: Annotated[
        str | None,
        Query(
            alias="syncToken",
            max_length=1024,
            description="`nextSyncToken` of the last time; without it, all events. The same with every page.",
        ),
    ] = None,
) -> EventChanges:
    """All events of a calendar, and from then on what changed: with each answer to the end comes the next token.

    Read page by page while `nextCursor` is given (a page may be empty, and an event may come more than once); the
    last page has `nextSyncToken`. Events come as series, each with all of its occurrences that differ, and replace
    what you had of them; what is gone or out of your sight comes as id and status CANCELLED. 410
    `sync_token_expired`: forget everything and begin without a token.

    What an event only shows, and does not hold, is as it was when the event came: names of people, projects and
    rooms, and your own reminders.
    """
    return await syncing.changes(session, platform, scope, sync_token=sync_token, page=page)
