"""Streams of Stripe's events: told in any order, twice, late or never, about a past that is played again.

A handler sees Stripe as it was at some step of the past and writes at that step or a later one. All of a stream is
written in one transaction that is taken back at the end, so the next one begins where this one began.
"""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from pm_api.core.db import Database
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import Applied, fingerprint
from pm_api.domains.ai_credits.commands import Spend
from pm_api.domains.ai_credits.engine import SYSTEM
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.store import Order
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing
from pm_api.webhooks.handlers import STRIPE
from tests.support.past import Json, Past

STAMP = "fetched_at"
Rows = dict[str, list[Json]]


@dataclass(frozen=True, order=True)
class Telling:
    """One delivery of an event: `seen_at` is the step at which its handler looked, `written_at` when it wrote."""

    written_at: int
    turn: int
    event: int
    seen_at: int


@dataclass(frozen=True)
class Told:
    """An event that is applied here, and the step at which it came about."""

    number: int
    type: str
    object_id: str
    step: int

    @property
    def handler(self) -> Handler:
        return STRIPE[self.type]


@dataclass(frozen=True)
class Spending:
    """Credits spent when a step is over. Whatever was told until then has to have arrived."""

    after: int
    credits: int


@dataclass
class Counts:
    """What has been drawn, for whoever wants to know how much was tried."""

    streams: int = 0
    tellings: int = 0
    asked: int = 0


@dataclass
class Theatre:
    """The past, our platform, and the account whose life it was."""

    past: Past
    platform: Platform
    account_id: UUID
    connection: AsyncConnection
    keeper: asyncpg.Connection
    """Through it, what was committed is taken back."""
    first: int
    began: datetime
    tables: Mapping[str, str]
    """By name, a query for what is to be the same in the end: one JSON object a row."""
    counts: Counts = field(default_factory=Counts)
    _seen: dict[tuple[Any, str, int], Any] = field(default_factory=dict)
    _answers: dict[tuple[int, str], Any] = field(default_factory=dict)
    _pictures: dict[tuple[Any, int], list[Any]] = field(default_factory=dict)

    @cached_property
    def events(self) -> tuple[Told, ...]:
        """Those of the life that we apply, oldest first."""
        found = [
            (step.number, event)
            for step in self.past.steps[self.first :]
            for event in step.events
            if event["type"] in STRIPE and event["data"]["object"].get("id")
        ]
        return tuple(
            Told(number, event["type"], event["data"]["object"]["id"], step)
            for number, (step, event) in enumerate(found)
        )

    @property
    def last(self) -> int:
        return self.past.steps[-1].number

    def events_until(self, end: int) -> tuple[Told, ...]:
        return tuple(event for event in self.events if event.step <= end)

    def perfect(self, end: int) -> list[Telling]:
        """Every event at once and in its order."""
        return [Telling(event.step, event.number, event.number, event.step) for event in self.events_until(end)]

    async def play_perfect(self, spend: Spending | None = None) -> dict[int, Rows]:
        """Every event at once and in its order; what is there when each step is over, credits once spent."""
        found: dict[int, Rows] = {}
        told = {step: list(group) for step, group in groupby(self.perfect(self.last), key=lambda one: one.written_at)}
        async with self._undone():
            for step in range(self.first, self.last + 1):
                if spend is not None and step == spend.after + 1:
                    await self._spend(spend)
                await self._tell(step, told.get(step, ()))
                if spend is not None and step <= spend.after:
                    continue
                looking = await self.connection.begin_nested()  # to look writes down what has run out by then
                found[step] = await self._look()
                await looking.rollback()
        return found

    async def play(self, tellings: Iterable[Telling], end: int, spend: Spending | None = None) -> Rows:
        """Apply a stream to the account as it was before its life; what is there when the step `end` is over."""
        self.counts.streams += 1
        spent = spend is None
        async with self._undone():
            for step, group in groupby(sorted(tellings), key=lambda one: one.written_at):
                if spend is not None and not spent and step > spend.after:
                    await self._spend(spend)
                    spent = True
                await self._tell(step, group)
            self.stand_at(end)
            if spend is not None and not spent:
                await self._spend(spend)
            return await self._look()

    async def _tell(self, step: int, tellings: Iterable[Telling]) -> None:
        """All that is written at this step."""
        self.stand_at(step)
        sights: Counter[tuple[Any, int]] = Counter()
        for telling in tellings:
            await self._apply(telling, sights)

    async def _spend(self, spend: Spending) -> None:
        self.stand_at(spend.after)
        command = Spend(
            account_id=self.account_id,
            key="s:test:spend",
            fingerprint=fingerprint(spend.credits),
            by=SYSTEM,
            amount=spend.credits,
            description="spent",
            details=b"{}",
        )
        async with self._session() as session:
            [answer] = await ledger.apply(session, self.platform, [Order(AccountKind.WORKSPACE, command)])
            assert isinstance(answer.result, Applied), answer
            await Database.commit(session)

    async def _apply(self, telling: Telling, sights: Counter[tuple[Any, int]]) -> None:
        """Handlers never look at the event itself, so within one step a third sight of the same picture is the second
        again: it would only cost time.
        """
        event = self.events[telling.event]
        found = await self._see(event, telling.seen_at)
        sight = (event.handler.apply, id(found))
        sights[sight] += 1
        if found is None or sights[sight] > 2:
            return
        self.counts.tellings += 1
        async with self._session() as session:
            try:
                await event.handler.apply(session, self.platform, found)
                await Database.commit(session)
            except EventNotUnderstood as held:
                raise AssertionError(f"{event.type} of {event.object_id} is held: {held}") from held

    async def _see(self, event: Told, step: int) -> Any:
        """What Stripe answered at this step, stamped with when it was asked; None: it had no such object."""
        place = (event.handler.fetch, event.object_id, step)
        if place not in self._seen:
            await self.past.go_to(step)
            door = self.platform.part(StripeDoor)
            with self._asked_once(door, step):
                try:
                    found = await event.handler.fetch(door, event.object_id)
                    self._seen[place] = self._same(stamped(found, self._wall(step)), event.handler, step)
                except StripeObjectMissing:
                    self._seen[place] = None
        return self._seen[place]

    def _same(self, found: Any, handler: Handler, step: int) -> Any:
        """The equal picture that some other event led to already: whoever counts sights counts it once."""
        alike = self._pictures.setdefault((handler.apply, step), [])
        for one in alike:
            if one == found:
                return one
        alike.append(found)
        return found

    @contextmanager
    def _asked_once(self, door: StripeDoor, step: int) -> Iterator[None]:
        """What Stripe answered at a step it would answer again: pictures share most of their parts."""
        line = door._transport
        ask = line.request_async

        async def remember(method: str, url: str, headers: Mapping[str, str], post_data: Any = None) -> Any:
            if method != "get":
                raise AssertionError(f"a handler's look wrote to Stripe: {method} {url}")
            if (step, url) not in self._answers:
                self.counts.asked += 1
                self._answers[step, url] = await ask(method, url, headers, post_data)
            return self._answers[step, url]

        line.request_async = remember  # type: ignore[method-assign]
        try:
            yield
        finally:
            line.request_async = ask  # type: ignore[method-assign]

    def _wall(self, step: int) -> datetime:
        return self.began - timedelta(days=1) + timedelta(seconds=step)

    def stand_at(self, step: int) -> None:
        clock: Any = self.platform.clock
        clock.shift_to(self.past.steps[step].moment - clock.wall())

    @asynccontextmanager
    async def _undone(self) -> AsyncIterator[None]:
        transaction = await self.connection.begin()
        try:
            yield
        finally:
            await transaction.rollback()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(
            bind=self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            yield session

    async def _look(self) -> Rows:
        """All that the events brought, once what has run out is written down."""
        async with self._session() as session:
            return await look(session, self.platform, self.account_id, self.tables)


async def look(session: AsyncSession, platform: Platform, account_id: UUID, tables: Mapping[str, str]) -> Rows:
    """What is there of an account, once what has run out is written down."""
    await ledger.expire_due(session, platform, [account_id])
    await Database.commit(session)
    values = {"account": account_id, "now": platform.clock.now()}
    found: Rows = {}
    for name, query in tables.items():
        wanted = {key: value for key, value in values.items() if f":{key}" in query}
        found[name] = [row for (row,) in await session.execute(text(query), wanted)]
    return found


def stamped(found: Any, at: datetime) -> Any:
    """A picture as if it had been taken at `at`, with every picture inside it."""
    if isinstance(found, tuple):
        return tuple(stamped(one, at) for one in found)
    if not dataclasses.is_dataclass(found) or isinstance(found, type):
        return found
    changes = {}
    for one in dataclasses.fields(found):
        value = getattr(found, one.name)
        changed = at if one.name == STAMP else stamped(value, at)
        if changed is not value:
            changes[one.name] = changed
    return dataclasses.replace(found, **changes) if changes else found


def differences(expected: Rows, found: Rows) -> list[str]:
    """Row by row, which columns differ."""
    told = []
    for name, rows in expected.items():
        others = found[name]
        if len(rows) != len(others):
            told.append(f"{name}: {len(rows)} rows expected, {len(others)} found: {rows} | {others}")
            continue
        for row, other in zip(rows, others, strict=True):
            unlike = {key: (row[key], other[key]) for key in row if row[key] != other[key]}
            if unlike:
                told.append(f"{name} {next(iter(row.values()))}: (perfect, here) {unlike}")
    return told
