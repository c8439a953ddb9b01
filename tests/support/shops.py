"""A till that can be robbed of its power: processes of ours, a sandbox Stripe, and who stands at the counter."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core import flows
from pm_api.core.jobs import JobContext, TryAgain
from pm_api.core.platform import Platform
from pm_api.domains.billing import setup
from pm_api.integrations.stripe import StripeDoor
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.jobs import drain_stripe
from pm_api.webhooks.service import DrainSubject
from tests.conftest import Person, open_platform, register
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.lines import Line, line_to
from tests.support.processes import Process
from tests.support.settings import STRIPE_KEY, settings_for
from tests.support.stripe import ENDPOINT, SandboxStripe, clone, encoded, sandbox_stripe, signed, stripe_settings

Json = dict[str, Any]
HANGS_S = 60
PATIENCE_S = 25
"""Who waits for Stripe still waits when the power is cut, also where many are under way on a slow machine."""


@dataclass
class Shop:
    """The platform in this process brings people in and looks at rows; the processes do the work."""

    database: str
    stripe: SandboxStripe
    line: Line
    platform: Platform
    app: FastAPI
    stack: AsyncExitStack
    running: list[tuple[Process, httpx.AsyncClient]]

    # --- our processes --------------------------------------------------------------------------------------------

    async def start(self, **settings: str) -> httpx.AsyncClient:
        """One more API process."""
        usual = {"PM_STRIPE_API_BASE": self.line.url, "PM_STRIPE_TIMEOUT_S": str(PATIENCE_S)}
        process = await self.stack.enter_async_context(processes.api(self.database, **usual, **settings))
        client = await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=process.url, timeout=30, trust_env=False, verify=False)
        )
        self.running.append((process, client))
        return client

    async def clients(self, count: int) -> list[httpx.AsyncClient]:
        """So many processes that live: those there are, and new ones."""
        while len(self.running) < count:
            await self.start()
        return [client for _, client in self.running[:count]]

    async def client(self) -> httpx.AsyncClient:
        [one] = await self.clients(1)
        return one

    @asynccontextmanager
    async def impatient(self) -> AsyncIterator[httpx.AsyncClient]:
        """A process for a while that waits for Stripe no longer than a second."""
        settings = {"PM_STRIPE_API_BASE": self.line.url, "PM_STRIPE_TIMEOUT_S": "1"}
        async with (
            processes.api(self.database, **settings) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30, trust_env=False, verify=False) as client,
        ):
            yield client

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Process]:
        """A worker for a while; however it ends."""
        async with processes.worker(self.database, PM_STRIPE_API_BASE=self.line.url) as process:
            yield process

    async def power_cut(self) -> None:
        """All processes end where they are."""
        for process, _ in self.running:
            process.kill()
        for process, _ in self.running:
            assert await process.handle.wait() == -9
        self.running.clear()

    async def sweep(self, later: timedelta) -> None:
        """What a worker does when so much time has gone by. The rows are made older: a clock that is ahead of the
        processes' would leave rows behind that tell of looks to come.
        """
        moments = ", ".join(
            f"{name} = {name} - CAST(:later AS interval)" for name in ("look_at", "tried_at", "lease_expires_at")
        )
        async with self.platform.database.transaction() as session:
            await session.execute(text(f"UPDATE flows SET {moments} WHERE status = 'OPEN'"), {"later": later})
        await flows.sweep(self.platform)

    # --- Stripe ---------------------------------------------------------------------------------------------------

    async def at_stripe(self, path: str, **query: str) -> list[Json]:
        """All of one kind that stand there."""
        headers = {"Authorization": f"Bearer {STRIPE_KEY}"}
        answer = await self.stripe.http.get(f"/v1/{path}", params={"limit": "100", **query}, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["data"]
        return found

    async def writes(self) -> list[Json]:
        """The writing requests that have reached Stripe."""
        requests = (await self.stripe.http.get("/_sandbox/requests")).json()["requests"]
        return [one for one in requests if one["method"] in {"POST", "DELETE"}]

    async def hang_at(self, write: int) -> None:
        """So many writes go through; the one after them is carried out too, and nobody hears of it for a minute."""
        await self.stripe.heal()
        if write:
            await self._switch(method="POST", delayS=0.001, times=write)
        for method in ("POST", "DELETE"):
            await self._switch(method=method, delayS=HANGS_S, actThenFail=True)

    async def slow_down(self, *, seconds: float, times: int) -> None:
        """Writes are carried out at once, and answered late."""
        await self.stripe.heal()
        await self._switch(method="POST", delayS=seconds, actThenFail=True, times=times)

    @asynccontextmanager
    async def stripe_away(self) -> AsyncIterator[None]:
        """Nobody is at Stripe's address; afterwards it is there again, with all it knew."""
        await self.line.down()
        try:
            yield
        finally:
            await self.line.up()

    async def event_about(self, kind: str, about: Json) -> Json:
        """An event of Stripe's own list about something that stands there."""
        answer = await self.stripe.http.post("/_sandbox/events", json={"type": kind, "objectId": about["id"]})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def deliver(self, client: httpx.AsyncClient, event: Json) -> httpx.Response:
        body = encoded(event)
        return await client.post(ENDPOINT, content=body, headers=signed(body))

    async def stored(self, event: Json) -> Json:
        [row] = await self.query("SELECT * FROM inbox_events WHERE event_id = :id", id=event["id"])
        return row

    async def drain(self, subject: str) -> None:
        """Work a customer's events off, as a worker does."""
        await drain_stripe.run(JobContext(self.platform, drain_stripe.name), DrainSubject(subject=subject))

    async def drain_fails(self, subject: str) -> None:
        """The worker looks again, and Stripe is still away: it will look again."""
        try:
            await self.drain(subject)
        except TryAgain:
            return
        raise AssertionError("the events were worked off without Stripe")

    def wait(self, duration: timedelta) -> None:
        """Business time goes on in this process, for those who count how long something has waited."""
        clock = self.platform.clock
        assert isinstance(clock, MovableClock)
        clock.shift_to(clock.offset + duration)

    async def faults_left(self) -> list[Json]:
        """Of the writing kind that hangs; the other method's stays set."""
        found = (await self.stripe.http.get("/_sandbox/faults")).json()["faults"]
        return found if len(found) > 1 else []

    async def tell_about(self, kind: str, object_id: str) -> None:
        """Stripe tells us of something, and a worker applies it."""
        handler = STRIPE[kind]
        found = await handler.fetch(self.platform.part(StripeDoor), object_id)
        async with self.platform.database.transaction() as session:
            await handler.apply(session, self.platform, found)

    async def _switch(self, **switch: Any) -> None:
        """One more fault, behind those that are set."""
        answer = await self.stripe.http.post("/_sandbox/faults", json=switch)
        assert answer.status_code == 200, answer.text

    # --- people and rows ------------------------------------------------------------------------------------------

    async def person(self) -> Person:
        person = await register(self.app)
        self.stack.push_async_callback(person.client.aclose)
        return person

    async def workspace(self, person: Person) -> str:
        body = {"name": "Analytical Engines", "slug": f"w-{uuid4().hex[:8]}"}
        answer = await person.client.post("/api/workspaces", json=body)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["workspace"]["id"]
        return found

    async def query(self, statement: str, **values: Any) -> list[Json]:
        async with self.platform.database.reading() as session:
            found = await session.execute(text(statement), values)
            return [dict(row) for row in found.mappings()]

    async def rows(self, table: str, account_id: str | UUID) -> list[Json]:
        return await self.query(f"SELECT * FROM {table} WHERE account_id = CAST(:id AS uuid)", id=str(account_id))


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    """A database and a Stripe of their own, with everything for sale."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(clone())
        stripe = await stack.enter_async_context(sandbox_stripe())
        line = await stack.enter_async_context(line_to(stripe.url))
        values = settings_for(database, stripe=stripe_settings(line.url))
        platform = await stack.enter_async_context(open_platform(values, MovableClock()))
        await setup.set_up(platform, list(STRIPE), dry_run=False)
        yield Shop(database, stripe, line, platform, create_app(platform.settings, platform), stack, [])
