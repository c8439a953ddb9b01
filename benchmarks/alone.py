"""The ledger's writer without HTTP, beside PostgreSQL's own benchmark with one SQL debit a transaction."""

import asyncio
import re
import time
from itertools import count, cycle
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import select

from benchmarks.ground import Caller, DatabaseServer
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import (
    Applied,
    By,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind, Service
from pm_api.domains.ai_credits.models.ledger import CreditGrant
from pm_api.domains.ai_credits.service import SPEND_OPERATION, client_key
from pm_api.domains.ai_credits.store import Order
from pm_api.domains.ai_credits.writer import LedgerWriter

BATCH: Final = 500
BATCHES_MADE_AHEAD: Final = 8
CLIENTS: Final = (1, 8, 32)
SCRIPT: Final = Path(__file__).with_name("debit.sql")
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


class BenchmarkFailed(Exception):
    """A contestant did not do what it was asked for; its figure would mean nothing."""


class WriterAlone:
    """Spends like those of the routes, handed to the writer in batches."""

    def __init__(self, platform: Platform) -> None:
        self._writer = platform.part(LedgerWriter)
        self._keys = count(1)
        self.written = 0

    async def per_s(self, callers: list[Caller], seconds: float) -> float:
        """Spends a second over these accounts in turn. Making the commands is not counted, all the rest is."""
        spent_s, written = 0.0, 0
        turn = cycle(callers)
        while spent_s < seconds:
            batches = [[self._order(next(turn).user_id) for _ in range(BATCH)] for _ in range(BATCHES_MADE_AHEAD)]
            for batch in batches:
                began = time.perf_counter()
                answers = await self._writer.submit_many(batch)
                spent_s += time.perf_counter() - began
                if not all(isinstance(answer.result, Applied) and not answer.replayed for answer in answers):
                    raise BenchmarkFailed("the writer refused a spend")
                written += len(batch)
        self.written += written
        return written / spent_s

    def _order(self, user_id: UUID) -> Order:
        number = next(self._keys)
        command = Spend(
            account_id=user_id,
            key=client_key(f"user:{user_id}", SPEND_OPERATION, f"alone-{number:016d}"),
            fingerprint=fingerprint(SPEND_OPERATION, None, Service.TASK_GENERATION, 1, "Task list for launch", {}),
            by=By("user", user_id, f"{number:032x}"),
            amount=3,
            description="Task list for launch",
            details=b"{}",
            service=Service.TASK_GENERATION,
            quantity=1,
            price_version=1,
        )
        return Order(AccountKind.USER, command)


class Pgbench:
    """`debit.sql` on one account of its own, prepared, over a socket."""

    def __init__(self, server: DatabaseServer, account: Caller, lot_id: UUID) -> None:
        self._server = server
        self._account = account
        self._lot_id = lot_id

    @classmethod
    async def over(cls, server: DatabaseServer, platform: Platform, account: Caller) -> "Pgbench":
        async with platform.database.reading() as session:
            lot_id = await session.scalar(
                select(CreditGrant.id).where(
                    CreditGrant.account_id == account.user_id, CreditGrant.kind == LotKind.PURCHASE
                )
            )
        assert lot_id is not None
        return cls(server, account, UUID(int=lot_id.int))

    async def per_s(self, clients: int, seconds: int) -> float:
        process = await asyncio.create_subprocess_exec(
            str(self._server.pgbench),
            *("-n", "-M", "prepared", "-U", "postgres", "-h", self._server.socket_directory, "-p", "5432"),
            *("-c", str(clients), "-j", "1", "-T", str(seconds)),
            *("-D", f"account={self._account.user_id}", "-D", f"lot={self._lot_id}"),
            *("-f", str(SCRIPT), "bench"),
            env={},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await process.communicate()
        found = _TPS.search(said.decode())
        if process.returncode != 0 or found is None:
            raise BenchmarkFailed(f"pgbench: {complaints.decode()}")
        return float(found[1])
