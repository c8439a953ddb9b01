"""Four people write a calendar at once, others follow it by tokens: each ends with exactly what the server shows.

Events are made, moved, split, masked, answered, taken through projects that open and close; meanwhile tokens expire
and old changes are forgotten. `PM_SYNC_SEED` repeats what is written, not who is first.
"""

import asyncio
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.changes.jobs import prune
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Follower, Json, open_diary, path_of
from tests.support.clock import MovableClock
from tests.support.soak import SOAKING, rounds

SEED: Final = "PM_SYNC_SEED"
STEPS: Final = rounds(6, 150)
PHASES: Final = rounds(3, 12)
START: Final = datetime(2026, 3, 2, 14, tzinfo=UTC)
RULES: Final = (
    None,
    None,
    "FREQ=DAILY;COUNT=8",
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=DAILY;INTERVAL=3;UNTIL=20260501T000000Z",
)
REFUSED: Final = frozenset({403, 404, 409, 412, 422})


@dataclass
class Town:
    diary: Diary
    writers: list[Person]
    projects: list[Json]
    seed: int
    ids: list[str] = field(default_factory=list)
    refusals: int = 0
    done: int = 0

    def keep(self, answer: httpx.Response) -> Json:
        if answer.status_code in REFUSED:
            self.refusals += 1
            return {}
        assert answer.status_code in (200, 201, 204), f"{answer.request.method} {answer.request.url} {answer.text}"
        self.done += 1
        body: Json = answer.json() if answer.content else {}
        return body


class Writer:
    """One who writes at random, knowing what others made."""

    def __init__(self, town: Town, number: int, phase: int) -> None:
        self.town = town
        self.client = town.writers[number].client
        self.chance = random.Random(f"{town.seed}/{number}/{phase}")

    async def run(self) -> None:
        steps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (5, self.make),
            (4, self.change),
            (5, self.change_occurrence),
            (3, self.split),
            (3, self.mask),
            (3, self.wander),
            (2, self.delete),
            (2, self.invite),
            (3, self.answer),
            (1, self.in_bulk),
            (1, self.open_and_close),
        ]
        weights, choices = zip(*steps, strict=True)
        for _ in range(STEPS):
            await self.chance.choices(choices, weights)[0]()

    def some(self) -> str | None:
        return self.chance.choice(self.town.ids) if self.town.ids else None

    async def occurrence(self) -> str | None:
        """One that was there a moment ago."""
        start = START + timedelta(days=self.chance.randrange(30))
        asked = {
            "workspaceId": self.town.diary.id,
            "start": start.isoformat(),
            "end": (start + timedelta(days=7)).isoformat(),
        }
        found = self.town.keep(await self.client.get("/api/calendar/events", params=asked))["events"]
        recurring: list[str] = [one["id"] for one in found if one["seriesId"]]
        chosen: str | None = self.chance.choice(recurring) if recurring else None
        return chosen

    def times(self) -> Json:
        start = START + timedelta(hours=self.chance.randrange(600))
        return {"startTime": start.isoformat(), "endTime": (start + timedelta(hours=1)).isoformat()}

    def project(self) -> str | None:
        chosen: str | None = self.chance.choice([None, *(one["id"] for one in self.town.projects)])
        return chosen

    async def make(self) -> None:
        body = {
            **self.town.diary.body(title=f"No. {self.chance.randrange(1000)}", **self.times()),
            "rrule": self.chance.choice(RULES),
            "projectId": self.project(),
            "visibility": self.chance.choice(["DEFAULT", "DEFAULT", "PRIVATE"]),
            "allDay": self.chance.random() < 0.2,
        }
        made = self.town.keep(await self.client.post("/api/calendar/events", json=body))
        if made:
            self.town.ids.append(made["event"]["id"])

    async def patch(self, event_id: str | None, scope: str | None = None, **fields: Any) -> Json:
        if event_id is None:
            return {}
        query = {"scope": scope} if scope else {}
        return self.town.keep(await self.client.patch(path_of(event_id), params=query, json=fields))

    async def change(self) -> None:
        fields = {"title": f"Renamed {self.chance.randrange(1000)}"} | (
            self.times() if self.chance.random() < 0.5 else {}
        )
        await self.patch(self.some(), **fields)

    async def change_occurrence(self) -> None:
        one = await self.occurrence()
        if one is not None and self.chance.random() < 0.3:
            self.town.keep(await self.client.delete(path_of(one), params={"scope": "this"}))
            return
        await self.patch(one, "this", title=f"Other {self.chance.randrange(1000)}", **self.times())

    async def split(self) -> None:
        one = await self.occurrence()
        if one is not None and self.chance.random() < 0.2:
            self.town.keep(await self.client.delete(path_of(one), params={"scope": "following"}))
            return
        made = await self.patch(one, "following", location=f"Room {self.chance.randrange(9)}")
        if made:
            self.town.ids.append(made["event"]["seriesId"] or made["event"]["id"])

    async def mask(self) -> None:
        await self.patch(self.some(), visibility=self.chance.choice(["DEFAULT", "PRIVATE", "CONFIDENTIAL"]))

    async def wander(self) -> None:
        await self.patch(self.some(), projectId=self.project())

    async def delete(self) -> None:
        one = self.some()
        if one is not None:
            self.town.keep(await self.client.delete(path_of(one)))

    async def invite(self) -> None:
        people = self.chance.sample(self.town.writers, self.chance.randrange(3))
        await self.patch(self.some(), attendeeIds=[str(one.id) for one in people])

    async def answer(self) -> None:
        one = self.some() if self.chance.random() < 0.5 else await self.occurrence()
        if one is not None:
            response = self.chance.choice(["ACCEPTED", "DECLINED", "TENTATIVE"])
            self.town.keep(await self.client.post(path_of(one, "/respond"), json={"response": response}))

    async def in_bulk(self) -> None:
        items: list[Json] = [
            {"action": "update", "id": one, "change": {"title": f"Bulk {self.chance.randrange(1000)}"}}
            for one in {self.some() for _ in range(3)} - {None}
        ]
        if items:
            body = {"workspaceId": self.town.diary.id, "items": items, "mode": "PARTIAL"}
            self.town.keep(await self.client.post("/api/calendar/events/bulk", json=body))

    async def open_and_close(self) -> None:
        """Somebody is let into a project or put out of it, or it is archived or brought back."""
        owner, project = self.town.diary.owner.client, self.chance.choice(self.town.projects)
        person, path = self.chance.choice(self.town.writers[1:]), f"/api/projects/{project['id']}"
        match self.chance.randrange(4):
            case 0:
                role = self.chance.choice(["MEMBER", "ADMIN", "VIEWER"])
                self.town.keep(await owner.put(f"{path}/members/{person.id}", json={"role": role}))
            case 1:
                self.town.keep(await owner.delete(f"{path}/members/{person.id}"))
            case 2:
                self.town.keep(await owner.post(f"{path}/archive"))
            case _:
                self.town.keep(await owner.post(f"{path}/restore"))


@pytest.fixture
async def town(platform: Platform, new_person: NewPerson) -> Town:
    diary = await open_diary(platform, new_person)
    others = [await diary.person(role) for role in (Role.ADMIN, Role.MEMBER, Role.MEMBER)]
    projects = [await diary.project(name="Open"), await diary.project(name="Closed", isPrivate=True)]
    seed = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else 7))
    return Town(diary, [diary.owner, *others], projects, seed)


async def follow(follower: Follower, chance: random.Random, over: asyncio.Event) -> None:
    """Sometimes at once, sometimes after a while, a page of any size."""
    while not over.is_set():
        follower.limit = chance.choice([1, 2, 3, 7, 50])
        await follower.sync()
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)


async def test_whoever_follows_ends_with_what_the_server_shows(town: Town, clock: MovableClock) -> None:
    diary, chance = town.diary, random.Random(town.seed)
    guest = await diary.person(Role.GUEST)
    await diary.put(town.projects[1], guest, "VIEWER")
    followers = [diary.follower(by) for by in (*town.writers[1:], guest)]
    idle = diary.follower(town.writers[2])
    for phase in range(PHASES):
        over = asyncio.Event()
        await idle.sync()
        following = [asyncio.create_task(follow(one, random.Random(chance.random()), over)) for one in followers]
        try:
            await asyncio.gather(*(Writer(town, number, phase).run() for number in range(4)))
        finally:
            over.set()
            await asyncio.gather(*following)
        for follower in (*followers, idle):
            await agrees(diary, follower)
        clock.advance_business(days=chance.choice([1, 20, 31]))
        await prune(JobContext(diary.platform, "changes.prune"))
    assert town.done > STEPS * PHASES, f"most was done: {town.done}, refused {town.refusals}"
    assert len(town.ids) > STEPS


async def agrees(diary: Diary, follower: Follower) -> None:
    await follower.sync()
    beginner = await Follower(follower.person, diary.id, 200).sync()
    assert follower.held == beginner.held
    masters: list[Json] = []
    query: Json = {"workspaceId": diary.id, "limit": 200}
    while True:
        answer = await follower.person.client.get("/api/calendar/events", params=query)
        if answer.status_code == 403:
            break
        assert answer.status_code == 200, answer.text
        masters += answer.json()["events"]
        if answer.json()["nextCursor"] is None:
            break
        query["cursor"] = answer.json()["nextCursor"]
    assert {one["id"]: one for one in masters} == {
        key: one for key, one in follower.held.items() if one["seriesId"] is None
    }, "the list of events says the same"
