"""A large account costs what a small one does: blocks that PostgreSQL touches, counted by PostgreSQL itself.

Two accounts in one database, 10,000 spends old and 100,000 (1,000,000 in `make soak`), with the lots and holds of
that past; VACUUM and ANALYZE were run. What is counted are the blocks of tables and indexes, read or found in memory,
by the statements that really run, COPY included (pg_statio_user_tables).
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, insight, ledger
from pm_api.domains.ai_credits.book import Applied, By, LotDraft, fingerprint
from pm_api.domains.ai_credits.commands import Capture, Command, Grant, PlaceHold, Reverse, Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind, Service
from pm_api.domains.ai_credits.store import Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from tests.conftest import copy_of_template, database_url, open_platform, register, server_command
from tests.support.clock import MovableClock
from tests.support.settings import settings_for
from tests.support.soak import rounds
from tests.support.volume import add_past, tidy

pytestmark = pytest.mark.xdist_group("growth")

SMALL: Final = 10_000
LARGE: Final = rounds(100_000, 1_000_000)
MOST: Final = 1.3
TURNS: Final = 5
BLOCKS: Final = """
SELECT relname, (coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) + coalesce(idx_blks_read, 0)
                 + coalesce(idx_blks_hit, 0) + coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0))::bigint
FROM pg_statio_user_tables WHERE relname LIKE 'credit%'
"""
TELL: Final = "SELECT pg_stat_force_next_flush()"
# Old versions of rows that are written again and again. PostgreSQL takes them away when it comes across them, unless
# a long transaction anywhere on the server, of another test too, keeps it from seeing that nobody needs them.
REWRITTEN: Final = "credit_grants, credit_accounts, credit_holds, credit_hold_lots, credit_usage_days"
TIDY: Final = f"VACUUM (INDEX_CLEANUP ON) {REWRITTEN}"

Json = dict[str, Any]
Reading = Callable[[AsyncSession, UserScope], Awaitable[Any]]


@dataclass
class Grown:
    """Two accounts, and a watcher that nobody else's work disturbs."""

    platform: Platform
    watcher: asyncpg.Connection
    small: UserScope
    large: UserScope

    @property
    def writer(self) -> LedgerWriter:
        return self.platform.part(LedgerWriter)

    async def blocks(self) -> Counter[str]:
        return Counter({row[0]: row[1] for row in await self.watcher.fetch(BLOCKS)})

    async def touched(self, work: Callable[[], Awaitable[Any]], turns: int = TURNS) -> Counter[str]:
        """Blocks by table of one turn of it, once everything that is kept between turns is there."""
        await work()
        await work()
        touched: Counter[str] = Counter()
        for _ in range(turns):
            await self.watcher.execute(TIDY)
            await self.watcher.execute(TELL)
            before = await self.blocks()
            await work()
            touched += (await self.blocks()) - before
        return Counter({name: blocks // turns for name, blocks in touched.items() if blocks >= turns})

    async def read(self, reading: Reading, scope: UserScope) -> None:
        async with self.platform.database.reading() as session:
            await reading(session, scope)
            await session.execute(text(TELL))

    async def submit(self, kind: type[Any], scope: UserScope, *, times: int = 1, **content: Any) -> list[Applied]:
        """As the routes of spends and holds do it, so many at once."""
        commands = [self._command(kind, scope, **content) for _ in range(times)]
        answers = await self.writer.submit_many([Order(AccountKind.USER, command) for command in commands])
        results = [answer.result for answer in answers if isinstance(answer.result, Applied)]
        assert len(results) == times, answers
        connection = self.writer._connection
        assert connection is not None
        await connection.execute(TELL)
        return results

    async def apply(self, kind: type[Any], scope: UserScope, **content: Any) -> Applied:
        """As whatever has a transaction of its own does it."""
        order = Order(AccountKind.USER, self._command(kind, scope, **content))
        async with self.platform.database.transaction() as session:
            [answer] = await ledger.apply(session, self.platform, [order])
            await session.execute(text(TELL))
        assert isinstance(answer.result, Applied), answer
        return answer.result

    @staticmethod
    def _command(kind: type[Any], scope: UserScope, **content: Any) -> Command:
        key = f"c:user:{scope.user_id}:test:{uuid4().hex}"
        by = By("user", scope.user_id, "request")
        command: Command = kind(account_id=scope.user_id, key=key, fingerprint=fingerprint(key), by=by, **content)
        return command


@pytest.fixture(scope="module")
async def grown(worker_database: str) -> AsyncIterator[Grown]:
    """In a database of their own, so that nobody's blocks are counted with theirs."""
    assert worker_database  # the template is there
    name = f"pm_grown_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    database = database_url(name)
    watcher = await asyncpg.connect(make_url(database).set(drivername="postgresql").render_as_string(False))
    try:
        async with open_platform(settings_for(database), MovableClock()) as platform:
            scopes = []
            for spends in (SMALL, LARGE):
                person = await register(create_app(platform.settings, platform))
                await person.client.aclose()
                scope = UserScope(Actor(ActorKind.USER, person.id), person.id)
                found = Grown(platform, watcher, scope, scope)
                lots = (
                    LotDraft(LotKind.PURCHASE, 900_000, "test", "pack"),
                    LotDraft(LotKind.BONUS, 100_000, "test", "pack:bonus"),
                )
                await found.apply(Grant, scope, lots=lots, description="A pack")
                await add_past(database, person.id, spends, now=platform.clock.now())
                scopes.append(scope)
            await tidy(database)
            yield Grown(platform, watcher, *scopes)
    finally:
        await watcher.close()
        await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def compare(grown: Grown, name: str, work: Callable[[UserScope], Awaitable[Any]]) -> None:
    small, large = [await grown.touched(lambda scope=scope: work(scope)) for scope in (grown.small, grown.large)]  # type: ignore[misc]
    assert large.total() > 0, "nothing was counted"
    assert large.total() <= MOST * small.total(), f"{name}: {dict(small)} became {dict(large)}"


# --- reading ----------------------------------------------------------------------------------------------------


async def test_a_balance_reads_no_more(grown: Grown) -> None:
    async def read(scope: UserScope) -> None:
        await grown.read(lambda session, scope: balances.balance(session, grown.platform, scope), scope)

    await compare(grown, "balance", read)


async def test_the_credits_page_reads_no_more(grown: Grown) -> None:
    async def read(scope: UserScope) -> None:
        await grown.read(lambda session, scope: balances.overview(session, grown.platform, scope), scope)

    await compare(grown, "overview", read)


@pytest.mark.parametrize("depth", [0.0, 0.5, 0.98])
async def test_a_page_of_the_book_reads_no_more_however_deep(grown: Grown, depth: float) -> None:
    cursors = grown.platform.cursors

    async def read(scope: UserScope) -> None:
        cursor = None
        if depth:
            filters = {"service": None, "type": None, "member": None, "from": None, "to": None}
            seq = int((SMALL if scope is grown.small else LARGE) * (1 - depth))
            cursor = cursors.encode((seq,), of=balances.HISTORY, account=scope.user_id, **filters)

        async def page(session: AsyncSession, scope: UserScope) -> None:
            found = await balances.history(
                session,
                grown.platform,
                scope,
                PageRequest(50, cursor),
                service=None,
                type=None,
                member_id=None,
                since=None,
                until=None,
            )
            assert len(found.entries) == 50

        await grown.read(page, scope)

    await compare(grown, f"history, {depth:.0%} down", read)


async def test_ninety_days_of_analytics_read_the_day_sums_and_no_entries(grown: Grown) -> None:
    until = grown.platform.clock.now()

    async def read(scope: UserScope) -> None:
        async def analytics(session: AsyncSession, scope: UserScope) -> None:
            found = await insight.analytics(
                session,
                grown.platform,
                scope,
                since=until - timedelta(days=90),
                until=until,
                service=None,
                member_id=None,
                group_by=None,
            )
            assert found.model_dump()

        await grown.read(analytics, scope)

    touched = await grown.touched(lambda: read(grown.large))
    assert touched["credit_usage_days"] > 0
    assert set(touched) <= {"credit_usage_days", "credit_accounts", "credit_pools", "credit_plans"}, dict(touched)
    await compare(grown, "analytics of 90 days", read)


# --- moving credits ---------------------------------------------------------------------------------------------


async def test_a_spend_touches_no_more(grown: Grown) -> None:
    content: Json = {"amount": 3, "description": "Task list", "details": b"{}", "service": Service.TASK_GENERATION}
    await compare(grown, "spend", lambda scope: grown.submit(Spend, scope, **content))


async def test_a_batch_of_spends_touches_no_more(grown: Grown) -> None:
    content: Json = {"amount": 3, "description": "Task list", "details": b"{}", "service": Service.TASK_GENERATION}

    await compare(grown, "fifty spends at once", lambda scope: grown.submit(Spend, scope, times=50, **content))


async def test_a_hold_and_its_capture_touch_no_more(grown: Grown) -> None:
    async def hold(scope: UserScope) -> None:
        [placed] = await grown.submit(PlaceHold, scope, amount=3, ttl_s=900, description="Task", details=b"{}")
        assert placed.hold is not None
        await grown.submit(Capture, scope, hold_id=placed.hold.id)

    await compare(grown, "hold and capture", hold)


async def test_a_refund_touches_no_more(grown: Grown) -> None:
    async def refund(scope: UserScope) -> None:
        spent = await grown.apply(Spend, scope, amount=3, description="Task list", details=b"{}")
        await grown.apply(Reverse, scope, entry_seq=spent.entries[0].seq, description="It failed")

    await compare(grown, "spend and refund", refund)


async def test_a_grant_touches_no_more(grown: Grown) -> None:
    async def grant(scope: UserScope) -> None:
        lot = LotDraft(LotKind.PURCHASE, 3, "test", uuid4().hex)
        await grown.apply(Grant, scope, lots=(lot,), description="A pack")
        # What it brought is used again: more lots that hold credits are more to read, in any account.
        await grown.apply(Spend, scope, amount=3, description="Task list", details=b"{}")

    await compare(grown, "grant and spend", grant)
