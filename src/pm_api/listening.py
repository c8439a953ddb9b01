"""Several servers in one process, beside whatever else it does: each on a port that was found to be free."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

GRACE_S: Final = 3


class PortTaken(Exception):
    """Something else listens where we should, or nobody can; the text names the variable to set."""


class _Server(uvicorn.Server):
    """Leaves signals to us: this process does more than to serve."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listener_on(host: str, port: int, variable: str) -> socket.socket:
    """Raises PortTaken, which names the variable that chooses another port."""
    try:
        return socket.create_server((host, port))
    except socket.gaierror as error:
        raise PortTaken(f"{host} is no address of this machine; set PM_HOST") from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise PortTaken(f"{host} is no address of this machine; set PM_HOST") from error
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise PortTaken(f"port {port} {reason}; choose another with {variable}") from error


@contextlib.asynccontextmanager
async def serving(app: FastAPI, host: str, port: int, *, variable: str, lifespan: bool) -> AsyncIterator[None]:
    """Serve an application until the block ends; raises PortTaken."""
    listener = listener_on(host, port, variable)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  the server has a flag, not an event
            await asyncio.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        await task
        listener.close()
