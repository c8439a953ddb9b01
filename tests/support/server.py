"""A real HTTP server in this process, for what an in-memory transport cannot show: streams and disconnects."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: Ctrl-C belongs to the test runner."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: ASGIApp, *, before_stop: Callable[[], None] | None = None) -> AsyncIterator[str]:
    """Serve `app` on a free port of 127.0.0.1 and give its base address.

    The application's lifespan is not run: tests own the platform. `before_stop` is called before the server waits
    for its connections to close; close clients before leaving, or end their streams there.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=10
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="test-server")
    try:
        await asyncio.wait_for(server.listening.wait(), 10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        if before_stop is not None:
            before_stop()
        server.should_exit = True
        await task
        listener.close()
