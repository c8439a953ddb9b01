"""Whose time is free, and a time that suits, over HTTP."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.recurrence.errors import EXPANSION, ZoneUnknown
from pm_api.domains.calendar import busy, finding_time
from pm_api.domains.calendar.errors.places import InvalidResources
from pm_api.domains.calendar.errors.time import AttendeesUnknown
from pm_api.domains.calendar.guards import require_calendar
from pm_api.domains.calendar.schemas.busy import (
    FindTimeAnswer,
    FindTimeRequest,
    FreeBusyAnswer,
    FreeBusyRequest,
)
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="calendar")

Reads = Annotated[WorkspaceScope, Depends(require_calendar("calendar.read"))]


@router.post(
    "/calendar/free-busy",
    operation_id="getFreeBusy",
    openapi_extra=raises(WorkspaceNotFound, Forbidden, *EXPANSION),
)
async def get_free_busy(scope: Reads, session: SessionDep, wanted: FreeBusyRequest) -> FreeBusyAnswer:
    """When people and rooms are taken, by all events of the workspace; never with what.

    What somebody has not answered is TENTATIVE, what they declined or what is shown as free does not count, and what
    they hold themselves is BUSY unless it says otherwise. Series count occurrence by occurrence; all-day events take
    the day of each person's own zone. Whoever cannot be told of has `errors`, and fails nobody else's. A guest asks
    for those who see a project with them. Rooms are known two years ahead.
    """
    return FreeBusyAnswer(free_busy=await busy.free_busy(session, scope, wanted))


@router.post(
    "/calendar/find-time",
    operation_id="findTime",
    openapi_extra=raises(WorkspaceNotFound, Forbidden, AttendeesUnknown, InvalidResources, *EXPANSION, ZoneUnknown),
)
async def find_time(scope: Reads, session: SessionDep, wanted: FindTimeRequest) -> FindTimeAnswer:
    """Times that suit a group, the best first, of equals the sooner; the same question has the same answer.

    A time suits when everybody who is not optional (or a `quorum` of them) is neither BUSY nor out of office, works
    then by the clocks of their own zone, and has the buffers free; and when one of the rooms is free, if any are
    asked for. Who may come (TENTATIVE) can. Without any, `noneFound` says why and who was in the way. Of whom not all
    could be worked out, as with a rule that takes too long, `unknown` says so, and it fails nobody else's.
    """
    return FindTimeAnswer(find_time=await finding_time.find(session, scope, wanted))
