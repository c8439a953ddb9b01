"""The sending of one worker process: woken by NOTIFY, at its own beat for what is due again.

A signal is only a hint. Whoever has an endpoint hears the same signals as everybody, and looks again when its turn is
over; what nobody heard is found by the sweep.
"""

import asyncio
import contextlib
import time
from typing import Final
from uuid import UUID

import structlog

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import delivering, flows

BEAT_S: Final = 2.0
SHORTEST_BEAT_S: Final = 0.05
STOP_S: Final = 30.0

_log = structlog.get_logger(__name__)


class WebhookDispatcher:
    """Serves endpoints side by side, each by one task of this process at a time."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._changed: set[UUID] = set()
        self._look_at_all = True
        self._next_beat = 0.0
        self._woken = asyncio.Event()
        self._waiting: dict[UUID, None] = {}
        self._again: set[UUID] = set()
        self._serving: dict[UUID, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._is_over = False

    # --- signals ---------------------------------------------------------------------------------------------------

    def on_change(self, payload: str) -> None:
        """The id of a feed, or of a workspace whose endpoint has something to do. Heard by all processes, of use only
        where something is sent.
        """
        if self._main is not None:
            self._changed.add(UUID(payload))
            self._woken.set()

    def on_reset(self) -> None:
        """Signals may have been missed."""
        self._look_at_all = True
        self._woken.set()

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._main = asyncio.create_task(self._run(), name="webhooks")

    async def stop(self) -> None:
        """What is on its way is settled; what waits is left to the others."""
        self._is_over = True
        if self._main is None:
            return
        self._main.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._main
        tasks = list(self._serving.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        telemetry.set_request_id("webhooks")
        while True:
            began = time.monotonic()
            try:
                await self._look(began)
            except Exception:
                _log.exception("webhooks_stumbled")
                self._look_at_all = True
                await asyncio.sleep(BEAT_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), BEAT_S)
            # Many commits wake us once, and not once each.
            await asyncio.sleep(max(0.0, began + SHORTEST_BEAT_S - time.monotonic()))
            self._woken.clear()

    async def _look(self, now: float) -> None:
        if self._look_at_all:
            self._look_at_all = False
            for endpoint_id in await flows.behind(self._platform):
                self._want(endpoint_id)
        changed, self._changed = self._changed, set()
        async with self._platform.database.reading() as session:
            if changed:
                for endpoint_id in await delivering.of_workspaces(session, list(changed)):
                    self._want(endpoint_id)
            if now >= self._next_beat:
                self._next_beat = now + BEAT_S
                for endpoint_id in await delivering.due(session, self._platform, flows.DUE_AT_ONCE):
                    self._want(endpoint_id)
        self._begin()

    def _want(self, endpoint_id: UUID) -> None:
        if endpoint_id in self._serving:
            self._again.add(endpoint_id)
        else:
            self._waiting[endpoint_id] = None

    def _begin(self) -> None:
        while self._waiting and len(self._serving) < flows.PARALLEL_ENDPOINTS and not self._is_over:
            endpoint_id = next(iter(self._waiting))
            del self._waiting[endpoint_id]
            task = asyncio.create_task(self._serve(endpoint_id), name=f"webhooks-{endpoint_id}")
            self._serving[endpoint_id] = task

    async def _serve(self, endpoint_id: UUID) -> None:
        has_more = False
        try:
            has_more = await flows.serve(self._platform, endpoint_id, is_over=lambda: self._is_over)
        except Exception:
            _log.exception("webhook_endpoint_not_served", endpoint_id=str(endpoint_id))
        finally:
            del self._serving[endpoint_id]
            if has_more or endpoint_id in self._again:
                self._again.discard(endpoint_id)
                self._waiting[endpoint_id] = None
            self._begin()
