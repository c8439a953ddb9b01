"""Refusals of the change feed and its streams."""

from typing import Any

from pm_api.core.errors import Gone, TooManyRequests, Unauthorized, Unavailable, Unprocessable


class CursorExpired(Gone):
    """Changes are kept for 30 days, and this cursor is older. Read everything again, then start without a cursor."""

    code = "cursor_expired"


class InvalidTicket(Unauthorized):
    """This stream ticket is unknown, used, expired or for another workspace.

    A ticket opens one stream within 30 seconds. Get another one from `POST /api/stream/tickets`, and send the last
    id you saw as `lastEventId`, so that nothing is lost in between.
    """

    code = "invalid_ticket"


class TokenInAddress(Unauthorized):
    """Access tokens are not taken from the address, because addresses are logged.

    Send `Authorization: Bearer <accessToken>`, or `?ticket=` from `POST /api/stream/tickets`.
    """

    code = "token_in_address"


class InvalidEventId(Unprocessable):
    """`Last-Event-ID` is the `id` of an event of this stream, exactly as it was sent."""

    code = "invalid_event_id"


class TooManyStreams(TooManyRequests):
    """You have as many open streams as one person may have. Close one, or share one between your tabs."""

    code = "too_many_streams"

    def __init__(self, detail: str | None = None, **arguments: Any) -> None:
        super().__init__(detail, headers={"Retry-After": "30"}, **arguments)


class StreamsExhausted(Unavailable):
    """This server has as many open streams as it takes. Poll `GET /api/changes`, or try again in a moment."""

    code = "streams_exhausted"
