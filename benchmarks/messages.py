"""How soon a message is with those who listen at another process; part of `make bench`, or
`python -m benchmarks.messages`.

Two API processes on one database. So many messages a second are posted into one channel, to both processes in turn,
at moments that were fixed beforehand: what waits because something before it was slow is counted as waiting. People
listen at both over `GET /api/stream`; measured is from the moment a message was due to be sent until its change is
with somebody who listens at the process that it was not posted to.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import orjson
import uvloop
from tests.domains.changes.people import Caller, new_caller, new_workspace
from tests.support import processes
from tests.support.settings import settings_for

from benchmarks import ground
from benchmarks.report import Target
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.domains.messages import conversations
from pm_api.domains.messages.enums import NewKind
from pm_api.domains.messages.schemas.conversations import ConversationCreate

ABOUT: Final = """\
answered        POST /api/messages: number, row, search document, change, COMMIT
delivered       the same message's `change` at a stream of the other process"""

MEMBERS: Final = 100
LISTENERS: Final = 20
POSTERS: Final = 8
PER_S: Final = 50
WARM_UP_S: Final = 3
MEASURED_S, QUICK_S = 30, 5
DRAIN_S: Final = 10
AIM_P95_MS: Final = 250.0
LINE_ROOM: Final = 1 << 20
DATA: Final = b"data: "


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


@dataclass
class Listener:
    """One open stream: when each message's change came."""

    process: int
    came: dict[str, float] = field(default_factory=dict)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """One event is one line of data; what stands between the chunks is passed over."""
        while line := await reader.readline():
            if line.startswith(DATA) and b'"message"' in line:
                told = orjson.loads(line.removeprefix(DATA))
                if told.get("entity") == "message" and told["action"] == "created":
                    self.came[told["entityId"]] = time.perf_counter()


@dataclass(frozen=True, slots=True)
class Posted:
    """One message: where it went, when it was due, how long its answer took from then."""

    id: str
    process: int
    due: float
    answered_ms: float


@dataclass(frozen=True, slots=True)
class Ground:
    people: list[Caller]
    workspace_id: UUID
    channel_id: UUID


def percentile(latencies: Sequence[float], percent: int) -> float:
    return sorted(latencies)[len(latencies) * percent // 100]


async def prepare(database_url: str) -> Ground:
    """A channel of a workspace with a hundred members."""
    platform = build_platform(settings_for(database_url))
    async with running(platform):
        people = [await new_caller(platform) for _ in range(MEMBERS)]
        workspace_id = await new_workspace(platform, *people)
        wanted = ConversationCreate(workspaceId=workspace_id, kind=NewKind.CHANNEL, name="Everybody")
        async with platform.database.transaction() as session:
            made = await conversations.create(session, platform, people[0].within(workspace_id, "OWNER"), wanted)
    return Ground(people, workspace_id, made.id)


@asynccontextmanager
async def listening(url: str, place: Ground, person: Caller, process: int) -> AsyncIterator[Listener]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=LINE_ROOM)
    path = f"/api/stream?workspaceId={place.workspace_id}"
    head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Broken(answer.decode(errors="replace"))
    listener = Listener(process)
    task = asyncio.create_task(listener.listen(reader))
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def post_all(clients: Sequence[httpx.AsyncClient], place: Ground, seconds: int, per_s: int) -> list[Posted]:
    """Each message at its moment, whatever became of those before."""
    began, posted = time.perf_counter(), list[Posted]()

    async def post(number: int) -> None:
        process, person = number % len(clients), place.people[number % POSTERS]
        due = began + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        answer = await clients[process].post(
            "/api/messages",
            json={"conversationId": str(place.channel_id), "body": f"Message {number}"},
            headers=person.headers,
        )
        if answer.status_code != 201:
            raise Broken(answer.text)
        took_ms = (time.perf_counter() - due) * 1000
        posted.append(Posted(answer.json()["message"]["id"], process, due, took_ms))

    await asyncio.gather(*(post(number) for number in range(seconds * per_s)))
    return posted


async def everything_came(listeners: Sequence[Listener], posted: Sequence[Posted]) -> None:
    ids = {one.id for one in posted}
    async with asyncio.timeout(DRAIN_S):
        while not all(ids <= one.came.keys() for one in listeners):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


async def measure(database_url: str, seconds: int, per_s: int) -> int:
    place = await prepare(database_url)
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(processes.api(database_url, PM_LOG_LEVEL="ERROR")) for _ in range(2)
        ]
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=one.url, trust_env=False, timeout=30))
            for one in servers
        ]
        listeners = [
            await stack.enter_async_context(
                listening(servers[number % 2].url, place, place.people[-1 - number], number % 2)
            )
            for number in range(LISTENERS)
        ]
        warm = await post_all(clients, place, WARM_UP_S, per_s)
        await everything_came(listeners, warm)
        posted = await post_all(clients, place, seconds, per_s)
        await everything_came(listeners, posted)
    delivered = [
        (listener.came[one.id] - one.due) * 1000
        for one in posted
        for listener in listeners
        if listener.process != one.process
    ]
    print(f"\n{ABOUT}\n\n{table(per_s, [one.answered_ms for one in posted], delivered)}\n")
    print(f"{'figure':<60}{'is':>12}{'to reach':>12}")
    print(
        Target("p95 delivered at the other process, ms", percentile(delivered, 95), AIM_P95_MS, at_most=True).line()
    )
    print(
        f"\n{len(posted):,} messages were posted at {per_s} a second into a channel of {MEMBERS}; each came to all"
        f" {LISTENERS} listeners."
    )
    return 0


def table(per_s: int, answered: Sequence[float], delivered: Sequence[float]) -> str:
    lines = [f"{f'{per_s} messages a second':<30}{'number':>10}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}"]
    for name, latencies in (("answered", answered), ("delivered", delivered)):
        figures = "".join(f"{percentile(latencies, one):>10.1f}" for one in (50, 95, 99))
        lines.append(f"{name:<30}{len(latencies):>10,}{figures}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.messages", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: five seconds")
    parser.add_argument("--per-second", type=int, default=PER_S, help="how many messages; the aim is for 50")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    with ground.database_server() as server:
        try:
            return uvloop.run(measure(server.url, QUICK_S if chosen.quick else MEASURED_S, chosen.per_second))
        except (Broken, TimeoutError, AssertionError) as error:
            print(f"the benchmark broke: {error!r}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
