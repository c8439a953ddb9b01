"""Time zones that a file names or describes, found among those of the IANA database (RFC 5545 §3.6.5).

An event is stored with an IANA zone, because only that goes on being right when a country changes its mind. A name
that is none may be Windows' (CLDR's windowsZones), or have a program's address in front; a zone that a file describes
itself is compared with all that exist, over the years that its event needs.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from pm_api.core.recurrence import Budget
from pm_api.core.recurrence.errors import RecurrenceRefused, ZoneUnknown
from pm_api.core.recurrence.expansion import instances
from pm_api.core.recurrence.parsing import parse_rule
from pm_api.core.recurrence.zones import zone
from pm_api.domains.calendar.ical import times
from pm_api.domains.calendar.ical.lines import Component, plain
from pm_api.domains.calendar.ical.times import NotThat
from pm_api.domains.calendar.ical.zones import UTC_NAMES

MOST_OBSERVANCES: Final = 400
MOST_ONSETS: Final = 2000
MOST_COMPARED: Final = 30
"""So often in one file are described zones compared with those that exist."""
STEPS: Final = 20_000
COMPARED: Final = (timedelta(days=800),)
"""So long from the start of a series does a zone have to agree with the described one."""
COMPARED_ONCE: Final = (*COMPARED, timedelta(days=200), timedelta(days=4))
"""For what happens once it is enough that they agree around it; the better they do, the better."""
_PREFERRED: Final = (
    *("Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "Europe/Helsinki", "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney"),
)
_WINDOWS: Final = {name.casefold(): iana for name, iana in WINDOWS_TO_OLSON.items()}
_SAMPLE_EVERY: Final = timedelta(days=13)


@dataclass(frozen=True, slots=True)
class Found:
    """An IANA zone, and unless it is the one that was named, how it was come by."""

    name: str
    note: str = ""


class NoSuchZone(ValueError):
    """Nothing of the IANA database is meant; says why."""


class Zones:
    """The zones of one file. A described one is read when something needs it, and each question is asked once."""

    def __init__(self, described: Sequence[Component]) -> None:
        self._described = {plain(one.text("TZID")).strip(): one for one in described}
        self._onsets: dict[str, _Described | str] = {}
        self._found: dict[tuple[str, int, bool], Found | str] = {}
        self._compared = 0

    def find(self, tzid: str, first: datetime, *, once: bool) -> Found:
        """The zone of a TZID for what begins at this wall time. Raises NoSuchZone."""
        asked = (tzid, first.toordinal() if once else first.year, once)
        if asked not in self._found:
            try:
                self._found[asked] = self._find(plain(tzid).strip(), first, once=once)
            except NoSuchZone as error:
                self._found[asked] = str(error)
        found = self._found[asked]
        if isinstance(found, str):
            raise NoSuchZone(found)
        return found

    def _find(self, tzid: str, first: datetime, *, once: bool) -> Found:
        known = by_name(tzid)
        if known is not None:
            return Found(known, "" if known == tzid else f"Time zone {tzid[:80]!r} was taken as {known}.")
        described = self._described.get(tzid)
        if described is None:
            raise NoSuchZone(f"time zone {tzid[:80]!r} is not known, and the file does not describe it")
        place = described.first("X-LIC-LOCATION")
        known = by_name(place.text) if place is not None else None
        if known is not None:
            return Found(known, f"Time zone {tzid[:80]!r} was taken as {known}, which it names as its place.")
        if tzid not in self._onsets:
            try:
                self._onsets[tzid] = _Described(described)
            except NotThat as error:
                self._onsets[tzid] = str(error)
        read = self._onsets[tzid]
        if isinstance(read, str):
            raise NoSuchZone(f"time zone {tzid[:80]!r} cannot be read: {read}")
        self._compared += 1
        if self._compared > MOST_COMPARED:
            raise NoSuchZone("the file describes too many time zones of its own")
        spans = COMPARED_ONCE if once else COMPARED
        matched = next((name for one in spans if (name := read.matching(first, one)) is not None), None)
        if matched is None:
            raise NoSuchZone(
                f"time zone {tzid[:80]!r} is described in the file, but no zone of the IANA database"
                f" has its clocks from {first.year} on"
            )
        return Found(matched, f"Time zone {tzid[:80]!r} was taken as {matched}, which has the same clocks then.")


@lru_cache(maxsize=4096)
def by_name(tzid: str) -> str | None:
    """The IANA name that a TZID is, or ends with, or is called by Windows; also with hyphens, as in "US-Eastern"."""
    wanted = tzid.strip().strip('"')[:200]
    written = wanted.replace(" ", "_")
    parts = [one for one in written.split("/") if one]
    for at in range(len(parts)):
        if at and at == len(parts) - 1:
            break  # the last part alone, "York", is no name
        found = _iana().get("/".join(parts[at:]).casefold())
        if found is not None:
            return "UTC" if found in UTC_NAMES else found
    return _WINDOWS.get(wanted.casefold()) or _iana().get(written.replace("-", "/", 1).casefold())


@lru_cache(maxsize=1)
def _iana() -> dict[str, str]:
    """Names as people write them, by themselves in small letters."""
    found = {}
    for name in sorted(available_timezones()):
        try:
            zone(name)
        except ZoneUnknown:
            continue
        found[name.casefold()] = name
    return found


class _Described:
    """A VTIMEZONE: its onsets, worked out for the years that are asked for. Raises NotThat for one without sense."""

    def __init__(self, component: Component) -> None:
        observances = [one for one in component.children if one.name in ("STANDARD", "DAYLIGHT")]
        if not observances:
            raise NotThat("it has neither STANDARD nor DAYLIGHT")
        if len(observances) > MOST_OBSERVANCES:
            raise NotThat(f"it has more than {MOST_OBSERVANCES} parts")
        self._observances = [_Observance(one) for one in observances]

    def matching(self, first: datetime, span: timedelta) -> str | None:
        """The first zone, those that many mean before others, whose offsets are the described ones throughout."""
        begin = first.replace(tzinfo=UTC, fold=0) - timedelta(days=2)
        end = begin + span
        onsets = self._until(end)
        asked = [begin + _SAMPLE_EVERY * step for step in range(int(span / _SAMPLE_EVERY) + 1)]
        for at, _ in onsets:
            if begin <= at <= end:
                asked += [at - timedelta(seconds=1), at]
        wanted = [(at, self._offset(onsets, at)) for at in sorted(asked)]
        if len({offset for _, offset in wanted}) == 1:
            hours = wanted[0][1] / timedelta(hours=1)
            if hours == int(hours) and -14 <= -hours <= 12:
                return f"Etc/GMT{-int(hours):+}" if hours else "UTC"
        return next((name for name in _candidates() if _agrees(name, wanted)), None)

    def _until(self, end: datetime) -> list[tuple[datetime, timedelta]]:
        budget = Budget(STEPS)
        try:
            found = [one for observance in self._observances for one in observance.onsets(end, budget)]
        except RecurrenceRefused as error:
            raise NoSuchZone(f"its rule cannot be followed: {error.detail}") from None
        if len(found) > MOST_ONSETS:
            raise NoSuchZone("it changes its clocks too often")
        return sorted(set(found))

    def _offset(self, onsets: Sequence[tuple[datetime, timedelta]], at: datetime) -> timedelta:
        later = bisect_right(onsets, at, key=lambda one: one[0])
        return onsets[later - 1][1] if later else min(self._observances, key=lambda one: one.start).before


class _Observance:
    def __init__(self, component: Component) -> None:
        start = times.moment_of(_required(component, "DTSTART"))
        if not isinstance(start, datetime):
            raise NotThat("its DTSTART is a date without a time")
        self.start = start.replace(tzinfo=None)
        self.before = times.offset_of(_required(component, "TZOFFSETFROM"))
        self.after = times.offset_of(_required(component, "TZOFFSETTO"))
        rules = component.all("RRULE")
        if len(rules) > 1:
            raise NotThat("one of its parts has two rules")
        try:
            self._rule = parse_rule(rules[0].value, place=zone("UTC")) if rules else None
        except RecurrenceRefused as error:
            raise NotThat(f"its rule cannot be read ({error.detail})") from None
        self._dates: list[datetime] = []
        for one in component.all("RDATE"):
            for text in one.value.split(","):
                if not text.strip():
                    continue
                moment = times.moment_of(text.partition("/")[0])
                if isinstance(moment, datetime):
                    self._dates.append(moment.replace(tzinfo=None))
            if len(self._dates) > MOST_ONSETS:
                raise NotThat("it has too many dates")

    def onsets(self, end: datetime, budget: Budget) -> Iterator[tuple[datetime, timedelta]]:
        """When it begins to hold, in UTC, and the offset from then on."""
        latest = (end + timedelta(days=2)).replace(tzinfo=None)
        walls = [self.start, *self._dates]
        if self._rule is not None:
            by_rule = instances(self._rule, self.start, None, budget, earliest=self.start, latest=latest)
            if not self._rule.until:
                walls += islice(by_rule, MOST_ONSETS)
            else:
                walls += islice(self._ending(budget, latest), MOST_ONSETS)
        return ((self._instant(one), self.after) for one in walls if one <= latest)

    def _instant(self, wall: datetime) -> datetime:
        """Of the first and the last day that there are, which nothing is compared on, the offset is left out."""
        try:
            return (wall - self.before).replace(tzinfo=UTC)
        except OverflowError:
            return wall.replace(tzinfo=UTC)

    def _ending(self, budget: Budget, latest: datetime) -> Iterator[datetime]:
        """UNTIL is UTC in a zone's rule, as its times are not."""
        assert self._rule is not None
        until = self._rule.until
        assert isinstance(until, datetime)
        bare = self._rule.ending()
        for wall in instances(bare, self.start, None, budget, earliest=self.start, latest=latest):
            if self._instant(wall) > until:
                return
            yield wall


def _required(component: Component, name: str) -> str:
    found = component.first(name)
    if found is None:
        raise NotThat(f"one of its parts has no {name}")
    return found.value


@lru_cache(maxsize=1)
def _candidates() -> Sequence[str]:
    """Every zone once, by what most people mean first: large places, then one for each zone of Windows, then all."""
    some = (*_PREFERRED, *_WINDOWS.values(), *sorted(_iana().values()))
    return [one for one in dict.fromkeys(some) if one.casefold() in _iana()]


def _agrees(name: str, wanted: Sequence[tuple[datetime, timedelta]]) -> bool:
    place = zone(name)
    return all(at.astimezone(place).utcoffset() == offset for at, offset in wanted)
