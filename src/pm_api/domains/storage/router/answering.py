"""Bytes as an answer. What they are was found in them, never said of them; a browser shows in place only what is on a
short list, and runs none of it. Nothing of the database is held while they go.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pm_api.core.platform import Platform
from pm_api.domains.storage import naming, ranges, sniffing
from pm_api.domains.storage.enums import Disposition
from pm_api.domains.storage.ranges import Part
from pm_api.domains.storage.serving import ASKED_EACH_TIME, POLICY, BrokenOff, Served, ensure_there, opened


class FileResponse(StreamingResponse):
    """It tells the generator that nobody reads on, so that what it has opened is closed at once.

    Where the bytes break off it does too: the server closes the connection of an answer that was not ended, so that
    nobody takes it for whole.
    """

    def __init__(self, content: AsyncGenerator[bytes, None], status_code: int = 200, **arguments: Any) -> None:
        # FastAPI reads the status that it documents from this signature.
        super().__init__(content, status_code, **arguments)
        self._opened = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except BrokenOff:
            return
        finally:
            await self._opened.aclose()


async def answer(platform: Platform, request: Request, found: Served, disposition: Disposition) -> Response:
    """The bytes, or the part of them that is asked for; 304 to whoever has them. Raises RangeNotSatisfiable, FileGone
    and StorageUnavailable.
    """
    asked = request.headers
    headers = headers_of(found, disposition)
    if ranges.is_known(asked.get("if-none-match"), found.tag):
        return Response(status_code=304, headers={"ETag": found.tag, "Cache-Control": ASKED_EACH_TIME})
    # A range is of GET alone (RFC 9110 §14.2): HEAD tells of the whole.
    wanted = asked.get("range") if request.method == "GET" else None
    part = ranges.part_of(wanted, asked.get("if-range"), size_bytes=found.size_bytes, tag=found.tag)
    whole = Part(0, found.size_bytes)
    headers["Content-Length"] = str((part or whole).size_bytes)
    if part is not None:
        headers["Content-Range"] = part.told(found.size_bytes)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        await ensure_there(platform, found)
        return Response(status_code=status, headers=headers, media_type=found.media_type)
    content = await opened(platform, found, part or whole)
    return FileResponse(content, status_code=status, headers=headers, media_type=found.media_type)


def headers_of(found: Served, disposition: Disposition) -> dict[str, str]:
    is_inline = disposition is Disposition.INLINE and sniffing.may_be_shown(found.media_type)
    return {
        "ETag": found.tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": ASKED_EACH_TIME,
        "Content-Disposition": naming.disposition(found.name, inline=is_inline),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
    }


AS_FILE: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The bytes.",
        "headers": {
            "ETag": {"schema": {"type": "string"}, "description": "SHA-256 of the bytes, in hex."},
            "Content-Disposition": {"schema": {"type": "string"}, "description": "What the file is called."},
            "Accept-Ranges": {"schema": {"type": "string"}, "description": "`bytes`."},
        },
    },
    206: {
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The part that was asked for.",
        "headers": {"Content-Range": {"schema": {"type": "string"}, "description": "Which part of how many bytes."}},
    },
    304: {"description": "You have these bytes."},
}
