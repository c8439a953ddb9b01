"""Releasing a held job whose twin was enqueued since."""

from sqlalchemy import text

from pm_api.core import jobs
from pm_api.core.platform import Platform


async def test_a_held_job_is_released_beside_its_waiting_twin(fresh_platform: Platform) -> None:
    async with fresh_platform.database.transaction() as session:
        for status in ("failed", "queued"):
            await session.execute(
                text(
                    "INSERT INTO pgqueuer (priority, status, entrypoint, dedupe_key, payload)"
                    f" VALUES (0, '{status}', 'tests.twin', 'one', '{{}}')"
                )
            )
    async with fresh_platform.database.transaction() as session:
        [held] = await jobs.list_held(session, 10)
        await jobs.release_held(session, [held.id])
    async with fresh_platform.database.transaction() as session:
        queued = await session.scalar(text("SELECT count(*) FROM pgqueuer WHERE status = 'queued'"))
        assert await jobs.list_held(session, 10) == []
    assert queued == 2
