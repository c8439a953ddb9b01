"""The caller's working hours over HTTP."""

from typing import Annotated

from fastapi import Depends, Response

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.calendar import working_hours
from pm_api.domains.calendar.schemas.busy import WorkingHoursAnswer, WorkingHoursRead, WorkingHoursWrite
from pm_api.identity.guards import signed_in_or_key

router = api_router(tag="calendar")

Caller = Annotated[UserScope, Depends(signed_in_or_key("calendar"))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.get("/calendar/working-hours", operation_id="getWorkingHours", responses={200: ETAG_HEADER})
async def get_working_hours(scope: Caller, session: SessionDep, response: Response) -> WorkingHoursAnswer:
    """When you work, in the zone of your settings. Until you say so: Monday to Friday, 09:00 to 17:00, and `version`
    is 0.
    """
    return _answer(await working_hours.get(session, scope), response)


@router.put(
    "/calendar/working-hours",
    operation_id="putWorkingHours",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(PreconditionFailed, InvalidIfMatch),
)
async def put_working_hours(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    wanted: WorkingHoursWrite,
) -> WorkingHoursAnswer:
    """Choose anew when you work. A weekday that is left out is free; a night is two ranges, up to 24:00 and from
    00:00.

    It is what `POST /api/calendar/find-time` goes by, whoever asks.
    """
    return _answer(await working_hours.put(session, platform, scope, wanted, expected_version), response)


def _answer(found: WorkingHoursRead, response: Response) -> WorkingHoursAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return WorkingHoursAnswer(working_hours=found)
