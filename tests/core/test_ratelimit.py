"""Rate limits: counted, told, and shared through Redis."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from pm_api.app import create_app
from pm_api.core.errors import TooManyRequests
from pm_api.core.ratelimit import Policy, RateLimiter
from tests.conftest import PASSWORD, client_of, open_platform
from tests.support.clock import MovableClock
from tests.support.processes import free_port
from tests.support.settings import ADMIN_KEY, settings_for

THREE = Policy("three", "3/minute")


async def test_beyond_the_quota_is_refused_with_its_headers() -> None:
    limiter = RateLimiter(redis_url=None, enabled=True)
    left = [standing.remaining for standing in [await limiter.hit(THREE, "ann") for _ in range(3)] if standing]
    assert left == [2, 1, 0]
    with pytest.raises(TooManyRequests) as refusal:
        await limiter.hit(THREE, "ann")
    headers = refusal.value.headers
    assert 0 < int(headers["Retry-After"]) <= 61
    assert headers["RateLimit-Policy"] == '"three";q=3;w=60'
    assert headers["RateLimit"].startswith('"three";r=0;t=')
    assert await limiter.hit(THREE, "bob") is not None


async def test_switched_off_counts_nothing() -> None:
    limiter = RateLimiter(redis_url=None, enabled=False)
    assert [await limiter.hit(THREE, "ann") for _ in range(10)] == [None] * 10


@pytest.fixture
def redis() -> Iterator[str]:
    """A real Redis: Debian's, when it is installed (`make test-redis` does that)."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed; `make test-redis` installs it")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/")
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


async def test_two_processes_share_their_counters_in_redis(redis: str) -> None:
    first, second = (RateLimiter(redis_url=redis, enabled=True) for _ in range(2))
    for limiter in (first, second, first):
        await limiter.hit(THREE, "ann")
    with pytest.raises(TooManyRequests):
        await second.hit(THREE, "ann")
    for limiter in (first, second):
        await limiter.close()


async def test_without_its_redis_a_process_counts_for_itself() -> None:
    limiter = RateLimiter(redis_url=f"redis://127.0.0.1:{free_port()}", enabled=True)
    for _ in range(3):
        await limiter.hit(THREE, "ann")
    with pytest.raises(TooManyRequests):
        await limiter.hit(THREE, "ann")
    await limiter.close()


async def test_limits_over_http(worker_database: str) -> None:
    settings = settings_for(
        worker_database,
        rate_limits=True,
        rate_limit_address="40/minute",
        rate_limit_caller="8/minute",
        rate_limit_auth="3/minute",
    )
    async with (
        open_platform(settings, MovableClock()) as platform,
        client_of(create_app(settings, platform)) as client,
    ):
        body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Fast"}
        token = (await client.post("/api/auth/register", json=body)).json()["accessToken"]
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [await client.get("/api/auth/me", headers=bearer) for _ in range(9)]
        assert [answer.status_code for answer in answers] == [200] * 8 + [429]
        assert answers[0].headers["RateLimit-Policy"] == '"caller";q=8;w=60'
        assert answers[0].headers["RateLimit"].startswith('"caller";r=7;')
        assert answers[-1].json()["code"] == "rate_limited"
        guesses = [
            await client.post("/api/auth/login", json={"email": body["email"], "password": f"guess {number}"})
            for number in range(6)
        ]
        assert {answer.status_code for answer in guesses} == {401, 429}
        assert "Retry-After" in guesses[-1].headers
        flood = await asyncio.gather(*(client.get("/api/config") for _ in range(40)))
        assert {answer.status_code for answer in flood} == {200, 429}
        assert (await client.get("/healthz")).status_code == 200


async def test_guesses_of_the_admin_key_are_limited_before_it_is_compared(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="3/minute")
    async with (
        open_platform(settings, MovableClock()) as platform,
        client_of(create_app(settings, platform)) as client,
    ):

        async def knock(key: str) -> int:
            return (await client.get("/api/admin/jobs", headers={"x-admin-key": key})).status_code

        assert [await knock(ADMIN_KEY) for _ in range(5)] == [200] * 5, "a right key uses nothing up"
        assert [await knock(f"guess {number}") for number in range(4)] == [401, 401, 401, 429]
        assert await knock(ADMIN_KEY) == 429, "and does not tell itself apart any more"


async def test_a_redis_that_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(redis_url=f"redis://127.0.0.1:{free_port()}", enabled=True)
    assert limiter._shared is not None
    asked = 0
    hit = limiter._shared.hit

    async def counted(*arguments: Any, **named: Any) -> bool:
        nonlocal asked
        asked += 1
        return await hit(*arguments, **named)

    monkeypatch.setattr(limiter._shared, "hit", counted)
    with capture_logs() as said:
        for _ in range(3):
            await limiter.hit(THREE, "ann")
        assert asked == 1
        limiter._shared_rests_until = 0.0
        await limiter.hit(THREE, "bob")
    assert asked == 2
    assert [one["event"] for one in said] == ["rate_limit_store_away"] * 2
    await limiter.close()
