"""The service on a thread with an event loop of its own, for tests that are not asynchronous themselves."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from pm_api.app import create_app
from tests.architecture.world import Cast, platform_on_its_own
from tests.support.server import serve

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


@contextmanager
def served(config: pytest.Config, name: str) -> Iterator[Served]:
    """Started here, stopped at the end."""
    ready = threading.Event()
    found: list[Served] = []
    failures: list[BaseException] = []
    stop: list[Callable[[], object]] = []

    async def live() -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        async with platform_on_its_own(config, name) as platform:
            cast = await Cast.hire(platform)
            async with serve(create_app(platform.settings, platform, connect=False)) as address:
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
