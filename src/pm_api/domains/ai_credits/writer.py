"""The ledger's second door: group commit.

One task owns one dedicated connection. Commands that arrive while a commit is under way form the next batch; each
caller gets its own result after COMMIT. Several processes stay correct through the row locks alone. A cancelled
request never cancels a batch, a bad command never fails its neighbours, and a full queue is an honest 503.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import structlog

from pm_api.core import telemetry
from pm_api.core.errors import Unavailable
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import store
from pm_api.domains.ai_credits.errors import LedgerBusy
from pm_api.domains.ai_credits.sql import ConnectionStatements
from pm_api.domains.ai_credits.store import Answer, KeyConflict, Order

RECONNECT_DELAY_S = 0.2
LOCK_TIMEOUT_S = 2
COMMAND_TIMEOUT_S = 15
STUCK = "Somebody else is holding this account. Nothing was written; try again in a moment."
UNREACHABLE = "The ledger cannot be reached. Whether this was written is open: send it again with the same key."
UNREACHABLE_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

_log = structlog.get_logger(__name__)

_Waiting = tuple[Order, "asyncio.Future[Answer]"]


class LedgerWriter:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger-writer")

    async def stop(self) -> None:
        """Write what was accepted, then close."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None:
            await self._connection.close()

    async def submit(self, order: Order) -> Answer:
        """Apply one command durably; raises LedgerBusy when too many are waiting. Safe to cancel."""
        return await self._enqueue(order)

    async def submit_many(self, orders: Sequence[Order]) -> list[Answer]:
        """Apply several commands, each on its own; all are queued together, or none."""
        if len(self._queue) + len(orders) > self._platform.settings.ledger_queue_size:
            raise LedgerBusy
        return list(await asyncio.gather(*[self._enqueue(order) for order in orders]))

    def _enqueue(self, order: Order) -> "asyncio.Future[Answer]":
        # A caller that goes away cancels this future and nothing else: the batch holds commands, not callers.
        if self._stopping or len(self._queue) >= self._platform.settings.ledger_queue_size:
            raise LedgerBusy
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((order, future))
        self._arrived.set()
        return future

    async def _run(self) -> None:
        limit = self._platform.settings.ledger_batch_size
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
                telemetry.LEDGER_QUEUE.set(len(self._queue))
                telemetry.LEDGER_BATCH.observe(len(batch))
                await self._serve(batch)
            if self._stopping:
                return

    async def _serve(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._write([order for order, _ in batch])
        except Unavailable as error:
            _log.exception("ledger_unreachable", commands=len(batch))
            for _, future in batch:
                _fail(future, error)
            return
        except Exception as error:
            _log.warning("ledger_batch_failed", commands=len(batch), error=type(error).__name__)
            await self._serve_one_by_one(batch)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _serve_one_by_one(self, batch: list[_Waiting]) -> None:
        """One bad command, or one account that somebody holds, fails alone; a held account is waited for once."""
        stuck: set[UUID] = set()
        for order, future in batch:
            account_id = order.command.account_id
            if account_id in stuck:
                _fail(future, Unavailable(STUCK))
                continue
            try:
                [answer] = await self._write([order])
            except asyncpg.LockNotAvailableError:
                stuck.add(account_id)
                _log.warning("ledger_account_stuck", account_id=str(account_id))
                _fail(future, Unavailable(STUCK))
            except Exception as error:
                _log.exception("ledger_command_failed", key=order.command.key)
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(answer)

    async def _write(self, orders: list[Order]) -> list[Answer]:
        """One transaction. Running it again is safe at any point: keys are claimed for ever. Raises Unavailable."""
        try:
            return await self._transact(orders)
        except Exception as error:
            if not self._lost_connection(error):
                raise
        # The COMMIT may or may not have happened: the keys tell, on a new connection.
        await self._disconnect()
        await asyncio.sleep(RECONNECT_DELAY_S)
        try:
            return await self._transact(orders)
        except Exception as error:
            if not self._lost_connection(error):
                raise
            raise Unavailable(UNREACHABLE) from error

    def _lost_connection(self, error: Exception) -> bool:
        """Whether the way to the database failed, and not something in the batch."""
        if isinstance(error, UNREACHABLE_ERRORS):
            return True
        if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            # A line cut within a COPY leaves the driver's connection open and useless; a bad value is a ValueError.
            return not isinstance(error, ValueError)
        return self._connection is not None and self._connection.is_closed()

    async def _transact(self, orders: list[Order]) -> list[Answer]:
        connection = await self._connected()
        with contextlib.suppress(KeyConflict):
            return await self._attempt(connection, orders, optimistic=True)
        return await self._attempt(connection, orders, optimistic=False)

    async def _attempt(
        self, connection: asyncpg.Connection, orders: list[Order], *, optimistic: bool
    ) -> list[Answer]:
        async with connection.transaction():
            return await store.run(
                ConnectionStatements(connection),
                orders,
                self._platform.clock.now,
                self._platform.randomness.uuid,
                optimistic=optimistic,
            )

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._platform.database.dedicated_connection(
                lock_timeout_s=LOCK_TIMEOUT_S, command_timeout_s=COMMAND_TIMEOUT_S
            )
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _fail(future: "asyncio.Future[Answer]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
