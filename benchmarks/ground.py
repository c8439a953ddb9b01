"""What the figures are measured on: a database full of people, and the processes around it."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
from sqlalchemy import insert, update
from sqlalchemy.engine import make_url
from tests.support.processes import free_port
from tests.support.settings import environment_for

from pm_api import migrate
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import (
    LotDraft,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Grant, PlaceHold
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow, LotKind, Service
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditCap
from pm_api.domains.ai_credits.store import Order
from pm_api.identity.models.people import Member, User, UserSession, Workspace
from pm_api.identity.permissions import Role
from pm_api.identity.tokens import AccessTokens
from pm_api.sandbox.postgres import EmbeddedPostgres

ROOT: Final = Path(__file__).parent.parent
MEMBERS: Final = 20
"""Of the pool, each with a cap of their role's; the service has one too."""
OPEN_HOLDS: Final = 20
"""On the hot accounts, from beginning to end: a spend has to look past them."""
CALLERS: Final = "BENCH_CALLERS"
PROFILE: Final = "BENCH_PROFILE"
CREDITS: Final = 100_000_000
FILL_BATCH: Final = 500
SESSION_LIFETIME: Final = timedelta(days=1)
START_TIMEOUT_S: Final = 60
LIMITS: Final = {
    "PM_RATE_LIMIT_ADDRESS": "100000000/minute",
    "PM_RATE_LIMIT_CALLER": "100000000/minute",
}
"""Counted like in production, never reached."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person; the id of a person is the id of their account."""

    user_id: UUID
    session_id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class Ground:
    """The accounts of one run. `writer` and `pgbench` are for the contestant of that name alone; the first of `many`
    are the pool's members.
    """

    hot: Caller
    many: list[Caller]
    writer: Caller
    pgbench: Caller
    pool: UUID

    def write(self, folder: Path) -> Path:
        """The callers for the other processes."""
        path = folder / "callers.json"
        people = [[str(one.user_id), str(one.session_id), one.token] for one in (self.hot, *self.many)]
        path.write_text(json.dumps({"people": people, "pool": str(self.pool), "members": MEMBERS}))
        return path


@dataclass(frozen=True, slots=True)
class Callers:
    """What another process knows of the ground: the hot one first, the pool's members next."""

    people: list[Caller]
    pool: str
    members: int


def read_callers(path: str) -> Callers:
    """What `Ground.write` wrote."""
    known = json.loads(Path(path).read_text())
    people = [Caller(UUID(user_id), UUID(session_id), token) for user_id, session_id, token in known["people"]]
    return Callers(people, known["pool"], known["members"])


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    url: str
    pgbench: Path
    socket_directory: str
    folder: Path


@contextlib.contextmanager
def database_server() -> Iterator[DatabaseServer]:
    """An embedded PostgreSQL with its usual durability (fsync and synchronous_commit on), migrated."""
    with tempfile.TemporaryDirectory(prefix="pm-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run under another account than ours
        with EmbeddedPostgres(folder / "postgres") as server:
            server.create_database("bench")
            url = server.url("bench")
            migrate.upgrade(url)
            host = make_url(url).query["host"]
            assert isinstance(host, str)
            yield DatabaseServer(url, server.binaries / "pgbench", host, folder)


async def fill(platform: Platform, accounts: int) -> Ground:
    """People with open sessions and a purchased pack each (two lots), written through the ledger."""
    now = platform.clock.now()
    people = [(platform.randomness.uuid(), platform.randomness.uuid()) for _ in range(accounts + 3)]
    for start in range(0, len(people), FILL_BATCH):
        part = people[start : start + FILL_BATCH]
        async with platform.database.transaction() as session:
            await session.execute(
                insert(User),
                [
                    {
                        "id": user_id,
                        "email": f"{user_id}@example.com",
                        "name": "Somebody",
                        "locale": "en",
                        "time_zone": "UTC",
                        "created_at": now,
                        "updated_at": now,
                    }
                    for user_id, _ in part
                ],
            )
            await session.execute(
                insert(UserSession),
                [
                    {
                        "id": session_id,
                        "user_id": user_id,
                        "created_at": now,
                        "last_used_at": now,
                        "expires_at": now + SESSION_LIFETIME,
                        "user_agent": "benchmarks",
                        "address": "127.0.0.1",
                    }
                    for user_id, session_id in part
                ],
            )
            await ledger.apply(session, platform, [_pack(user_id) for user_id, _ in part])
    tokens = platform.part(AccessTokens)
    callers = [Caller(user_id, session_id, tokens.issue(user_id, session_id)) for user_id, session_id in people]
    hot, writer, pgbench, *many = callers
    pool = await _open_pool(platform, many[:MEMBERS])
    async with platform.database.transaction() as session:
        await ledger.apply(
            session, platform, [_hold(one.user_id, n) for one in (hot, writer) for n in range(OPEN_HOLDS)]
        )
    return Ground(hot, many, writer, pgbench, pool)


async def _open_pool(platform: Platform, members: list[Caller]) -> UUID:
    """A workspace with a pack, whose caps are kept count of and never reached."""
    now, pool = platform.clock.now(), platform.randomness.uuid()
    async with platform.database.transaction() as session:
        row = {"id": pool, "name": "Pool", "slug": "pool", "created_at": now, "updated_at": now}
        await session.execute(insert(Workspace), [row])
        await session.execute(
            insert(Member),
            [
                {
                    "id": platform.randomness.uuid(),
                    "workspace_id": pool,
                    "user_id": one.user_id,
                    "role": Role.MEMBER,
                    "joined_at": now,
                }
                for one in members
            ],
        )
        await ledger.apply(session, platform, [_pack(pool, AccountKind.WORKSPACE)])
        await session.execute(
            insert(CreditCap),
            [
                {
                    "account_id": pool,
                    "subject": subject,
                    "cap_window": window,
                    "amount": CREDITS,
                    "created_at": now,
                    "updated_at": now,
                }
                for subject in ("role:MEMBER", f"service:{Service.TASK_GENERATION}")
                for window in CapWindow
            ],
        )
        await session.execute(update(CreditAccount).where(CreditAccount.id == pool).values(capped=True))
    return pool


def _hold(user_id: UUID, number: int) -> Order:
    command = PlaceHold(
        account_id=user_id,
        key=f"s:benchmark:hold:{number}",
        fingerprint=fingerprint("benchmark"),
        by=ledger.by_system(),
        amount=5,
        ttl_s=86_400,
        description="Work that takes all day",
        details=b"{}",
    )
    return Order(AccountKind.USER, command)


def _pack(user_id: UUID, kind: AccountKind = AccountKind.USER) -> Order:
    lots = (
        LotDraft(LotKind.PURCHASE, CREDITS, "benchmark", "pack"),
        LotDraft(LotKind.BONUS, CREDITS, "benchmark", "pack:bonus"),
    )
    command = Grant(
        account_id=user_id,
        key="s:benchmark:pack",
        fingerprint=fingerprint("benchmark"),
        by=ledger.by_system(),
        lots=lots,
        description="Benchmark pack",
    )
    return Order(kind, command)


class ProcessEnded(Exception):
    """One of the benchmark's processes ended by itself; the text is what it said last."""


@asynccontextmanager
async def api(server: DatabaseServer, callers: Path, profile: Path | None = None) -> AsyncIterator[int]:
    """The API under load, as one process; gives its port."""
    port = free_port()
    environment = environment_for(server.url, PM_RATE_LIMITS="true", PM_PORT=str(port), **LIMITS)
    environment |= {"PATH": os.environ["PATH"], CALLERS: str(callers)}
    if profile is not None:
        environment[PROFILE] = str(profile)
    log = server.folder / "api.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.server",
            cwd=ROOT,
            env=environment | _import_path(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await _ready(process, f"http://127.0.0.1:{port}/readyz", log)
        yield port
        if process.returncode is not None:
            raise ProcessEnded(_tail(log))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _import_path() -> dict[str, str]:
    """Where this process imports from, its children import from too."""
    return {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}


async def _ready(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_TIMEOUT_S):
        while True:
            if process.returncode is not None:
                raise ProcessEnded(_tail(log))
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(address, timeout=2)).status_code == 200:
                    return
            await asyncio.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
