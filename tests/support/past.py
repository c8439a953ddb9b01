"""A Stripe that remembers: a life is lived there once, and afterwards it can be any moment of that life again."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response

from pm_api.sandbox.stripe import create_app
from tests.sandbox.stripe_setup import served
from tests.support.settings import STRIPE_KEY, WEBHOOK_SECRET

Json = dict[str, Any]
MEMORY = "/_test/memory"


class WorldClock:
    """Time that stands where it was put: both Stripe and whoever asks it live in it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


@dataclass(frozen=True)
class Step:
    """Something happened at Stripe: when, what it told of it, and everything it knew afterwards."""

    number: int
    name: str
    moment: datetime
    events: tuple[Json, ...]
    memory: bytes = field(repr=False)


@dataclass
class Past:
    """The running sandbox and what has been recorded of it."""

    url: str
    http: httpx.AsyncClient
    clock: WorldClock
    steps: list[Step] = field(default_factory=list)
    _told: int = 0
    _now_at: int | None = None

    async def control(self, method: str, path: str, body: Json | None = None) -> Any:
        answer = await self.http.request(method, f"/_sandbox{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def wait(self, **duration: float) -> None:
        """Time goes on, and Stripe does what became due."""
        self.clock.moment += timedelta(**duration)
        await self.control("GET", "/clock")

    async def wait_until(self, moment: datetime) -> None:
        assert moment > self.clock.moment
        self.clock.moment = moment
        await self.control("GET", "/clock")

    async def keep(self, name: str) -> Step:
        """Remember this moment under a name."""
        memory = (await self.http.get(MEMORY)).content
        events = _events_in(memory)
        step = Step(len(self.steps), name, self.clock.moment, tuple(events[self._told :]), memory)
        self._told = len(events)
        self.steps.append(step)
        return step

    async def go_to(self, step: int) -> None:
        """Stripe is again as it was after this step; nothing is told to anybody."""
        if self._now_at == step:
            return
        self.clock.moment = self.steps[step].moment
        answer = await self.http.put(MEMORY, content=self.steps[step].memory)
        assert answer.status_code == 204, answer.text
        self._now_at = step


@asynccontextmanager
async def open_past(beginning: datetime | None = None) -> AsyncIterator[Past]:
    """A sandbox on a free port in which nothing has happened yet, and which nobody is told of."""
    clock = WorldClock((beginning or datetime.now(UTC)).replace(microsecond=0))
    app = create_app(
        store_path=":memory:",
        secret_key=STRIPE_KEY,
        webhook_secrets=(WEBHOOK_SECRET,),
        webhook_url=None,
        clock=clock,
    )
    remember(app)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=30) as http:
            yield Past(url, http, clock)


def remember(app: FastAPI) -> None:
    """Everything the sandbox knows as one piece, out and in again, on its own thread and between two requests."""
    connection: sqlite3.Connection = app.state.sandbox.store._connection

    async def read() -> Response:
        return Response(connection.serialize(), media_type="application/octet-stream")

    async def replace(request: Request) -> Response:
        connection.deserialize(await request.body())
        return Response(status_code=204)

    # Before the sandbox's own routes, one of which takes every path.
    app.router.add_api_route(MEMORY, read, methods=["GET"])
    app.router.add_api_route(MEMORY, replace, methods=["PUT"])


def _events_in(memory: bytes) -> list[Json]:
    """Every event, in the order in which they came about."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(memory)
        rows = connection.execute("SELECT body FROM objects WHERE object = 'event' ORDER BY sequence").fetchall()
    finally:
        connection.close()
    return [json.loads(body) for (body,) in rows]
