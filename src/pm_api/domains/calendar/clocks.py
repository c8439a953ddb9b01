"""What the clocks of a zone do, as a value that can be kept: so that a time that was worked out by an older release
of the zone tables can be told from the same time by this one. Pure.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from pm_api.core.recurrence.zones import changes, zone

YEARS_BACK: Final = 1
YEARS_AHEAD: Final = 12
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
Offsets = Sequence[Sequence[int]]
"""`(second since 1970, offset in seconds)`: each holds from there to the next one, the first from the beginning."""


@dataclass(frozen=True, slots=True)
class Clocks:
    offsets: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, offsets: Offsets) -> "Clocks":
        return cls(tuple((int(one[0]), int(one[1])) for one in offsets))

    def instant(self, wall: datetime) -> datetime:
        """By RFC 5545 §3.3.5: what is skipped has the offset before; of what comes twice the first counts."""
        local = (wall.replace(tzinfo=UTC) - _ZERO) // timedelta(seconds=1)
        for number, (_, offset) in enumerate(self.offsets):
            following = self.offsets[number + 1][0] if number + 1 < len(self.offsets) else None
            # Shown before the next change, or skipped by it.
            if following is None or local - offset < following or local - self.offsets[number + 1][1] < following:
                return _ZERO + timedelta(seconds=local - offset)
        raise AssertionError("the last offset has no end")

    def wall(self, instant: datetime) -> datetime:
        second = (instant - _ZERO) // timedelta(seconds=1)
        at = bisect.bisect_right(self.offsets, second, key=lambda one: one[0])
        return (instant + timedelta(seconds=self.offsets[max(at - 1, 0)][1])).replace(tzinfo=None)


def clocks_of(zone_name: str, now: datetime) -> Clocks:
    """From the year before to twelve years ahead, by the release in use; raises ZoneUnknown."""
    return _clocks_of(zone_name, now.year)


@lru_cache(maxsize=1024)
def _clocks_of(zone_name: str, year: int) -> Clocks:
    place = zone(zone_name)
    first, end = datetime(year - YEARS_BACK, 1, 1, tzinfo=UTC), datetime(year + YEARS_AHEAD, 1, 1, tzinfo=UTC)
    before = first.astimezone(place).utcoffset()
    assert before is not None
    offsets = [(_second(first), _whole(before))]
    offsets += [(_second(one.instant), _whole(one.after)) for one in changes(place, first, end)]
    return Clocks(tuple(offsets))


def _second(instant: datetime) -> int:
    return (instant - _ZERO) // timedelta(seconds=1)


def _whole(offset: timedelta) -> int:
    return offset // timedelta(seconds=1)
