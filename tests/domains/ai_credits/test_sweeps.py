"""Sweeps over many accounts: one whose books are damaged keeps nobody else from their due."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from pm_api.core import sweeping
from pm_api.core.jobs import PERIODICS, JobContext, run_sweep
from pm_api.core.platform import Platform
from pm_api.core.sweeping import sweep
from pm_api.domains.ai_credits import jobs
from pm_api.domains.ai_credits.book import Applied, LotDraft
from pm_api.domains.ai_credits.commands import Grant, PlaceHold, Transfer
from pm_api.domains.ai_credits.enums import LotKind
from pm_api.domains.ai_credits.repository.ledger import DueAccount
from tests.conftest import open_platform
from tests.domains.ai_credits.test_plans import DAY, MOST, START, Account, new_pool, new_wallet
from tests.support.clock import MovableClock
from tests.support.processes import free_port
from tests.support.settings import settings_for

PAGE: Final = 2
DAMAGED: Final = (0, 1, 2, 3, 4, 7)
"""Two whole pages in front, one that shares its page with a sound one, and one among sound ones."""
ACCOUNTS: Final = 9

STRAY_LINE: Final = (
    "INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, description, metadata,"
    " command_key, request_id, created_at, hash)"
    " SELECT id, seq + 1, gen_random_uuid(), 'USAGE', -1, 0, 'user', '', '{}', 's:stray', '', :now, '\\x00'"
    " FROM credit_accounts WHERE id = :id"
)
"""Beyond what the account has counted: whoever writes its next line finds the place taken."""


@pytest.fixture
def clock(fresh_platform: Platform) -> MovableClock:
    found = fresh_platform.clock
    assert isinstance(found, MovableClock)
    found.move_to(START)
    return found


# --- what is due, and how it shows that it was done -------------------------------------------------------------


async def begin_a_year(wallet: Account) -> None:
    await wallet.begin(START, START + 365 * DAY, yearly=True)


async def place_a_hold(wallet: Account) -> None:
    placed = await wallet.apply(PlaceHold, amount=3, ttl_s=60, description="work", details=b"{}")
    assert isinstance(placed.result, Applied)


async def leave_a_gift(wallet: Account) -> None:
    """Of five bought credits, with a code that nobody uses."""
    await wallet.buy(5)
    given = await wallet.apply(Transfer, amount=5, description="Gift")
    assert isinstance(given.result, Applied)
    await wallet.query(
        "INSERT INTO credit_gifts (account_id, id, command_key, entry_seq, kind, status, amount, max_claims,"
        " created_by_user_id, expires_at, version, created_at, updated_at)"
        " VALUES (:id, gen_random_uuid(), 's:test:gift', :seq, 'CODE', 'OPEN', 5, 1, :id, :ends, 1, :now, :now)",
        seq=given.result.entries[0].seq,
        ends=wallet.clock.now() + DAY,
        now=wallet.clock.now(),
    )


async def run_low(wallet: Account) -> None:
    spent = await wallet.spend(9)
    assert isinstance(spent.result, Applied)


async def raise_a_cap(pool: Account) -> None:
    """For somebody, by five, until tomorrow."""
    await pool.apply(Grant, lots=(LotDraft(LotKind.PURCHASE, 50, "test", "bought"),), description="bought")
    somebody = await new_wallet(pool.platform)
    await pool.query(
        "INSERT INTO credit_caps (account_id, subject, cap_window, amount, version, created_at, updated_at)"
        " VALUES (:id, :subject, 'DAY', 15, 1, :now, :now)",
        subject=f"member:{somebody.id}",
        now=pool.clock.now(),
    )
    await pool.query(
        "INSERT INTO credit_pool_requests (id, workspace_id, user_id, kind, cap_window, amount, reason, status,"
        " approved_amount, raised_until, decided_at, version, created_at, updated_at)"
        " VALUES (gen_random_uuid(), :id, :user, 'CAP', 'DAY', 5, 'More', 'APPROVED', 5, :ends, :now, 1, :now, :now)",
        user=somebody.id,
        ends=pool.clock.now() + DAY,
        now=pool.clock.now(),
    )


async def nothing(_account: Account) -> None:
    """A new wallet has it all."""


async def refuse_alerts(accounts: Sequence[Account]) -> None:
    """There is no damage that stops one from being written, but the table may refuse it."""
    names = ", ".join(f"'{one.id}'" for one in accounts)
    await accounts[0].query(
        "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$"
    )
    await accounts[0].query(
        "CREATE TRIGGER refuse_it BEFORE INSERT ON credit_alerts"
        f" FOR EACH ROW WHEN (NEW.account_id IN ({names})) EXECUTE FUNCTION refuse_it()"
    )


def each(statement: str) -> Callable[[Sequence[Account]], Awaitable[None]]:
    async def damage(accounts: Sequence[Account]) -> None:
        for one in accounts:
            now = {"now": one.clock.now()} if ":now" in statement else {}
            await one.query(statement, **now)

    return damage


async def fill_up(accounts: Sequence[Account]) -> None:
    """No damage at all: there is no room for more."""
    for one in accounts:
        lots = (LotDraft(LotKind.PURCHASE, MOST - await one.current(), "test", "full"),)
        assert isinstance((await one.apply(Grant, lots=lots, description="full")).result, Applied)
    accounts[0].clock.move_to(START + 30 * DAY + timedelta(hours=1))
    for one in accounts:  # what the free credits left room for, when they ran out
        lots = (LotDraft(LotKind.PURCHASE, MOST - await one.current(), "test", "rest"),)
        assert isinstance((await one.apply(Grant, lots=lots, description="rest")).result, Applied)


@dataclass(frozen=True)
class Way:
    """How an account comes to be due for a sweep, how it is damaged, and what a row tells of being served."""

    sweep: str
    prepare: Callable[[Account], Awaitable[None]]
    damage: Callable[[Sequence[Account]], Awaitable[None]]
    after: timedelta
    served: str
    new: Callable[[Platform], Awaitable[Account]] = new_wallet
    error: str = "IntegrityError"
    provable: bool = True


FREE_TWICE: Final = "SELECT 1 FROM credit_grants WHERE account_id = :id AND kind = 'FREE_TIER' HAVING count(*) = 2"
WAYS: Final = {
    "free tier": Way("renew_free_tier", nothing, each(STRAY_LINE), 31 * DAY, FREE_TWICE),
    "free tier refused": Way("renew_free_tier", nothing, fill_up, 31 * DAY, FREE_TWICE, error="PlanCreditsRefused"),
    "months": Way(
        "grant_due_months",
        begin_a_year,
        each(STRAY_LINE),
        32 * DAY,
        "SELECT 1 FROM credit_grants WHERE account_id = :id AND kind = 'SUBSCRIPTION_GRANT' HAVING count(*) = 2",
    ),
    "lots": Way(
        "expire_lots",
        nothing,
        each(STRAY_LINE),
        31 * DAY,
        "SELECT 1 FROM credit_entries WHERE account_id = :id AND type = 'EXPIRY' HAVING count(*) = 1",
    ),
    "holds": Way(
        "expire_holds",
        place_a_hold,
        # More than the lot says is held: setting it free again leaves less than nothing.
        each("UPDATE credit_hold_lots SET amount = amount + 100 WHERE account_id = :id"),
        timedelta(minutes=5),
        "SELECT 1 FROM credit_holds WHERE account_id = :id AND status = 'EXPIRED'",
    ),
    "gifts": Way(
        "return_gifts",
        leave_a_gift,
        each(STRAY_LINE),
        2 * DAY,
        "SELECT 1 FROM credit_gifts WHERE account_id = :id AND status = 'EXPIRED' AND returned = 5",
    ),
    "warnings": Way(
        "alert_expiring",
        nothing,
        refuse_alerts,
        25 * DAY,
        "SELECT 1 FROM credit_alerts WHERE account_id = :id AND kind = 'EXPIRING'",
    ),
    "alerts": Way(
        "deliver_alerts",
        run_low,
        each("UPDATE credit_alerts SET details = '{}' WHERE account_id = :id"),
        timedelta(),
        "SELECT 1 FROM notifications WHERE user_id = :id",
        error="KeyError",
    ),
    "raises": Way(
        "end_raises",
        raise_a_cap,
        each("UPDATE credit_pool_requests SET cap_window = 'AEON' WHERE workspace_id = :id"),
        2 * DAY,
        "SELECT 1 FROM credit_pool_requests WHERE workspace_id = :id AND taken_back_at IS NOT NULL",
        new=new_pool,
        error="ValueError",
        provable=False,
    ),
}


class _Ear(logging.Handler):
    def __init__(self, said: list[MutableMapping[str, Any]]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, dict):
            self._said.append({**record.msg, "log_level": record.msg["level"]})


@contextmanager
def listening() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the sweeps say, whether or not a test before this one had a service set logging up."""
    logger = logging.getLogger(sweeping.__name__)
    with capture_logs() as said:
        ear = _Ear(said)
        logger.addHandler(ear)
        try:
            yield said
        finally:
            logger.removeHandler(ear)


async def run(way: Way, platform: Platform) -> list[dict[str, Any]]:
    """The sweep once, to its end; what it said of accounts it left out."""
    name = f"ai_credits.{way.sweep}"
    with listening() as said:
        async with asyncio.timeout(60):
            await run_sweep(platform, PERIODICS[name])
    left_out = [dict(one) for one in said if one["event"] == "sweep_left_an_account_out"]
    assert {(one["sweep"], one["log_level"]) for one in left_out} <= {(name, "error")}
    return left_out


async def served(way: Way, accounts: Sequence[Account]) -> list[bool]:
    return [bool(await one.query(way.served)) for one in accounts]


def counted(way: Way) -> float:
    labels = {"job": f"ai_credits.{way.sweep}", "outcome": "account failed"}
    return REGISTRY.get_sample_value("pm_jobs_total", labels) or 0.0


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_damaged_accounts_are_told_of_and_the_others_served(
    fresh_platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setattr(jobs, "ACCOUNTS_AT_A_TIME", PAGE)
    monkeypatch.setattr(jobs, "ALERTS_AT_A_TIME", PAGE)
    accounts = [await way.new(fresh_platform) for _ in range(ACCOUNTS)]
    for one in accounts:
        await way.prepare(one)
    damaged = [accounts[place] for place in DAMAGED]
    sound = [one for one in accounts if one not in damaged]
    await way.damage(damaged)
    clock.move_to(START + way.after)
    assert not any(await served(way, accounts))
    before = counted(way)
    left_out = await run(way, fresh_platform)
    assert await served(way, sound) == [True] * len(sound)
    assert await served(way, damaged) == [False] * len(damaged)
    assert Counter(one["account_id"] for one in left_out) == Counter(str(one.id) for one in damaged)
    assert {one["error"] for one in left_out} == {way.error}
    assert counted(way) - before == len(damaged)
    again = await run(way, fresh_platform)
    assert len(again) == len(damaged), "they are left for the next run, and it finds them"
    assert await served(way, sound) == [True] * len(sound), "and nobody is served twice"
    if way.provable:
        for one in sound:
            await one.prove()


async def test_more_damaged_accounts_than_a_page_holds(fresh_platform: Platform, clock: MovableClock) -> None:
    """With the real size of a page: longer overdue and of lower id than the sound ones, and more than fit in it."""
    way = WAYS["lots"]
    damaged = [await new_wallet(fresh_platform) for _ in range(jobs.ACCOUNTS_AT_A_TIME + 1)]
    await way.damage(damaged)
    sound = [await new_wallet(fresh_platform) for _ in range(3)]
    clock.move_to(START + way.after)
    left_out = await run(way, fresh_platform)
    assert await served(way, sound) == [True] * 3
    assert {one["account_id"] for one in left_out} == {str(one.id) for one in damaged}


async def test_who_was_refused_for_want_of_room_is_served_when_there_is_some(
    fresh_platform: Platform, clock: MovableClock
) -> None:
    """Nothing of the refusal stays: it would answer for the period for ever."""
    way = WAYS["free tier refused"]
    wallet = await new_wallet(fresh_platform)
    await fill_up([wallet])
    assert len(await run(way, fresh_platform)) == 1
    assert isinstance((await wallet.spend(600)).result, Applied)
    assert await run(way, fresh_platform) == []
    assert await served(way, [wallet]) == [True]
    await wallet.prove()


@pytest.mark.parametrize("name", ["free tier", "months", "lots", "holds", "gifts", "alerts"])
async def test_two_workers_share_the_work_around_damaged_accounts(
    fresh_platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    way = WAYS[name]
    monkeypatch.setattr(jobs, "ACCOUNTS_AT_A_TIME", PAGE)
    monkeypatch.setattr(jobs, "ALERTS_AT_A_TIME", PAGE)
    accounts = [await way.new(fresh_platform) for _ in range(ACCOUNTS)]
    for one in accounts:
        await way.prepare(one)
    damaged = [accounts[place] for place in DAMAGED]
    await way.damage(damaged)
    clock.move_to(START + way.after)
    sound = [one for one in accounts if one not in damaged]
    async with AsyncExitStack() as stack:
        settings = settings_for(fresh_platform.database.url.render_as_string(hide_password=False))
        other = await stack.enter_async_context(open_platform(settings, clock))
        sweep = PERIODICS[f"ai_credits.{way.sweep}"]
        async with asyncio.timeout(60):
            for _ in range(2):  # whom one worker holds, the other passes by
                await asyncio.gather(*(run_sweep(one, sweep) for one in (fresh_platform, other, fresh_platform)))
    assert await served(way, sound) == [True] * len(sound)
    assert await served(way, damaged) == [False] * len(damaged)
    for one in sound:
        await one.prove()


# --- what is nobody's fault ------------------------------------------------------------------------------------


async def refuse_entries(platform: Platform, code: str) -> None:
    """Whatever the ledger writes from now on meets this."""
    async with platform.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
        )
        await connection.exec_driver_sql(
            "CREATE OR REPLACE TRIGGER stumble BEFORE INSERT ON credit_entries"
            " FOR EACH ROW EXECUTE FUNCTION stumble()"
        )


TRANSIENT: Final = {
    "deadlock": "40P01",
    "serialization failure": "40001",
    "lock timeout": "55P03",
    "disk full": "53100",
    "the server stops": "57P01",
    "a standby": "25006",
    "no such table: the release is not whole": "42P01",
}
OF_THE_ACCOUNT: Final = {
    "check violation": "23514",
    "a number out of range": "22003",
    "a batch that takes too long may well do one by one": "57014",
    "an exception raised by a function": "P0001",
    "a page that cannot be read any more": "XX001",
}


@pytest.fixture
async def due(fresh_platform: Platform, clock: MovableClock) -> list[Account]:
    """Two wallets of which a lot is over. What fails in these tests leaves them so."""
    wallets = [await new_wallet(fresh_platform) for _ in range(2)]
    clock.move_to(START + 31 * DAY)
    return wallets


async def test_what_is_no_accounts_fault_makes_the_job_run_again(
    fresh_platform: Platform, due: list[Account]
) -> None:
    way = WAYS["lots"]
    for name, code in TRANSIENT.items():
        await refuse_entries(fresh_platform, code)
        before = counted(way)
        with pytest.raises(DBAPIError) as caught:
            await run(way, fresh_platform)
        assert caught.value.orig is not None
        assert getattr(caught.value.orig, "sqlstate", None) == code, name
        assert counted(way) == before, name
    assert not any(await served(way, due))


async def test_what_is_an_accounts_fault_leaves_the_account_out(fresh_platform: Platform, due: list[Account]) -> None:
    way = WAYS["lots"]
    for name, code in OF_THE_ACCOUNT.items():
        await refuse_entries(fresh_platform, code)
        left_out = await run(way, fresh_platform)
        assert {UUID(one["account_id"]) for one in left_out} == {one.id for one in due}, name
    assert not any(await served(way, due))


async def test_a_lock_that_is_not_given_in_time_makes_the_job_run_again(
    fresh_database: str,
) -> None:
    """A real wait."""
    async with open_platform(settings_for(fresh_database), MovableClock()) as platform:
        assert isinstance(platform.clock, MovableClock)
        wallet = await new_wallet(platform)
        platform.clock.advance(days=31)
        name = platform.database.url.database
        await wallet.query(f"ALTER DATABASE {name} SET lock_timeout = '50ms'")
        await platform.database.engine.dispose()
        async with platform.database.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(f"SELECT 1 FROM credit_accounts WHERE id = '{wallet.id}' FOR UPDATE")
            with pytest.raises(DBAPIError, match="lock timeout"):
                await run(WAYS["lots"], platform)
        assert await run(WAYS["lots"], platform) == []
        assert await served(WAYS["lots"], [wallet]) == [True]


async def test_a_database_that_is_away_is_nobodys_fault(fresh_platform: Platform, clock: MovableClock) -> None:
    """Every connection that writes a line is cut."""
    await new_wallet(fresh_platform)
    async with fresh_platform.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        await connection.exec_driver_sql(
            "CREATE TRIGGER cut BEFORE INSERT ON credit_entries FOR EACH ROW EXECUTE FUNCTION cut()"
        )
    clock.move_to(START + 31 * DAY)
    before = counted(WAYS["lots"])
    with pytest.raises((DBAPIError, OSError)):
        await run(WAYS["lots"], fresh_platform)
    assert counted(WAYS["lots"]) == before


async def test_a_database_that_cannot_be_reached_is_nobodys_fault(fresh_platform: Platform) -> None:
    """A real refusal of a real connection, which has no code of PostgreSQL's."""

    async def find(
        _session: AsyncSession, _now: datetime, _after: DueAccount | None, _limit: int
    ) -> Sequence[DueAccount]:
        return [DueAccount(uuid4())]

    async def serve(_session: AsyncSession, _platform: Platform, _due: Sequence[DueAccount]) -> None:
        await asyncpg.connect(host="127.0.0.1", port=free_port(), user="nobody", database="nothing")

    with listening() as said, pytest.raises(OSError, match="onnect"):
        await sweep(JobContext(fresh_platform, "test"), find, serve, at_a_time=PAGE)
    assert said == []
