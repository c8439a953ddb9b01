"""Feeds over HTTP."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed, TooManyRequests
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep, get_platform
from pm_api.domains.calendar import feeds
from pm_api.domains.calendar.errors.interchange import FeedNotFound, TooManyFeeds
from pm_api.domains.calendar.guards import require_calendar
from pm_api.domains.calendar.ical.writing import MEDIA_TYPE
from pm_api.domains.calendar.schemas.feeds import FeedAnswer, FeedCreate, FeedList, FeedMade
from pm_api.identity.errors.credentials import ApiKeyNotAllowed
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

router = api_router(tag="calendar")

READ: Final = "calendar.read"
ASKED_EACH_TIME: Final = "public, max-age=0, must-revalidate"
"""A copy may be kept, but is asked for every time: once revoked, an address leads nowhere."""
NAMED: Final = {"Content-Disposition": 'inline; filename="calendar.ics"'}
AS_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {MEDIA_TYPE.partition(";")[0]: {"schema": {"type": "string"}}},
        "description": "The calendar.",
        "headers": {"ETag": {"schema": {"type": "string"}, "description": "Of what it says now."}},
    },
    304: {"description": "It says what you have."},
}


class FeedStream(StreamingResponse):
    media_type = MEDIA_TYPE


@router.post(
    "/calendar/feeds",
    operation_id="createCalendarFeed",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra=raises(WorkspaceNotFound, NotFound, Forbidden, TooManyFeeds, ApiKeyNotAllowed),
)
async def create_calendar_feed(
    scope: Annotated[WorkspaceScope, Depends(require_calendar(READ))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: FeedCreate,
) -> FeedMade:
    """A secret address at which calendar programs read what you see, as you see it: what is private to others is
    "Busy". It is told this once, and leads nowhere any more once you revoke the feed or do not see the calendar.
    """
    feed, url = await feeds.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/calendar/feeds/{feed.id}"
    return FeedMade(feed=feed, url=url)


@router.get(
    "/calendar/feeds",
    operation_id="listCalendarFeeds",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor),
)
async def list_calendar_feeds(
    scope: Annotated[WorkspaceScope, Depends(require(READ, of="workspaces", at="workspaceId"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
) -> FeedList:
    """Your own feeds of a workspace, newest first."""
    return await feeds.list_of(session, platform, scope, page)


@router.get(
    "/calendar/feeds/{token}.ics",
    operation_id="getCalendarFeedFile",
    response_class=FeedStream,
    responses=AS_FILE,
    openapi_extra=raises(FeedNotFound, TooManyRequests),
)
async def get_calendar_feed_file(
    platform: PlatformDep,
    token: Annotated[str, Path(max_length=200, description="The secret of the address.")],
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", description="ETag of what you have; 304 when it is that still.")
    ] = None,
) -> Response:
    """What whoever made the feed sees of the calendar now, as iCalendar (RFC 5545) with its time zones.

    HEAD answers the same without the calendar.
    """
    served = await feeds.serve(platform, token, if_none_match)
    if served.content is None:
        return Response(status_code=304, headers=_headers(served.tag))
    return FeedStream(served.content, headers={**_headers(served.tag), **NAMED})


async def head_of_calendar_feed_file(request: Request) -> Response:
    """As the GET, for programs that look first; it is no operation of its own."""
    token, known = request.path_params["token"], request.headers.get("If-None-Match")
    served = await feeds.serve(get_platform(request), token, known, whole=False)
    if served.is_known:
        return Response(status_code=304, headers=_headers(served.tag))
    answer = Response(headers={**_headers(served.tag), **NAMED, "Content-Type": MEDIA_TYPE})
    del answer.headers["Content-Length"]  # 0 would be said of the calendar
    return answer


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": ASKED_EACH_TIME}


router.add_route(
    "/api/calendar/feeds/{token}.ics", head_of_calendar_feed_file, methods=["HEAD"], include_in_schema=False
)


@router.get(
    "/calendar/feeds/{feed_id}",
    operation_id="getCalendarFeed",
    responses={200: answers_with("ETag")},
    openapi_extra=raises(NotFound, FeedNotFound),
)
async def get_calendar_feed(
    scope: Annotated[WorkspaceScope, Depends(require(READ, of="calendar_feeds"))],
    session: SessionDep,
    response: Response,
    feed_id: Annotated[UUID, Path(description="The feed.")],
) -> FeedAnswer:
    """A feed of yours. Its address is not told again."""
    feed = await feeds.one(session, scope, feed_id)
    response.headers["ETag"] = sight_tag(feed.version, feed.model_dump_json())
    return FeedAnswer(feed=feed)


@router.delete(
    "/calendar/feeds/{feed_id}",
    operation_id="deleteCalendarFeed",
    status_code=204,
    openapi_extra=raises(NotFound, FeedNotFound, PreconditionFailed, InvalidIfMatch),
)
async def delete_calendar_feed(
    scope: Annotated[WorkspaceScope, Depends(require(READ, of="calendar_feeds"))],
    session: SessionDep,
    feed_id: Annotated[UUID, Path(description="The feed.")],
    expected_version: Annotated[int | None, Depends(if_match)] = None,
) -> None:
    """Revoke a feed of yours: from now on its address leads nowhere."""
    await feeds.revoke(session, scope, feed_id, expected_version)
