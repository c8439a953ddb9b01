"""Lists of events: what lies in a stretch of time, page by page, or the events and series themselves.

A stretch is walked in pieces that grow: a page costs what is on it, not what is in the year around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window, expand
from pm_api.core.recurrence import zone as zone_of
from pm_api.core.recurrence.errors import naming
from pm_api.core.recurrence.zones import to_utc
from pm_api.domains.calendar.enums import EventType
from pm_api.domains.calendar.errors.events import TooManyEvents, refused
from pm_api.domains.calendar.expanding import Placed, order, placed
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.reading import read_masters, reads
from pm_api.domains.calendar.repository import events as repository
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.repository.attendees import answers_of, attendees_of
from pm_api.domains.calendar.repository.events import Filters
from pm_api.domains.calendar.schemas.events import EventList
from pm_api.domains.calendar.standing import of_person, standing
from pm_api.domains.projects import service as projects

LISTED: Final = "calendar-events"
FIRST_PIECE: Final = timedelta(days=7)
AT_A_TIME: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for. Without a start and an end: events and series themselves."""

    start: datetime | date | None = None
    end: datetime | date | None = None
    project_id: UUID | None = None
    types: tuple[EventType, ...] = ()
    attendee_id: UUID | None = None
    zone: str | None = None
    expands: bool = True


class Piece(NamedTuple):
    """A part of a stretch: what begins in it is listed with it; in the first one also what began before."""

    window: Window
    is_first: bool


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, page: PageRequest, wanted: Wanted
) -> EventList:
    """A page of what is wanted of what the caller sees, by (start, id). Raises NotFound for a project out of sight,
    ValidationFailed, InvalidCursor, WindowRefused, TooManyOccurrences, RuleTooComplex, ZoneUnknown, TooManyEvents.
    """
    if (wanted.start is None) != (wanted.end is None):
        raise refused("/end" if wanted.end is None else "/start", "start and end come together")
    if wanted.project_id is not None and await projects.project(session, scope, wanted.project_id) is None:
        raise NotFound
    zone = wanted.zone or await surroundings.time_zone_of(session, scope.user_id)
    with naming(timeZone="tz"):
        zone_of(zone)
    bound: dict[str, object] = {
        "user": scope.user_id,
        "workspace": scope.workspace_id,
        "start": _shown(wanted.start),
        "end": _shown(wanted.end),
        "project": wanted.project_id,
        "types": sorted(wanted.types),
        "attendee": wanted.attendee_id,
        "zone": zone,
        "expands": wanted.expands,
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **bound)
    filters = Filters(wanted.project_id, wanted.types, wanted.attendee_id)
    if wanted.start is None or wanted.end is None:
        window = None
    else:
        window = Window(_moment(wanted.start, zone), _moment(wanted.end, zone))
    following: tuple[Any, ...] | None = None
    if window is not None and wanted.expands:
        after = (datetime.fromisoformat(key[0]).astimezone(UTC), str(key[1])) if key is not None else None
        found = await occurrences(session, scope, filters, window, zone, after, page.limit)
        shown = found[: page.limit]
        following = order(shown[-1]) if len(found) > page.limit else None
        events = await reads(session, platform, scope, shown, zone=zone)
    else:
        masters = await _masters(session, scope, filters, window, zone, key, page.limit)
        rows = [one.event for one in masters[: page.limit]]
        following = (rows[-1].starts_at, rows[-1].id) if len(masters) > page.limit else None
        events = await read_masters(session, platform, scope, rows, zone=zone)
    return EventList(events=events, next_cursor=platform.cursors.encode(following, of=LISTED, **bound))


def _shown(moment: datetime | date | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _moment(moment: datetime | date, zone: str) -> datetime:
    """A bare date is its midnight there."""
    if isinstance(moment, datetime):
        return moment
    return to_utc(datetime.combine(moment, time()), zone_of(zone))


# --- occurrences -----------------------------------------------------------------------------------------------


async def occurrences(
    session: AsyncSession,
    scope: WorkspaceScope,
    filters: Filters,
    window: Window,
    zone: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Placed]:
    """Up to one more than the limit, by (start, id), after a place in that order. Raises TooManyOccurrences,
    RuleTooComplex, TooManyEvents.
    """
    if after is None:
        await _ensure_expandable(session, scope, filters, window, zone)
    begin, size = window.start, FIRST_PIECE
    is_first = after is None or after[0] < window.start
    if after is not None and not is_first:
        begin = after[0]
    found: list[Placed] = []
    while begin < window.end and len(found) <= limit:
        piece = Piece(Window(begin, min(begin + size, window.end)), is_first)
        try:
            listed = await _listed(session, scope, filters, piece, zone)
        except TooManyEvents:
            if size <= FIRST_PIECE:
                raise
            size = FIRST_PIECE
            continue
        found += [one for one in listed if after is None or order(one) > after]
        begin, size, is_first = piece.window.end, size * 2, False
    return found[: limit + 1]


async def _listed(
    session: AsyncSession, scope: WorkspaceScope, filters: Filters, piece: Piece, zone: str
) -> list[Placed]:
    series = await repository.meeting(
        session,
        scope,
        piece.window,
        project_id=filters.project_id,
        types=filters.types,
        attendee_id=filters.attendee_id,
    )
    found = [one for one in placed(series, piece.window, zone) if piece.is_first or one.start >= piece.window.start]
    if filters.attendee_id is not None:
        found = await _with(session, found, filters.attendee_id)
    return found


async def _with(session: AsyncSession, found: Sequence[Placed], user_id: UUID) -> list[Placed]:
    """Those to which somebody is invited: of a series it may be one occurrence alone, or all but one."""
    ids = {one.series.id for one in found}
    attendees = await attendees_of(session, ids)
    answers = await answers_of(session, ids)
    return [
        one
        for one in found
        if of_person(standing(attendees.get(one.series.id, ()), answers, one.original_at), user_id) is not None
    ]


async def _ensure_expandable(
    session: AsyncSession, scope: WorkspaceScope, filters: Filters, window: Window, zone: str
) -> None:
    """Raises TooManyOccurrences for a series that has over 1,000 in the whole window, whatever is on this page."""
    for one in await repository.dense(session, scope, window, filters):
        expand(one.set, window, viewer=zone)


# --- events and series themselves ------------------------------------------------------------------------------


async def _masters(
    session: AsyncSession,
    scope: WorkspaceScope,
    filters: Filters,
    window: Window | None,
    zone: str,
    key: Sequence[Any] | None,
    limit: int,
) -> list[Series]:
    """Up to one more than the limit, by (first start, id), after the key; with a window those that are in it."""
    after = (datetime.fromisoformat(key[0]), UUID(key[1])) if key is not None else None
    found: list[Series] = []
    size = limit + 1 if window is None else AT_A_TIME
    while len(found) <= limit:
        rows = await repository.masters(session, scope, filters, window, limit=size, after=after)
        found += [one for one in rows if window is None or expand(one.set, window, viewer=zone)]
        if len(rows) < size:
            break
        after = (rows[-1].event.starts_at, rows[-1].id)
    return found[: limit + 1]
