"""Real processes of the service: started, waited for, killed."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from tests.support.settings import environment_for

START_TIMEOUT_S = 120


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Process:
    """One running `pm-api` command."""

    handle: asyncio.subprocess.Process
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


async def _spawn(command: str, environment: dict[str, str]) -> tuple[asyncio.subprocess.Process, str]:
    with tempfile.NamedTemporaryFile("wb", prefix=f"pm-{command}-", suffix=".log", delete=False) as log:
        handle = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pm_api.cli",
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            stdin=asyncio.subprocess.DEVNULL,
        )
        return handle, log.name


@asynccontextmanager
async def api(database_url: str, **settings: str) -> AsyncIterator[Process]:
    """An API process that is ready to serve."""
    port = free_port()
    environment = environment_for(database_url, **{"PM_PORT": str(port), **settings})
    handle, log = await _spawn("serve", environment)
    process = Process(handle, f"http://127.0.0.1:{port}", log)
    try:
        await _ready(process)
        yield process
    finally:
        await _end(process)


@asynccontextmanager
async def worker(database_url: str, **settings: str) -> AsyncIterator[Process]:
    """A worker process; it has no port, so what it does is the only sign of it."""
    handle, log = await _spawn("worker", environment_for(database_url, **settings))
    process = Process(handle, "", log)
    try:
        yield process
    finally:
        await _end(process)


async def _ready(process: Process) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_TIMEOUT_S):
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
