"""Power cuts in the middle of calendar writes: what was answered is there, and every event that is there is whole."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window, expand, upcoming
from pm_api.domains.calendar.finding import KIND
from pm_api.domains.calendar.mapping import Series, columns_of_set, series_of
from pm_api.domains.calendar.models import (
    CalendarBooking,
    CalendarEvent,
    CalendarEventResource,
    CalendarOverride,
    CalendarReach,
    CalendarReminder,
)
from pm_api.domains.calendar.reaching import KNOWN_AHEAD, reach
from pm_api.domains.calendar.settling import DELETED, ENTITY
from pm_api.domains.changes.models import Change
from pm_api.domains.search.models import SearchDocument
from pm_api.identity.permissions import Role
from tests.conftest import Person, open_platform, register
from tests.identity.teams import join
from tests.races.test_kills import until
from tests.races.town import Json
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.processes import Process
from tests.support.settings import settings_for
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

CUTS: Final = rounds(1, 60)
AT_ONCE: Final = 24
OLD: Final = 6
"""Events of each round that are written while others are made."""
COUNT: Final = 8
START: Final = datetime.fromisoformat("2027-03-01T09:00:00+00:00")
SUMMER: Final = datetime.fromisoformat("2027-03-28T01:00:00+00:00")
WHOLE: Final = Window(START - timedelta(days=30), START + timedelta(days=360))


@dataclass(frozen=True)
class Sent:
    """One write, and the events it makes."""

    who: int
    method: str
    path: str
    body: Json
    makes: Sequence[str] = ()
    key: str = field(default_factory=lambda: uuid4().hex)


@dataclass
class Office:
    """A workspace with rooms; its platform here only brings people in and looks at rows."""

    platform: Platform
    people: list[Person]
    workspace_id: str
    dice: random.Random
    rooms: list[str] = field(default_factory=list)
    slots: int = 0

    async def send(self, client: httpx.AsyncClient, one: Sent) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.people[one.who].access_token}", "Idempotency-Key": one.key}
        answer = await client.request(one.method, f"/api/calendar/{one.path}", headers=headers, json=one.body or None)
        assert answer.status_code < 500, answer.text
        return answer

    async def insist(self, client: httpx.AsyncClient, one: Sent) -> httpx.Response:
        """As a caller does who has heard nothing: the same again, until there is an answer."""
        found: list[httpx.Response] = []

        async def is_answered() -> bool:
            found[:] = [await self.send(client, one)]
            return found[0].is_success or found[0].json()["code"] != "idempotency_in_progress"

        await until(is_answered, "an answer")
        return found[0]

    # --- what is written --------------------------------------------------------------------------------------

    def slot(self, minutes: int) -> tuple[str, str]:
        """A time that nothing else has: what is made begins at half hours, what is moved lies between."""
        self.slots += 1
        start = START + timedelta(minutes=30 * self.slots + (22 if minutes < 10 else 0))
        return start.isoformat(), (start + timedelta(minutes=minutes)).isoformat()

    def new(self) -> Json:
        """A series with an end or without, or an event, with all that may hang on it."""
        start, end = self.slot(20)
        return {
            "workspaceId": self.workspace_id,
            "title": f"Number {self.slots}",
            "type": "MEETING",
            "timeZone": "Europe/Berlin",
            "startTime": start,
            "endTime": end,
            "rrule": self.dice.choice(
                [f"FREQ=WEEKLY;COUNT={COUNT}", f"FREQ=WEEKLY;COUNT={COUNT}", "FREQ=WEEKLY", None]
            ),
            "attendeeIds": [str(self.dice.choice(self.people).id)],
            "attendees": [{"email": f"{uuid4().hex[:8]}@example.org"}],
            "reminders": [{"minutesBefore": self.dice.choice([0, 10, 1440])}],
            "resourceIds": [self.dice.choice(self.rooms)],
        }

    def create(self) -> Sent:
        body = self.new()
        return Sent(self.dice.randrange(len(self.people)), "POST", "events", body, [body["title"]])

    def write(self, event: Json) -> Sent:
        """Any of the writes there are, by whoever holds the event."""
        who = next(place for place, one in enumerate(self.people) if str(one.id) == event["organizer"]["id"])
        path = named = f"events/{event['id']}"
        rest = path
        if event["rrule"]:
            at = datetime.fromisoformat(event["startTime"]) + timedelta(weeks=self.dice.randrange(1, 4))
            # Berlin sets its clocks forward on 28 March.
            at -= timedelta(hours=1) if at >= SUMMER > datetime.fromisoformat(event["startTime"]) else timedelta()
            named = f"{path}_{at:%Y%m%dT%H%M%SZ}"
            rest = f"{named}?scope=following"
        moved, later = ({"startTime": start, "endTime": end} for start, end in (self.slot(5), self.slot(15)))
        new = self.new()
        change = {"action": "update", "id": event["id"], "scope": "all", "change": {"title": "In bulk"}}
        several = {"workspaceId": self.workspace_id, "items": [{"action": "create", "event": new}, change]}
        return self.dice.choice(
            [
                Sent(who, "POST", "events", new, [new["title"]]),
                Sent(who, "POST", "events/bulk", several, [new["title"]]),
                Sent(who, "PATCH", named, {**moved, "title": "Moved"}),
                Sent(who, "PATCH", rest, {**later, "location": "Elsewhere"}),
                Sent(who, "PATCH", rest, {"description": "From here on"}),
                Sent(who, "PATCH", path, {**later, "resourceIds": self.rooms[:1]}),
                Sent(who, "DELETE", named, {}),
                Sent(who, "DELETE", rest, {}),
            ]
        )

    # --- what must be so --------------------------------------------------------------------------------------

    async def is_quiet(self) -> bool:
        """Nothing of who is dead is still going on at the server."""
        async with self.platform.database.transaction() as session:
            found = await session.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND state IN ('active', 'idle in transaction')"
                )
            )
        return bool(found == 0)

    async def prove(self) -> dict[UUID, CalendarEvent]:
        """Whatever the calendar keeps of an event says the same; of what is gone nothing is left but that it is."""
        async with self.platform.database.reading() as session:

            async def rows_of(table: Any) -> dict[UUID, list[Any]]:
                found: dict[UUID, list[Any]] = defaultdict(list)
                for row in await session.scalars(select(table)):
                    found[row.event_id].append(row)
                return found

            events = {one.id: one for one in await session.scalars(select(CalendarEvent))}
            overrides, weeks = await rows_of(CalendarOverride), await rows_of(CalendarReach)
            reminders, bookings = await rows_of(CalendarReminder), await rows_of(CalendarBooking)
            ties = await rows_of(CalendarEventResource)
            told: dict[UUID, list[Change]] = defaultdict(list)
            for one in await session.scalars(select(Change).where(Change.entity == ENTITY).order_by(Change.position)):
                told[one.entity_id].append(one)
            found = await session.scalars(select(SearchDocument).where(SearchDocument.kind == KIND))
            words = {one.entity_id: one.title for one in found}
        assert words == {one.id: one.title for one in events.values()}
        assert events.keys() <= told.keys()
        for event_id, changes in told.items():
            versions = [one.version for one in changes]
            assert versions == list(range(1, len(versions) + 1)), "each version is told of, in its turn"
            assert (changes[-1].action == DELETED) == (event_id not in events)
        for event_id, event in events.items():
            series = series_of(event, overrides[event_id])
            assert told[event_id][-1].version == event.version
            columns = columns_of_set(series.set)
            assert {name: getattr(event, name) for name in columns} == columns
            prove_reach(series, weeks[event_id])
            prove_reminder(series, *reminders[event_id])
            prove_bookings(series, {one.resource_id for one in ties[event_id]}, bookings[event_id])
        prove_rooms([one for of_one in bookings.values() for one in of_one])
        prove_splits(events)
        return events


def prove_reach(series: Series, rows: Sequence[CalendarReach]) -> None:
    reached = series.event.reached_until
    now = reached - KNOWN_AHEAD if reached is not None else series.event.updated_at
    assert ({one.week for one in rows}, reached) == reach(series.set, now=now)


def prove_reminder(series: Series, row: CalendarReminder) -> None:
    """None has come yet: it waits for the first occurrence."""
    [first] = upcoming(series.set, WHOLE.start, 1)[:1]
    before = timedelta(minutes=row.minutes_before or 0)
    assert (row.next_at, row.next_original_at) == (first.starts_at - before, first.key)


def prove_bookings(series: Series, rooms: set[UUID], rows: Sequence[CalendarBooking]) -> None:
    there = {
        (one.resource_id, one.original_at, one.starts_at, one.ends_at)
        for one in rows
        if WHOLE.meets(one.starts_at, one.ends_at)
    }
    shown = expand(series.set, WHOLE)
    assert there == {(room, one.key, one.starts_at, one.ends_at) for room in rooms for one in shown}


def prove_rooms(bookings: Sequence[CalendarBooking]) -> None:
    by_room: dict[UUID, list[CalendarBooking]] = defaultdict(list)
    for one in sorted(bookings, key=lambda one: one.starts_at):
        by_room[one.resource_id].append(one)
    for of_room in by_room.values():
        for before, after in pairwise(of_room):
            assert before.ends_at <= after.starts_at, "two are in one room at one time"


def prove_splits(events: dict[UUID, CalendarEvent]) -> None:
    """The parts of a series have together as many as the whole had."""
    counts: Counter[UUID] = Counter()
    for one in events.values():
        first = one
        while first.previous_series_id in events:
            first = events[first.previous_series_id]
        count = series_of(one).set.rule
        counts[first.id] += (count.count or 0) if count is not None else 0
    assert all(count <= COUNT for count in counts.values())


async def open_office(platform: Platform, database: str, dice: random.Random) -> Office:
    app = create_app(platform.settings, platform)
    people = [await register(app) for _ in range(3)]
    made = await people[0].client.post("/api/workspaces", json={"name": "Office", "slug": uuid4().hex})
    assert made.status_code == 201, made.text
    office = Office(platform, people, made.json()["workspace"]["id"], dice)
    for one in people[1:]:
        await join(platform, office.workspace_id, one, Role.MEMBER)
    for number in range(3):
        body = {"workspaceId": office.workspace_id, "name": f"Room {number}", "timeZone": "UTC"}
        answer = await people[0].client.post("/api/calendar/resources", json=body)
        assert answer.status_code == 201, answer.text
        office.rooms.append(answer.json()["resource"]["id"])
    for one in people:
        await one.client.aclose()
    return office


@asynccontextmanager
async def serving(database: str) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    async with (
        processes.api(database) as process,
        httpx.AsyncClient(base_url=process.url, timeout=60, trust_env=False, verify=False) as client,
    ):
        yield process, client


async def test_an_api_killed_while_it_writes_leaves_every_event_whole(fresh_database: str) -> None:
    dice = random.Random(41)
    async with open_platform(settings_for(fresh_database), MovableClock()) as platform:
        office = await open_office(platform, fresh_database, dice)
        lost: list[Sent] = []
        ends: Counter[str] = Counter()
        for turn in range(CUTS + 1):
            async with serving(fresh_database) as (process, client):
                await retry(office, client, lost, ends)
                if turn == CUTS:
                    break
                made = await asyncio.gather(*(office.send(client, office.create()) for _ in range(OLD)))
                old = [one.json()["event"] for one in made if one.is_success]
                sent = [office.write(dice.choice(old)) for _ in range(AT_ONCE)]
                answers = await cut_short(office, process, client, sent, after=dice.randrange(AT_ONCE // 2))
            await until(office.is_quiet, "nothing goes on")
            events = await office.prove()
            titles = Counter(one.title for one in events.values())
            for one, answer in zip(sent, answers, strict=True):
                if answer is not None and answer.is_success:
                    assert all(titles[title] == 1 for title in one.makes), "what was answered is there"
                    told = answer.json() if answer.content else {}
                    prove_standing(told, events)
            lost = [one for one, answer in zip(sent, answers, strict=True) if answer is None]
            assert lost, "nothing was under way"
        assert ends["written"] + ends["new"] >= CUTS


async def cut_short(
    office: Office, process: Process, client: httpx.AsyncClient, sent: Sequence[Sent], *, after: int
) -> list[httpx.Response | None]:
    """All at once, to a process that is killed after so many answers; None for what has no answer."""
    answered = 0

    async def send(one: Sent) -> httpx.Response | None:
        nonlocal answered
        try:
            answer = await office.send(client, one)
        except httpx.TransportError:
            return None
        answered += 1
        if answered > after:
            process.kill()
        return answer

    answers = await asyncio.gather(*map(send, sent))
    assert await process.handle.wait() == -9
    return list(answers)


async def retry(office: Office, client: httpx.AsyncClient, lost: Sequence[Sent], ends: Counter[str]) -> None:
    """What makes something is sent again with its own key, and is there once, whether it was written or not."""
    makes = [one for one in lost if one.makes]
    answers = await asyncio.gather(*(office.insist(client, one) for one in makes))
    titles = Counter(one.title for one in (await office.prove()).values())
    for one, answer in zip(makes, answers, strict=True):
        assert [titles[title] for title in one.makes] == [int(answer.is_success)] * len(one.makes), answer.text
        ends["written" if answer.headers.get("Idempotent-Replayed") == "true" else "new"] += 1


def prove_standing(answer: Json, events: dict[UUID, CalendarEvent]) -> None:
    """An event is never older than was answered; what is gone was deleted after."""
    event = answer.get("event")
    if event is not None and UUID(event["seriesId"] or event["id"]) in events:
        assert events[UUID(event["seriesId"] or event["id"])].version >= event["version"]
