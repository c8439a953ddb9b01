"""A worker process: jobs and sweeps, and of HTTP no more than what an operator asks of every process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from pm_api.bootstrap import build_platform, running
from pm_api.core.jobs import Worker
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.listening import serving
from pm_api.operations.router import probes

_log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM; jobs in hand are finished first. Raises PortTaken."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    async with running(build_platform(settings)) as platform, _answering(platform):
        worker = Worker(platform)
        await worker.start()
        await platform.part(WebhookDispatcher).start()
        _log.info("worker_started")
        await stopped.wait()
        await asyncio.gather(worker.stop(), platform.part(WebhookDispatcher).stop())
    _log.info("worker_stopped")


@asynccontextmanager
async def _answering(platform: Platform) -> AsyncIterator[None]:
    """Whether it is well, and what it has counted: jobs, mails and webhooks are counted here and nowhere else."""
    settings = platform.settings
    if settings.worker_port is None:
        yield
        return
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.platform = platform
    app.include_router(probes)
    async with serving(app, settings.host, settings.worker_port, variable="PM_WORKER_PORT", lifespan=False):
        yield
