"""Tests run on a real PostgreSQL: the embedded one, or the server of `PM_TEST_SERVER_URL`.

A template database is migrated once a run; every xdist worker clones it, and tests that race or kill take a fresh
clone. The clock is moved, never slept on.
"""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api import migrate
from pm_api.app import create_app
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.identity.passwords import Passwords
from pm_api.sandbox.postgres import EmbeddedPostgres
from tests.support.clock import MovableClock
from tests.support.compiled import share_compiled
from tests.support.settings import settings_for

SERVER = "PM_TEST_SERVER_URL"
TEMPLATE = "pm_template"
PASSWORD = "correct horse battery staple"
LONGEST_NAME = 100
ROOM_IN_MEMORY = 4 * 1024**3

_server = pytest.StashKey[EmbeddedPostgres]()
_folder = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-access-matrix", action="store_true", help="write access_matrix.csv (`make matrix`)")


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process starts the server and migrates the template; workers find both in the environment."""
    telemetry.configure_logging(level="WARNING", as_json=False)
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if SERVER not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="pm-test-", dir=in_memory(), ignore_cleanup_errors=True)
        Path(folder.name).chmod(0o755)
        server = EmbeddedPostgres(
            Path(folder.name) / "postgres",
            major=int(os.environ.get("PM_TEST_PG_MAJOR", "18")),
            max_connections=400,
            settings={"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "512MB"},
        )
        server.start()
        config.stash[_folder] = folder
        config.stash[_server] = server
        os.environ[SERVER] = server.url("postgres")
    recreate(TEMPLATE)
    migrate.upgrade(database_url(TEMPLATE))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is loaded by the end of it stays: to look for garbage in it again and again takes a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes and long texts are named by their length: a packed file has the second in it at which it was packed, and
    workers that find different names refuse to begin.
    """
    if isinstance(val, bytes) and len(val) > LONGEST_NAME:
        return f"{len(val)} bytes"
    if isinstance(val, str) and len(val) > LONGEST_NAME:
        return f"{val[: LONGEST_NAME // 2]}... {len(val)} characters"
    return None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a module's tests share is built once: they stay with one worker."""
    for item in items:
        used = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
        shares = any(one.scope == "module" for found in used for one in found)
        if shares and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server in config.stash:
        config.stash[_server].stop()
        config.stash[_folder].cleanup()
        os.environ.pop(SERVER, None)


def database_url(name: str) -> str:
    return make_url(os.environ[SERVER]).set(database=name).render_as_string(hide_password=False)


def in_memory() -> Path | None:
    """A folder that is on no disk, where there is one with room enough: a clone is more than a thousand files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free >= ROOM_IN_MEMORY else None


async def server_command(*statements: str) -> None:
    url = make_url(os.environ[SERVER]).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def copy_of_template(name: str) -> str:
    """The statement that clones it: to copy the files is half the work of writing every page to the log."""
    return f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY"


def recreate(name: str, template: str = "template0") -> None:
    asyncio.run(
        server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE {template}")
    )


@pytest.fixture(scope="session")
async def worker_database(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """This xdist worker's own clone; tests commit in it, each with a tenant of its own."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    name = f"pm_worker_{worker}"
    await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", copy_of_template(name))
    yield database_url(name)
    await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def fresh_database() -> AsyncIterator[str]:
    """A clone for one test alone: races, sweeps, kills."""
    name = f"pm_fresh_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    yield database_url(name)
    await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


AT_THE_END: list[Callable[[], Awaitable[None]]] = []
"""What closes things that a worker keeps from test to test."""


@pytest.fixture(scope="session", autouse=True)
async def closing() -> AsyncIterator[None]:
    yield
    while AT_THE_END:
        await AT_THE_END.pop()()


@asynccontextmanager
async def open_platform(settings: Settings, clock: MovableClock) -> AsyncIterator[Platform]:
    platform = build_platform(settings, clock=clock, passwords=Passwords(memory_kib=8, iterations=1))
    share_compiled(platform.database.engine)
    async with running(platform):
        yield platform


@pytest.fixture(scope="session")
async def platform(worker_database: str) -> AsyncIterator[Platform]:
    async with open_platform(settings_for(worker_database), MovableClock()) as parts:
        yield parts


@pytest.fixture
async def fresh_platform(fresh_database: str) -> AsyncIterator[Platform]:
    async with open_platform(settings_for(fresh_database), MovableClock()) as parts:
        yield parts


@pytest.fixture(autouse=True)
def still_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does to a shared platform's clock ends with the test."""
    yield
    if "platform" in request.fixturenames:
        clock = request.getfixturevalue("platform").clock
        clock.reset()


@pytest.fixture
def clock(platform: Platform) -> MovableClock:
    assert isinstance(platform.clock, MovableClock)
    return platform.clock


@pytest.fixture(scope="session")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


def client_of(app: FastAPI, **arguments: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=app.state.platform.settings.public_url, **arguments
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a token."""
    async with client_of(app) as caller:
        yield caller


@pytest.fixture
async def session(platform: Platform) -> AsyncIterator[AsyncSession]:
    """A session whose work is undone at the end: for tests of services and repositories."""
    async with platform.database.reading() as opened:
        yield opened


@dataclass
class Person:
    """A registered user with an HTTP client that carries their token."""

    id: UUID
    email: str
    client: httpx.AsyncClient
    access_token: str
    refresh_token: str
    name: str = "Somebody"
    extra: dict[str, Any] = field(default_factory=dict)


NewPerson = Callable[..., Awaitable[Person]]


async def register(app: FastAPI, **fields: Any) -> Person:
    """Sign a new person up over HTTP."""
    caller = client_of(app)
    body = {"email": f"{uuid4().hex[:12]}@example.com", "password": PASSWORD, "name": "Somebody", **fields}
    answer = await caller.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    content = answer.json()
    caller.headers["Authorization"] = f"Bearer {content['accessToken']}"
    caller.cookies.clear()
    return Person(
        id=UUID(content["user"]["id"]),
        email=content["user"]["email"],
        client=caller,
        access_token=content["accessToken"],
        refresh_token=content["refreshToken"],
        name=content["user"]["name"],
    )


@pytest.fixture
async def new_person(app: FastAPI) -> AsyncIterator[NewPerson]:
    """Makes people: `ann = await new_person(name="Ann")`."""
    people: list[Person] = []

    async def make(**fields: Any) -> Person:
        people.append(await register(app, **fields))
        return people[-1]

    yield make
    for person in people:
        await person.client.aclose()


@pytest.fixture
async def person(new_person: NewPerson) -> Person:
    return await new_person()
