"""A worker process: jobs and sweeps, no HTTP."""

import asyncio
import signal

import structlog

from pm_api.bootstrap import build_platform, running
from pm_api.core.jobs import Worker
from pm_api.core.settings import Settings
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher

_log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM; jobs in hand are finished first."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    async with running(build_platform(settings)) as platform:
        worker = Worker(platform)
        await worker.start()
        await platform.part(WebhookDispatcher).start()
        _log.info("worker_started")
        await stopped.wait()
        await asyncio.gather(worker.stop(), platform.part(WebhookDispatcher).stop())
    _log.info("worker_stopped")
