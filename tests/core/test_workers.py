"""What an operator asks of a worker process."""

import asyncio
import contextlib

import httpx

from tests.support import processes


async def test_a_worker_says_that_it_is_well_and_what_it_has_counted(fresh_database: str) -> None:
    """Jobs, mails and webhooks are counted in no other process; and the image's health check asks this too."""
    port = processes.free_port()
    async with (
        processes.worker(fresh_database, PM_WORKER_PORT=str(port)) as worker,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as operator,
        asyncio.timeout(processes.START_TIMEOUT_S),
    ):
        while True:
            assert worker.handle.returncode is None, worker.last_said()
            with contextlib.suppress(httpx.TransportError):
                if (await operator.get("/readyz")).json()["status"] == "ok":
                    break
            await asyncio.sleep(0.05)
        assert (await operator.get("/healthz")).json() == {"status": "ok"}
        assert "pm_jobs_total" in (await operator.get("/metrics")).text
        assert (await operator.get("/api/config")).status_code == 404, "nothing else"
        assert await worker.stop() == 0
