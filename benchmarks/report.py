"""What is measured, how it is printed, and the figures that are to be reached."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.load import Figures

NOOP: Final = "no-op, one caller"
NOOP_COLD: Final = "no-op, 10,000 callers, sessions not cached"
SPEND_HOT: Final = "spend, one hot account"
SPEND_SPREAD: Final = "spend, 10,000 accounts"
SPEND_COLD: Final = "spend, 10,000 accounts, sessions not cached"
ORM_HOT: Final = "ORM spend, one hot account"
ORM_SPREAD: Final = "ORM spend, 10,000 accounts"

NOOP_POOL: Final = "no-op, 20 members of a workspace"
SPEND_POOL: Final = "spend, a capped pool of 20 members"
HOLD_PAIR: Final = "hold and capture, one hot account"
BATCH_HOT: Final = "spends in batches of 100, one hot account"
BATCH_SPREAD: Final = "spends in batches of 100, 10,000 accounts"

WRITER_HOT: Final = "writer, one hot account"
WRITER_SPREAD: Final = "writer, 10,000 accounts"

AT: Final = 32
"""Connections at which the targets hold."""
BATCHES_AT: Final = 8
"""Connections that send batches: each has as many spends under way as a hundred others."""


@dataclass
class Results:
    http: dict[tuple[str, int], list[Figures]] = field(default_factory=lambda: defaultdict(list))
    alone: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    pgbench: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def per_s(self, name: str, connections: int = AT) -> float:
        return median(one.per_s for one in self.http[name, connections])

    def p50_ms(self, name: str, connections: int = AT) -> float:
        return median(one.p50_ms for one in self.http[name, connections])

    def p99_ms(self, name: str, connections: int = AT) -> float:
        return median(one.p99_ms for one in self.http[name, connections])

    def batch_per_s(self, name: str) -> float:
        return self.per_s(name, BATCHES_AT)

    def pgbench_best(self) -> float:
        return max(median(rates) for rates in self.pgbench.values())


def http_table(results: Results) -> str:
    """Medians of each contestant at each number of connections."""
    lines = [f"{'over HTTP':<46}{'connections':>12}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'runs':>6}"]
    lines += [
        f"{name:<46}{connections:>12}{results.per_s(name, connections):>12,.0f}"
        f"{results.p50_ms(name, connections):>10.2f}{results.p99_ms(name, connections):>10.2f}{len(runs):>6}"
        for (name, connections), runs in sorted(results.http.items(), key=_by_name)
    ]
    return "\n".join(lines)


def _by_name(item: tuple[tuple[str, int], object]) -> tuple[int, int]:
    (name, connections), _ = item
    return _ORDER.index(name), connections


_ORDER: Final = (
    *(NOOP, SPEND_HOT, SPEND_SPREAD, ORM_HOT, ORM_SPREAD, NOOP_COLD, SPEND_COLD),
    *(NOOP_POOL, SPEND_POOL, HOLD_PAIR, BATCH_HOT, BATCH_SPREAD),
)


def alone_table(results: Results) -> str:
    """Medians of the writer and of pgbench."""
    lines = [f"{'without HTTP':<46}{'clients':>12}{'per second':>12}{'runs':>6}"]
    lines += [
        f"{name + ', batches of 500':<46}{1:>12}{median(rates):>12,.0f}{len(rates):>6}"
        for name, rates in results.alone.items()
    ]
    lines += [
        f"{'pgbench, one SQL debit a transaction':<46}{clients:>12}{median(rates):>12,.0f}{len(rates):>6}"
        for clients, rates in results.pgbench.items()
    ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Target:
    """`target` is None for what is only told."""

    figure: str
    value: float
    target: float | None
    at_most: bool = False

    def line(self) -> str:
        told = f"{self.figure:<60}{self.value:>12.2f}"
        if self.target is None:
            return f"{told}{'—':>12}"
        reached = self.value <= self.target if self.at_most else self.value >= self.target
        return f"{told}{('≤ ' if self.at_most else '≥ ') + f'{self.target:g}':>12}   {'yes' if reached else 'NO'}"


def targets(results: Results) -> Sequence[Target]:
    """The ratios that count, each from figures of this one run."""
    rate: Callable[[str], float] = results.per_s
    found = [
        Target(f"{SPEND_HOT} / no-op", rate(SPEND_HOT) / rate(NOOP), 0.4),
        Target(f"{SPEND_SPREAD} / no-op", rate(SPEND_SPREAD) / rate(NOOP), 0.4),
        Target("sessions not cached: spend / no-op", rate(SPEND_COLD) / rate(NOOP_COLD), 0.4),
        Target(f"{SPEND_HOT} / ORM", rate(SPEND_HOT) / rate(ORM_HOT), 4),
        Target(f"{SPEND_SPREAD} / ORM", rate(SPEND_SPREAD) / rate(ORM_SPREAD), 4),
        Target("spend, hot / spread", rate(SPEND_HOT) / rate(SPEND_SPREAD), 0.9),
        *(
            Target(f"{name}: p99 / p50", results.p99_ms(name) / results.p50_ms(name), 5, at_most=True)
            for name in (SPEND_HOT, SPEND_SPREAD)
        ),
    ]
    hot = median(results.alone[WRITER_HOT]) / results.pgbench_best()
    found += [Target(f"{WRITER_HOT} / pgbench's best", hot, 3), Target("the same, aim", hot, 5)]
    batches = results.batch_per_s(BATCH_HOT) / results.pgbench_best()
    return [
        *found,
        Target(f"{BATCH_HOT} / pgbench's best", batches, 2),
        Target("the same, aim", batches, 4),
        Target(f"{BATCH_SPREAD} / pgbench's best", results.batch_per_s(BATCH_SPREAD) / results.pgbench_best(), None),
        Target(f"{SPEND_POOL} / no-op", rate(SPEND_POOL) / rate(NOOP), None),
        Target("the same / no-op with the same guard", rate(SPEND_POOL) / rate(NOOP_POOL), None),
        Target(f"{HOLD_PAIR}: pairs / no-op", rate(HOLD_PAIR) / rate(NOOP), None),
        Target(f"{HOLD_PAIR}: requests / no-op", 2 * rate(HOLD_PAIR) / rate(NOOP), None),
    ]


def target_table(found: Sequence[Target]) -> str:
    head = f"{f'ratios (HTTP: at {AT} connections, batches {BATCHES_AT})':<60}{'is':>12}{'to reach':>12}"
    return "\n".join([head, *(one.line() for one in found)])
