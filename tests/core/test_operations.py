"""The operator's routes: the clock, probes, held jobs."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.operations import service
from tests.conftest import client_of
from tests.support.settings import ADMIN_KEY


@pytest.fixture
async def operator(fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr("pm_api.core.jobs.PERIODICS", {})
    app: FastAPI = create_app(fresh_platform.settings, fresh_platform, connect=False)
    async with client_of(app, headers={"x-admin-key": ADMIN_KEY}) as caller:
        yield caller


async def move(operator: httpx.AsyncClient, **body: Any) -> tuple[int, Any]:
    answer = await operator.post("/api/dev/clock", json=body)
    return answer.status_code, answer.json().get("code") or answer.json()["clock"]


async def offset(operator: httpx.AsyncClient) -> float:
    clock = (await operator.get("/api/dev/clock")).json()["clock"]
    assert clock["sweeps"] == []
    found: float = clock["offsetS"]
    return found


async def test_the_clock_goes_back_to_the_present_and_no_further(operator: httpx.AsyncClient) -> None:
    assert await offset(operator) == 0
    assert (await move(operator, advanceS=86_400.25))[0] == 200
    assert await offset(operator) == 86_400.25
    assert await move(operator, advanceS=-86_401) == (422, "clock_move_invalid")
    assert await move(operator, now="2020-01-01T00:00:00Z") == (422, "clock_move_invalid")
    assert await offset(operator) == 86_400.25
    assert (await move(operator, advanceS=-86_400.25))[0] == 200
    assert await offset(operator) == 0


async def test_the_present_as_the_caller_knows_it_ends_the_shift(
    operator: httpx.AsyncClient, fresh_platform: Platform
) -> None:
    await move(operator, advanceS=60)
    status, clock = await move(operator, now=fresh_platform.clock.wall().isoformat())
    assert (status, clock["offsetS"]) == (200, 0)


@pytest.mark.parametrize("seconds", ["5", True, [5]])
async def test_seconds_are_a_number(operator: httpx.AsyncClient, seconds: object) -> None:
    assert await move(operator, advanceS=seconds) == (422, "validation_failed")


async def test_readiness_is_asked_of_the_database_once_a_second(
    operator: httpx.AsyncClient, fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def count(*_arguments: object) -> None:
        nonlocal asked
        asked += 1

    engine = fresh_platform.database.engine.sync_engine
    event.listen(engine, "checkout", count)
    for _ in range(20):
        assert (await operator.get("/readyz")).status_code == 200
    assert asked == 1
    monkeypatch.setattr(service, "FRESH_S", 0.0)
    assert (await operator.get("/readyz")).status_code == 200
    assert asked == 2


async def test_a_held_job_is_released_by_its_id(operator: httpx.AsyncClient, fresh_platform: Platform) -> None:
    async with fresh_platform.database.transaction() as session:
        held = await session.scalar(
            text(
                "INSERT INTO pgqueuer (priority, status, entrypoint, payload)"
                " VALUES (0, 'failed', 'tests.held', '{}') RETURNING id"
            )
        )
    assert (await operator.post(f"/api/admin/jobs/{held}/release")).status_code == 200
    for gone in (held, 0, -1, 2**63, 2**70):
        assert (await operator.post(f"/api/admin/jobs/{gone}/release")).status_code == 404
    async with fresh_platform.database.reading() as session:
        rows = await session.execute(
            text(
                "SELECT actor_kind, subject_type, subject_id, details FROM audit_entries"
                " WHERE action = 'job.released'"
            )
        )
        assert [tuple(row) for row in rows] == [("admin_key", "job", str(held), {"name": "tests.held"})]


async def test_held_jobs_are_walked_page_by_page(operator: httpx.AsyncClient, fresh_platform: Platform) -> None:
    made = (
        "INSERT INTO pgqueuer (priority, status, entrypoint, payload)"
        " SELECT 0, 'failed', 'tests.held', '{}' FROM generate_series(1, 5) RETURNING id"
    )
    async with fresh_platform.database.transaction() as session:
        held = sorted((await session.scalars(text(made))).all(), reverse=True)
    walked: list[int] = []
    page: dict[str, Any] = {"limit": 2}
    while True:
        answer = (await operator.get("/api/admin/jobs", params=page)).json()
        walked += [one["id"] for one in answer["jobs"]]
        if answer["nextCursor"] is None:
            break
        page["cursor"] = answer["nextCursor"]
    assert walked == held
    forged = await operator.get("/api/admin/jobs", params={"cursor": "forged"})
    assert (forged.status_code, forged.json()["code"]) == (422, "invalid_cursor")


async def test_monitors_ask_without_a_body(operator: httpx.AsyncClient, fresh_platform: Platform) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await operator.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    await fresh_platform.signals.stop()
    fresh_platform.provide(service.Probe())
    assert (await operator.head("/readyz")).status_code == 503
    assert (await operator.head("/healthz")).status_code == 200


async def test_what_is_still_begun_is_not_ready(operator: httpx.AsyncClient, fresh_platform: Platform) -> None:
    with fresh_platform.part(service.Probe).waiting_for("demo data"):
        answer = await operator.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["demo data"]) == (503, "under way")
    assert (await operator.get("/readyz")).json()["checks"].keys() == {"database", "migrations", "queue", "signals"}
