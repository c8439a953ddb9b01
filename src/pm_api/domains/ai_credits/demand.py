"""How usage may go on, told from how it went: pure, and the same for the same past and seed.

Usage is modelled in blocks (weeks once there are four of them, days before): a line through the blocks, shrunk
towards no growth as far as the past cannot tell, and around it the past's own blocks drawn again, so that a weekly
rhythm and bursts come back as they were. Each future takes its line from what the past leaves open. A past that
repeats itself exactly has one future, reckoned in fractions.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from statistics import NormalDist, fmean
from typing import Final

HORIZON_DAYS: Final = 365
WEEK: Final = 7
WEEKLY_FROM_DAYS: Final = 28
GROWTH_BELIEF: Final = 0.05
"""How much of its mean usage is thought to change in a week before the past has said anything."""
WIDENING: Final = 1.15
"""Level, growth and shapes are learned from the same few blocks; bands that ignore it come out too narrow."""
GOLDEN: Final = (math.sqrt(5) - 1) / 2

Number = Fraction | float


@dataclass(frozen=True, slots=True)
class Start:
    """Where the future begins: a position in days since today's midnight, and what today has used already."""

    begin: Fraction
    used_today: int


class Future:
    """One way usage may go, as a sum that grows over time."""

    def __init__(
        self,
        rates: Sequence[Number],
        shapes: Sequence[Sequence[Number]],
        start: Start,
        *,
        exact: bool,
    ) -> None:
        """Block `n` uses `rates[n]` times what its shape says; a shape sums the block's days up."""
        self.exact = exact
        self._rates = rates
        self._shapes = shapes
        self._length = len(shapes[0]) - 1
        self._sums: list[Number] = [
            0,
            *accumulate(rate * shape[-1] for rate, shape in zip(rates, shapes, strict=True)),
        ]
        self._begin: Number = start.begin if exact else float(start.begin)
        self._first = rates[0] * shapes[0][1]
        self._rest = max(self._first - start.used_today, 0)

    def used_until(self, position: Number) -> Number:
        """Usage from now to a position."""
        if position < 1:
            return self._rest * (position - self._begin) / (1 - self._begin)
        day = int(position)
        block, within = divmod(day, self._length)
        shape = self._shapes[block]
        part = shape[within] + (shape[within + 1] - shape[within]) * (position - day)
        return self._sums[block] + self._rates[block] * part - self._first + self._rest

    def when(self, used: Number) -> Number:
        """The last position at which no more than this has been used."""
        if used < self._rest:
            return self._begin + (1 - self._begin) * used / self._rest
        level = used + self._first - self._rest
        block = min(bisect_right(self._sums, level), len(self._rates)) - 1
        shape, rate = self._shapes[block], self._rates[block]
        if rate <= 0:
            return block * self._length
        part = (level - self._sums[block]) / rate
        within = min(max(bisect_right(shape, part), 1), self._length) - 1
        size = shape[within + 1] - shape[within]
        inside = (part - shape[within]) / size if size else 0
        return block * self._length + within + min(max(inside, 0), 1)


def repeated(past: Sequence[int]) -> list[int] | None:
    """The week that this past repeats without an exception, or None. Its first day falls on today's weekday."""
    if len(set(past)) == 1:
        return [past[0]] * WEEK if len(past) >= WEEK or not past[0] else None
    if len(past) >= 2 * WEEK and all(past[day] == past[day - WEEK] for day in range(WEEK, len(past))):
        return list(past[-WEEK:])
    return None


def exact_future(week: Sequence[int], start: Start) -> Future:
    """This week again and again."""
    blocks = HORIZON_DAYS // WEEK + 2
    shape: list[Number] = [Fraction(0), *accumulate(Fraction(credits) for credits in week)]
    return Future([Fraction(1)] * blocks, [shape] * blocks, start, exact=True)


def futures(past: Sequence[int], start: Start, count: int, seed: int) -> Iterator[Future]:
    """Levels and slopes are spread evenly over what is possible; only the order of the blocks is drawn."""
    line = _line(past)
    shapes = line.shapes()
    blocks = HORIZON_DAYS // line.length + 2
    normal, draws = NormalDist(), _draws(seed)
    for number in range(count):
        level_z = normal.inv_cdf((number + 0.5) / count)
        slope_z = normal.inv_cdf(((number + 0.5) * GOLDEN) % 1)
        chosen = [shapes[next(draws) % len(shapes)] for _ in range(blocks)]
        yield Future(line.rates(level_z, slope_z, blocks), chosen, start, exact=False)


def central_future(past: Sequence[int], start: Start) -> Future:
    """What is expected: the line itself, with the mean of all shapes."""
    line = _line(past)
    blocks = HORIZON_DAYS // line.length + 2
    shape: list[Number] = [fmean(float(one) for one in sums) for sums in zip(*line.shapes(), strict=True)]
    return Future(line.rates(0.0, 0.0, blocks), [shape] * blocks, start, exact=False)


@dataclass(frozen=True, slots=True)
class _Line:
    """Usage of a block by its number (0 is the first to come), with what is not known of it."""

    length: int
    centre: float
    level: float
    level_sd: float
    slope: float
    slope_sd: float
    freedom: int
    blocks: list[list[int]]
    mean: float

    def rates(self, level_z: float, slope_z: float, count: int) -> list[Number]:
        level = self.level * math.exp(self.level_sd * WIDENING * _student(level_z, self.freedom))
        slope = self.slope + self.slope_sd * WIDENING * _student(slope_z, self.freedom)
        if slope >= 0:
            return [level + slope * (number - self.centre) for number in range(count)]
        pace = -slope / self.level
        return [level / (1 + pace * (number - self.centre)) for number in range(count)]

    def shapes(self) -> list[list[Number]]:
        """Each past block's running sums, relative to what the line says of it."""
        found: list[list[Number]] = []
        for number, block in enumerate(self.blocks):
            said = self.level + self.slope * (number - len(self.blocks) - self.centre)
            scale = max(said, 0.2 * self.mean)
            found.append([0.0, *accumulate(credits / scale for credits in block)])
        return found


def _line(past: Sequence[int]) -> _Line:
    """Of a past in which something was used."""
    weekly = len(past) >= WEEKLY_FROM_DAYS and any(past[len(past) % WEEK :])
    length = WEEK if weekly else 1
    count = len(past) // length
    kept = past[len(past) - count * length :]
    blocks = [list(kept[start : start + length]) for start in range(0, len(kept), length)]
    totals = [float(sum(block)) for block in blocks]
    mean = fmean(totals)
    centre = -(count + 1) / 2
    offsets = [number - count - centre for number in range(count)]
    spread = sum(offset * offset for offset in offsets)
    raw_slope = sum(offset * total for offset, total in zip(offsets, totals, strict=True)) / spread
    errors = [total - mean - raw_slope * offset for offset, total in zip(offsets, totals, strict=True)]
    variance = sum(error * error for error in errors) / max(count - 2, 1)
    belief = (GROWTH_BELIEF * mean * length / WEEK) ** 2
    trust = belief / (belief + variance / spread)
    slope = trust * raw_slope
    rest = [total - mean - slope * offset for offset, total in zip(offsets, totals, strict=True)]
    noise = sum(error * error for error in rest) / max(count - 1, 1)
    return _Line(
        length=length,
        centre=centre,
        level=mean,
        level_sd=math.sqrt(math.log1p(noise / count / mean**2)),
        slope=slope,
        slope_sd=math.sqrt(trust * variance / spread),
        freedom=max(count - 2, 2),
        blocks=blocks,
        mean=mean,
    )


def _student(z: float, freedom: int) -> float:
    """A normal quantile as Student's (Abramowitz & Stegun 26.7.5, two terms): few blocks tell little."""
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _draws(seed: int) -> Iterator[int]:
    """Numbers that look random and are the same for the same seed (Knuth's MMIX multiplier)."""
    state = seed & 0xFFFFFFFFFFFFFFFF
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        yield state >> 33
