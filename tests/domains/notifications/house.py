"""One process of ours with a mail server, in a database of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.sandbox.mail.store import Received
from tests.conftest import Person, register
from tests.support.clock import MovableClock
from tests.support.kept import kept
from tests.support.mail import Post, send_due

PREFERENCES = "/api/notifications/preferences"


@dataclass
class House:
    """One process of ours with a mail server, in a database of its own."""

    platform: Platform
    app: FastAPI
    post: Post
    people: list[Person]
    welcomed: dict[str, int] = field(default_factory=dict)
    """How many mails each got for signing up, which are not what these tests are about."""

    async def person(self, **fields: Any) -> Person:
        self.people.append(await register(self.app, **fields))
        person = self.people[-1]
        await send_due(self.platform)
        self.welcomed[person.email] = len(self.post.to(person.email))
        return person

    def arrived(self, person: Person) -> list[Received]:
        """What the mailbox has got for a person."""
        return self.post.to(person.email)[self.welcomed[person.email] :]

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    async def mails(self, person: Person) -> list[Received]:
        """All that has come for a person, once everything due is sent."""
        await send_due(self.platform)
        return self.arrived(person)

    async def sweep(self, *names: str) -> None:
        """What the worker does every minute."""
        for name in names or ("wake", "gather"):
            await run_sweep(self.platform, PERIODICS[f"notifications.{name}"])

    def set(self, moment: datetime | str) -> None:
        """Put the business clock there; sign-ins and the outbox live in real time."""
        wanted = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        self.clock.shift_to(wanted - self.clock.wall())

    async def at(self, moment: datetime | str, person: Person) -> list[str]:
        """What has come for a person by a moment (RFC 3339), by subject."""
        self.set(moment)
        await self.sweep()
        return [one.subject for one in await self.mails(person)]

    async def outcomes(self, person: Person) -> list[tuple[str, str | None]]:
        async with self.platform.database.reading() as session:
            found = await session.execute(
                text(
                    "SELECT status, outcome FROM mails WHERE user_id = :id AND kind LIKE 'notification%' ORDER BY id"
                ),
                {"id": person.id},
            )
            return [(row.status, row.outcome) for row in found]


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Its database is kept from test to test; what a test writes goes with it."""
    async with kept(mails=True) as one:
        assert one.post is not None
        made = House(one.platform, create_app(one.platform.settings, one.platform), one.post, [])
        try:
            yield made
        finally:
            for person in made.people:
                await person.client.aclose()


async def choose(
    person: Person,
    *choices: dict[str, Any],
    more: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """All choices anew; `more` holds those beside the categories."""
    body = {"categories": list(choices), **(more or {})}
    return await person.client.put(PREFERENCES, json=body, headers=headers)
