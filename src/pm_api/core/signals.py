"""Signals between processes: PostgreSQL NOTIFY out, one LISTEN connection a process in.

A signal is a hint that something changed, never the only record of it: what it announces is always in a table,
and after a reconnect everyone is told to look again.
"""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import Database

MAX_PAYLOAD_BYTES = 7900
PROBE_EVERY_S = 30.0
PROBE_TIMEOUT_S = 5.0
RECONNECT_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0)

Listener = Callable[[str], None]

_log = structlog.get_logger(__name__)


async def publish(session: AsyncSession, channel: str, payload: str) -> None:
    """Tell every process when (and only if) this session commits."""
    await session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class Signals:
    """Dispatches notifications to callbacks of this process, and survives losing its connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[str, list[Listener]] = {}
        self._resets: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def on(self, channel: str, listener: Listener) -> None:
        """Call `listener` with each payload; register before `start`."""
        self._listeners.setdefault(channel, []).append(listener)

    def on_reset(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever notifications may have been missed."""
        self._resets.append(callback)

    @property
    def connected(self) -> bool:
        return self._ready.is_set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="signals")
        await asyncio.wait_for(self._ready.wait(), timeout=15)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                connection = await self._database.dedicated_connection()
            except (OSError, asyncpg.PostgresError) as error:
                delay = RECONNECT_DELAYS_S[min(attempt, len(RECONNECT_DELAYS_S) - 1)]
                _log.warning("signals_connect_failed", error=str(error), retry_in_s=delay)
                attempt += 1
                await asyncio.sleep(delay)
                continue
            attempt = 0
            try:
                await self._listen(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("signals_connection_failed", error=repr(error))
            finally:
                self._ready.clear()
                connection.terminate()

    async def _listen(self, connection: asyncpg.Connection) -> None:
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _connection: closed.set())
        for channel in self._listeners:
            await connection.add_listener(channel, self._dispatch)
        for callback in self._resets:
            callback()
        self._ready.set()
        while not closed.is_set():
            try:
                await asyncio.wait_for(closed.wait(), PROBE_EVERY_S)
            except TimeoutError:  # a peer that vanished without a word is noticed by asking only
                await connection.execute("SELECT 1", timeout=PROBE_TIMEOUT_S)
        _log.warning("signals_connection_lost")

    def _dispatch(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for listener in self._listeners.get(channel, ()):
            try:
                listener(str(payload))
            except Exception:
                _log.exception("signal_listener_failed", channel=channel)
