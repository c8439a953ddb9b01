"""The service on a thread with an event loop of its own, for tests that are not asynchronous themselves."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from pm_api.app import create_app
from tests.architecture.world import Cast
from tests.conftest import TEMPLATE, database_url, open_platform, server_command
from tests.support.clock import MovableClock
from tests.support.server import serve
from tests.support.settings import settings_for

START_TIMEOUT_S = 60
Result = TypeVar("Result")


class Served:
    """An address to call, a cast of callers, and a way to run something where the service runs."""

    def __init__(self, address: str, cast: Cast, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.cast = cast
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_TIMEOUT_S)


@asynccontextmanager
async def _service(database: str) -> AsyncIterator[tuple[str, Cast]]:
    await server_command(
        f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"CREATE DATABASE {database} TEMPLATE {TEMPLATE}"
    )
    async with open_platform(settings_for(database_url(database)), MovableClock()) as platform:
        cast = await Cast.hire(platform)
        async with serve(create_app(platform.settings, platform, connect=False)) as address:
            yield address, cast
    await server_command(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@contextmanager
def served(database: str) -> Iterator[Served]:
    """Everything is on a database of that name, made and dropped here."""
    ready = threading.Event()
    found: list[Served] = []
    failures: list[BaseException] = []
    stop: list[Callable[[], object]] = []

    async def live() -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        async with _service(database) as (address, cast):
            found.append(Served(address, cast, loop))
            ready.set()
            await stopping.wait()

    def main() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="served", daemon=True)
    thread.start()
    ready.wait(START_TIMEOUT_S)
    try:
        if failures:
            raise failures[0]
        yield found[0]
    finally:
        if thread.is_alive() and stop:
            stop[0]()
        thread.join(START_TIMEOUT_S)
    if failures:
        raise failures[0]
