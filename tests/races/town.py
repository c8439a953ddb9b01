"""A database with two API processes on it, and people who all want the same thing at the same moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from tests.conftest import Person, copy_of_template, database_url, open_platform, register, server_command
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY, settings_for

Json = dict[str, Any]
OPERATOR = {"x-admin-key": ADMIN_KEY}
FREE_CREDITS = 10


@dataclass
class Town:
    """The platform in this process only brings people in and looks at rows; the two processes do the work."""

    database: str
    platform: Platform
    app: FastAPI
    apis: list[httpx.AsyncClient]

    async def settle(self, credits: int = 0) -> Person:
        """A new person who has exactly so many credits, none of which ever expire."""
        person = await register(self.app)
        await person.client.aclose()
        await done(self.spend(0, person, FREE_CREDITS))
        if credits:
            await self.grant(credits, userId=str(person.id))
        return person

    async def grant(self, credits: int, **whom: Any) -> None:
        body = {"amount": credits, "reason": "race", "idempotencyKey": uuid4().hex, **whom}
        await done(self.apis[0].post("/api/credits/grant", headers=OPERATOR, json=body))

    def post(
        self, number: int, who: Person | None, path: str, key: str | None = None, **body: Any
    ) -> Awaitable[httpx.Response]:
        """One request to one of the processes, even numbers here and odd ones there; nobody is the operator."""
        headers = {"Authorization": f"Bearer {who.access_token}"} if who else OPERATOR
        headers = {**headers, "Idempotency-Key": key or uuid4().hex}
        return self.apis[number % 2].post(f"/api/credits/{path}", headers=headers, json=body)

    def spend(
        self, number: int, who: Person, amount: int, key: str | None = None, **body: Any
    ) -> Awaitable[httpx.Response]:
        return self.post(number, who, "spend", key, amount=amount, **body)

    async def get(self, who: Person, path: str, **query: Any) -> Json:
        headers = {"Authorization": f"Bearer {who.access_token}"}
        answer = await self.apis[0].get(f"/api/credits/{path}", headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def hold(self, who: Person, amount: int, ttl_s: int = 900) -> str:
        answer = await done(self.post(0, who, "holds", amount=amount, ttlSeconds=ttl_s), 201)
        found: str = answer["hold"]["id"]
        return found

    async def prove(self, who: Person, **query: Any) -> Json:
        """The book verifies and its identity is closed; what the identity says."""
        found = (await self.get(who, "verify", **query))["verification"]
        identity: Json = found["identity"]
        assert found["ok"], found["problems"]
        assert identity["granted"] == sum(value for name, value in identity.items() if name != "granted")
        shown = (await self.get(who, "balance", **query))["balance"]
        assert (shown["current"], shown["held"]) == (identity["available"], identity["held"])
        return identity

    async def now(self) -> datetime:
        answer = await done(self.apis[0].get("/api/dev/clock", headers=OPERATOR))
        return datetime.fromisoformat(answer["clock"]["now"])

    async def move_to(self, moment: datetime, *, by: Sequence[int] = (0,)) -> None:
        """It is this late everywhere; each process named runs what has become due."""
        body = {"now": moment.isoformat()}
        await asyncio.gather(
            *(done(self.apis[one].post("/api/dev/clock", headers=OPERATOR, json=body)) for one in by)
        )

    async def move_once(self, answered: asyncio.Event, moment: datetime, *, by: Sequence[int] = (0,)) -> None:
        """Not before somebody was answered."""
        await answered.wait()
        await self.move_to(moment, by=by)

    async def advance(self, **duration: float) -> None:
        await self.move_to(await self.now() + timedelta(**duration))

    async def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.platform.database.transaction() as session:
            found = await session.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []  # type: ignore[attr-defined]

    async def column(self, statement: str, who: Person | UUID) -> Any:
        """One figure of one account."""
        [(value,)] = await self.query(statement, id=who.id if isinstance(who, Person) else who)
        return value


async def after(seconds: float, answering: Awaitable[httpx.Response]) -> httpx.Response:
    """A little later than the others, so that a race is met at every stage."""
    await asyncio.sleep(seconds)
    return await answering


async def telling(answered: asyncio.Event, answering: Awaitable[httpx.Response]) -> httpx.Response:
    answer = await answering
    answered.set()
    return answer


async def done(answering: Awaitable[httpx.Response], status: int = 200) -> Json:
    answer = await answering
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


def outcomes(answers: Sequence[httpx.Response]) -> Counter[str]:
    """How often it went well, and each reason why not."""
    return Counter("done" if answer.is_success else str(answer.json()["code"]) for answer in answers)


def once(answers: Sequence[httpx.Response], status: int = 200) -> httpx.Response:
    """All are the one same answer, and exactly one of them the first."""
    assert {answer.status_code for answer in answers} == {status}, [answer.text for answer in answers]
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    return answers[0]


@asynccontextmanager
async def open_town() -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        name = f"pm_town_{uuid4().hex[:12]}"
        await server_command(copy_of_template(name))
        stack.push_async_callback(server_command, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        database = database_url(name)
        platform = await stack.enter_async_context(open_platform(settings_for(database), MovableClock()))
        running = await asyncio.gather(*(stack.enter_async_context(processes.api(database)) for _ in range(2)))
        apis = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=one.url, timeout=60, trust_env=False, verify=False, limits=httpx.Limits())
            )
            for one in running
        ]
        yield Town(database, platform, create_app(platform.settings, platform), apis)
