"""A reader of server-sent events (WHATWG HTML §9.2) for tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

ENOUGH_S = 6.0


@dataclass
class StreamEvent:
    event: str = "message"
    data: Any = None
    id: str | None = None
    retry: int | None = None


@dataclass
class Events:
    """One open stream; `last_id` is what a client sends when it reconnects."""

    response: httpx.Response
    last_id: str | None = None
    received: asyncio.Queue[StreamEvent | None] = field(default_factory=asyncio.Queue)

    async def pump(self) -> None:
        current, lines = StreamEvent(), 0
        try:
            async for line in self.response.aiter_lines():
                if line.startswith(":"):
                    continue
                if not line:
                    if lines:
                        self.received.put_nowait(current)
                    current, lines = StreamEvent(), 0
                    continue
                lines += 1
                name, _, value = line.partition(": ")
                if name == "data":
                    current.data = json.loads(value)
                elif name == "retry":
                    current.retry = int(value)
                else:
                    setattr(current, name, value)
        finally:
            self.received.put_nowait(None)

    async def next(self, timeout_s: float = ENOUGH_S) -> StreamEvent | None:
        """The next event, or None when the stream has ended."""
        event = await asyncio.wait_for(self.received.get(), timeout_s)
        if event is not None and event.id is not None:
            self.last_id = event.id
        return event

    async def expect(self, kind: str) -> StreamEvent:
        event = await self.next()
        assert event is not None, f"the stream ended before {kind}"
        assert event.event == kind, event
        return event

    async def numbers(self, count: int) -> list[int]:
        """The versions of the next changes."""
        return [(await self.expect("change")).data["version"] for _ in range(count)]


@asynccontextmanager
async def listen(
    base_url: str, headers: dict[str, str], *, last_id: str | None = None, **parameters: object
) -> AsyncIterator[Events]:
    if last_id is not None:
        headers = {**headers, "Last-Event-ID": last_id}
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False, verify=False) as client,
        client.stream("GET", "/api/stream", params=parameters, headers=headers) as response,  # type: ignore[arg-type]
    ):
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        events = Events(response, last_id)
        pump = asyncio.create_task(events.pump())
        try:
            yield events
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
