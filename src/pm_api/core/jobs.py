"""Jobs and schedules on pgqueuer. A job is a row in the caller's own transaction; every job is safe to run twice.

    RESIZE = declare("avatars.resize", Resize)                 # in the service that enqueues it
    await enqueue(session, RESIZE, Resize(file_id=...))

    @implements(RESIZE)                                        # in the slice's jobs.py
    async def resize(context: JobContext, payload: Resize) -> None: ...

A job that raises is tried again with growing delays and then held (`pm-api jobs`, `GET /api/admin/jobs`), never
dropped. Delays are technical seconds; what is due in business time is a row with `due_at` and a `@periodic` sweep.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from pgqueuer import PgQueuer
from pgqueuer.core.tm import TaskManager
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule
from pgqueuer.domain.types import JobId
from pgqueuer.ports.driver import Driver, NotifyCallback
from pgqueuer.queries import Queries
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.platform import Platform

MAX_ATTEMPTS = 8
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
POLL_S = 1.0  # only a new row is announced; a retried or released one is found by looking
MAX_PAYLOAD_BYTES = 64 * 1024

Payload = TypeVar("Payload", bound=BaseModel)

_log = structlog.get_logger(__name__)


class PermanentFailure(Exception):
    """Trying again cannot help: hold the job at once for a person to look at."""


class GivenUp(Exception):
    """A job failed as often as it may and is held; the text is the last error's type."""


class CutOff(BaseException):
    """The worker was stopped while this job ran.

    Not a CancelledError, which pgqueuer takes for the end of the job: it would delete the row. So the row stays
    picked, and another worker takes it over when its heartbeat has grown old.
    """


class TryAgain(Exception):
    """Not yet; run again after `delay_s` without counting as a failure of the job."""

    def __init__(self, reason: str, *, delay_s: float) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


@dataclass(frozen=True, slots=True)
class JobContext:
    platform: Platform
    name: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Job(Generic[Payload]):
    """What can be enqueued: a permanent name and the shape of its payload."""

    name: str
    payload_type: type[Payload]

    async def run(self, context: JobContext, payload: Payload) -> None:
        """Do it here and now: what a worker does, and what a test may do."""
        await _RUNNERS[self.name](context, payload)


@dataclass(frozen=True, slots=True)
class Periodic:
    name: str
    cron: str
    run: Callable[[JobContext], Awaitable[None]]


JOBS: dict[str, Job[Any]] = {}
PERIODICS: dict[str, Periodic] = {}
_RUNNERS: dict[str, Callable[[JobContext, Any], Awaitable[None]]] = {}


def declare(name: str, payload_type: type[Payload]) -> Job[Payload]:
    """A job that a service enqueues and a `jobs.py` above it implements with `@implements`."""
    if name in JOBS:
        raise TypeError(f"two jobs claim the name {name!r}")
    JOBS[name] = Job(name, payload_type)
    return JOBS[name]


def implements(
    declared: Job[Payload],
) -> Callable[[Callable[[JobContext, Payload], Awaitable[None]]], Job[Payload]]:
    """Bind the function that does a declared job."""

    def register(run: Callable[[JobContext, Payload], Awaitable[None]]) -> Job[Payload]:
        if declared.name in _RUNNERS:
            raise TypeError(f"two functions implement {declared.name!r}")
        _RUNNERS[declared.name] = run
        return declared

    return register


def job(
    name: str, payload_type: type[Payload]
) -> Callable[[Callable[[JobContext, Payload], Awaitable[None]]], Job[Payload]]:
    """Declare and implement in one: for jobs that only their own module enqueues."""
    return implements(declare(name, payload_type))


def forget(name: str) -> None:
    """Take a job back out of the registry: for tests that register throwaway ones."""
    JOBS.pop(name, None)
    _RUNNERS.pop(name, None)


def periodic(
    name: str, cron: str
) -> Callable[[Callable[[JobContext], Awaitable[None]]], Callable[[JobContext], Awaitable[None]]]:
    """Register a sweep: run by one worker at a time on the cron beat, and at once when the clock is moved."""

    def register(run: Callable[[JobContext], Awaitable[None]]) -> Callable[[JobContext], Awaitable[None]]:
        if name in PERIODICS:
            raise TypeError(f"two sweeps claim the name {name!r}")
        PERIODICS[name] = Periodic(name, cron, run)
        return run

    return register


class Statements(Protocol):
    """A connection inside a transaction, whatever it is made of."""

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, Any]]: ...

    async def execute(self, sql: str, *arguments: object) -> None: ...


class StatementsDriver(Driver):
    """pgqueuer inside somebody's transaction: it enqueues, and never listens."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._statements.fetch(query, *args)]

    async def execute(self, query: str, *args: object) -> str:
        await self._statements.execute(query, *args)
        return ""

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:  # noqa: ARG002
        raise TypeError("a driver inside a transaction only enqueues")

    @property
    def shutdown(self) -> asyncio.Event:
        return asyncio.Event()

    @property
    def tm(self) -> TaskManager:
        return TaskManager()

    async def __aenter__(self) -> "StatementsDriver":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class _OfSession:
    """A session's statements. They go through SQLAlchemy's connection, never the raw one: SQLAlchemy sends BEGIN
    lazily, and a job enqueued as the first act of a session on the raw connection would survive its rollback.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        connection = await self._session.connection()
        result = await connection.exec_driver_sql(sql, arguments)
        return [dict(row._mapping) for row in result]

    async def execute(self, sql: str, *arguments: object) -> None:
        connection = await self._session.connection()
        await connection.exec_driver_sql(sql, arguments)


class SessionDriver(StatementsDriver):
    """pgqueuer over the caller's session."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(_OfSession(session))


async def enqueue(
    session: AsyncSession,
    target: Job[Payload],
    payload: Payload,
    *,
    dedupe_key: str | None = None,
    delay_s: float = 0.0,
    priority: int = 0,
) -> bool:
    """Put a job into this session's transaction. False when an equal one (`dedupe_key`) is waiting already."""
    return await enqueue_over(
        _OfSession(session), target, payload, dedupe_key=dedupe_key, delay_s=delay_s, priority=priority
    )


async def enqueue_over(
    statements: Statements,
    target: Job[Payload],
    payload: Payload,
    *,
    dedupe_key: str | None = None,
    delay_s: float = 0.0,
    priority: int = 0,
) -> bool:
    """The same in the transaction of a connection that is no session's: the ledger's writer has its own.

    Mind that a `dedupe_key` stands for a running job too, which may have read its rows already, and that who enqueues
    a key waits for another transaction that has just done so.
    """
    body = payload.model_dump_json().encode()
    if len(body) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"the payload of {target.name} has {len(body)} bytes; a job carries ids, not data")
    ids = await Queries(StatementsDriver(statements)).enqueue(
        target.name,
        body,
        priority=priority,
        execute_after=timedelta(seconds=delay_s) if delay_s else None,
        dedupe_key=dedupe_key,
        headers={"request_id": telemetry.request_id()},
        on_conflict="skip",
    )
    return ids[0] is not None


async def list_held(session: AsyncSession, limit: int, *, before: int | None = None) -> list[QueuedJob]:
    """Jobs that failed for good and wait for a person, newest first; with `before` those older than that one."""
    connection = await session.connection()
    rows = await connection.execute(
        text(
            "SELECT * FROM pgqueuer WHERE status = 'failed' AND (CAST(:before AS bigint) IS NULL OR id < :before)"
            " ORDER BY id DESC LIMIT :limit"
        ),
        {"before": before, "limit": limit},
    )
    return [QueuedJob.model_validate(dict(row._mapping)) for row in rows]


async def held_keys(session: AsyncSession, dedupe_keys: Collection[str]) -> set[str]:
    """Those of the keys under which a job is held."""
    connection = await session.connection()
    rows = await connection.execute(
        text("SELECT DISTINCT dedupe_key FROM pgqueuer WHERE status = 'failed' AND dedupe_key = ANY(:keys)"),
        {"keys": list(dedupe_keys)},
    )
    return set(rows.scalars())


async def release_held(session: AsyncSession, ids: list[int]) -> None:
    """Put held jobs back into the queue, with their attempts forgotten. They give up their place as the one job of
    their `dedupe_key`: an equal one may have been enqueued since.
    """
    connection = await session.connection()
    await connection.execute(
        text("UPDATE pgqueuer SET dedupe_key = NULL WHERE id = ANY(:ids) AND status = 'failed'"), {"ids": ids}
    )
    await Queries(SessionDriver(session)).requeue_jobs([JobId(one) for one in ids])


def retry_delay(attempt: int, jitter: float) -> timedelta:
    """Full-jitter exponential backoff, never under half the step."""
    step = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**attempt)
    return timedelta(seconds=step * (0.5 + jitter / 2))


async def _run_job(platform: Platform, registered: Job[Any], queued: QueuedJob) -> None:
    headers = queued.headers or {}
    telemetry.set_request_id(str(headers.get("request_id") or f"job-{queued.id}"))
    structlog.contextvars.bind_contextvars(job=registered.name, job_id=queued.id)
    context = JobContext(platform, registered.name, queued.attempts)
    outcome = "failed"
    try:
        payload = registered.payload_type.model_validate_json(queued.payload or b"{}")
        await registered.run(context, payload)
        outcome = "done"
    except TryAgain as again:
        outcome = "postponed"
        await _uncount(platform, queued.id)
        raise RetryRequested(timedelta(seconds=again.delay_s), str(again)) from None
    except asyncio.CancelledError as stop:
        outcome = "cut off"
        raise CutOff from stop
    except PermanentFailure:
        outcome = "held"
        raise
    except Exception as error:
        # What is raised here is kept in the queue's log with its causes: the type's name alone, no text of the error.
        name = type(error).__name__
        _log.warning("job_failed", attempt=queued.attempts, error=repr(error), exc_info=error)
        if queued.attempts + 1 >= MAX_ATTEMPTS:
            outcome = "held"
            raise GivenUp(name) from None
        outcome = "retried"
        raise RetryRequested(retry_delay(queued.attempts, platform.randomness.uniform()), name) from None
    finally:
        telemetry.JOBS.labels(registered.name, outcome).inc()
        structlog.contextvars.unbind_contextvars("job", "job_id")


async def _uncount(platform: Platform, job_id: int) -> None:
    """pgqueuer counts every retry as an attempt; waiting is none."""
    async with platform.database.transaction() as session:
        await session.execute(text("UPDATE pgqueuer SET attempts = attempts - 1 WHERE id = :id"), {"id": job_id})


async def _run_periodic(platform: Platform, sweep: Periodic, _schedule: Schedule) -> None:
    await run_sweep(platform, sweep)


async def run_sweep(platform: Platform, sweep: Periodic) -> None:
    telemetry.set_request_id(f"sweep-{sweep.name}")
    outcome = "failed"
    try:
        await sweep.run(JobContext(platform, sweep.name))
        outcome = "done"
    finally:
        telemetry.JOBS.labels(sweep.name, outcome).inc()


async def run_all_sweeps(platform: Platform) -> list[str]:
    """Run every sweep once, in name order: what became due when the business clock was moved. Returns names."""
    for name in sorted(PERIODICS):
        await run_sweep(platform, PERIODICS[name])
    return sorted(PERIODICS)


class Worker:
    """Takes jobs and sweeps until stopped; any number of workers share one database."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None
        self._queuer: PgQueuer | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="worker")

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        settings = self._platform.settings
        delay_s = 0.5
        while True:
            try:
                connection = await self._platform.database.dedicated_connection()
                try:
                    self._queuer = self._build(AsyncpgDriver(connection))
                    await self._queuer.run(
                        dequeue_timeout=timedelta(seconds=POLL_S),
                        batch_size=settings.worker_batch_size,
                        max_concurrent_tasks=settings.worker_batch_size * 2,
                        heartbeat_timeout=timedelta(seconds=settings.worker_heartbeat_timeout_s),
                        shutdown_on_listener_failure=True,
                    )
                finally:
                    await connection.close()
                if self._queuer.shutdown.is_set():
                    return
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("worker_stumbled", retry_in_s=delay_s)
            await asyncio.sleep(delay_s)

    def _build(self, driver: AsyncpgDriver) -> PgQueuer:
        queuer = PgQueuer(driver)
        for registered in JOBS.values():
            queuer.entrypoint(registered.name, on_failure="hold", accepts_context=False)(
                partial(_run_job, self._platform, registered)
            )
        for sweep in PERIODICS.values():
            queuer.schedule(sweep.name, sweep.cron, accepts_context=False)(
                partial(_run_periodic, self._platform, sweep)
            )
        return queuer

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the jobs in hand; what does not finish in time is cancelled and taken up again later."""
        if self._task is None:
            return
        if self._queuer is not None:
            self._queuer.shutdown.set()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(self._task, timeout_s)
