"""Real processes of the service: started, waited for, killed.

To load the program takes seconds. One process has done that and forks the others, each with a process number, an
environment and connections of its own.
"""

import asyncio
import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Protocol

import httpx

from tests.support import forked
from tests.support.settings import environment_for

START_TIMEOUT_S = 120
_LOADED = multiprocessing.get_context("forkserver")
_LOADED.set_forkserver_preload([forked.__name__])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Handle(Protocol):
    """What is asked of a process: as much as asyncio's own have."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int) -> None: ...

    async def wait(self) -> int: ...


class Forked:
    """A process that was forked."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it has been started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, signal: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal)

    async def wait(self) -> int:
        while self.returncode is None:  # noqa: ASYNC110  nothing in this process happens when the other ends
            await asyncio.sleep(0.01)
        return self.returncode


@dataclass
class Process:
    """One running `pm-api` command."""

    handle: Handle
    url: str
    log: str

    def kill(self) -> None:
        """As a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.handle.send_signal(signal.SIGKILL)

    async def stop(self) -> int:
        """As an operator would; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.handle.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.handle.wait(), 20)

    def said(self) -> str:
        """All of it: what must not be in the log may be in any line."""
        return pathlib.Path(self.log).read_text(encoding="utf-8", errors="replace")

    def last_said(self) -> str:
        """Enough to see why it failed."""
        return self.said()[-4000:]


def _spawn(command: str, environment: dict[str, str]) -> tuple[Forked, str]:
    with tempfile.NamedTemporaryFile("wb", prefix=f"pm-{command}-", suffix=".log", delete=False) as log:
        environment = {"PATH": os.environ["PATH"], **environment}
        process = _LOADED.Process(target=forked.run, args=(command, environment, log.name))
        process.start()
        return Forked(process), log.name


@asynccontextmanager
async def api(database_url: str, **settings: str) -> AsyncIterator[Process]:
    """An API process that is ready to serve."""
    port = free_port()
    environment = environment_for(database_url, **{"PM_PORT": str(port), **settings})
    handle, log = _spawn("serve", environment)
    process = Process(handle, f"http://127.0.0.1:{port}", log)
    try:
        await _ready(process)
        yield process
    finally:
        await _end(process)


@asynccontextmanager
async def worker(database_url: str, **settings: str) -> AsyncIterator[Process]:
    """A worker process; it has no port, so what it does is the only sign of it."""
    handle, log = _spawn("worker", environment_for(database_url, **settings))
    process = Process(handle, "", log)
    try:
        yield process
    finally:
        await _end(process)


async def _ready(process: Process) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client, asyncio.timeout(START_TIMEOUT_S):
        while True:
            if process.handle.returncode is not None:
                raise AssertionError(f"the API ended while starting:\n{process.last_said()}")
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{process.url}/readyz", timeout=2)).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def _end(process: Process) -> None:
    process.kill()
    await process.handle.wait()
    pathlib.Path(process.log).unlink()
