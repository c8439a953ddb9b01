"""What the operator's routes do."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from pgqueuer.domain.models import Job as QueuedJob
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import business_clock, jobs
from pm_api.core.actor import Actor
from pm_api.core.errors import NotFound, Unprocessable
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.identity import audit
from pm_api.operations.schemas import ClockMove, ClockState, HeldJob, HeldJobs, Readiness

PROBE_TIMEOUT_S: Final = 3.0
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
STILL_PRESENT: Final = timedelta(seconds=5)
FRESH_S: Final = 1.0
LARGEST_ID: Final = 2**63 - 1
LISTED: Final = "held-jobs"


class ClockMoveInvalid(Unprocessable):
    """Send either `now` or `advanceS`, and stay between the present and the year 9000.

    Business time may not lie before the wall clock; going back as far as the present is allowed.
    """

    code = "clock_move_invalid"


class Probe:
    """Keeps an answer of `readiness` for a second, so that whoever asks often does not drain the pool."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._answer: Readiness | None = None
        self._answered_at = 0.0
        self._under_way: set[str] = set()

    @contextmanager
    def waiting_for(self, name: str) -> Iterator[None]:
        """Nobody is told that this process is ready as long as this lasts."""
        self._under_way.add(name)
        try:
            yield
        finally:
            self._under_way.discard(name)

    async def ask(self, platform: Platform, expected_revision: str) -> Readiness:
        async with self._asking:
            if self._answer is None or time.monotonic() - self._answered_at >= FRESH_S:
                self._answer = await readiness(platform, expected_revision)
                self._answered_at = time.monotonic()
            if self._under_way:
                checks = self._answer.checks | dict.fromkeys(sorted(self._under_way), "under way")
                return Readiness(status="failing", checks=checks)
            return self._answer


async def readiness(platform: Platform, expected_revision: str) -> Readiness:
    """Whether a request could be served now: database, migrations, queue and signals."""
    checks = {"database": "ok", "migrations": "ok", "queue": "ok", "signals": "ok"}
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), platform.database.reading() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
            if revision != expected_revision:
                checks["migrations"] = f"at {revision}, this code expects {expected_revision}"
            await session.execute(text("SELECT 1 FROM pgqueuer LIMIT 1"))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        checks["database"] = type(error).__name__
        checks["migrations"] = checks["queue"] = "unknown"
    if not platform.signals.connected:
        checks["signals"] = "not connected"
    good = all(state == "ok" for state in checks.values())
    return Readiness(status="ok" if good else "failing", checks=checks)


def held_job(queued: QueuedJob) -> HeldJob:
    return HeldJob(
        id=queued.id,
        name=queued.entrypoint,
        payload=orjson.loads(queued.payload) if queued.payload else None,
        created_at=queued.created,
        attempts=queued.attempts,
    )


async def list_held_jobs(session: AsyncSession, platform: Platform, page: PageRequest) -> HeldJobs:
    """A page of the jobs that wait for a person, newest first; raises InvalidCursor."""
    key = platform.cursors.decode(page.cursor, of=LISTED)
    rows = await jobs.list_held(session, page.limit + 1, before=key[0] if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return HeldJobs(jobs=[held_job(one) for one in shown], next_cursor=platform.cursors.encode(following, of=LISTED))


async def release_held_job(session: AsyncSession, platform: Platform, actor: Actor, job_id: int) -> None:
    """Put a held job back into the queue, and write down who did; raises NotFound."""
    name = None
    if 0 < job_id <= LARGEST_ID:
        name = await session.scalar(
            text("SELECT entrypoint FROM pgqueuer WHERE id = CAST(:id AS bigint) AND status = 'failed' FOR UPDATE"),
            {"id": job_id},
        )
    if name is None:
        raise NotFound("No held job has this id.")
    await jobs.release_held(session, [job_id])
    audit.record(session, platform, actor, "job.released", subject=("job", str(job_id)), name=name)


async def clock_state(session: AsyncSession, platform: Platform) -> ClockState:
    """Where the installation's business time stands."""
    shift = await business_clock.read_shift(session)
    return ClockState(now=platform.clock.wall() + shift, offset_s=shift.total_seconds(), sweeps=[])


async def move_clock(platform: Platform, move: ClockMove) -> ClockState:
    """Shift business time for every process of this installation and run what became due. Not in production.

    Raises ClockMoveInvalid. A `now` that has just passed is the present: it was on its way here.
    """
    if (move.now is None) == (move.advance_s is None):
        raise ClockMoveInvalid
    clock = platform.clock
    wall = clock.wall()
    shift = move.now - wall if move.now is not None else clock.offset + timedelta(seconds=move.advance_s or 0)
    if move.now is not None and -STILL_PRESENT < shift < timedelta(0):
        shift = timedelta(0)
    if shift < timedelta(0) or wall + shift >= LATEST:
        raise ClockMoveInvalid
    async with platform.database.transaction() as session:
        await business_clock.write_shift(session, shift)
    clock.shift_to(shift)
    sweeps = await jobs.run_all_sweeps(platform)
    return ClockState(now=clock.now(), offset_s=shift.total_seconds(), sweeps=sweeps)
