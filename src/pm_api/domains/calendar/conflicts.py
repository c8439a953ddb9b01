"""What an event meets of those who take part in it: with WARN it is told, with REJECT nothing is written.

Of two writers at one moment who both say REJECT about the same person one waits for the other, and meets what that
one wrote: who writes so holds the event's row and its projects', then those who take part (`hold`), then its rooms.

Looked at are the year from its first occurrence on, and of a series that has begun the year from now on. What is
tentative counts, what is declined or shown as free does not; what takes no time meets nothing.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, Window, bounds, occurrence_at
from pm_api.core.recurrence.errors import RuleEmpty
from pm_api.domains.calendar.busy import Name, Use, expanded, lies_anywhere, readable, shown_as, uses_of
from pm_api.domains.calendar.enums import ConflictPolicy, ShowAs
from pm_api.domains.calendar.errors.time import CalendarConflict
from pm_api.domains.calendar.expanding import Placed
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.repository import busy as repository
from pm_api.domains.calendar.schemas.events import ConflictRead

MOST_LISTED: Final = 20
LOOKED_AT: Final = timedelta(days=366)
AT_A_TIME: Final = timedelta(days=92)
ELSEWHERE: Final = timedelta(days=1)
GREENWICH: Final = "UTC"
BUSY: Final = "Busy"

Clash = tuple[UUID, Use]


async def hold(
    session: AsyncSession, scope: WorkspaceScope, user_ids: Collection[UUID] | None, policy: ConflictPolicy | None
) -> None:
    """Before any room is held: from now on nobody else writes with REJECT for any of these. None: for anybody, which
    is for whoever writes several events in one transaction.
    """
    if policy is ConflictPolicy.REJECT:
        await repository.hold_people(session, scope.workspace_id, user_ids)


async def found(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    series: Series,
    user_ids: Collection[UUID],
    *,
    policy: ConflictPolicy,
    at: datetime | None = None,
) -> list[ConflictRead]:
    """The first 20 by time, of these people who are members; none under ALLOW. Raises CalendarConflict under REJECT.

    With `at` of the occurrence with that original start alone. The event itself, as it was stored before, does not
    count.
    """
    if policy is ConflictPolicy.ALLOW or not user_ids:
        return []
    zones = await repository.zones_of_members(session, scope.workspace_id, user_ids)
    clashes: list[Clash] = []
    for stretch in _stretches(series, platform.clock.now(), at):
        mine = _laid_out(series, stretch, set(zones.values()), at)
        spanned = _spanned(mine.values())
        if spanned is None:
            continue
        uses = await uses_of(session, scope, zones, spanned, without=[series.id])
        for user_id in sorted(zones):
            met = _met(mine[zones[user_id]], uses.of[user_id])
            clashes += ((user_id, one) for one in met)
        if len(clashes) >= MOST_LISTED:
            break
    told = await _told(session, scope, clashes)
    if told and policy is ConflictPolicy.REJECT:
        raise CalendarConflict(conflicts=[one.model_dump(mode="json") for one in told])
    return told


def _stretches(series: Series, now: datetime, at: datetime | None) -> Iterator[Window]:
    """Disjoint and ascending."""
    if at is not None:
        one = occurrence_at(series.set, at)
        if one is not None:
            yield Window(one.starts_at - ELSEWHERE, min(one.ends_at, one.starts_at + LOOKED_AT) + ELSEWHERE)
        return
    try:
        limits = bounds(series.set)
    except RuleEmpty:
        return
    first, last = limits.starts_at - ELSEWHERE, limits.ends_at
    years = [(first, first + LOOKED_AT)]
    if now > first:
        years.append((max(now, first + LOOKED_AT), max(now, first) + LOOKED_AT))
    for begins, ends in years:
        start, end = begins, ends if last is None else min(ends, last + ELSEWHERE)
        while start < end:
            stretch = Window(start, min(start + AT_A_TIME, end))
            yield stretch
            start = stretch.end


def _laid_out(
    series: Series, stretch: Window, zones: Collection[str], at: datetime | None
) -> dict[str, list[Occurrence]]:
    """By zone of those who take part: only what lies all day lies elsewhere for each."""
    if not lies_anywhere(series):
        return dict.fromkeys(zones, _taking_time(series, stretch, GREENWICH, at))
    return {one: _taking_time(series, stretch, one, at) for one in sorted(zones)}


def _taking_time(series: Series, stretch: Window, viewer: str, at: datetime | None) -> list[Occurrence]:
    return [
        one
        for one in expanded(series, stretch, viewer)
        if at in (None, one.key) and one.starts_at < one.ends_at and shown_as(series, one) is not ShowAs.FREE
    ]


def _spanned(laid_out: Collection[Sequence[Occurrence]]) -> Window | None:
    """From the first start to the last end, as far as a window goes."""
    starts = [one.starts_at for all_of_them in laid_out for one in all_of_them]
    if not starts:
        return None
    last = max(one.ends_at for all_of_them in laid_out for one in all_of_them)
    return Window(min(starts), min(last, min(starts) + LOOKED_AT))


def _met(mine: Sequence[Occurrence], uses: Sequence[Use]) -> list[Use]:
    """Those that overlap one of mine (by start); mine may overlap each other."""
    starts = [one.starts_at for one in mine]
    longest = max((one.ends_at - one.starts_at for one in mine), default=timedelta())
    met = []
    for use in uses:
        start, end = use.occurrence.starts_at, use.occurrence.ends_at
        if start == end:
            continue
        for place in range(bisect_left(starts, start - longest), len(mine)):
            if mine[place].starts_at >= end:
                break
            if mine[place].ends_at > start:
                met.append(use)
                break
    return met


async def _told(session: AsyncSession, scope: WorkspaceScope, clashes: Sequence[Clash]) -> list[ConflictRead]:
    """One that reaches over two stretches is told once."""
    by_place = {(use.occurrence.starts_at, use.series.id, use.occurrence.key, who): use for who, use in clashes}
    shown = [(place, by_place[place]) for place in sorted(by_place)[:MOST_LISTED]]
    placed = [(place[3], Placed(use.series, use.occurrence)) for place, use in shown]
    seen = await readable(session, scope, [_name(one) for _, one in placed]) if placed else set()
    return [
        ConflictRead(
            user_id=user_id,
            resource_id=None,
            event_id=one.id if _name(one) in seen else None,
            title=one.value("title") if _name(one) in seen else BUSY,
            start_time=one.start,
            end_time=one.end,
        )
        for user_id, one in placed
    ]


def _name(one: Placed) -> Name:
    return one.series.id, one.original_at
