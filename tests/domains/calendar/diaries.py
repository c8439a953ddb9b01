"""A workspace with a calendar over HTTP, and a client that follows it by tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person, register
from tests.domains.projects import sites
from tests.domains.projects.sites import refusal

__all__ = ["Diary", "Follower", "Json", "lasting_diary", "open_diary", "path_of", "refusal"]

Json = dict[str, Any]
HOUR = {"startTime": "2026-03-02T09:00:00-05:00", "endTime": "2026-03-02T10:00:00-05:00"}


class Diary(sites.Site):
    """A workspace whose members have events."""

    async def event(self, by: Person | None = None, **fields: Any) -> Json:
        answer = await self.post(by, **fields)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()["event"]
        return made

    async def post(self, by: Person | None = None, **fields: Any) -> httpx.Response:
        return await (by or self.owner).client.post("/api/calendar/events", json=self.body(**fields))

    def body(self, **fields: Any) -> Json:
        usual = {"title": "Standup", "type": "MEETING", "timeZone": "America/New_York", "workspaceId": self.id}
        return {**usual, **HOUR, **fields}

    async def series(self, by: Person | None = None, **fields: Any) -> Json:
        return await self.event(by, **{"rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=10", **fields})

    async def read(self, event_id: str, by: Person | None = None) -> Json:
        answer = await (by or self.owner).client.get(path_of(event_id))
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["event"]
        return found

    async def patch(self, event_id: str, by: Person | None = None, query: Json | None = None, **fields: Any) -> Json:
        answer = await (by or self.owner).client.patch(path_of(event_id), params=query or {}, json=fields)
        assert answer.status_code == 200, answer.text
        changed: Json = answer.json()
        return changed

    async def delete(self, event_id: str, by: Person | None = None, **query: Any) -> httpx.Response:
        answer = await (by or self.owner).client.delete(path_of(event_id), params=query)
        assert answer.status_code in (200, 204), answer.text
        return answer

    async def shown(self, start: str, end: str, by: Person | None = None, **query: Any) -> list[Json]:
        """Everything in a range, all pages."""
        found: list[Json] = []
        cursor: Json = {}
        while True:
            asked = {"workspaceId": self.id, "start": start, "end": end, "limit": 200, **query, **cursor}
            answer = await (by or self.owner).client.get("/api/calendar/events", params=asked)
            assert answer.status_code == 200, answer.text
            found += answer.json()["events"]
            if answer.json()["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json()["nextCursor"]}

    async def feed(self, by: Person | None = None) -> list[Json]:
        answer = await (by or self.owner).client.get("/api/changes", params={"workspaceId": self.id, "limit": 200})
        assert answer.status_code == 200, answer.text
        changes: list[Json] = answer.json()["changes"]
        return changes

    def follower(self, by: Person | None = None, limit: int = 200) -> "Follower":
        return Follower(by or self.owner, self.id, limit)


@dataclass
class Follower:
    """What the documentation of the route tells a client to do, and nothing more."""

    person: Person
    workspace_id: str
    limit: int
    held: dict[str, Json] = field(default_factory=dict)
    token: str | None = None
    times_expired: int = 0
    pages: int = 0

    async def sync(self) -> "Follower":
        cursor: str | None = None
        while True:
            answer = await self.page(cursor)
            if answer.status_code == 410:
                assert answer.json()["code"] == "sync_token_expired"
                self.times_expired += 1
                self.held.clear()
                cursor = self.token = None
                continue
            assert answer.status_code == 200, answer.text
            self.take(answer.json()["events"])
            cursor = answer.json()["nextCursor"]
            assert (cursor is None) == (answer.json()["nextSyncToken"] is not None), "a token on the last page alone"
            if cursor is None:
                self.token = answer.json()["nextSyncToken"]
                return self

    async def page(self, cursor: str | None = None) -> httpx.Response:
        self.pages += 1
        asked: Json = {"workspaceId": self.workspace_id, "limit": self.limit}
        if self.token is not None:
            asked["syncToken"] = self.token
        if cursor is not None:
            asked["cursor"] = cursor
        return await self.person.client.get("/api/calendar/changes", params=asked)

    def take(self, events: list[Json]) -> None:
        for one in events:
            if one.get("seriesId") is None:  # a series comes wholly, or goes wholly
                self._forget(one["id"])
            if set(one) == {"id", "status"}:
                assert one["status"] == "CANCELLED"
            else:
                self.held[one["id"]] = one

    def _forget(self, event_id: str) -> None:
        gone = [key for key, one in self.held.items() if event_id in (key, one["seriesId"])]
        for key in gone:
            del self.held[key]

    @property
    def titles(self) -> list[str]:
        return sorted(one["title"] for one in self.held.values())


async def open_diary(platform: Platform, new_person: NewPerson) -> Diary:
    found = await sites.open_site(platform, new_person)
    return Diary(found.platform, found.new_person, found.workspace, found.owner, found.people, found.member_ids)


@asynccontextmanager
async def lasting_diary(app: FastAPI) -> AsyncIterator[Diary]:
    """For the tests of a module that leave nothing behind that another one of them would see."""
    people: list[Person] = []

    async def new_person(**fields: Any) -> Person:
        people.append(await register(app, **fields))
        return people[-1]

    yield await open_diary(app.state.platform, new_person)
    for one in people:
        await one.client.aclose()


def path_of(event_id: str, rest: str = "") -> str:
    return f"/api/calendar/events/{event_id}{rest}"


def key(event_id: str, original: str) -> str:
    """An occurrence's id."""
    return f"{event_id}_{original}"
