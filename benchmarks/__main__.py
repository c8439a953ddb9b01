"""`make bench`: every figure and ratio in one run; exit code 1 only when something broke, never for a slow figure."""

import argparse
import cProfile
import os
import platform as machine
import pstats
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from tests.support.settings import settings_for

from benchmarks import books, ground, report
from benchmarks.alone import CLIENTS, BenchmarkFailed, Pgbench, WriterAlone
from benchmarks.ground import DatabaseServer, Ground
from benchmarks.load import BATCH, HOLD, SPEND, LoadProcess, Task
from benchmarks.report import Results
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.platform import Platform

ABOUT: Final = """\
Medians; the contestants of a round run one after the other and every round starts with another one, so that drift
of the machine cancels. PostgreSQL is the embedded one with its usual durability (fsync, synchronous_commit). One API
process, served as in production: rate limits are counted (and never reached), PM_LOG_LEVEL=WARNING. The load
generator and the database share the machine with it. Every request has a key of its own and must answer 200.

no-op           the product's middleware, limits, guard and body parsing of a spend; answers {"ok": true}
spend           POST /api/credits/spend {"service": "TASK_GENERATION", "description": …}
ORM spend       the same rows by one row-locked ORM transaction a request, without the balance notification
10,000 accounts each with a caller of its own; in the guard's 5 s cache unless it says otherwise
hot accounts    have 20 open holds all the time
capped pool     caps for each member's role and for the service, in both windows; no-op with the same guard
hold, capture   POST …/holds, then …/capture of all of it: two requests, both commands of the writer
batches         POST …/spend:batch with 100 spends, over 8 connections; what is counted are spends
writer          LedgerWriter.submit_many: rules, hash chain, all rows, notification and COMMIT
pgbench         benchmarks/debit.sql: the same rows in one statement; no rules, no hash chain, no notification
"""


ACCOUNTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    warm_up_s: float
    measured_s: float
    connections: tuple[int, ...]
    alone_s: float
    pgbench_s: int


FULL: Final = Plan(5, 0.4, 1.6, (1, 8, 32, 128), 1.5, 2)
QUICK: Final = Plan(1, 0.2, 0.6, (8, 32), 0.5, 1)
MAIN_MEASURED_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Contestant:
    path: str
    everybody: bool = False
    sessions_cached: bool = True
    work: str = SPEND
    members: bool = False
    connections: int | None = None
    """Another number than the rest of its round."""

    def task(self, port: int, connections: int, warm_up_s: float, measured_s: float) -> Task:
        return Task(
            port=port,
            path=self.path,
            everybody=self.everybody,
            sessions_cached=self.sessions_cached,
            connections=self.connections or connections,
            warm_up_s=warm_up_s,
            measured_s=measured_s,
            work=self.work,
            members=self.members,
        )


_SPEND: Final = "/api/credits/spend"
_BATCH: Final = "/api/credits/spend:batch"
_NOOP: Final = "/bench/noop"
_ORM: Final = "/bench/spend-orm"
_CONTESTANTS: Final = {
    report.NOOP: Contestant(_NOOP),
    report.SPEND_HOT: Contestant(_SPEND),
    report.SPEND_SPREAD: Contestant(_SPEND, everybody=True),
    report.ORM_HOT: Contestant(_ORM),
    report.ORM_SPREAD: Contestant(_ORM, everybody=True),
}
_ONLY_AT_MAIN: Final = {
    report.NOOP_COLD: Contestant(_NOOP, everybody=True, sessions_cached=False),
    report.SPEND_COLD: Contestant(_SPEND, everybody=True, sessions_cached=False),
    report.NOOP_POOL: Contestant(_NOOP, members=True),
    report.SPEND_POOL: Contestant(_SPEND, members=True),
    report.HOLD_PAIR: Contestant("/api/credits/holds", work=HOLD),
    report.BATCH_HOT: Contestant(_BATCH, work=BATCH, connections=report.BATCHES_AT),
    report.BATCH_SPREAD: Contestant(_BATCH, work=BATCH, everybody=True, connections=report.BATCHES_AT),
}


@dataclass(slots=True)
class Answered:
    """What the books have to show for it."""

    spends: int = 0
    holds: int = 0


async def over_http(server: DatabaseServer, callers: Path, plan: Plan, results: Results, answered: Answered) -> None:
    """All contestants at all numbers of connections."""
    async with ground.api(server, callers) as port, LoadProcess.start(callers) as load:
        for round_number in range(plan.rounds):
            for connections in plan.connections:
                main = connections == report.AT
                contestants = list({**_CONTESTANTS, **(_ONLY_AT_MAIN if main else {})}.items())
                first = round_number % len(contestants)
                for name, contestant in contestants[first:] + contestants[:first]:
                    measured_s = MAIN_MEASURED_S if main and plan is FULL else plan.measured_s
                    task = contestant.task(port, connections, plan.warm_up_s, measured_s)
                    figures = await load.run(task)
                    results.http[name, task.connections].append(figures)
                    if contestant.path != _NOOP:
                        answered.spends += figures.answered
                    if contestant.work == HOLD:
                        answered.holds += figures.answered
            _say(f"HTTP: round {round_number + 1} of {plan.rounds}")


async def without_http(
    server: DatabaseServer, platform: Platform, people: Ground, plan: Plan, results: Results, answered: Answered
) -> None:
    """Writer and pgbench in turn."""
    writer = WriterAlone(platform)
    pgbench = await Pgbench.over(server, platform, people.pgbench)
    await writer.per_s([people.writer], 0.1)
    for _ in range(plan.rounds):
        results.alone[report.WRITER_HOT].append(await writer.per_s([people.writer], plan.alone_s))
        for clients in CLIENTS:
            results.pgbench[clients].append(await pgbench.per_s(clients, plan.pgbench_s))
        results.alone[report.WRITER_SPREAD].append(await writer.per_s(people.many, plan.alone_s))
    answered.spends += writer.written


async def measure(server: DatabaseServer, plan: Plan) -> int:
    results = Results()
    async with running(build_platform(settings_for(server.url))) as platform:
        people = await ground.fill(platform, ACCOUNTS)
        callers = people.write(server.folder)
        _say(f"{ACCOUNTS:,} accounts are there")
        answered = Answered()
        await over_http(server, callers, plan, results, answered)
        await without_http(server, platform, people, plan, results, answered)
        _say("writer and pgbench are done")
        problems = await books.prove(platform, people, answered.spends, answered.holds)
    print(f"\n{ABOUT}\n{_machine()}\n")
    print(report.http_table(results), end="\n\n")
    print(report.alone_table(results), end="\n\n")
    print(report.target_table(report.targets(results)), end="\n\n")
    if problems:
        print("THE BOOKS ARE WRONG:", *problems, sep="\n")
        return 1
    print(
        f"The books hold: {answered.spends:,} spends were answered, each is one command, one entry and its"
        f" allocation; {answered.holds:,} of them out of a hold of their own."
    )
    return 0


async def profile(server: DatabaseServer) -> int:
    """Where the time of a spend goes, by function; a profiled process is slower than the figures say."""
    stats = server.folder / "api.prof"
    async with running(build_platform(settings_for(server.url))) as platform:
        people = await ground.fill(platform, ACCOUNTS)
        callers = people.write(server.folder)
        async with ground.api(server, callers, stats) as port, LoadProcess.start(callers) as load:
            figures = await load.run(_CONTESTANTS[report.SPEND_HOT].task(port, report.AT, 0.5, 5.0))
        print(f"{report.SPEND_HOT}, {report.AT} connections, profiled: {figures.answered:,} requests")
        pstats.Stats(str(stats)).sort_stats("tottime").print_stats(40)
        writer = WriterAlone(platform)
        await writer.per_s([people.writer], 0.2)
        profiler = cProfile.Profile()
        with profiler:
            rate = await writer.per_s([people.writer], 3.0)
        print(f"{report.WRITER_HOT}, profiled: {rate:,.0f} a second")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    return 0


def _say(text: str) -> None:
    print(f"{time.perf_counter() - _BEGAN:6.0f} s  {text}", file=sys.stderr, flush=True)


def _machine() -> str:
    return f"Python {machine.python_version()} on {machine.system()} {machine.machine()}, {os.cpu_count()} processors"


_BEGAN = time.perf_counter()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: one short round")
    parser.add_argument("--profile", action="store_true", help="where the time of a spend goes, instead of figures")
    chosen = parser.parse_args()
    plan = QUICK if chosen.quick else FULL
    telemetry.configure_logging(level="WARNING", as_json=False)
    with ground.database_server() as server:
        try:
            return uvloop.run(profile(server) if chosen.profile else measure(server, plan))
        except (TimeoutError, BenchmarkFailed, ground.ProcessEnded) as error:
            print(f"the benchmark broke: {error!r}\n{error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
