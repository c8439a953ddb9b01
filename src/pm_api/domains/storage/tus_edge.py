"""What tus wants of every answer and request at its addresses, whoever gives the answer: headers, the version that is
spoken, and methods that a client could not send.
"""

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pm_api.core.problem import problem_response
from pm_api.domains.storage.errors.tus import TusVersionUnsupported
from pm_api.domains.storage.tus_headers import ALGORITHMS, EXTENSIONS, VERSION

ADDRESS: Final = "/api/storage/tus"
OPTIONS: Final = {
    "Tus-Version": VERSION,
    "Tus-Extension": ",".join(EXTENSIONS),
    "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
}
"""What OPTIONS tells. How long a file may be is each plan's to say, so no `Tus-Max-Size` holds for all."""
EXPOSED: Final = (
    "Tus-Resumable",
    *OPTIONS,
    "Upload-Offset",
    "Upload-Length",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Expires",
)
"""Headers that a script of another origin may read."""
_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")


def speaks_tus(scope: Scope) -> bool:
    """Whether a request is for one of these addresses."""
    path: str = scope["path"] if scope["type"] == "http" else ""
    return path == ADDRESS or path.startswith(ADDRESS + "/")


class TusManners:
    """Outermost: every answer says which version is spoken, those to OPTIONS what more; `X-HTTP-Method-Override` is
    the method.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not speaks_tus(scope):
            await self._app(scope, receive, send)
            return
        override = Headers(scope=scope).get("x-http-method-override", "")
        if _METHOD.fullmatch(override):
            scope["method"] = override.upper()
        told = {"Tus-Resumable": VERSION, **(OPTIONS if scope["method"] == "OPTIONS" else {})}

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, send_told)


class TusVersionGate:
    """Innermost: nothing is looked at of a request in a version that is not spoken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_other = speaks_tus(scope) and scope["method"] != "OPTIONS"
        if is_other and Headers(scope=scope).get("tus-resumable") != VERSION:
            await problem_response(TusVersionUnsupported())(scope, receive, send)
            return
        await self._app(scope, receive, send)
