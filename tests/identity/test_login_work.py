"""A sign-in that fails does the same work whether there is such a user or not; `benchmarks.logins` measures it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import argon2
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.identity.passwords import Passwords
from tests.conftest import Person, client_of, open_platform, register
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


@contextmanager
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[argon2.Parameters]]:
    """The parameters of every hash that is computed."""
    seen: list[argon2.Parameters] = []
    compute = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, hash: str, password: str) -> Any:
        seen.append(argon2.extract_parameters(hash))
        return compute(self, hash, password)

    with monkeypatch.context() as patched:
        patched.setattr(argon2.PasswordHasher, "verify", verify)
        yield seen


@contextmanager
def asking(platform: Platform) -> Iterator[list[str]]:
    """Every statement that goes to the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def failed(caller: httpx.AsyncClient, email: str) -> httpx.Response:
    return await caller.post("/api/auth/login", json={"email": email, "password": "not the password"})


async def test_known_and_unknown_cost_the_same(
    app: FastAPI, client: httpx.AsyncClient, person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_password = await register(app)
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE users SET password_hash = NULL WHERE id = :id"), {"id": without_password.id}
        )
    work = []
    for email in (person.email, without_password.email, f"{uuid4().hex}@example.com"):
        with hashing(monkeypatch) as hashes, asking(platform) as statements:
            answer = await failed(client, email)
        work.append((answer.status_code, answer.json()["code"], answer.json()["detail"], hashes, statements))
    assert work[0] == work[1] == work[2]
    status, code, _, hashes, statements = work[0]
    assert (status, code) == (401, "invalid_credentials")
    assert len(hashes) == 1
    assert len(statements) == 1


async def test_the_hash_nobody_has_is_as_dear_as_a_real_one(
    worker_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the strength of production, which other tests do without."""
    settings = settings_for(worker_database)
    async with open_platform(settings, MovableClock()) as platform:
        platform.provide(Passwords())
        application = create_app(settings, platform)
        real = await register(application)
        async with client_of(application) as caller:
            seen = []
            for email in (real.email, f"{uuid4().hex}@example.com"):
                with hashing(monkeypatch) as hashes:
                    assert (await failed(caller, email)).status_code == 401
                seen.append(hashes)
    assert seen[0] == seen[1]
    [parameters] = seen[0]
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)
