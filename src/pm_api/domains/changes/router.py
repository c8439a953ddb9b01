"""Routes of the change feed and its streams."""

from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.changes import service
from pm_api.domains.changes.errors import (
    CursorExpired,
    InvalidEventId,
    InvalidTicket,
    StreamsExhausted,
    TokenInAddress,
    TooManyStreams,
)
from pm_api.domains.changes.guards import stream_guard
from pm_api.domains.changes.hub import StreamHub, Subscription, change_read
from pm_api.domains.changes.schemas import ChangeList, TicketCreate, TicketRead
from pm_api.identity.guards import require_account

RETRY_MS: Final = 1000
RETRY_SPREAD_MS: Final = 2000
READER: Final = require_account("workspace.read")

WorkspaceParameter = Annotated[
    UUID | None, Query(alias="workspaceId", description="The workspace to follow; without it, only what is your own.")
]

router = api_router(tag="changes")


@router.get("/changes", operation_id="listChanges", openapi_extra=raises(CursorExpired, InvalidCursor))
async def list_changes(
    scope: Annotated[AccountScope, Depends(READER)],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
) -> ChangeList:
    """What changed since `cursor`, in order of commit: nothing that commits late is skipped.

    Without a cursor it begins at the oldest change that is kept (30 days). `nextCursor` is always given; poll with
    it, at once while `hasMore`. 410 `cursor_expired`: read everything again and begin without a cursor.
    """
    feed_id = service.feed_of(scope)
    key = platform.cursors.decode(page.cursor, of="changes", feed=feed_id)
    found = await service.read(session, scope, after=key[0] if key else None, limit=page.limit)
    workspace_id = feed_id if isinstance(scope, WorkspaceScope) else None
    return ChangeList(
        changes=[change_read(row, workspace_id) for row in found.rows],
        next_cursor=platform.cursors.encode((found.position,), of="changes", feed=feed_id) or "",
        has_more=found.has_more,
    )


@router.post(
    "/stream/tickets",
    operation_id="createStreamTicket",
    status_code=201,
    responses={201: answers_with("Location")},
)
async def create_stream_ticket(
    scope: Annotated[AccountScope, Depends(READER)],
    session: SessionDep,
    platform: PlatformDep,
    _wanted: TicketCreate,
    response: Response,
) -> TicketRead:
    """A ticket for clients that cannot set headers, such as a browser's EventSource: 30 seconds, one use."""
    ticket, expires_at = await service.issue_ticket(session, platform, scope)
    response.headers["Location"] = "/api/stream"
    return TicketRead(ticket=ticket, expires_at=expires_at)


async def subscribe(
    scope: Annotated[AccountScope, Depends(stream_guard)],
    platform: PlatformDep,
    _workspace_id: WorkspaceParameter = None,
    _ticket: Annotated[
        str | None, Query(alias="ticket", description="From `POST /api/stream/tickets`, instead of a bearer token.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The last `id` you saw: what came after it follows.")
    ] = None,
    last_event_id_parameter: Annotated[
        str | None, Query(alias="lastEventId", description="The same, for clients that cannot set headers.")
    ] = None,
) -> AsyncIterator[Subscription]:
    """Opened before the answer starts, so that a refusal is still a problem; closed when the answer has ended."""
    hub = platform.part(StreamHub)
    stream = await hub.open(scope, last_event_id or last_event_id_parameter)
    try:
        yield stream
    finally:
        hub.close(stream)


@router.get(
    "/stream",
    operation_id="openStream",
    response_class=EventSourceResponse,
    openapi_extra=raises(TokenInAddress, InvalidTicket, InvalidEventId, TooManyStreams, StreamsExhausted),
)
async def open_stream(
    stream: Annotated[Subscription, Depends(subscribe)], platform: PlatformDep
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events of your own feed and, with `workspaceId`, of that workspace.

    - `ready` {id, reset}: at the start and when signals may have been missed. Read again what is in no feed
      (balances); with `reset`, everything.
    - `change`: as in `GET /api/changes`. Its `id` is where you are in both feeds; send it as `Last-Event-ID` when
      you reconnect, and nothing is lost or repeated.
    - `credits.balance` {accountId, workspaceId, available, seq}: of your wallet and the workspace's pool; no `id`.
    - `end` {reason}: the last one. A stream lives ten minutes.
    """
    retry = RETRY_MS + int(platform.randomness.uniform() * RETRY_SPREAD_MS)
    async for message in platform.part(StreamHub).messages(stream):
        yield ServerSentEvent(
            event=message.event,
            raw_data=message.data,
            id=message.id,
            retry=retry if message.event == "ready" else None,
        )
