"""Group commit: who waits gets an answer, each its own, and nothing happens twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from sqlalchemy import text

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.errors import Unavailable
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, verification
from pm_api.domains.ai_credits.book import (
    Applied,
    LotDraft,
    Refusal,
    Refused,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Grant, Spend
from pm_api.domains.ai_credits.engine import (
    SYSTEM,
)
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.errors import LedgerBusy
from pm_api.domains.ai_credits.store import BALANCE_CHANNEL, Answer, KeyReused, Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from tests.conftest import NewPerson

UNWRITABLE = (asyncpg.PostgresError, asyncpg.InterfaceError, TypeError)
START = 1000
FREE_CREDITS = 10


def spend(account_id: UUID, key: str, amount: int = 1, **changes: Any) -> Order:
    """A spend as the route builds it, or one that no route would let through."""
    command = Spend(
        account_id=account_id,
        key=f"s:test:{key}",
        fingerprint=fingerprint("test", amount),
        by=SYSTEM,
        amount=amount,
        description="a test",
        details=b"{}",
    )
    return Order(AccountKind.USER, replace(command, **changes))


def grant(account_id: UUID, key: str, amount: int) -> Order:
    lot = LotDraft(LotKind.ADMIN_ADJUSTMENT, amount, "test", key)
    command = Grant(account_id, f"s:test:{key}", fingerprint("grant", amount), SYSTEM, (lot,), "a test")
    return Order(AccountKind.USER, command)


def applied(answer: Answer) -> Applied:
    assert isinstance(answer.result, Applied), answer
    return answer.result


def left_after(*spent: int) -> list[int]:
    """What an account has after so many credits were spent."""
    return [START + FREE_CREDITS - credits for credits in spent]


@dataclass
class Ledger:
    """A writer of its own over the test's database, and what its book says."""

    platform: Platform
    writer: LedgerWriter

    def submit(self, order: Order) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self.writer.submit(order))

    async def apply(self, *orders: Order) -> list[Answer]:
        async with self.platform.database.transaction() as session:
            return await ledger.apply(session, self.platform, orders)

    async def entries(self, account_id: UUID) -> dict[str, int]:
        """How many lines each key of ours has."""
        async with self.platform.database.reading() as session:
            rows = await session.execute(
                text(
                    "SELECT command_key, count(*) FROM credit_entries"
                    " WHERE account_id = :id AND command_key LIKE 's:test:%' GROUP BY command_key"
                ),
                {"id": account_id},
            )
            return {key.removeprefix("s:test:"): number for key, number in rows}

    async def prove(self, account_id: UUID) -> int:
        """The balance, once the whole book has been proved."""
        scope = UserScope(Actor(ActorKind.USER, account_id), account_id)
        async with self.platform.database.reading() as session:
            found = await verification.verify(session, self.platform, scope)
        assert found.ok, found.problems
        identity = found.identity.model_dump()
        assert identity.pop("granted") == sum(identity.values())
        return found.balance

    @asynccontextmanager
    async def blocked(self, account_id: UUID) -> AsyncIterator[None]:
        """Somebody else holds the account: the writer's batch waits, and what is sent meanwhile forms the next."""
        async with self.platform.database.transaction() as session:
            await session.execute(text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": account_id})
            yield

    async def waits(self) -> None:
        """Until the writer's own backend waits for a lock."""
        connection = self.writer._connection
        assert connection is not None
        pid = connection.get_server_pid()

        async def locked() -> bool:
            async with self.platform.database.reading() as session:
                kind = await session.scalar(
                    text("SELECT wait_event_type FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}
                )
            return bool(kind == "Lock")

        await until(locked, "the batch waits for the account")


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + 10
    while not await condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def open_ledger(platform: Platform, **settings: Any) -> AsyncIterator[Ledger]:
    own = replace(platform, settings=platform.settings.model_copy(update=settings))
    writer = LedgerWriter(own)
    await writer.start()
    try:
        yield Ledger(own, writer)
    finally:
        await writer.stop()


@pytest.fixture
async def book(platform: Platform) -> AsyncIterator[Ledger]:
    async with open_ledger(platform) as opened:
        yield opened


NewAccount = Callable[[], Awaitable[UUID]]


@pytest.fixture
async def new_account(book: Ledger, new_person: NewPerson) -> NewAccount:
    """Accounts with credits to spend; the writer has its connection by then."""

    async def make() -> UUID:
        person = await new_person()
        applied(await book.writer.submit(grant(person.id, "start", START)))
        return person.id

    return make


@pytest.fixture
async def account(new_account: NewAccount) -> UUID:
    return await new_account()


# --- callers that go away ---------------------------------------------------------------------------------------


async def test_a_cancelled_caller_does_not_cancel_the_batch(book: Ledger, account: UUID) -> None:
    async with book.blocked(account):
        opener = book.submit(spend(account, "opener"))
        await book.waits()
        gone, stays = book.submit(spend(account, "gone", 5)), book.submit(spend(account, "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        opener.cancel()
    assert applied(await stays).available == START + FREE_CREDITS - 7
    assert gone.cancelled()
    assert opener.cancelled()
    assert await book.entries(account) == {"start": 1, "opener": 1, "gone": 1, "stays": 1}
    again = await book.writer.submit(spend(account, "gone", 5))
    assert again.replayed
    assert applied(again).available == START + FREE_CREDITS - 6
    assert await book.prove(account) == START + FREE_CREDITS - 7


async def test_when_every_caller_has_gone_the_batch_is_still_written(book: Ledger, account: UUID) -> None:
    async with book.blocked(account):
        tasks = [book.submit(spend(account, f"k{number}")) for number in range(3)]
        await book.waits()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def written() -> bool:
        return len(await book.entries(account)) == 4

    await until(written, "all three are in the book")
    assert await book.prove(account) == START + FREE_CREDITS - 3


# --- commands that cannot be written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"description": "nul \x00"},
        {"description": "half a pair \ud800"},
        {"details": b'{"a": "\\u0000", }'},
        {"quantity": 1 << 40},
        {"service": "no\x00service"},
    ],
    ids=["nul", "surrogate", "metadata", "overflow", "service"],
)
async def test_a_bad_command_never_fails_its_neighbours(book: Ledger, account: UUID, bad: dict[str, Any]) -> None:
    """The routes refuse such text; if one ever comes through, it fails alone."""
    async with book.blocked(account):
        opener = book.submit(spend(account, "opener"))
        await book.waits()
        before = book.submit(spend(account, "before"))
        broken = book.submit(spend(account, "bad", **bad))
        after = book.submit(spend(account, "after"))
    good = await asyncio.gather(opener, before, after)
    assert [applied(answer).available for answer in good] == left_after(1, 2, 3)
    assert not any(answer.replayed for answer in good)
    with pytest.raises(UNWRITABLE):
        await broken
    assert await book.entries(account) == {"start": 1, "opener": 1, "before": 1, "after": 1}
    applied(await book.writer.submit(spend(account, "later")))
    assert await book.prove(account) == START + FREE_CREDITS - 4


async def test_a_bad_command_costs_no_connection(book: Ledger, account: UUID) -> None:
    connection = book.writer._connection
    for bad in ({"description": "nul \x00"}, {"description": "half a pair \ud800"}, {"quantity": 1 << 40}):
        with pytest.raises(UNWRITABLE):
            await book.writer.submit(spend(account, "bad", **bad))
    applied(await book.writer.submit(spend(account, "good")))
    assert book.writer._connection is connection


# --- limits -----------------------------------------------------------------------------------------------------


async def test_a_full_queue_is_an_honest_refusal(platform: Platform, account: UUID) -> None:
    async with open_ledger(platform, ledger_queue_size=3) as small:
        applied(await small.writer.submit(spend(account, "first")))
        async with small.blocked(account):
            opener = small.submit(spend(account, "opener"))
            await small.waits()
            queued = [small.submit(spend(account, f"queued-{number}")) for number in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(LedgerBusy) as refusal:
                await small.writer.submit(spend(account, "too many"))
            with pytest.raises(LedgerBusy):
                await small.writer.submit_many([spend(account, "too many")])
        assert refusal.value.status == 503
        assert refusal.value.headers["Retry-After"]
        for task in (opener, *queued):
            applied(await task)
        applied(await small.writer.submit(spend(account, "room again")))
        assert "too many" not in await small.entries(account)


async def test_many_are_queued_together_or_not_at_all(platform: Platform, account: UUID) -> None:
    async with open_ledger(platform, ledger_queue_size=3) as small:
        with pytest.raises(LedgerBusy):
            await small.writer.submit_many([spend(account, f"many-{number}") for number in range(4)])
        answers = await small.writer.submit_many([spend(account, f"few-{number}") for number in range(3)])
        assert [applied(answer).available for answer in answers] == [
            START + FREE_CREDITS - lost for lost in (1, 2, 3)
        ]
        assert set(await small.entries(account)) == {"start", "few-0", "few-1", "few-2"}


async def test_more_than_a_batch_is_several_batches(platform: Platform, account: UUID) -> None:
    async with open_ledger(platform, ledger_batch_size=2) as small:
        answers = await asyncio.gather(*(small.writer.submit(spend(account, f"k{number}")) for number in range(7)))
        assert sorted(applied(answer).available for answer in answers) == left_after(*range(7, 0, -1))
        assert await small.prove(account) == START + FREE_CREDITS - 7


async def test_stopping_writes_what_was_accepted_and_takes_no_more(platform: Platform, account: UUID) -> None:
    async with open_ledger(platform, ledger_batch_size=2) as small:
        applied(await small.writer.submit(spend(account, "first")))
        async with small.blocked(account):
            tasks = [small.submit(spend(account, f"k{number}")) for number in range(5)]
            await small.waits()
            stopping = asyncio.create_task(small.writer.stop())
            await asyncio.sleep(0)
            with pytest.raises(LedgerBusy):
                await small.writer.submit(spend(account, "too late"))
            assert not stopping.done()
        await stopping
        assert all(task.done() for task in tasks)
        assert [applied(task.result()).available for task in tasks] == left_after(*range(2, 7))
        with pytest.raises(LedgerBusy):
            await small.writer.submit(spend(account, "too late"))
        assert await small.prove(account) == START + FREE_CREDITS - 6


# --- keys -------------------------------------------------------------------------------------------------------


async def test_one_key_in_one_batch_with_same_and_with_other_content(book: Ledger, account: UUID) -> None:
    async with book.blocked(account):
        opener = book.submit(spend(account, "opener"))
        await book.waits()
        first, same, other = (book.submit(spend(account, "k", amount)) for amount in (5, 5, 6))
    await opener
    original, repeated = await first, await same
    assert (original.replayed, repeated.replayed) == (False, True)
    assert original.result == repeated.result
    assert (await other).result == KeyReused()
    assert await book.entries(account) == {"start": 1, "opener": 1, "k": 1}
    assert await book.prove(account) == START + FREE_CREDITS - 6


async def test_other_content_in_a_later_batch_beside_new_keys(book: Ledger, account: UUID) -> None:
    await book.writer.submit(spend(account, "k", 5))
    answers = await book.writer.submit_many(
        [spend(account, "new"), spend(account, "k", 6), spend(account, "k", 5), spend(account, "newer")]
    )
    assert answers[1] == Answer(KeyReused(), replayed=True)
    assert [answer.replayed for answer in answers] == [False, True, True, False]
    assert await book.entries(account) == {"start": 1, "k": 1, "new": 1, "newer": 1}


async def test_a_replay_is_the_first_answer_again(book: Ledger, account: UUID) -> None:
    """Also after other spends, through another writer, and through the other door: the figures are those of then."""
    order = spend(
        account, "k", 5, service="CHAT_ASSISTANT", quantity=2, price_version=1, details=b'{"a":[1,"\xc3\xa9"]}'
    )
    first = await book.writer.submit(order)
    await book.writer.submit(spend(account, "between", 100))
    async with open_ledger(book.platform) as second:
        replays = [await book.writer.submit(order), await second.writer.submit(order), *await book.apply(order)]
    for replay in replays:
        assert replay.replayed
        assert told(replay) == told(first)
    assert await book.prove(account) == START + FREE_CREDITS - 105


def told(answer: Answer) -> Applied:
    """What a caller sees of an answer: without the lots, which a replay does not read."""
    result = applied(answer)
    return result._replace(entries=tuple(entry._replace(allocations=()) for entry in result.entries))


async def test_a_refusal_is_replayed_with_its_figures(book: Ledger, account: UUID) -> None:
    order = spend(account, "k", 5 * START)
    first = await book.writer.submit(order)
    facts = {"needed": 5 * START, "available": START + FREE_CREDITS}
    assert first == Answer(Refused(Refusal.INSUFFICIENT_CREDITS, facts, SYSTEM.request_id), replayed=False)
    applied(await book.writer.submit(grant(account, "more", 9 * START)))
    assert await book.writer.submit(order) == replace(first, replayed=True)
    assert await book.apply(order) == [replace(first, replayed=True)]
    assert await book.prove(account) == 10 * START + FREE_CREDITS


# --- two doors --------------------------------------------------------------------------------------------------


async def test_two_doors_cross_on_one_account_and_add_up(book: Ledger, new_account: NewAccount) -> None:
    """A session that has applied stays open for a while; the writer waits for it, and sees what it wrote."""
    one, two = sorted([await new_account(), await new_account()])

    async def session_door(turn: int) -> None:
        async with book.platform.database.transaction() as session:
            await ledger.apply(
                session,
                book.platform,
                [grant(two, f"in-{turn}", 7), spend(one, f"out-{turn}", 3), spend(two, f"out-{turn}", 2)],
            )
            await asyncio.sleep(0.2)

    async def writer_door(turn: int) -> list[Answer]:
        return await book.writer.submit_many([spend(two, f"w-{turn}", 5), spend(one, f"w-{turn}", 4)])

    async with asyncio.timeout(20):
        doors = [session_door(turn) for turn in range(4)]
        writes = [writer_door(turn) for turn in range(20)]
        results = await asyncio.gather(*doors, *writes)
    assert not any(answer.replayed for answers in results[4:] for answer in answers or [])
    assert await book.prove(one) == START + FREE_CREDITS - 4 * 3 - 20 * 4
    assert await book.prove(two) == START + FREE_CREDITS + 4 * (7 - 2) - 20 * 5


async def test_one_key_at_both_doors_at_once_counts_once(book: Ledger, account: UUID) -> None:
    orders = [spend(account, f"k{number}", 2) for number in range(10)]

    async def session_door(order: Order) -> Answer:
        [answer] = await book.apply(order)
        return answer

    answers = await asyncio.gather(
        *(session_door(order) for order in orders), *(book.writer.submit(order) for order in orders)
    )
    assert sum(answer.replayed for answer in answers) == len(orders)
    for left, right in zip(answers[:10], answers[10:], strict=True):
        assert told(left) == told(right)
    assert await book.prove(account) == START + FREE_CREDITS - 20


async def test_a_session_that_rolls_back_leaves_its_keys_free(book: Ledger, account: UUID) -> None:
    order = spend(account, "k", 5)
    async with book.platform.database.session() as session:
        assert [answer.replayed for answer in await ledger.apply(session, book.platform, [order])] == [False]
        waiting = book.submit(order)
        await book.waits()
        await session.rollback()
    assert not (await waiting).replayed
    assert await book.entries(account) == {"start": 1, "k": 1}


# --- telling ----------------------------------------------------------------------------------------------------


async def test_each_commit_tells_each_accounts_balance_once(book: Ledger, new_account: NewAccount) -> None:
    one, two, still = [await new_account() for _ in range(3)]
    heard: list[list[Any]] = []
    connection = await book.platform.database.dedicated_connection()
    try:
        await connection.add_listener(BALANCE_CHANNEL, lambda *call: heard.append(orjson.loads(call[3])))
        async with book.blocked(one):
            opener = book.submit(spend(one, "opener"))
            await book.waits()
            batch = [book.submit(spend(account, f"k{n}", 2)) for n in range(3) for account in (one, two)]
            refused = book.submit(spend(still, "refused", 10 * START))
            await asyncio.sleep(0.05)
            assert heard == [], "nothing is told before it is committed"
        await asyncio.gather(opener, *batch, refused)
        await book.writer.submit(spend(one, "opener"))  # a replay changes nothing
        await connection.execute("SELECT 1")
    finally:
        await connection.close()
    # Sequence numbers: the free plan's grant is 1, the start 2.
    assert heard[0] == [[str(one), START + FREE_CREDITS - 1, 3]]
    assert sorted(heard[1]) == sorted(
        [[str(one), START + FREE_CREDITS - 7, 6], [str(two), START + FREE_CREDITS - 6, 5]]
    )
    assert len(heard) == 2


async def test_what_a_session_rolls_back_is_not_told(book: Ledger, account: UUID) -> None:
    heard: list[Any] = []
    connection = await book.platform.database.dedicated_connection()
    try:
        await connection.add_listener(BALANCE_CHANNEL, lambda *call: heard.append(call[3]))
        async with book.platform.database.session() as session:
            applied((await ledger.apply(session, book.platform, [spend(account, "undone")]))[0])
            await session.rollback()
        await connection.execute("SELECT 1")
    finally:
        await connection.close()
    assert heard == []


async def test_a_spend_that_waited_for_a_grant_finds_it(book: Ledger, account: UUID) -> None:
    """The moment of a command is read under the lock, not before the wait for it."""
    await book.writer.submit(spend(account, "everything", START + FREE_CREDITS))
    async with book.platform.database.transaction() as session:
        await ledger.apply(session, book.platform, [grant(account, "first", 1)])
        waiting = book.submit(spend(account, "waits", 51))
        await asyncio.sleep(0.1)
        await ledger.apply(session, book.platform, [grant(account, "second", 50)])
    assert applied(await waiting).available == 0


async def test_one_held_account_does_not_stop_the_others(book: Ledger, new_account: NewAccount) -> None:
    held, free = await new_account(), await new_account()
    async with book.platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": held})
        stuck = [book.submit(spend(held, f"stuck {number}")) for number in range(3)]
        passing = book.submit(spend(free, "passes"))
        assert applied(await asyncio.wait_for(passing, 15))
        answers = await asyncio.wait_for(asyncio.gather(*stuck, return_exceptions=True), 15)
        assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert applied(await book.writer.submit(spend(held, "stuck 0")))
