"""One feed, eight writers who commit when they like, and readers who ask, who listen or who are told: everybody gets
every change once, and those of one thing in the order of their commits.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.db import before_commit
from pm_api.core.platform import Platform
from pm_api.domains.changes.hub import StreamHub
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.identity.tokens import AccessTokens
from tests.conftest import client_of, open_platform
from tests.domains.changes.events import listen
from tests.domains.changes.writing import note
from tests.domains.webhooks_out.places import Place, open_place
from tests.support.clock import MovableClock
from tests.support.receivers import Received, Receiver, receiving
from tests.support.server import serve
from tests.support.settings import settings_for
from tests.support.soak import rounds

CHANGES = rounds(2_000, 100_000)
PATIENCE_S = rounds(120, 3_600)
WRITERS = 8
THINGS = 24
LONGEST_LINGER_S = 0.003

pytestmark = [pytest.mark.xdist_group("processes")]


@dataclass
class Truth:
    """What was committed: each thing counts its own versions under a lock, so their order is the commits' order."""

    things: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(THINGS)])
    written: dict[UUID, int] = field(default_factory=dict)
    count: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Reader:
    """What one reader got, in its order."""

    name: str
    got: list[tuple[UUID, int]] = field(default_factory=list)
    interruptions: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, thing: str, version: int) -> None:
        self.got.append((UUID(thing), version))
        self.came.set()

    async def until(self, count: int) -> None:
        while len(self.got) < count:
            self.came.clear()
            await self.came.wait()

    def compare(self, truth: Truth) -> None:
        by_thing: dict[UUID, list[int]] = {thing: [] for thing in truth.things}
        for thing, version in self.got:
            by_thing[thing].append(version)
        for thing, versions in by_thing.items():
            wanted = list(range(1, truth.written.get(thing, 0) + 1))
            assert versions == wanted, f"{self.name}: {thing}: {_first_difference(versions, wanted)}"
        assert len(self.got) == truth.count


def _first_difference(found: list[int], wanted: list[int]) -> str:
    at = next((at for at, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
    return (
        f"{len(found)} of {len(wanted)}"
        if at is None
        else f"at {at}: {found[at : at + 5]}, not {wanted[at : at + 5]}"
    )


async def write_all(platform: Platform, place: Place, truth: Truth) -> None:
    left = CHANGES

    async def writer(number: int) -> None:
        nonlocal left
        dice = random.Random(number)

        async def linger(_session: AsyncSession) -> None:
            await asyncio.sleep(dice.random() * LONGEST_LINGER_S)

        while left > 0:
            size = min(left, dice.choice((1, 1, 1, 2, 5)))
            left -= size
            wanted = dice.sample(truth.things, size)
            is_kept = dice.random() > 0.05
            async with platform.database.session() as session:
                noted = {}
                for thing in sorted(wanted):  # one order of locks for all
                    noted[thing] = await bump(session, thing)
                    note(session, platform, noted[thing], workspace_id=place.workspace_id, entity_id=thing)
                await linger(session)
                # Between the position and COMMIT: whoever reads now must not go on past it.
                before_commit(session, "zzz.linger", linger)
                if is_kept:
                    await platform.database.commit(session)
                    truth.count += size
                    for thing, version in noted.items():
                        truth.written[thing] = max(version, truth.written.get(thing, 0))
                else:
                    await platform.database.run_before_commit(session)
                    await session.rollback()
                    left += size

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    truth.done.set()


async def bump(session: AsyncSession, thing: UUID) -> int:
    found: int = (
        await session.execute(
            text("UPDATE counted_things SET version = version + 1 WHERE id = :id RETURNING version"), {"id": thing}
        )
    ).scalar_one()
    return found


def signed_in(place: Place) -> dict[str, str]:
    """With a token of now: the long version outlives one."""
    token = place.platform.part(AccessTokens).issue(place.owner.id, place.owner.session_id)
    return {"Authorization": f"Bearer {token}"}


async def poll(client: httpx.AsyncClient, place: Place, truth: Truth, reader: Reader) -> None:
    dice = random.Random(100)
    cursor: dict[str, str] = {}
    while True:
        is_last = truth.done.is_set()
        limit = dice.choice((1, 7, 50, 200))
        answer = await client.get(
            "/api/changes",
            params={"workspaceId": str(place.workspace_id), "limit": limit, **cursor},
            headers=signed_in(place),
        )
        assert answer.status_code == 200, answer.text
        content = answer.json()
        for one in content["changes"]:
            if one["entity"] == "task":
                reader.take(one["entityId"], one["version"])
        cursor = {"cursor": content["nextCursor"]}
        if is_last and not content["hasMore"]:
            return
        if not content["changes"]:
            await asyncio.sleep(dice.random() * 0.02)


async def stream(address: str, place: Place, truth: Truth, reader: Reader) -> None:
    """Listens for a while, is cut off, and goes on with the last id it saw."""
    dice = random.Random(200)
    last_id = "0-0"
    while True:
        reader.interruptions += 1
        most = dice.randrange(1, max(60, CHANGES // 40))
        async with listen(address, signed_in(place), last_id=last_id, workspaceId=place.workspace_id) as events:
            ready = await events.expect("ready")
            assert ready.data["reset"] is False
            for _ in range(most):
                try:
                    event = await events.next(1.0)
                except TimeoutError:
                    if truth.done.is_set() and len(reader.got) >= truth.count:
                        return
                    continue
                if event is None or event.event == "end":
                    break
                if event.event == "change" and event.data["entity"] == "task":
                    reader.take(event.data["entityId"], event.data["version"])
            assert events.last_id is not None
            last_id = events.last_id


def digest(receiver: Receiver, reader: Reader) -> None:
    """Now and then it fails: what it did not take must come again, under its id, and before what follows it."""
    dice = random.Random(300)
    taken: set[UUID] = set()
    refused: set[UUID] = set()

    async def answer(one: Received) -> int:
        await asyncio.sleep(dice.random() * 0.002)
        assert one.id not in taken
        if one.id not in refused and dice.random() < 0.01:
            refused.add(one.id)
            reader.interruptions += 1
            return 500
        taken.add(one.id)
        reader.take(one.data["id"], one.version)
        receiver.received.clear()
        return 200

    receiver.answer = answer


@asynccontextmanager
async def time_going_by(*clocks: MovableClock) -> AsyncIterator[None]:
    """Retries are due in business time, which runs here fifty times as fast."""

    async def run() -> None:
        passed = timedelta()
        while True:
            await asyncio.sleep(0.1)
            passed += timedelta(seconds=5)
            for one in clocks:
                one.shift_to(passed)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_everybody_gets_every_change_once_and_in_order(fresh_database: str) -> None:
    settings = settings_for(fresh_database, webhooks={"allow_networks": "127.0.0.0/8", "timeout_s": 10})
    clocks = MovableClock(), MovableClock()
    truth = Truth()
    poller, listener, told = Reader("poll"), Reader("stream"), Reader("webhook")
    async with (
        open_platform(settings, clocks[0]) as first,
        open_platform(settings, clocks[1]) as second,
        receiving() as receiver,
        serve(create_app(settings, first, connect=False), before_stop=first.part(StreamHub).end_all) as address,
        client_of(create_app(settings, second, connect=False)) as client,
        time_going_by(*clocks),
    ):
        async with first.database.transaction() as session:
            await session.execute(text("CREATE TABLE counted_things (id uuid PRIMARY KEY, version bigint NOT NULL)"))
            await session.execute(
                text("INSERT INTO counted_things SELECT id, 0 FROM unnest(CAST(:ids AS uuid[])) AS id"),
                {"ids": truth.things},
            )
        place = await open_place(first, receiver.url)
        digest(receiver, told)
        workers = [one.part(WebhookDispatcher) for one in (first, second)]
        for one in workers:
            await one.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(
                    write_all(first, place, truth),
                    poll(client, place, truth, poller),
                    stream(address, place, truth, listener),
                )
                await told.until(truth.count)
        finally:
            for one in workers:
                await one.stop()
        await place.deliver()
    assert truth.count == CHANGES
    assert listener.interruptions > 10
    assert told.interruptions > CHANGES // 400
    for reader in (poller, listener, told):
        reader.compare(truth)
