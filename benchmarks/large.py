"""`make bench-large`: what accounts of 10,000 to 10 million entries cost, in wall time, beside each other in one run.

Bounded: an account is built only when disk and time suffice for it, and what was left out is said. Exit code 1 only
when something broke.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Final
from uuid import uuid4

import uvloop
from sqlalchemy import text
from tests.support.settings import settings_for
from tests.support.volume import add_past, tidy

from benchmarks import ground
from benchmarks.ground import Caller, DatabaseServer
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, insight, ledger
from pm_api.domains.ai_credits.book import Applied, By, fingerprint
from pm_api.domains.ai_credits.commands import Reverse, Spend
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.service import SPEND_OPERATION, client_key
from pm_api.domains.ai_credits.store import Order
from pm_api.domains.ai_credits.writer import LedgerWriter

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
BYTES_AN_ENTRY: Final = 1_300
"""Entry, allocation, command and their indexes, generously."""
KEPT_FREE_BYTES: Final = 5_000_000_000
"""For the write-ahead log and for everybody else on this disk."""
BATCH: Final = 500
PAGE: Final = 50

Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Account:
    """One wallet and what is asked of it."""

    platform: Platform
    scope: UserScope
    entries: int

    def works(self) -> dict[str, Work]:
        return {
            "balance": self.balance,
            "history, first page": lambda: self.history(None),
            "history, half way down": lambda: self.history(self.entries // 2),
            "history, last page": lambda: self.history(PAGE + 1),
            "analytics of 90 days": self.analytics,
            "forecast": self.forecast,
            "spend": lambda: self.spend(1),
            f"{BATCH} spends in one commit": lambda: self.spend(BATCH),
            "spend and refund": self.refund,
        }

    async def balance(self) -> None:
        async with self.platform.database.reading() as session:
            await balances.balance(session, self.platform, self.scope)

    async def history(self, seq: int | None) -> None:
        filters = dict.fromkeys(("service", "type", "member", "from", "to"))
        cursor = self.platform.cursors.encode(
            None if seq is None else (seq,), of=balances.HISTORY, account=self.scope.user_id, **filters
        )
        async with self.platform.database.reading() as session:
            found = await balances.history(
                session,
                self.platform,
                self.scope,
                PageRequest(PAGE, cursor),
                service=None,
                type=None,
                member_id=None,
                since=None,
                until=None,
            )
        assert len(found.entries) == PAGE

    async def analytics(self) -> None:
        until = self.platform.clock.now()
        async with self.platform.database.reading() as session:
            await insight.analytics(
                session,
                self.platform,
                self.scope,
                since=until - timedelta(days=90),
                until=until,
                service=None,
                member_id=None,
                group_by=None,
            )

    async def forecast(self) -> None:
        async with self.platform.database.reading() as session:
            await insight.forecast_of(session, self.platform, self.scope)

    async def spend(self, times: int) -> None:
        orders = [Order(AccountKind.USER, self._spend()) for _ in range(times)]
        answers = await self.platform.part(LedgerWriter).submit_many(orders)
        assert all(isinstance(answer.result, Applied) for answer in answers)

    async def refund(self) -> None:
        async with self.platform.database.transaction() as session:
            [spent] = await ledger.apply(session, self.platform, [Order(AccountKind.USER, self._spend())])
            assert isinstance(spent.result, Applied)
            key = f"s:benchmark:{uuid4().hex}"
            back = Reverse(
                self.scope.user_id, key, fingerprint(key), self._by(), spent.result.entries[0].seq, "It failed"
            )
            await ledger.apply(session, self.platform, [Order(AccountKind.USER, back)])

    def _by(self) -> By:
        return By("user", self.scope.user_id, uuid4().hex)

    def _spend(self) -> Spend:
        key = client_key(self.scope.actor.key, SPEND_OPERATION, uuid4().hex)
        return Spend(
            account_id=self.scope.user_id,
            key=key,
            fingerprint=fingerprint(key),
            by=self._by(),
            amount=3,
            description="Task list for launch",
            details=b"{}",
            service="TASK_GENERATION",
            quantity=1,
            price_version=1,
        )


async def build(
    server: DatabaseServer, platform: Platform, callers: list[Caller], most: int, ends_at: float
) -> list[Account]:
    """As many of the sizes as there is room and time for."""
    accounts: list[Account] = []
    a_second = 0.0
    for caller, size in zip(callers, [size for size in SIZES if size <= most], strict=False):
        free = shutil.disk_usage(server.folder).free - KEPT_FREE_BYTES
        if size * BYTES_AN_ENTRY > free:
            _say(f"{size:,} entries are left out: {free / 1e9:.0f} GB may be used")
            continue
        if a_second and time.monotonic() + size / a_second > ends_at:
            _say(f"{size:,} entries are left out: they would take {size / a_second / 60:.0f} minutes")
            continue
        began = time.monotonic()
        await add_past(server.url, caller.user_id, size, now=platform.clock.now())
        a_second = size / (time.monotonic() - began)
        _say(f"{size:,} entries are there, {a_second:,.0f} a second")
        scope = UserScope(Actor(ActorKind.USER, caller.user_id, caller.session_id), caller.user_id)
        accounts.append(Account(platform, scope, size))
    await tidy(server.url)
    _say("vacuumed and analysed")
    return accounts


async def timed(accounts: list[Account], rounds: int) -> dict[str, list[list[float]]]:
    """Milliseconds by work and account. The accounts take turns, so that drift of the machine cancels."""
    works = [account.works() for account in accounts]
    found: dict[str, list[list[float]]] = {}
    for name in works[0]:
        columns = [[] for _ in accounts]  # type: list[list[float]]
        for turn in range(rounds + 2):
            for place in range(len(accounts)):
                began = time.perf_counter()
                await works[(place + turn) % len(accounts)][name]()
                if turn >= 2:  # the first ones fill caches
                    columns[(place + turn) % len(accounts)].append((time.perf_counter() - began) * 1000)
        found[name] = columns
        _say(name)
    return found


def table(accounts: list[Account], found: dict[str, list[list[float]]]) -> str:
    head = "".join(f"{account.entries:>14,}" for account in accounts)
    lines = [f"{'median ms by entries of the account':<38}{head}{'last / first':>15}"]
    for name, columns in found.items():
        medians = [median(column) for column in columns]
        lines.append(
            f"{name:<38}" + "".join(f"{one:>14.2f}" for one in medians) + f"{medians[-1] / medians[0]:>15.2f}"
        )
    return "\n".join(lines)


async def sizes(platform: Platform) -> str:
    statement = text(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname LIKE 'credit\\_%' AND relkind = 'r'"
        " ORDER BY 2 DESC LIMIT 4"
    )
    async with platform.database.reading() as session:
        rows = await session.execute(statement)
        return "on disk, with indexes: " + ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in rows)


async def measure(server: DatabaseServer, most: int, minutes: float, rounds: int) -> None:
    async with running(build_platform(settings_for(server.url))) as platform:
        people = await ground.fill(platform, ground.MEMBERS)
        accounts = await build(server, platform, people.many, most, time.monotonic() + minutes * 60)
        found = await timed(accounts, rounds)
        print(f"\n{table(accounts, found)}\n\n{await sizes(platform)}")


_BEGAN: Final = time.monotonic()


def _say(what: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.0f} s  {what}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--entries", type=int, default=SIZES[-1], help="the largest account; 10,000,000 by default")
    parser.add_argument("--minutes", type=float, default=30, help="most time for building; 30 by default")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 100,000 entries at most, few rounds")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    most = min(chosen.entries, SIZES[1]) if chosen.quick else chosen.entries
    if most < SIZES[0]:
        parser.error(f"at least {SIZES[0]:,} entries")
    with ground.database_server() as server:
        try:
            uvloop.run(measure(server, most, chosen.minutes, 5 if chosen.quick else 60))
        except (TimeoutError, OSError) as error:
            print(f"the benchmark broke: {error!r}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
