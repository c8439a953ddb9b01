"""The queue worked off here and now: what a worker would do, without waiting for one."""

from sqlalchemy import text

from pm_api.core.jobs import JOBS, JobContext
from pm_api.core.platform import Platform


async def work_off(platform: Platform, *prefixes: str, about: object = "") -> int:
    """Run the jobs whose names begin so, and those they leave; returns how many. Where tests share a database, those
    `about` one's own workspace or person, for every test before has left some of its own.
    """
    done = 0
    while True:
        async with platform.database.transaction() as session:
            found = await session.execute(
                text(
                    "SELECT id, entrypoint, payload FROM pgqueuer WHERE status = 'queued'"
                    " AND entrypoint LIKE ANY(:names)"
                    " AND strpos(coalesce(convert_from(payload, 'UTF8'), ''), :about) > 0"
                    " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
                ),
                {"names": [f"{one}%" for one in prefixes], "about": str(about)},
            )
            row = found.one_or_none()
            if row is None:
                return done
            await session.execute(text("DELETE FROM pgqueuer WHERE id = :id"), {"id": row.id})
        registered = JOBS[row.entrypoint]
        payload = registered.payload_type.model_validate_json(row.payload or b"{}")
        await registered.run(JobContext(platform, registered.name), payload)
        done += 1
