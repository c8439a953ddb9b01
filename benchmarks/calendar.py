"""What the calendar costs beside reading the same rows with plain SQL; part of `make bench`, or
`python -m benchmarks.calendar`.

One API process and one workspace of 50 people, whose meetings were made as everybody makes them. The API and plain
SQL over a connection of its own are asked in turn, so that drift of the machine meets both alike.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import uvloop
from sqlalchemy.engine import make_url
from tests.domains.changes.people import Caller, new_caller, new_workspace
from tests.support import processes
from tests.support.settings import settings_for

from benchmarks import ground
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.domains.calendar import writing
from pm_api.domains.calendar.reaching import week_of
from pm_api.domains.calendar.schemas.events import EventCreate

ABOUT: Final = """\
free/busy       POST /api/calendar/free-busy: 50 people over four weeks, 20 single meetings and 4 weekly series each
find-time       POST /api/calendar/find-time: ten of them, five days in steps of half an hour
month view      GET /api/calendar/events: a month, its first page of 200
preview         POST /api/calendar/recurrence/preview: 1,000 daily occurrences over many changes of clocks
plain SQL       the rows that are behind it, as they are; for the preview what PostgreSQL makes of 1,000 days"""
PEOPLE: Final = 50
SINGLES: Final = 20
SERIES: Final = 4
ROUNDS: Final = 30
QUICK_ROUNDS: Final = 3
WARM_UP: Final = 3
MONDAY: Final = datetime(2027, 3, 1, tzinfo=UTC)
FOUR_WEEKS: Final = timedelta(days=28)
EVENTS: Final = """
SELECT * FROM calendar_events
WHERE workspace_id = $1 AND id IN
    (SELECT event_id FROM calendar_reach WHERE workspace_id = $1 AND week BETWEEN $2 AND $3)
"""
GUESTS: Final = """
SELECT * FROM calendar_attendees WHERE event_id IN
    (SELECT event_id FROM calendar_reach WHERE workspace_id = $1 AND week BETWEEN $2 AND $3)
"""
DAYS: Final = """
SELECT (day AT TIME ZONE 'America/New_York') AT TIME ZONE 'UTC'
FROM generate_series(timestamp '2027-03-01 09:00', timestamp '2029-11-24 09:00', interval '1 day') day
"""

Work = Callable[[], Awaitable[Any]]


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


async def fill(platform: Platform, singles: int, series: int) -> tuple[list[Caller], UUID]:
    """Everybody holds as many meetings, with two others in each."""
    people = [await new_caller(platform) for _ in range(PEOPLE)]
    workspace_id = await new_workspace(platform, *people)
    for number, person in enumerate(people):
        scope = person.within(workspace_id, "OWNER" if number == 0 else "MEMBER")
        guests = [people[(number + more) % PEOPLE].id for more in (1, 2)]
        async with platform.database.transaction() as session:
            for turn in range(singles + series):
                start = MONDAY + timedelta(days=turn % 20 + turn % 20 // 5 * 2, hours=8 + (number + turn) % 10)
                wanted = {
                    "workspaceId": workspace_id,
                    "title": f"Meeting {turn}",
                    "type": "MEETING",
                    "startTime": start.isoformat(),
                    "endTime": (start + timedelta(minutes=45)).isoformat(),
                    "timeZone": "America/New_York",
                    "attendeeIds": guests,
                    **({"rrule": "FREQ=WEEKLY;COUNT=26"} if turn >= singles else {}),
                }
                await writing.create(session, platform, scope, EventCreate.model_validate(wanted))
    return people, workspace_id


def asking(client: httpx.AsyncClient, method: str, path: str, **arguments: Any) -> Work:
    async def ask() -> None:
        answer = await client.request(method, f"/api/calendar/{path}", **arguments)
        if answer.status_code != 200:
            raise Broken(f"{path}: {answer.status_code} {answer.text[:300]}")

    return ask


def reading(connection: asyncpg.Connection, *statements: str, values: tuple[Any, ...] = ()) -> Work:
    async def read() -> None:
        for statement in statements:
            if not await connection.fetch(statement, *values):
                raise Broken("plain SQL found nothing")

    return read


async def sample(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """The median of each in milliseconds, all in turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(WARM_UP + rounds):
        for name, work in works.items():
            began = time.perf_counter()
            await work()
            if turn >= WARM_UP:
                found[name].append((time.perf_counter() - began) * 1000)
    return {name: median(times) for name, times in found.items()}


def contestants(
    client: httpx.AsyncClient, connection: asyncpg.Connection, people: list[Caller], workspace_id: UUID
) -> dict[str, tuple[Work, Work]]:
    """Each with the plain SQL it is held against."""
    end = MONDAY + FOUR_WEEKS
    window = {"start": MONDAY.isoformat(), "end": end.isoformat()}
    rows = reading(connection, EVENTS, GUESTS, values=(workspace_id, week_of(MONDAY), week_of(end)))
    whose = {"workspaceId": str(workspace_id), **window}
    few = {
        "workspaceId": str(workspace_id),
        "attendees": [{"userId": str(one.id)} for one in people[:10]],
        "durationMinutes": 30,
        "start": MONDAY.isoformat(),
        "end": (MONDAY + timedelta(days=5)).isoformat(),
    }
    a_week = reading(
        connection, EVENTS, GUESTS, values=(workspace_id, week_of(MONDAY), week_of(MONDAY + timedelta(days=5)))
    )
    month = {**whose, "limit": "200", "tz": "America/New_York"}
    daily = {
        "dtstart": "2027-03-01T09:00:00",
        "tzid": "America/New_York",
        "rrule": "FREQ=DAILY;COUNT=1000",
    }
    everybody = {**whose, "userIds": [str(one.id) for one in people]}
    return {
        "free/busy": (asking(client, "POST", "free-busy", json=everybody), rows),
        "find-time": (asking(client, "POST", "find-time", json=few), a_week),
        "month view": (asking(client, "GET", "events", params=month), rows),
        "preview": (asking(client, "POST", "recurrence/preview", json=daily), reading(connection, DAYS)),
    }


async def measure(database_url: str, *, quick: bool) -> int:
    platform = build_platform(settings_for(database_url))
    async with running(platform):
        people, workspace_id = await fill(platform, SINGLES // 10 if quick else SINGLES, 1 if quick else SERIES)
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        async with (
            processes.api(database_url, PM_LOG_LEVEL="ERROR", **ground.LIMITS) as server,
            httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60, headers=people[0].headers) as client,
        ):
            held = contestants(client, connection, people, workspace_id)
            works = {
                f"{name}, {kind}": work for name, pair in held.items() for kind, work in zip(KINDS, pair, strict=True)
            }
            found = await sample(works, QUICK_ROUNDS if quick else ROUNDS)
    finally:
        await connection.close()
    print(f"\n{ABOUT}\n\n{'median':<16}{'API ms':>10}{'plain SQL ms':>15}{'ratio':>10}")
    for name in held:
        api_ms, plain_ms = (found[f"{name}, {kind}"] for kind in KINDS)
        print(f"{name:<16}{api_ms:>10.1f}{plain_ms:>15.1f}{api_ms / plain_ms:>9.1f}x")
    return 0


KINDS: Final = ("API", "plain SQL")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calendar", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: too few for a figure")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    with ground.database_server() as server:
        try:
            return uvloop.run(measure(server.url, quick=chosen.quick))
        except (Broken, TimeoutError, asyncio.CancelledError) as error:
            print(f"the benchmark broke: {error!r}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
