"""Whether the time of a failed sign-in tells if there is such a user; part of `make bench`, or
`python -m benchmarks.logins`.

One API process with its usual hashing. Sign-ins with a wrong password go out one after the other over one connection,
in an order that chance decides, so that drift of the machine meets all kinds alike. What comes out is how far the
distributions of the times differ, and what the same tests say of two kinds that do differ.
"""

import argparse
import asyncio
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final
from uuid import uuid4

import httpx
import uvloop
from tests.support import processes

from benchmarks import ground
from pm_api.core import telemetry

ABOUT: Final = """\
known           a registered address and a wrong password
unknown         an address nobody has, of the same length
known again     the same as known: how much two halves of one kind differ by chance
right           the right password: more work (a session is opened), so these tests must see it

b longer        how often a sign-in of b takes longer than one of a: 50 % when nothing can be told
Mann-Whitney    p of that share under pure chance (two-sided, ties corrected); Kolmogorov-Smirnov: of the whole shape.
A small p alone says that there is a difference, not that one can use it: look at the share."""

SAMPLES: Final = 400
QUICK_SAMPLES: Final = 60
PEOPLE: Final = 20
WARM_UP: Final = 20
PASSWORD: Final = "correct horse battery staple"
WRONG: Final = "incorrect horse battery staple"
KNOWN, UNKNOWN, AGAIN, RIGHT = "known", "unknown", "known again", "right"
EXPECTED: Final = {KNOWN: 401, UNKNOWN: 401, AGAIN: 401, RIGHT: 200}
PATIENCE_S: Final = 600


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two samples differ. `share` is the chance that one of the second is larger."""

    share: float
    mann_whitney_p: float
    distance: float
    kolmogorov_smirnov_p: float


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """(share of pairs in which the second is larger, two-sided p by the normal approximation with ties corrected)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    size, ranks, ties = len(ranked), 0.0, 0.0
    start = 0
    while start < size:
        end = start
        while end < size and ranked[end][0] == ranked[start][0]:
            end += 1
        run = end - start
        ties += run**3 - run
        ranks += sum(which for _, which in ranked[start:end]) * (start + 1 + end) / 2
        start = end
    n, m = len(first), len(second)
    u = ranks - m * (m + 1) / 2
    spread = math.sqrt(n * m / 12 * ((size + 1) - ties / (size * (size - 1))))
    z = (abs(u - n * m / 2) - 0.5) / spread if spread else 0.0
    return u / (n * m), min(1.0, math.erfc(max(0.0, z) / math.sqrt(2)))


def kolmogorov_smirnov(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """(largest distance between the two distribution functions, its p by the asymptotic formula)."""
    a, b = sorted(first), sorted(second)
    i = j = 0
    distance = 0.0
    while i < len(a) and j < len(b):
        value = min(a[i], b[j])
        while i < len(a) and a[i] <= value:
            i += 1
        while j < len(b) and b[j] <= value:
            j += 1
        distance = max(distance, abs(i / len(a) - j / len(b)))
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    total = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return distance, min(1.0, max(0.0, total)) if scaled > 0.2 else 1.0


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    return Difference(*mann_whitney(first, second), *kolmogorov_smirnov(first, second))


async def register(client: httpx.AsyncClient, count: int) -> list[str]:
    emails = []
    for _ in range(count):
        email = f"{uuid4().hex}@example.com"
        body = {"email": email, "password": PASSWORD, "name": "Somebody"}
        answer = await client.post("/api/auth/register", json=body)
        if answer.status_code != 201:
            raise Broken(answer.text)
        emails.append(email)
    return emails


async def sample(client: httpx.AsyncClient, people: Sequence[str], samples: int) -> dict[str, list[float]]:
    """Milliseconds of every sign-in, by kind."""
    found: dict[str, list[float]] = {kind: [] for kind in EXPECTED}
    order = [kind for kind in EXPECTED for _ in range(samples)]
    chance = random.Random(f"{time.time_ns()}")
    chance.shuffle(order)
    warm_up = [kind for kind in EXPECTED for _ in range(WARM_UP)]
    for place, kind in enumerate([*warm_up, *order]):
        email = f"{uuid4().hex}@example.com" if kind == UNKNOWN else chance.choice(people)
        body = {"email": email, "password": PASSWORD if kind == RIGHT else WRONG}
        began = time.perf_counter()
        answer = await client.post("/api/auth/login", json=body)
        took_ms = (time.perf_counter() - began) * 1000
        client.cookies.clear()
        if answer.status_code != EXPECTED[kind]:
            raise Broken(f"{kind}: {answer.status_code} {answer.text}")
        if place >= len(warm_up):
            found[kind].append(took_ms)
    return found


def table(found: dict[str, list[float]]) -> str:
    lines = [f"{'sign-in':<16}{'number':>8}{'p10 ms':>10}{'median ms':>11}{'p90 ms':>10}"]
    for kind, times in found.items():
        ordered = sorted(times)
        tenth, last = ordered[len(ordered) // 10], ordered[len(ordered) * 9 // 10]
        lines.append(f"{kind:<16}{len(times):>8}{tenth:>10.2f}{median(times):>11.2f}{last:>10.2f}")
    head = f"{'a':<16}{'b':<16}{'b longer':>10}{'Mann-Whitney p':>16}{'K-S distance':>14}{'K-S p':>10}"
    lines += ["", head]
    for first, second in ((KNOWN, UNKNOWN), (KNOWN, AGAIN), (UNKNOWN, AGAIN), (KNOWN, RIGHT)):
        seen = difference(found[first], found[second])
        lines.append(
            f"{first:<16}{second:<16}{seen.share:>9.1%}{seen.mann_whitney_p:>17.4f}{seen.distance:>14.3f}"
            f"{seen.kolmogorov_smirnov_p:>10.4f}"
        )
    return "\n".join(lines)


async def measure(database_url: str, samples: int) -> int:
    async with (
        processes.api(database_url, PM_LOG_LEVEL="ERROR") as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        people = await register(client, PEOPLE)
        found = await asyncio.wait_for(sample(client, people, samples), PATIENCE_S)
    print(f"\n{ABOUT}\n")
    print(table(found))
    told = difference(found[KNOWN], found[UNKNOWN])
    seen = difference(found[KNOWN], found[RIGHT])
    apart = told.mann_whitney_p < 0.001 or told.kolmogorov_smirnov_p < 0.001
    print(
        f"\nKnown and unknown users can{'' if apart else 'not'} be told apart by {samples} sign-ins each: whoever"
        f" guesses by the longer time is right in {max(told.share, 1 - told.share):.1%} of pairs"
        f" (with the right password: {max(seen.share, 1 - seen.share):.1%})."
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logins", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: too few for a figure")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    with ground.database_server() as server:
        try:
            return uvloop.run(measure(server.url, QUICK_SAMPLES if chosen.quick else SAMPLES))
        except (Broken, TimeoutError, AssertionError) as error:
            print(f"the benchmark broke: {error!r}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
