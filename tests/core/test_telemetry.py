"""What an operator sees: traces by the standard variables, metrics, and logs without secrets."""

import asyncio
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from tests.conftest import PASSWORD
from tests.support import processes
from tests.support.server import serve


@pytest.mark.kill
@pytest.mark.xdist_group("processes")
async def test_traces_metrics_and_json_logs_of_a_process(fresh_database: str) -> None:
    traced, spans = asyncio.Event(), bytearray()
    opens_something = [f"{name}{'k' * 40}" for name in ("tok", "cod", "sta", "tic")]
    link, code, state, ticket = opens_something

    async def collect(request: Request) -> Response:
        spans.extend(await request.body())
        if b"/api/auth/register" in spans and b"/api/stream" in spans:
            traced.set()
        return Response(status_code=200)

    collector = Starlette(routes=[Route("/v1/traces", collect, methods=["POST"])])
    async with serve(collector) as url:
        settings = {
            "PM_ENV": "production",
            "PM_PUBLIC_URL": "https://test.local",
            "PM_SITE_URL": "https://site.local",
            "PM_LOG_LEVEL": "INFO",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with (
            processes.api(fresh_database, **settings) as process,
            httpx.AsyncClient(base_url=process.url, trust_env=False, verify=False) as client,
        ):
            body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
            answer = await client.post("/api/auth/register", json=body, headers={"X-Request-ID": "find-me"})
            assert answer.status_code == 201
            assert answer.headers["X-Request-ID"] == "find-me"
            assert answer.headers["Strict-Transport-Security"]
            moved = await client.post("/api/dev/clock", json={"advanceS": 60})
            assert moved.status_code == 404
            for path in (
                f"/api/invitations/{link}",
                f"/api/invitations/{link}/nowhere",
                f"/api/auth/oauth/google/callback?code={code}&state={state}",
                f"/api/stream?ticket={ticket}",
            ):
                assert (await client.get(path)).status_code in (401, 404)
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
    for one in opens_something:
        assert one not in said
        assert one.encode() not in spans


def test_a_path_is_shown_without_what_opens_a_door() -> None:
    kept = "/api/workspaces/0198c0de-0000-7000-8000-000000000000/audit/export"
    assert telemetry.shown_path(kept) == kept
    assert telemetry.shown_path(f"/api/invitations/{'aZ_-' * 11}/accept") == "/api/invitations/…/accept"
    assert telemetry.shown_path(f"/{'x' * 31}") == f"/{'x' * 31}"


async def test_a_secret_in_a_path_is_logged_as_its_place_however_short(client: httpx.AsyncClient) -> None:
    with capture_logs() as said:
        for path in ("/api/invitations/too-short", "/api/invitations/too-short/accept", "/problems/not_found"):
            await client.request("POST" if path.endswith("accept") else "GET", path)
    assert [one["path"] for one in said if one["event"] == "request"] == [
        "/api/invitations/{token}",
        "/api/invitations/{token}/accept",
        "/problems/not_found",
    ]


@pytest.fixture
def logged_here(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is logged, as it is written; afterwards it is written where it was before."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield capsys
    root.handlers[:] = before
    root.setLevel(level)


def test_a_logger_that_was_used_is_still_heard_when_logging_is_configured_anew(
    logged_here: pytest.CaptureFixture[str],
) -> None:
    log = structlog.get_logger("test.kept")
    log.warning("first")
    telemetry.configure_logging(level="WARNING", as_json=True)
    with capture_logs() as said:
        log.warning("caught")
    assert [one["event"] for one in said] == ["caught"]
    log.warning("last")
    shown = logged_here.readouterr().err
    assert "caught" not in shown
    assert json.loads(shown.splitlines()[-1])["event"] == "last"


def test_a_traceback_shows_no_local_variables(logged_here: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging(level="WARNING", as_json=False)
    password = "hunter2 hunter2"
    try:
        int(f"not {len(password)} a number")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    shown = logged_here.readouterr().err
    assert "ValueError" in shown
    assert "hunter2" not in shown


HASH = "$argon2id$v=19$m=8"


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_refused_row_stays_out_of_the_log(
    platform: Platform, logged_here: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """PostgreSQL quotes the whole row it refuses, or the key; SQLAlchemy the statement's values."""
    telemetry.configure_logging(level="WARNING", as_json=as_json)
    log = structlog.get_logger(f"test.{as_json}")
    columns = "(id, email, password_hash, name, locale, time_zone, created_at, updated_at)"
    values = f"(gen_random_uuid(), :email, '{HASH}', :name, 'en', 'UTC', now(), now())"
    ann = {"email": f"ann-{as_json}@example.com", "name": "Ann\n\nArcher) ("}
    for wanted in (ann | {"name": None}, ann, ann):
        try:
            async with platform.database.transaction() as session:
                await session.execute(text(f"INSERT INTO users {columns} VALUES {values}"), wanted)
        except IntegrityError as error:
            log.exception("failed", error=repr(error), cause=error)
            logging.getLogger("library").warning("failed: %s", error)
    shown = logged_here.readouterr().err
    assert shown.count("NotNullViolation") > 2
    assert shown.count("UniqueViolation") > 2
    assert "example.com" not in shown
    assert HASH not in shown.replace(f"'{HASH}'", "'in the statement itself'")
    assert "Archer" not in shown
