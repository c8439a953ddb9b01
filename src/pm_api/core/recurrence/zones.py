"""Time zones: from wall time to UTC and back, and where clocks change.

Zones are read from the `tzdata` package and never from the machine, so that every process of one installation uses
the same release, and it is known which (`tzdata_version`).
"""

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # it is data, and one constant

from pm_api.core.recurrence.errors import ZoneUnknown

LARGEST_CHANGE: Final = timedelta(days=1)
"""No zone ever moved its clocks by more: Samoa left out 30 December 2011."""
_NAME: Final = re.compile(r"[A-Za-z0-9_+\-]{1,32}(/[A-Za-z0-9_+\-]{1,32}){0,2}", re.ASCII)
_NO_PLACES: Final = frozenset({"Factory", "localtime", "posixrules"})
_SAMPLE: Final = timedelta(days=1)


def tzdata_version() -> str:
    """The IANA release in use, such as `2026a`: kept beside every derived UTC time."""
    return str(tzdata.IANA_VERSION)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises ZoneUnknown."""
    if not _NAME.fullmatch(name) or name in _NO_PLACES:
        raise ZoneUnknown
    found = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    if not found.is_file():
        raise ZoneUnknown(f"There is no time zone {name!r}.")
    with found.open("rb") as data:
        try:
            return ZoneInfo.from_file(data, key=name)
        except ValueError:  # the package also holds tables that are no zones
            raise ZoneUnknown(f"There is no time zone {name!r}.") from None


def zone_or_utc(name: str) -> ZoneInfo:
    """UTC for a zone that is not known (any more): where a time is to be shown or kept whatever happened since."""
    try:
        return zone(name)
    except ZoneUnknown:
        return zone("UTC")


def to_utc(local: datetime, place: ZoneInfo) -> datetime:
    """The instant of a wall time, by RFC 5545 §3.3.5: one that does not exist is read with the offset before the gap,
    one that comes twice is the first, unless it says itself (`fold`) that it is the second.
    """
    return local.replace(tzinfo=place).astimezone(UTC)


def to_local(instant: datetime, place: ZoneInfo) -> datetime:
    """The wall time of an instant, without a zone. The second pass of an hour that comes twice has `fold` set."""
    return instant.astimezone(place).replace(tzinfo=None)


def is_gap(local: datetime, place: ZoneInfo) -> bool:
    """Whether clocks skip this wall time."""
    return to_local(to_utc(local, place), place) != local


def is_twice(local: datetime, place: ZoneInfo) -> bool:
    """Whether clocks show this wall time twice."""
    first, second = (local.replace(tzinfo=place, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    return first > second


@dataclass(frozen=True, slots=True)
class Change:
    """A change of clocks: at `instant` the offset goes from `before` to `after`."""

    instant: datetime
    before: timedelta
    after: timedelta

    @property
    def forward(self) -> bool:
        return self.after > self.before

    @property
    def unusual(self) -> tuple[datetime, datetime]:
        """The wall times that are skipped (forward) or come twice: from the first up to, not with, the second."""
        wall = self.instant.replace(tzinfo=None)
        return wall + min(self.before, self.after), wall + max(self.before, self.after)


def changes(place: ZoneInfo, after: datetime, before: datetime) -> Sequence[Change]:
    """Every change of the offset in the range, to the second."""
    found: list[Change] = []
    sample = after
    while sample < before:
        following = min(sample + _SAMPLE, before)
        old, new = _offset(sample, place), _offset(following, place)
        if old != new:
            seconds = range(int((following - sample).total_seconds()) + 1)
            # The first second with the new offset.
            at = bisect.bisect_left(seconds, 1, key=lambda second: _offset(_later(sample, second), place) != old)
            found.append(Change(_later(sample, at), old, new))
        sample = following
    return found


def _later(instant: datetime, seconds: int) -> datetime:
    return instant + timedelta(seconds=seconds)


def _offset(instant: datetime, place: ZoneInfo) -> timedelta:
    offset = instant.astimezone(place).utcoffset()
    assert offset is not None
    return offset
