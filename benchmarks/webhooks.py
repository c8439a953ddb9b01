"""How fast Stripe's events are acknowledged and worked off; part of `make bench`, or `python -m benchmarks.webhooks`.

A burst of events comes in over many connections; each is verified over its raw bytes and stored with its job before
it is answered. In the same run the same number of requests goes to a route that inserts one row. Then a worker drains
them against the sandbox, and the order of each customer's events is checked.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
import uvloop
from sqlalchemy.engine import make_url
from tests.sandbox.stripe_setup import served
from tests.support.settings import STRIPE_KEY, WEBHOOK_SECRET, environment_for

from benchmarks import ground
from benchmarks.ground import ROOT, DatabaseServer
from benchmarks.report import Target, target_table
from pm_api.core import telemetry
from pm_api.sandbox.stripe import create_app, sign_payload
from pm_api.sandbox.stripe.objects.catalogue import build_price, build_product
from pm_api.sandbox.stripe.objects.events import build_event
from pm_api.sandbox.stripe.store import Store

ABOUT: Final = """\
acknowledged    POST /api/webhooks/stripe: signature, one row in the inbox, one job with its notification, COMMIT
one row         the same server and body; one INSERT, COMMIT
drained         one `pm-api worker`; for each event a lease, one fetch over HTTP from the sandbox, the write"""

EVENTS: Final = 2000
CONNECTIONS: Final = 32
CUSTOMERS: Final = 100
PATIENCE_S: Final = 300
WEBHOOKS: Final = "/api/webhooks/stripe"
ONE_ROW: Final = "/bench/one-row"
BYTES_ROOM: Final = 1 << 20


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


@dataclass
class Results:
    """Of each round: milliseconds of every answer."""

    acknowledged: list[list[float]] = field(default_factory=list)
    one_row: list[list[float]] = field(default_factory=list)
    drained_per_s: float = 0.0


def percentile(latencies: Sequence[float], percent: int) -> float:
    return sorted(latencies)[len(latencies) * percent // 100]


def over_rounds(rounds: Sequence[Sequence[float]], percent: int) -> float:
    return median(percentile(one, percent) for one in rounds)


# --- what is sent -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the events speak of: one price a customer, so that two customers never write the same row."""

    prices: list[dict[str, object]]
    numbers: "count[int]"

    def events(self) -> list[bytes]:
        """A burst: the customers in turn, each with its events a second apart."""
        bodies, began = [], int(time.time())
        for place in range(EVENTS):
            price = self.prices[place % len(self.prices)]
            about = price | {"customer": f"cus_bench_{place % len(self.prices)}"}
            event = build_event(
                created=began + place // len(self.prices),
                event_type="price.updated",
                about=about,
                event_id=f"evt_bench_{next(self.numbers):012d}",
            )
            bodies.append(json.dumps(event, indent=2).encode())
        return bodies


def request(path: str, body: bytes) -> bytes:
    signature = sign_payload(body, WEBHOOK_SECRET, int(time.time()))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Stripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def burst(port: int, path: str, bodies: Sequence[bytes]) -> list[float]:
    """Send all of them over the connections, one under way on each; milliseconds of every answer."""
    waiting = iter([request(path, body) for body in bodies])
    latencies: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=BYTES_ROOM)
        try:
            for message in waiting:
                began = time.perf_counter()
                writer.write(message)
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length))
                latencies.append((time.perf_counter() - began) * 1000)
                if not head.startswith(b"HTTP/1.1 200"):
                    raise Broken((head + body).decode(errors="replace"))
        finally:
            writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return latencies


# --- the worker -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def worker(server: DatabaseServer, stripe: str) -> AsyncIterator[None]:
    environment = environment_for(server.url, PM_STRIPE_API_BASE=stripe, PM_WORKER_BATCH_SIZE="20")
    log = server.folder / "worker.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pm_api.cli", "worker"),
            cwd=ROOT,
            env=environment | {"PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
        if process.returncode is not None:
            raise ground.ProcessEnded(log.read_text(errors="replace")[-4000:])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def drain(server: DatabaseServer, stripe: str, expected: int) -> float:
    """Events a second, from the first that was handled to the last."""
    async with database(server) as connection, worker(server, stripe):
        deadline = time.monotonic() + PATIENCE_S
        while await connection.fetchval("SELECT count(*) FROM inbox_events WHERE status = 'PENDING'"):
            if time.monotonic() > deadline:
                raise Broken(f"events still wait after {PATIENCE_S} s")
            await asyncio.sleep(0.05)
        handled = await connection.fetchval("SELECT count(*) FROM inbox_events WHERE status = 'HANDLED'")
        if handled != expected:
            raise Broken(f"{expected:,} events were answered, {handled:,} are handled")
        # Within a customer, none was handled before one that happened earlier.
        overtaken = await connection.fetchval(
            "SELECT count(*) FROM (SELECT handled_at < lag(handled_at) OVER"
            " (PARTITION BY subject ORDER BY event_created_at, id) AS early FROM inbox_events) one WHERE early"
        )
        if overtaken:
            raise Broken(f"{overtaken:,} events overtook one of the same customer")
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM max(handled_at) - min(handled_at)) FROM inbox_events"
        )
    return expected / float(seconds)


@asynccontextmanager
async def database(server: DatabaseServer) -> AsyncIterator[asyncpg.Connection]:
    url = make_url(server.url).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        yield connection
    finally:
        await connection.close()


# --- the run ----------------------------------------------------------------------------------------------------


def stock(path: Path) -> list[dict[str, object]]:
    """A sandbox's store with the prices in it."""
    store, now = Store(str(path)), int(time.time())
    product = store.save(build_product(created=now, name="Bench"))
    prices = [
        store.save(build_price(created=now, product_id=product["id"], currency="usd", unit_amount=100 + number))
        for number in range(CUSTOMERS)
    ]
    store.close()
    return prices


async def measure(server: DatabaseServer, rounds: int) -> int:
    results, path = Results(), server.folder / "stripe.sqlite"
    shelf = Shelf(stock(path), count(1))
    async with database(server) as connection:
        await connection.execute("CREATE TABLE bench_rows (id uuid PRIMARY KEY, body text NOT NULL)")
    callers = server.folder / "nobody.json"
    callers.write_text("{}")
    async with ground.api(server, callers) as port:
        await burst(port, ONE_ROW, shelf.events())  # warm
        for number in range(rounds):
            contestants = [(WEBHOOKS, results.acknowledged), (ONE_ROW, results.one_row)]
            for route, figures in contestants if number % 2 else contestants[::-1]:
                figures.append(await burst(port, route, shelf.events()))
    app = create_app(store_path=str(path), secret_key=STRIPE_KEY, webhook_secrets=(), webhook_url=None)
    with served(app) as stripe:
        results.drained_per_s = await drain(server, stripe, rounds * EVENTS)
    print(f"\n{ABOUT}\n\n{table(results)}\n")
    ratio = over_rounds(results.acknowledged, 99) / over_rounds(results.one_row, 99)
    print(target_table([Target("p99 acknowledged / p99 of a route that inserts one row", ratio, 4, at_most=True)]))
    print(
        f"\n{rounds * EVENTS:,} events of {CUSTOMERS} customers were answered and handled once each, each customer's"
        f" in their order; {results.drained_per_s:,.0f} a second by one worker."
    )
    return 0


def table(results: Results) -> str:
    lines = [f"{f'{EVENTS:,} requests at {CONNECTIONS} connections':<46}{'p50 ms':>10}{'p99 ms':>10}{'rounds':>8}"]
    for name, rounds in (("acknowledged", results.acknowledged), ("one row", results.one_row)):
        lines.append(f"{name:<46}{over_rounds(rounds, 50):>10.2f}{over_rounds(rounds, 99):>10.2f}{len(rounds):>8}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: one round")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    with ground.database_server() as server:
        try:
            return uvloop.run(measure(server, 1 if chosen.quick else 3))
        except (TimeoutError, Broken, ground.ProcessEnded) as error:
            print(f"the benchmark broke: {error!r}\n{error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
