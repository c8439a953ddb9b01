"""What an operator sees: traces by the standard variables, metrics, and logs without secrets."""

import asyncio
import json

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pm_api.core import telemetry
from tests.conftest import PASSWORD
from tests.support import processes
from tests.support.server import serve

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]


async def test_traces_metrics_and_json_logs_of_a_process(fresh_database: str) -> None:
    traced = asyncio.Event()

    async def collect(request: Request) -> Response:
        if b"/api/auth/register" in await request.body():
            traced.set()
        return Response(status_code=200)

    collector = Starlette(routes=[Route("/v1/traces", collect, methods=["POST"])])
    async with serve(collector) as url:
        settings = {
            "PM_ENV": "production",
            "PM_LOG_LEVEL": "INFO",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with (
            processes.api(fresh_database, **settings) as process,
            httpx.AsyncClient(base_url=process.url, trust_env=False) as client,
        ):
            body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
            answer = await client.post("/api/auth/register", json=body, headers={"X-Request-ID": "find-me"})
            assert answer.status_code == 201
            assert answer.headers["X-Request-ID"] == "find-me"
            assert answer.headers["Strict-Transport-Security"]
            moved = await client.post("/api/dev/clock", json={"advanceS": 60})
            assert moved.status_code == 404
            metrics = (await client.get("/metrics")).text
            assert 'pm_http_requests_total{method="POST",route="/api/auth/register",status="201"} 1.0' in metrics
            await asyncio.wait_for(traced.wait(), 10)
            said = process.said()
    lines = [json.loads(line) for line in said.splitlines() if "find-me" in line]
    assert [(line["event"], line["path"], line["status"]) for line in lines] == [
        ("request", "/api/auth/register", 201)
    ]
    assert PASSWORD not in said
    assert answer.json()["accessToken"] not in said


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging(level="WARNING", as_json=False)
    password = "hunter2 hunter2"
    try:
        int(f"not {len(password)} a number")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "hunter2" not in shown
