"""Jobs: rows of the caller's transaction, tried again, held, released, taken over."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from pm_api.core import events, jobs
from pm_api.core.actor import Actor, ActorKind
from pm_api.core.errors import NotFound
from pm_api.core.events import Event, emit, on
from pm_api.core.jobs import (
    JOBS,
    PERIODICS,
    Job,
    JobContext,
    PermanentFailure,
    TryAgain,
    Worker,
    enqueue,
    job,
    periodic,
    run_all_sweeps,
)
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.operations import service as operations
from tests.conftest import open_platform
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


class Note(BaseModel):
    text: str = "hello"


class Happened(Event, name="test.happened"):
    what: str


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Throwaway jobs: whatever a test registers is gone after it, and no sweep of the product runs here."""
    known, sweeps, subscribers = set(JOBS), dict(PERIODICS), dict(events._SUBSCRIBERS)
    PERIODICS.clear()
    yield
    for name in set(jobs._RUNNERS) - known:
        jobs.forget(name)
    PERIODICS.clear()
    PERIODICS.update(sweeps)
    events._SUBSCRIBERS.clear()
    events._SUBSCRIBERS.update(subscribers)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(jobs, "LONGEST_DELAY_S", 0.02)
    monkeypatch.setattr(jobs, "MAX_ATTEMPTS", 3)
    monkeypatch.setattr(jobs, "POLL_S", 0.1)


def counting(name: str) -> tuple[Job[Note], list[str]]:
    """A job that notes what it was given."""
    seen: list[str] = []

    @job(name, Note)
    async def run(_context: JobContext, payload: Note) -> None:
        seen.append(payload.text)

    return run, seen


@asynccontextmanager
async def working(platform: Platform) -> AsyncIterator[Worker]:
    worker = Worker(platform)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not in time: {what}")


async def rows(platform: Platform, name: str) -> list[dict[str, Any]]:
    async with platform.database.reading() as session:
        found = await session.execute(
            text("SELECT id, status, attempts, dedupe_key FROM pgqueuer WHERE entrypoint = :name ORDER BY id"),
            {"name": name},
        )
        return [dict(row) for row in found.mappings()]


async def ask(platform: Platform, target: Job[Note], note: str = "hello", **arguments: Any) -> bool:
    async with platform.database.transaction() as session:
        return await enqueue(session, target, Note(text=note), **arguments)


# --- a row in the caller's transaction --------------------------------------------------------------------------


async def test_enqueued_first_and_rolled_back_leaves_no_row(platform: Platform) -> None:
    """SQLAlchemy sends BEGIN lazily: as the first act of a session it could have been committed by itself."""
    target, _ = counting("test.first")

    async def fail() -> None:
        async with platform.database.transaction() as session:
            await enqueue(session, target, Note())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with platform.database.reading() as session:
        await enqueue(session, target, Note())
    assert await rows(platform, "test.first") == []


async def test_enqueued_in_a_savepoint_that_is_rolled_back_leaves_no_row(platform: Platform) -> None:
    target, _ = counting("test.savepoint")
    async with platform.database.transaction() as session:
        savepoint = await session.begin_nested()
        await enqueue(session, target, Note())
        await savepoint.rollback()
    assert await rows(platform, "test.savepoint") == []


async def test_a_commit_leaves_one_row(platform: Platform) -> None:
    target, _ = counting("test.commit")
    assert await ask(platform, target)
    (row,) = await rows(platform, "test.commit")
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_an_equal_job_that_waits_is_not_put_in_again(platform: Platform) -> None:
    target, _ = counting("test.dedupe")
    assert await ask(platform, target, dedupe_key="test.dedupe:1")
    async with platform.database.transaction() as session:
        assert not await enqueue(session, target, Note(), dedupe_key="test.dedupe:1")
        assert await enqueue(session, target, Note(), dedupe_key="test.dedupe:2"), "the session goes on"
    assert [row["dedupe_key"] for row in await rows(platform, "test.dedupe")] == ["test.dedupe:1", "test.dedupe:2"]


async def test_a_job_carries_ids_not_data(platform: Platform) -> None:
    target, _ = counting("test.large")
    with pytest.raises(ValueError, match="carries ids"):
        await ask(platform, target, "x" * jobs.MAX_PAYLOAD_BYTES)


async def test_a_name_is_given_once() -> None:
    counting("test.twice")
    with pytest.raises(TypeError):
        counting("test.twice")

    @periodic("test.sweep", "* * * * *")
    async def sweep(_context: JobContext) -> None: ...

    with pytest.raises(TypeError):
        periodic("test.sweep", "* * * * *")(sweep)


# --- the worker -------------------------------------------------------------------------------------------------


async def test_a_worker_runs_what_is_there_and_what_comes(fresh_platform: Platform) -> None:
    target, seen = counting("test.run")
    await ask(fresh_platform, target, "before")
    async with working(fresh_platform) as worker:
        await until(lambda: seen == ["before"], "the waiting job")
        await ask(fresh_platform, target, "after")
        await until(lambda: seen == ["before", "after"], "the job that came")
        assert worker.alive
        await until(lambda: rows_gone(fresh_platform, "test.run"), "the rows to go")
    assert not worker.alive


async def rows_gone(platform: Platform, name: str) -> bool:
    return not await rows(platform, name)


async def held(platform: Platform, name: str) -> bool:
    return [row["status"] for row in await rows(platform, name)] == ["failed"]


async def test_a_job_that_raises_is_tried_again_then_held_then_released(
    fresh_platform: Platform, quick_retries: None
) -> None:
    broken, attempts = True, []

    @job("test.broken", Note)
    async def target(context: JobContext, payload: Note) -> None:
        attempts.append(context.attempt)
        if broken:
            raise RuntimeError(payload.text)

    await ask(fresh_platform, target)
    async with working(fresh_platform):
        await until(lambda: held(fresh_platform, "test.broken"), "the job to be held")
        assert attempts == [0, 1, 2]
        async with fresh_platform.database.transaction() as session:
            (shown,) = (await operations.list_held_jobs(session, fresh_platform, PageRequest(10, None))).jobs
            assert (shown.name, shown.payload, shown.attempts) == ("test.broken", {"text": "hello"}, 2)
            broken = False
            await operations.release_held_job(session, fresh_platform, Actor(ActorKind.SYSTEM), shown.id)
        await until(lambda: rows_gone(fresh_platform, "test.broken"), "the released job to succeed")
    assert attempts == [0, 1, 2, 0]
    async with fresh_platform.database.reading() as session:
        assert (await operations.list_held_jobs(session, fresh_platform, PageRequest(10, None))).jobs == []
        with pytest.raises(NotFound):
            await operations.release_held_job(session, fresh_platform, Actor(ActorKind.SYSTEM), shown.id)


async def test_a_permanent_failure_is_held_at_once(fresh_platform: Platform) -> None:
    tries = []

    @job("test.hopeless", Note)
    async def target(_context: JobContext, payload: Note) -> None:
        tries.append(payload.text)
        raise PermanentFailure("no such thing")

    await ask(fresh_platform, target)
    async with working(fresh_platform):
        await until(lambda: held(fresh_platform, "test.hopeless"), "the job to be held")
    assert tries == ["hello"]


async def test_a_payload_of_another_shape_is_held_in_the_end(fresh_platform: Platform, quick_retries: None) -> None:
    target, seen = counting("test.shape")
    async with fresh_platform.database.transaction() as session:
        await enqueue(session, target, Note())
        await session.execute(text("UPDATE pgqueuer SET payload = '{\"text\": 7}'"))
    async with working(fresh_platform):
        await until(lambda: held(fresh_platform, "test.shape"), "the job to be held")
    assert seen == []


async def test_waiting_is_not_failing(fresh_platform: Platform, quick_retries: None) -> None:
    """`TryAgain` more often than a job may fail, and then one failure: still tried again."""
    attempts: list[int] = []

    @job("test.patient", Note)
    async def target(context: JobContext, _payload: Note) -> None:
        attempts.append(context.attempt)
        if len(attempts) <= 5:
            raise TryAgain("somebody else holds it", delay_s=0.01)
        if len(attempts) == 6:
            raise RuntimeError

    await ask(fresh_platform, target)
    async with working(fresh_platform):
        await until(lambda: rows_gone(fresh_platform, "test.patient"), "the job to succeed")
    assert attempts == [0, 0, 0, 0, 0, 0, 1]


async def test_a_job_whose_worker_died_is_taken_over(fresh_platform: Platform) -> None:
    target, seen = counting("test.orphan")
    for note in ("orphan", "alive"):
        await ask(fresh_platform, target, note)
    async with fresh_platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE pgqueuer SET status = 'picked', queue_manager_id = :manager, heartbeat = now() + CASE"
                " WHEN convert_from(payload, 'UTF8') LIKE '%orphan%' THEN interval '-10 s' ELSE interval '1 h' END"
            ),
            {"manager": uuid4()},
        )
    async with working(fresh_platform):
        await until(lambda: seen, "the orphan")
        await asyncio.sleep(0.3)
    assert seen == ["orphan"], "a job whose worker shows signs of life is left to it"


async def test_a_job_cut_off_by_a_stop_is_not_lost(fresh_platform: Platform, fresh_database: str) -> None:
    began = asyncio.Event()
    finished: list[str] = []
    slow = True

    @job("test.slow", Note)
    async def target(_context: JobContext, payload: Note) -> None:
        began.set()
        if slow:
            await asyncio.sleep(60)
        finished.append(payload.text)

    await ask(fresh_platform, target)
    worker = Worker(fresh_platform)
    await worker.start()
    await asyncio.wait_for(began.wait(), 5)
    await worker.stop(timeout_s=0.1)
    (row,) = await rows(fresh_platform, "test.slow")
    assert row["status"] == "picked"
    slow = False
    async with fresh_platform.database.transaction() as session:
        await session.execute(text("UPDATE pgqueuer SET heartbeat = now() - interval '10 s'"))
    async with open_platform(settings_for(fresh_database), MovableClock()) as second, working(second):
        await until(lambda: finished, "the second worker to finish it")


async def test_two_workers_share_the_queue_and_run_each_job_once(
    fresh_platform: Platform, fresh_database: str
) -> None:
    target, seen = counting("test.shared")
    async with fresh_platform.database.transaction() as session:
        for number in range(60):
            await enqueue(session, target, Note(text=str(number)))
    async with (
        open_platform(settings_for(fresh_database), MovableClock()) as second,
        working(fresh_platform),
        working(second),
    ):
        await until(lambda: rows_gone(fresh_platform, "test.shared"), "all jobs")
    assert sorted(seen, key=int) == [str(number) for number in range(60)]


async def test_a_job_nobody_here_knows_is_left_alone(fresh_platform: Platform) -> None:
    stranger, _ = counting("test.newer_release")
    known, seen = counting("test.known")
    del JOBS[stranger.name]
    await ask(fresh_platform, stranger)
    await ask(fresh_platform, known)
    async with working(fresh_platform):
        await until(lambda: seen, "the known job")
        await until(lambda: rows_gone(fresh_platform, "test.known"), "its row to go")
    (row,) = await rows(fresh_platform, "test.newer_release")
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_a_worker_survives_the_loss_of_its_connection(fresh_platform: Platform) -> None:
    target, seen = counting("test.reconnect")
    async with working(fresh_platform):
        await ask(fresh_platform, target, "one")
        await until(lambda: seen == ["one"], "the first job")
        async with fresh_platform.database.transaction() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await until(lambda: can_ask(fresh_platform, target), "the pool to come back")
        await until(lambda: "two" in seen, "the second job", timeout_s=15)


async def can_ask(platform: Platform, target: Job[Note]) -> bool:
    try:
        return await ask(platform, target, "two")
    except Exception:
        return False


# --- events and sweeps ------------------------------------------------------------------------------------------


async def test_every_subscriber_hears_an_event_of_a_committed_session(fresh_platform: Platform) -> None:
    heard: list[tuple[str, str]] = []

    @on(Happened)
    async def one(_context: JobContext, event: Happened) -> None:
        heard.append(("one", event.what))

    @on(Happened)
    async def two(_context: JobContext, event: Happened) -> None:
        heard.append(("two", event.what))

    async with fresh_platform.database.reading() as session:
        await emit(session, Happened(id=uuid4(), what="undone"))
    async with fresh_platform.database.transaction() as session:
        await emit(session, Happened(id=uuid4(), what="done"))
    async with working(fresh_platform):
        await until(lambda: len(heard) == 2, "both subscribers")
    assert sorted(heard) == [("one", "done"), ("two", "done")]
    assert one.name.startswith("test.happened>")


async def test_all_sweeps_run_in_name_order(platform: Platform) -> None:
    ran: list[str] = []
    for name in ("test.b", "test.a"):

        @periodic(name, "0 0 1 1 *")
        async def sweep(context: JobContext) -> None:
            ran.append(context.name)

    assert await run_all_sweeps(platform) == ["test.a", "test.b"]
    assert ran == ["test.a", "test.b"]


async def test_a_sweep_runs_on_its_beat_by_one_worker_at_a_time(
    fresh_platform: Platform, fresh_database: str
) -> None:
    ran: list[float] = []

    @periodic("test.beat", "* * * * * *")
    async def sweep(_context: JobContext) -> None:
        ran.append(time.monotonic())

    async with (
        open_platform(settings_for(fresh_database), MovableClock()) as second,
        working(fresh_platform),
        working(second),
    ):
        await until(lambda: len(ran) >= 2, "two beats")
    assert all(later - earlier > 0.5 for earlier, later in pairwise(ran))


def test_delays_grow_to_a_limit() -> None:
    assert jobs.retry_delay(0, 0.0).total_seconds() == 0.5
    assert jobs.retry_delay(0, 1.0).total_seconds() == 1.0
    assert jobs.retry_delay(3, 1.0).total_seconds() == 8.0
    assert jobs.retry_delay(40, 1.0).total_seconds() == jobs.LONGEST_DELAY_S


async def test_the_queue_keeps_no_text_of_an_error(fresh_platform: Platform, quick_retries: None) -> None:
    @job("test.telling", Note)
    async def target(_context: JobContext, payload: Note) -> None:
        raise ValueError(f"about {payload.text}")

    await ask(fresh_platform, target, "ann@example.com")
    async with working(fresh_platform):
        await until(lambda: held(fresh_platform, "test.telling"), "the job to be held")
        await asyncio.sleep(0.3)
    async with fresh_platform.database.reading() as session:
        told = await session.scalars(text("SELECT traceback::text FROM pgqueuer_log WHERE traceback IS NOT NULL"))
        kept = "".join(told)
    assert "ValueError" in kept
    assert "ann@example.com" not in kept
