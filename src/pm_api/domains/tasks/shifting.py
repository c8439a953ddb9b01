"""Moving the dates of a task and of what it blocks. Pure: no session, no clock.

Days move by days. Moments move by the wall clock of the task's zone: what begins at nine begins at nine a week later,
whatever clocks did in between. One blocked task is moved once, after all that block it.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from pm_api.core.recurrence.zones import to_local, to_utc, zone_or_utc

A_DAY: Final = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 2, 9998


class Follow(StrEnum):
    """How far blocked tasks move. SAME: by as much as the first. NEEDED: only those that would begin before what
    blocks them ends, and by no more than that takes.
    """

    SAME = "SAME"
    NEEDED = "NEEDED"


@dataclass(frozen=True, slots=True)
class Amount:
    """How far: so many days for what is a day, so much wall time for what is a moment."""

    days: int
    wall: timedelta

    @classmethod
    def of_days(cls, days: int) -> "Amount":
        return cls(days, days * A_DAY)

    @classmethod
    def of_minutes(cls, minutes: int) -> "Amount":
        """Of what is a day, only whole days move."""
        whole = abs(minutes) // (24 * 60)
        return cls(whole if minutes > 0 else -whole, timedelta(minutes=minutes))


@dataclass(frozen=True, slots=True)
class Dates:
    """When a task is to begin and to end; each a day, a moment, or open."""

    start_on: date | None = None
    start_at: datetime | None = None
    due_on: date | None = None
    due_at: datetime | None = None
    time_zone: str | None = None

    @property
    def begin(self) -> date | datetime | None:
        """Where there is no start, the due date stands for it."""
        return self.start_at or self.start_on or self.due_at or self.due_on

    @property
    def end(self) -> date | datetime | None:
        return self.due_at or self.due_on or self.start_at or self.start_on

    @property
    def has_moments(self) -> bool:
        return self.start_at is not None or self.due_at is not None


@dataclass(frozen=True, slots=True)
class Move:
    task_id: UUID
    old: Dates
    new: Dates


def moved(dates: Dates, amount: Amount) -> Dates:
    """The dates that much later, or earlier. An end never comes before its beginning, though a gap of clocks lies
    between them. Raises OverflowError beyond the years 2 to 9998.
    """
    start_at, due_at = _later(dates.start_at, dates, amount.wall), _later(dates.due_at, dates, amount.wall)
    if start_at is not None and due_at is not None and dates.start_at is not None and dates.due_at is not None:
        due_at = max(start_at, due_at) if dates.start_at <= dates.due_at else due_at
    found = replace(
        dates,
        start_on=dates.start_on and dates.start_on + amount.days * A_DAY,
        start_at=start_at,
        due_on=dates.due_on and dates.due_on + amount.days * A_DAY,
        due_at=due_at,
    )
    for one in (found.start_on, found.start_at, found.due_on, found.due_at):
        if one is not None and not FIRST_YEAR <= one.year <= LAST_YEAR:
            raise OverflowError("a date beyond what is kept")
    return found


def _later(moment: datetime | None, dates: Dates, wall: timedelta) -> datetime | None:
    if moment is None or not wall:
        return moment
    place = zone_or_utc(dates.time_zone or "UTC")
    return to_utc(to_local(moment, place) + wall, place)


def needed(dates: Dates, other: Dates) -> Amount | None:
    """How far a task must move so as not to begin before the other ends; None when it need not. On one day with a
    day is early enough.
    """
    begin, end = dates.begin, other.end
    if begin is None or end is None:
        return None
    if isinstance(begin, datetime) and isinstance(end, datetime):
        return _needed_wall(dates, begin, end)
    days = (_day(end, other) - _day(begin, dates)).days
    return Amount.of_days(days) if days > 0 else None


def _needed_wall(dates: Dates, begin: datetime, end: datetime) -> Amount | None:
    if begin >= end:
        return None
    place = zone_or_utc(dates.time_zone or "UTC")
    wall = to_local(end, place) - to_local(begin, place)
    found = to_utc(to_local(begin, place) + wall, place)
    if found < end:  # the second pass of an hour that comes twice, which is read as the first
        wall += end - found
        found = to_utc(to_local(begin, place) + wall, place)
    return Amount((_day(found, dates) - _day(begin, dates)).days, wall)


def _day(one: date | datetime, dates: Dates) -> date:
    return to_local(one, zone_or_utc(dates.time_zone or "UTC")).date() if isinstance(one, datetime) else one


def plan(
    first: UUID,
    tasks: Mapping[UUID, Dates],
    blocks: Mapping[UUID, Sequence[UUID]],
    amount: Amount,
    follow: Follow,
) -> list[Move]:
    """What moves, each after all that block it; what would stay as it is, is left out. `tasks` are those that may
    move, and what is blocked only through others stays. Raises OverflowError.
    """
    moves: dict[UUID, Move] = {}
    for task_id in _in_order(first, tasks, blocks):
        old = new = tasks[task_id]
        if task_id == first or follow is Follow.SAME:
            new = moved(old, amount)
        else:
            for blocker in (one for one in moves if task_id in blocks.get(one, ())):
                needs = needed(new, moves[blocker].new)
                new = moved(new, needs) if needs is not None else new
        if new != old:
            moves[task_id] = Move(task_id, old, new)
    return list(moves.values())


def reached(first: UUID, tasks: Mapping[UUID, Dates], blocks: Mapping[UUID, Sequence[UUID]]) -> set[UUID]:
    """The task and all it blocks, directly and through others that may move."""
    found, waiting = {first}, deque([first])
    while waiting:
        for following in blocks.get(waiting.popleft(), ()):
            if following in tasks and following not in found:
                found.add(following)
                waiting.append(following)
    return found


def _in_order(first: UUID, tasks: Mapping[UUID, Dates], blocks: Mapping[UUID, Sequence[UUID]]) -> list[UUID]:
    """Each after all that block it. A circle cannot be made; were there one, its tasks would stay."""
    within = reached(first, tasks, blocks)
    open_blockers = dict.fromkeys(within, 0)
    for one in within:
        for following in blocks.get(one, ()):
            if following in within:
                open_blockers[following] += 1
    ready, order = deque([first]), []
    while ready:
        one = ready.popleft()
        order.append(one)
        for following in blocks.get(one, ()):
            if following in within:
                open_blockers[following] -= 1
                if not open_blockers[following]:
                    ready.append(following)
    return order
