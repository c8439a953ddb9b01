"""Arithmetic of free and taken time: how intervals are put together, and which times suit a group. Pure: no session,
no clock. Every interval is half-open and in UTC; what takes no time is in nobody's way.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pm_api.domains.calendar.enums import Response, ShowAs

STRENGTH: Final = {ShowAs.TENTATIVE: 1, ShowAs.BUSY: 2, ShowAs.OOO: 3}
"""Where several things lie at one time, the strongest is told."""
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
USUAL_DAYS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    day: ((("09:00", "17:00"),) if day in WEEKDAYS[:5] else ()) for day in WEEKDAYS
}
"""Of who has said nothing: Monday to Friday, 09:00 to 17:00."""
MIDNIGHT: Final = "24:00"
ATTENDANCE_POINTS: Final = 60
WORKING_POINTS: Final = 20
SOONER_POINTS: Final = 20
REQUIRED_WEIGHT: Final = 2
"""Somebody who has to be there counts twice."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` up to, not with, `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """Time that somebody, or a room, is taken for."""

    start: datetime
    end: datetime
    status: ShowAs


# --- what somebody is taken for -------------------------------------------------------------------------------


def status_of(show_as: ShowAs, response: Response | None) -> ShowAs | None:
    """What an event is to somebody who answered so (None: who holds it); None when their time is free."""
    if show_as is ShowAs.FREE or response is Response.DECLINED:
        return None
    if response in (Response.PENDING, Response.TENTATIVE):
        return ShowAs.TENTATIVE
    return show_as


def merged(taken: Iterable[Taken], within: Span | None = None) -> list[Taken]:
    """Put together: disjoint, ascending, nothing adjacent with the same status; where several overlap the strongest
    holds. With `within` what lies outside of it is cut off.
    """
    ordered = sorted(
        (one for one in (_cut(one, within) for one in taken) if one.start < one.end),
        key=lambda one: (one.start, one.end),
    )
    instants = sorted({at for one in ordered for at in (one.start, one.end)})
    found: list[Taken] = []
    running: list[tuple[int, datetime, ShowAs]] = []
    place = 0
    for start, end in pairwise(instants):
        while place < len(ordered) and ordered[place].start <= start:
            one = ordered[place]
            heapq.heappush(running, (-STRENGTH[one.status], one.end, one.status))
            place += 1
        while running and running[0][1] <= start:
            heapq.heappop(running)
        if not running:
            continue
        status = running[0][2]
        if found and found[-1].end == start and found[-1].status is status:
            found[-1] = Taken(found[-1].start, end, status)
        else:
            found.append(Taken(start, end, status))
    return found


def _cut(one: Taken, within: Span | None) -> Taken:
    if within is None or (within.start <= one.start and one.end <= within.end):
        return one
    return Taken(max(one.start, within.start), min(one.end, within.end), one.status)


def overlapping(spans: Iterable[Span]) -> Span | None:
    """The first of these that begins before an earlier one has ended; those that take no time meet nothing."""
    last: Span | None = None
    for one in sorted(one for one in spans if one.start < one.end):
        if last is not None and one.start < last.end:
            return one
        last = one
    return None


# --- working hours --------------------------------------------------------------------------------------------


def working_spans(days: Mapping[str, Sequence[Sequence[str]]], place: ZoneInfo, within: Span) -> list[Span]:
    """When somebody works, by the clocks of their zone: disjoint, ascending, cut to the range.

    A time that clocks skip is read with the offset before the gap, one that comes twice is the first.
    """
    day = within.start.astimezone(place).date() - timedelta(days=1)
    last = within.end.astimezone(place).date()
    found: list[Span] = []
    while day <= last:
        for begins, ends in sorted(map(tuple, days.get(WEEKDAYS[day.weekday()], ()))):
            start = max(_instant(day, begins, place), within.start)
            end = min(_instant(day, ends, place), within.end)
            if start >= end:
                continue
            if found and start <= found[-1].end:
                found[-1] = Span(found[-1].start, max(end, found[-1].end))
            else:
                found.append(Span(start, end))
        day += timedelta(days=1)
    return found


def _instant(day: date, clock: str, place: ZoneInfo) -> datetime:
    if clock == MIDNIGHT:
        return datetime.combine(day + timedelta(days=1), time(), place).astimezone(UTC)
    return datetime.combine(day, time.fromisoformat(clock), place).astimezone(UTC)


# --- a time for a group ---------------------------------------------------------------------------------------


class Hindrance(StrEnum):
    """Why somebody, or a room, cannot have a time, or perhaps not; the strongest is told."""

    TENTATIVE = "TENTATIVE"
    UNKNOWN = "UNKNOWN"
    OUTSIDE_WORKING_HOURS = "OUTSIDE_WORKING_HOURS"
    BUFFER = "BUFFER"
    BUSY = "BUSY"
    OOO = "OOO"


class NoneFound(StrEnum):
    """Why there is no time at all."""

    WINDOW_TOO_SHORT = "WINDOW_TOO_SHORT"
    NOT_ENOUGH_ATTENDEES = "NOT_ENOUGH_ATTENDEES"
    NO_ROOM = "NO_ROOM"
    NOT_AT_ONE_TIME = "NOT_AT_ONE_TIME"


PERHAPS: Final = frozenset({Hindrance.TENTATIVE, Hindrance.UNKNOWN})
"""Who may come: nobody waits for them, and they count half."""
_FROM_STATUS: Final = {ShowAs.BUSY: Hindrance.BUSY, ShowAs.OOO: Hindrance.OOO}


@dataclass(frozen=True)
class Invited:
    """Somebody who is to come: `taken` as `merged` gives it, a buffer wider than the window, `works` as
    `working_spans` does. `works` None: at any time. Not `is_known`: they may have more than `taken` says.
    """

    id: UUID
    taken: Sequence[Taken]
    works: Sequence[Span] | None
    is_required: bool
    is_known: bool = True

    @cached_property
    def taken_from(self) -> list[datetime]:
        return [one.start for one in self.taken]

    @cached_property
    def works_from(self) -> list[datetime]:
        return [one.start for one in self.works or ()]


@dataclass(frozen=True, slots=True)
class Room:
    id: UUID
    taken: Sequence[Taken]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for. `quorum` counts those who have to be there: None for all of them. `rooms` None: none is
    needed, else one of them. With `any_hour` times outside of working hours count less instead of not at all.
    """

    window: Span
    duration: timedelta
    step: timedelta
    first: datetime
    quorum: int | None = None
    before: timedelta = timedelta()
    after: timedelta = timedelta()
    any_hour: bool = False


@dataclass(frozen=True, slots=True)
class Blocker:
    id: UUID
    hindrance: Hindrance
    is_required: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A time that suits, of 100 points at most; who cannot come or may not, and the rooms that are free."""

    start: datetime
    end: datetime
    attendance: int
    working_hours: int
    sooner: int
    blockers: tuple[Blocker, ...]
    rooms: tuple[UUID, ...]

    @property
    def score(self) -> int:
        return self.attendance + self.working_hours + self.sooner


@dataclass(frozen=True, slots=True)
class Obstacle:
    """How many of all times somebody, or a room, was in the way of."""

    id: UUID
    hindrance: Hindrance
    times: int


@dataclass(frozen=True, slots=True)
class Found:
    """The best first, of equals the sooner; without any `why`, and who was in the way how often, the most first."""

    slots: tuple[Slot, ...]
    considered: int
    why: NoneFound | None = None
    obstacles: tuple[Obstacle, ...] = ()


def find_times(wish: Wish, people: Sequence[Invited], rooms: Sequence[Room] | None, most: int) -> Found:
    """The best times for a group; the same question has the same answer."""
    starts = list(candidates(wish))
    if not starts:
        return Found((), 0, NoneFound.WINDOW_TOO_SHORT)
    needed = sum(one.is_required for one in people)
    needed = needed if wish.quorum is None else min(wish.quorum, needed)
    slots: list[Slot] = []
    times: dict[tuple[UUID, Hindrance], int] = {}
    enough_people = free_room = 0
    for start in starts:
        end = start + wish.duration
        blockers = tuple(_blockers(wish, people, start, end))
        absent = sum(one.is_required and one.hindrance not in PERHAPS for one in blockers)
        present = sum(one.is_required for one in people) - absent
        free = tuple(one.id for one in rooms or () if _is_free(one.taken, start, end))
        enough_people += present >= needed
        free_room += rooms is None or bool(free)
        if present >= needed and (rooms is None or free):
            slots.append(_slot(wish, people, start, blockers, free))
            continue
        for one in blockers:
            if one.is_required and one.hindrance not in PERHAPS:
                times[one.id, one.hindrance] = times.get((one.id, one.hindrance), 0) + 1
        for room in rooms or ():
            if room.id not in free:
                times[room.id, Hindrance.BUSY] = times.get((room.id, Hindrance.BUSY), 0) + 1
    if slots:
        best = sorted(slots, key=lambda one: (-one.score, one.start))
        return Found(tuple(best[:most]), len(starts))
    why = NoneFound.NOT_AT_ONE_TIME
    if not enough_people:
        why = NoneFound.NOT_ENOUGH_ATTENDEES
    elif not free_room:
        why = NoneFound.NO_ROOM
    ordered = sorted(times.items(), key=lambda one: (-one[1], *one[0]))
    return Found((), len(starts), why, tuple(Obstacle(who, hindrance, n) for (who, hindrance), n in ordered))


def candidates(wish: Wish) -> Iterator[datetime]:
    """Starts within the window, in steps from `first` (which may lie before it)."""
    late = wish.window.start - wish.first
    steps = -(-late // wish.step) if late > timedelta() else 0
    start = wish.first + steps * wish.step
    while start + wish.duration <= wish.window.end:
        yield start
        start += wish.step


def _blockers(wish: Wish, people: Sequence[Invited], start: datetime, end: datetime) -> Iterator[Blocker]:
    for one in people:
        hindrance = _hindrance(wish, one, start, end)
        if hindrance is not None:
            yield Blocker(one.id, hindrance, one.is_required)


def _hindrance(wish: Wish, one: Invited, start: datetime, end: datetime) -> Hindrance | None:
    strongest = _met(one, start, end)
    if strongest in _FROM_STATUS:
        return _FROM_STATUS[strongest]
    around = _met(one, start - wish.before, end + wish.after)
    if around in _FROM_STATUS:
        return Hindrance.BUFFER
    if not wish.any_hour and not _works(one, start, end):
        return Hindrance.OUTSIDE_WORKING_HOURS
    if not one.is_known:
        return Hindrance.UNKNOWN
    return Hindrance.TENTATIVE if strongest is ShowAs.TENTATIVE else None


def _met(one: Invited, start: datetime, end: datetime) -> ShowAs | None:
    """The strongest that lies in the time."""
    found: ShowAs | None = None
    for place in range(max(bisect_right(one.taken_from, start) - 1, 0), len(one.taken)):
        taken = one.taken[place]
        if taken.start >= end:
            break
        if taken.end > start and (found is None or STRENGTH[taken.status] > STRENGTH[found]):
            found = taken.status
    return found


def _works(one: Invited, start: datetime, end: datetime) -> bool:
    if one.works is None:
        return True
    place = bisect_right(one.works_from, start) - 1
    return place >= 0 and one.works[place].end >= end


def _is_free(taken: Sequence[Taken], start: datetime, end: datetime) -> bool:
    return not any(one.start < end and start < one.end for one in taken)


def _slot(
    wish: Wish, people: Sequence[Invited], start: datetime, blockers: tuple[Blocker, ...], rooms: tuple[UUID, ...]
) -> Slot:
    """Points are whole numbers, rounded down, so that they are the same everywhere."""
    end = start + wish.duration
    weights = {one.id: REQUIRED_WEIGHT if one.is_required else 1 for one in people}
    whole = 2 * sum(weights.values())
    lost = sum(weights[one.id] * (1 if one.hindrance in PERHAPS else 2) for one in blockers)
    working = sum(_works(one, start, end) for one in people)
    latest = wish.window.end - wish.duration - wish.window.start
    left = wish.window.end - end
    return Slot(
        start=start,
        end=end,
        attendance=ATTENDANCE_POINTS * (whole - lost) // whole if whole else ATTENDANCE_POINTS,
        working_hours=WORKING_POINTS * working // len(people) if people else WORKING_POINTS,
        sooner=SOONER_POINTS * left // latest if latest else SOONER_POINTS,
        blockers=blockers,
        rooms=rooms,
    )
