"""An answer that is read while its bytes go out of the store."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp, Message

from pm_api.core.platform import Platform
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import Person


def place_of(platform: Platform, key: str) -> Path:
    """Where an object lies on this machine. A store over the network shows an object whole or not at all."""
    root = platform.part(BlobDoor).root
    if root is None:
        pytest.skip("what a store over the network has begun to send does not change any more")
    return root / key


async def broken_off(
    app: ASGIApp,
    person: Person,
    address: str,
    after_first: Callable[[], object],
    *,
    method: str = "GET",
    content: bytes = b"",
) -> tuple[int, int]:
    """(status, bytes that came) of an answer that must not end as a whole one does. `after_first` is called when
    some of it has gone out. No server stands between: what one has in hand already would hide the moment.
    """
    came: list[Message] = []
    left = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        came.append(message)
        if len(came) == 2:  # the status line, then bytes
            after_first()

    split = urlsplit(address)
    headers = [
        (b"authorization", f"Bearer {person.access_token}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    run: Callable[..., Awaitable[None]] = app
    await run(
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": split.path,
            "raw_path": split.path.encode(),
            "query_string": split.query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 40_000),
            "server": ("127.0.0.1", 80),
            "state": {},
        },
        receive,
        send,
    )
    start, *bodies = came
    assert start["type"] == "http.response.start"
    assert all(one["more_body"] for one in bodies), "it was ended as if it were whole"
    return start["status"], sum(len(one["body"]) for one in bodies)
