"""Power cuts: whatever dies whenever, what was acknowledged is there once, and the rest can be sent again."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.errors import Unavailable
from pm_api.core.inbox import HANDLED
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, verification, writer
from pm_api.domains.ai_credits.book import (
    Applied,
    LotDraft,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Grant, Spend
from pm_api.domains.ai_credits.engine import (
    SYSTEM,
)
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from pm_api.webhooks.service import DRAIN_STRIPE
from tests.conftest import open_platform, register
from tests.races.test_credits import grant, sign_up
from tests.races.test_credits import verification as verified
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.processes import Process
from tests.support.settings import settings_for
from tests.support.soak import rounds
from tests.support.stripe import (
    Json,
    SandboxStripe,
    Till,
    event_about,
    open_checkout,
    open_till,
    sandbox_stripe,
    session_about,
)

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

SPENDS = 200
PEOPLE = 4
START = 1_000_000
FREE_CREDITS = 10
SESSIONS = "/v1/checkout/sessions"


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.02)


# --- an API process ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One spend and what became of it, as far as its caller knows."""

    person: int
    key: str
    amount: int
    answer: httpx.Response | None


@dataclass
class Relay:
    """The network before a process. Once it is deaf, what the process answers reaches nobody."""

    port: int
    deaf: bool = False
    lost_answers: int = 0
    _server: asyncio.Server | None = None
    _carried: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for carried in self._carried:
            carried.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The loop itself holds on to no task: one that nobody keeps may be gone in the middle."""
        carried = asyncio.create_task(self._carry(reader, writer))
        self._carried.add(carried)
        carried.add_done_callback(self._carried.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
                there = asyncio.create_task(pour(reader, far_writer))
                try:
                    while chunk := await far_reader.read(65_536):
                        if self.deaf:
                            self.lost_answers += 1
                        else:
                            writer.write(chunk)
                finally:
                    there.cancel()
                    await asyncio.gather(there, return_exceptions=True)
                    far_writer.close()
        finally:
            writer.close()


async def pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
    target.close()


@dataclass
class Member:
    """One API process, the network before it, and a caller that keeps few connections: spends are sent before,
    while and after it dies.
    """

    process: Process
    relay: Relay
    client: httpx.AsyncClient


@dataclass
class Fleet:
    """Two API processes on one database; the first one dies and is replaced."""

    database: str
    stack: AsyncExitStack
    members: list[Member] = field(default_factory=list)

    async def start(self) -> Member:
        process = await self.stack.enter_async_context(processes.api(self.database))
        relay = Relay(urlsplit(process.url).port or 0)
        url = await relay.start()
        self.stack.push_async_callback(relay.stop)
        client = httpx.AsyncClient(
            base_url=url, timeout=30, trust_env=False, verify=False, limits=httpx.Limits(max_connections=20)
        )
        return Member(process, relay, await self.stack.enter_async_context(client))


@pytest.fixture
async def fleet(fresh_database: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(fresh_database, stack)
        fleet.members += await asyncio.gather(fleet.start(), fleet.start())
        yield fleet


async def spend(client: httpx.AsyncClient, headers: dict[str, str], key: str, amount: int) -> httpx.Response:
    return await client.post(
        "/api/credits/spend",
        headers={**headers, "Idempotency-Key": key},
        json={"amount": amount, "description": key},
    )


async def test_a_killed_api_loses_no_acknowledged_spend_and_repeats_none(fleet: Fleet) -> None:
    chance = random.Random(20)
    steady = fleet.members[1].client
    people = [await sign_up(steady) for _ in range(PEOPLE)]
    spent: Counter[str] = Counter()
    for turn in range(rounds(2, 50)):
        for person in people:
            await grant(steady, person, START, f"start-{turn}")
        sent = await _spends_while_the_first_dies(fleet, people, turn, deaf_after=chance.randrange(1, 60))
        fleet.members[0] = await fleet.start()
        await _retry_and_compare(fleet, people, sent, spent)


async def _spends_while_the_first_dies(
    fleet: Fleet, people: list[dict[str, str]], turn: int, *, deaf_after: int
) -> list[Sent]:
    """All at once, half of them at the process that dies: after so many answers the next ones are lost on the way."""
    dying = fleet.members[0]
    acknowledged = 0

    async def send(number: int) -> Sent:
        nonlocal acknowledged
        person, key, amount = number % PEOPLE, f"spend-{turn}-{number}", 1 + number % 3
        # The person changes fastest, so that each has spends on both processes.
        member = fleet.members[number // PEOPLE % 2]
        try:
            answer = await spend(member.client, people[person], key, amount)
        except httpx.TransportError:
            return Sent(person, key, amount, None)
        if member is dying:
            acknowledged += 1
            dying.relay.deaf = dying.relay.deaf or acknowledged >= deaf_after
        return Sent(person, key, amount, answer)

    async def kill() -> None:
        async def has_lost() -> bool:
            return dying.relay.lost_answers > turn % 7

        await until(has_lost, "answers are lost on the way")
        dying.process.kill()

    *sent, _ = await asyncio.gather(*(send(number) for number in range(SPENDS)), kill())
    assert await dying.process.handle.wait() == -9
    outcomes = [one for one in sent if one is not None]
    assert {one.answer.status_code for one in outcomes if one.answer is not None} == {200}
    return outcomes


async def _retry_and_compare(
    fleet: Fleet, people: list[dict[str, str]], sent: list[Sent], spent: Counter[str]
) -> None:
    async def again(number: int, one: Sent) -> httpx.Response:
        """With its own key: the lost ones because one must, some others because one may."""
        if one.answer is not None and number % 10:
            return one.answer
        member = fleet.members[number % 2]
        answer = await spend(member.client, people[one.person], one.key, one.amount)
        assert answer.status_code == 200, answer.text
        if one.answer is not None:
            assert replayed(answer)
            assert answer.content == one.answer.content
        return answer

    answers = await asyncio.gather(*(again(number, one) for number, one in enumerate(sent)))
    written = [one for one, answer in zip(sent, answers, strict=True) if one.answer is None and replayed(answer)]
    assert written, "every lost spend was lost before it was written: nothing was put to the test"
    for one, answer in zip(sent, answers, strict=True):
        spent[people[one.person]["X-Test-User"]] += one.amount
        assert (answer.json()["entry"]["amount"], answer.json()["entry"]["description"]) == (-one.amount, one.key)
    assert len({answer.json()["entry"]["id"] for answer in answers}) == SPENDS
    lines = await _lines(fleet.database)
    for one, answer in zip(sent, answers, strict=True):
        assert lines.pop(answer.json()["entry"]["id"]) == f"{people[one.person]['X-Test-User']}:{one.key}"
    assert not [line for line in lines.values() if line.endswith(tuple(f":{one.key}" for one in sent))]
    for place, person in enumerate(people):
        proved = await verified(fleet.members[place % 2].client, person)
        assert proved["identity"]["spent"] == spent[person["X-Test-User"]]


def replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("Idempotent-Replayed") == "true")


async def _lines(database: str) -> dict[str, str]:
    """Every spend in the books: entry id to account and key."""
    connection = await asyncpg.connect(make_url(database).set(drivername="postgresql").render_as_string(False))
    try:
        rows = await connection.fetch("SELECT id, account_id, description FROM credit_entries WHERE type = 'USAGE'")
    finally:
        await connection.close()
    return {str(row["id"]): f"{row['account_id']}:{row['description']}" for row in rows}


# --- a worker process -------------------------------------------------------------------------------------------


async def test_a_worker_killed_inside_an_event_leaves_it_to_the_next(fresh_database: str) -> None:
    async with AsyncExitStack() as stack:
        stripe = await stack.enter_async_context(sandbox_stripe())
        till = await stack.enter_async_context(open_till(fresh_database, stripe))
        buyer = await register(till.app)
        stack.push_async_callback(buyer.client.aclose)

        async def start() -> Process:
            return await stack.enter_async_context(processes.worker(fresh_database, PM_STRIPE_API_BASE=stripe.url))

        worker = await start()
        for turn in range(1, rounds(2, 50) + 1):
            event, about = await _hanging_inside(till, stripe, buyer.id)
            worker.kill()
            await worker.handle.wait()
            [row] = await till.query("SELECT status FROM inbox_events WHERE event_id = :id", id=event["id"])
            assert row["status"] == "PENDING"
            worker = await start()
            await until(lambda event=event: _is_handled(till, event), f"round {turn}: the next worker finishes it")  # type: ignore[misc]
            await until(lambda: _nothing_left(till), f"round {turn}: nothing stays stuck")
            assert await stripe.asked_for(about["id"]) == 2
            assert await till.bought(buyer.id) == 550 * turn
        answer = await buyer.client.get("/api/credits/verify")
        assert answer.json()["verification"]["ok"], answer.text
        assert await worker.stop() == 0, worker.last_said()


async def _hanging_inside(till: Till, stripe: SandboxStripe, buyer_id: UUID) -> tuple[Json, Json]:
    """An event whose worker has asked Stripe and will wait longer than any test."""
    checkout_id = await open_checkout(till.platform, buyer_id)
    about = await stripe.put(session_about(checkout_id))
    await stripe.fail(pathPrefix=SESSIONS, method="GET", delayS=60, times=1)
    event = event_about("checkout.session.completed", about)
    await till.tell(event)

    async def asked() -> bool:
        return await stripe.asked_for(about["id"]) == 1

    await until(asked, "the worker is inside the event")
    return event, about


async def _is_handled(till: Till, event: Json) -> bool:
    return bool((await till.stored(event["id"]))["status"] == HANDLED)


async def _nothing_left(till: Till) -> bool:
    [row] = await till.query(
        "SELECT (SELECT count(*) FROM pgqueuer WHERE entrypoint = :job)"
        " + (SELECT count(*) FROM inbox_events WHERE status = 'PENDING') AS n",
        job=DRAIN_STRIPE.name,
    )
    return bool(row["n"] == 0)


# --- the writer's connection ------------------------------------------------------------------------------------


@dataclass
class Book:
    """A ledger with one account, for breaking the writer's way to the database."""

    platform: Platform
    account: UUID

    @property
    def writer(self) -> LedgerWriter:
        return self.platform.part(LedgerWriter)

    def submit(self, key: str, amount: int = 1, description: str = "a test") -> "asyncio.Task[Answer]":
        command = Spend(
            account_id=self.account,
            key=f"s:test:{key}",
            fingerprint=fingerprint(amount),
            by=SYSTEM,
            amount=amount,
            description=description,
            details=b"{}",
        )
        return asyncio.create_task(self.writer.submit(Order(AccountKind.USER, command)))

    async def execute(self, statement: str, **values: Any) -> Any:
        async with self.platform.database.transaction() as session:
            return await session.execute(text(statement), values)

    async def backend(self) -> int:
        """The writer's process at the server, once it has one."""
        connection = self.writer._connection
        while connection is None or connection.is_closed():
            await asyncio.sleep(0.005)
            connection = self.writer._connection
        pid: int = connection.get_server_pid()
        return pid

    async def is_waiting(self, pid: int) -> bool:
        found = await self.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = :pid", pid=pid)
        return bool(found.scalar() == "Lock")

    async def spends(self) -> Counter[str]:
        """How many lines each key has."""
        rows = await self.execute("SELECT command_key FROM credit_entries WHERE type = 'USAGE'")
        return Counter(key.removeprefix("s:test:") for (key,) in rows)

    async def prove(self) -> int:
        scope = UserScope(Actor(ActorKind.USER, self.account), self.account)
        async with self.platform.database.reading() as session:
            found = await verification.verify(session, self.platform, scope)
        assert found.ok, found.problems
        return found.balance


@asynccontextmanager
async def open_book(database: str, **settings: Any) -> AsyncIterator[Book]:
    async with open_platform(settings_for(database, **settings), MovableClock()) as platform:
        person = await register(create_app(platform.settings, platform))
        await person.client.aclose()
        lots = (LotDraft(LotKind.ADMIN_ADJUSTMENT, START, "test", "start"),)
        async with platform.database.transaction() as session:
            command = Grant(person.id, "s:test:start", b"start", SYSTEM, lots, "a test")
            await ledger.apply(session, platform, [Order(AccountKind.USER, command)])
        yield Book(platform, person.id)


@pytest.mark.parametrize("commands", [1, 50])
async def test_a_connection_terminated_inside_a_batch_fails_nobody(fresh_database: str, commands: int) -> None:
    async with open_book(fresh_database) as book:
        await book.submit("first")
        for turn in range(rounds(3, 100)):
            async with book.platform.database.transaction() as session:
                await session.execute(
                    text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": book.account}
                )
                tasks = [book.submit(f"k{turn}-{number}") for number in range(commands)]
                pid = await book.backend()
                await until(lambda pid=pid: book.is_waiting(pid), "the batch is under way")  # type: ignore[misc]
                await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            answers = await asyncio.gather(*tasks)
            assert not any(answer.replayed for answer in answers)
            assert all(isinstance(answer.result, Applied) for answer in answers)
            assert await book.backend() != pid
        found = await book.spends()
        assert set(found.values()) == {1}
        assert found.total() == 1 + rounds(3, 100) * commands
        assert await book.prove() == START + FREE_CREDITS - found.total()


async def test_a_connection_terminated_again_and_again_repeats_nothing(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment: while loading, while writing, while committing, while connecting anew."""
    monkeypatch.setattr(writer, "RECONNECT_DELAY_S", 0.01)
    chance = random.Random(7)
    async with open_book(fresh_database) as book:
        await book.submit("first")
        terminated = 0

        async def terminate() -> None:
            nonlocal terminated
            while True:
                await asyncio.sleep(chance.uniform(0, 0.1))
                await book.execute("SELECT pg_terminate_backend(:pid)", pid=await book.backend())
                terminated += 1

        async def insist(key: str) -> None:
            """As a caller does: the same key until there is an answer."""
            for _ in range(100):
                with suppress(Unavailable):
                    assert isinstance((await book.submit(key)).result, Applied)
                    return
            raise AssertionError(f"no answer for {key}")

        cutter = asyncio.create_task(terminate())
        try:
            wave = 0
            while terminated < rounds(15, 500):
                wave += 1
                await asyncio.gather(*(insist(f"k{wave}-{number}") for number in range(20)))
        finally:
            cutter.cancel()
            await asyncio.gather(cutter, return_exceptions=True)
        found = await book.spends()
        assert set(found.values()) == {1}
        assert await book.prove() == START + FREE_CREDITS - found.total()


# --- the moment of COMMIT ---------------------------------------------------------------------------------------

REFUSING_TRIGGER = (
    """
    CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.description = 'poison' THEN RAISE EXCEPTION 'refused at commit'; END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON credit_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_at_commit()
    """,
)


async def test_a_commit_that_fails_fails_only_its_cause(fresh_database: str) -> None:
    async with open_book(fresh_database) as book:
        for statement in REFUSING_TRIGGER:
            await book.execute(statement)
        good = [book.submit("before"), book.submit("after")]
        bad = book.submit("poison", description="poison")
        for answer in await asyncio.gather(*good):
            assert isinstance(answer.result, Applied)
            assert not answer.replayed
        with pytest.raises(asyncpg.RaiseError, match="refused at commit"):
            await bad
        assert await book.spends() == {"before": 1, "after": 1}
        assert await book.prove() == START + FREE_CREDITS - 2

        await book.execute("DROP TRIGGER refuse_at_commit ON credit_entries")
        answer = await book.submit("poison", description="poison")
        assert isinstance(answer.result, Applied)
        assert not answer.replayed, "what was not committed has not used its key up"


@dataclass
class Line:
    """A line to the database that can be cut in the worst of moments."""

    database: str
    cut: str = ""
    cuts: int = 0
    _server: asyncio.Server | None = None
    _open: list[asyncio.StreamWriter] = field(default_factory=list)
    _port: int = 0

    @property
    def url(self) -> str:
        return (
            make_url(self.database)
            .set(host="127.0.0.1", port=self._port, query={})
            .render_as_string(hide_password=False)
        )

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for one in self._open:
            one.close()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        url = make_url(self.database)
        folder = url.query.get("host")
        if folder:
            far_reader, far_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{url.port or 5432}")
        else:
            far_reader, far_writer = await asyncio.open_connection(url.host, url.port or 5432)
        self._open += [writer, far_writer]
        back = asyncio.create_task(pour(far_reader, writer))
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                if self.cut and b"COMMIT;" in chunk:
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    if self.cut == "after":
                        far_writer.write(chunk)
                        await far_reader.read(65_536)
                    self.cut, self.cuts = "", self.cuts + 1
                    break
                far_writer.write(chunk)
        for one in (writer, far_writer):
            one.close()
        await asyncio.gather(back, return_exceptions=True)


@asynccontextmanager
async def line_to(database: str) -> AsyncIterator[Line]:
    line = Line(database)
    await line.up()
    try:
        yield line
    finally:
        await line.down()


@pytest.mark.parametrize("commands", [1, 30])
@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_line_cut_around_commit_counts_everything_once(fresh_database: str, cut: str, commands: int) -> None:
    """Nobody can know whether the COMMIT got through; the keys can."""
    async with line_to(fresh_database) as line, open_book(fresh_database, database_direct_url=line.url) as book:
        await book.submit("first")
        for turn in range(rounds(3, 100)):
            line.cut = cut
            tasks = [book.submit(f"k{turn}-{number}") for number in range(commands)]
            answers = await asyncio.gather(*tasks)
            assert line.cuts == turn + 1
            assert {answer.replayed for answer in answers} == {cut == "after"}
            left = [answer.result.available for answer in answers if isinstance(answer.result, Applied)]
            spent = 1 + turn * commands
            assert left == [START + FREE_CREDITS - spent - number for number in range(1, commands + 1)]
        found = await book.spends()
        assert set(found.values()) == {1}
        assert found.total() == 1 + rounds(3, 100) * commands
        assert await book.prove() == START + FREE_CREDITS - found.total()


async def test_while_the_database_is_away_everybody_is_told_at_once(fresh_database: str) -> None:
    async with line_to(fresh_database) as line, open_book(fresh_database, database_direct_url=line.url) as book:
        await book.submit("first")
        await line.down()
        began = time.monotonic()
        refusals = await asyncio.gather(*(book.submit(f"k{number}") for number in range(300)), return_exceptions=True)
        assert {type(refusal) for refusal in refusals} == {Unavailable}
        assert time.monotonic() - began < 5, "one try for the batch, not one for each"
        await line.up()
        answers = await asyncio.gather(*(book.submit(f"k{number}") for number in range(300)))
        assert not any(answer.replayed for answer in answers)
        assert await book.prove() == START + FREE_CREDITS - 301
