"""A receiver of webhooks on a port of this machine, which remembers what came and answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from standardwebhooks import Webhook
from starlette.types import Receive, Scope, Send

from tests.support.server import serve


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    headers: dict[str, str]
    raw: bytes
    path: str

    @property
    def id(self) -> UUID:
        return UUID(self.headers["webhook-id"])

    @property
    def body(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.raw)
        return content

    @property
    def data(self) -> dict[str, Any]:
        content: dict[str, Any] = self.body["data"]
        return content

    @property
    def version(self) -> int:
        """By which a test knows a change again."""
        number: int = self.data["version"]
        return number

    def verify(self, secret: str) -> None:
        """Raises WebhookVerificationError."""
        Webhook(secret).verify(self.raw, self.headers)


Answer = Callable[[Received], Awaitable[int] | int]


@dataclass
class Receiver:
    """`answer` gives the status; `headers` and `content` go with it."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Answer = lambda _received: 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b"thank you"
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def versions(self) -> list[int]:
        return [one.version for one in self.received]

    def by_entity(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for one in self.received:
            found.setdefault(one.data["id"], []).append(one.version)
        return found

    async def until(self, count: int, timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.received) < count:
                self.came.clear()
                await self.came.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        raw, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":  # whoever sent it is gone before the end
                return
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        one = Received(headers, raw, scope["path"])
        self.received.append(one)
        self.came.set()
        status = self.answer(one)
        if not isinstance(status, int):
            status = await status
        written = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": written})
        await send({"type": "http.response.body", "body": self.content})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serve(receiver) as address:
        receiver.url = f"{address}/hooks"
        yield receiver
