"""What changed since a token: a client that follows ends with exactly what the server shows it.

A token is a position in the workspace's feed, and a digest of what its holder saw then: when somebody's sight
changed, no list of changes would say what they have to forget, or what was there before they came. Positions are the
order of commits, so what is read after a position was read holds everything up to it; what comes meanwhile comes
again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import InvalidCursor, PageRequest
from pm_api.core.platform import Platform
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.domains.calendar import reading
from pm_api.domains.calendar.errors.series import InvalidSyncToken, SyncTokenExpired
from pm_api.domains.calendar.expanding import Placed, one_of
from pm_api.domains.calendar.mapping import series_of
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.repository import syncing as repository
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.calendar.schemas.events import EventRead
from pm_api.domains.calendar.schemas.series import EventChanges, EventTombstone
from pm_api.domains.changes import service as feed
from pm_api.domains.changes.errors import CursorExpired

ENTITY: Final = "calendar_event"
LIFETIME: Final = timedelta(days=30)
MOST_STRETCHES: Final = 20
"""Of the feed, looked through for one page: in a workspace where all but events change, a page may be empty."""
STRETCH: Final = 200
"""Changes of events in one stretch, whatever the page: so that its next page finds the same stretch."""
_TOKEN, _PAGE = "calendar.sync", "calendar.sync.page"


@dataclass(frozen=True, slots=True)
class Token:
    """A position of the feed, when it was taken, and what its holder saw then: a digest over the projects made up to
    `made_until`. What is made later comes with all its changes.
    """

    position: int
    taken_at: datetime
    made_until: datetime
    sight: str


@dataclass(frozen=True, slots=True)
class Walk:
    """Where somebody is on the way to the token `to`: all events (`after` None), or what changed after a position,
    stretch by stretch. Of the present one up to and with an event, or one occurrence of it.
    """

    to: Token
    after: int | None = None
    event_id: UUID | None = None
    original_at: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An event, None when it is gone; or an occurrence of it with something of its own."""

    event_id: UUID
    event: CalendarEvent | None
    original_at: datetime | None = None


async def changes(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    *,
    sync_token: str | None,
    page: PageRequest,
) -> EventChanges:
    """A page of all events, or of what changed since the token. Raises SyncTokenExpired, InvalidSyncToken,
    InvalidCursor.
    """
    zone = await surroundings.time_zone_of(session, scope.user_id)
    bound = {"workspace": scope.workspace_id, "user": scope.user_id}
    walk = await _walk(session, platform, scope, sync_token=sync_token, page=page, zone=zone, bound=bound)
    items: list[Item] = []
    left: Walk | None = walk
    for _ in range(MOST_STRETCHES):
        assert left is not None
        items, left = await _items(session, scope, left, page.limit)
        if items or left is None:
            break
    shown = await _shown(session, platform, scope, items, zone)
    if left is not None:
        cursor = platform.cursors.encode(_written(left), of=_PAGE, token=sync_token, **bound)
        return EventChanges(events=shown, next_cursor=cursor, next_sync_token=None)
    token = platform.cursors.encode(_token_form(walk.to), of=_TOKEN, **bound)
    return EventChanges(events=shown, next_cursor=None, next_sync_token=token)


# --- tokens ----------------------------------------------------------------------------------------------------


async def _walk(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    *,
    sync_token: str | None,
    page: PageRequest,
    zone: str,
    bound: dict[str, UUID],
) -> Walk:
    since = _token(platform, sync_token, bound)
    key = platform.cursors.decode(page.cursor, of=_PAGE, token=sync_token, **bound)
    seen = await repository.projects_seen(session, scope)
    now = platform.clock.now()
    for held in (since, _read(key).to if key is not None else None):
        if held is not None:
            expired = now - held.taken_at > LIFETIME
            if expired or held.sight != _sight(scope, seen, held.made_until, zone):
                raise SyncTokenExpired
    if key is not None:
        return _read(key)
    made_until = max([now, *(one.created_at for one in seen)])
    # The sight before the position, and the position before the events: what changes in between is not missed.
    position = await feed.position_of(session, scope)
    to = Token(position, now, made_until, _sight(scope, seen, made_until, zone))
    return Walk(to, after=since.position if since is not None else None)


def _sight(scope: WorkspaceScope, seen: Sequence[repository.SeenProject], made_until: datetime, zone: str) -> str:
    """What decides which events somebody sees and what they may do with them, in few letters."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(f"{scope.role} {zone}".encode())
    for one in seen:
        if one.created_at <= made_until:
            digest.update(f" {one.scope_id} {one.role} {one.is_archived}".encode())
    return digest.hexdigest()


def _token(platform: Platform, text: str | None, bound: dict[str, UUID]) -> Token | None:
    try:
        key = platform.cursors.decode(text, of=_TOKEN, **bound)
    except InvalidCursor:
        raise InvalidSyncToken from None
    return _token_of(key) if key is not None else None


def _token_form(token: Token) -> tuple[Any, ...]:
    return token.position, token.taken_at, token.made_until, token.sight


def _token_of(key: Sequence[Any]) -> Token:
    return Token(key[0], datetime.fromisoformat(key[1]), datetime.fromisoformat(key[2]), key[3])


def _written(walk: Walk) -> tuple[Any, ...]:
    return *_token_form(walk.to), walk.after, walk.event_id, walk.original_at


def _read(key: Sequence[Any]) -> Walk:
    after, event_id, original_at = key[4:]
    return Walk(
        _token_of(key),
        after,
        UUID(event_id) if event_id is not None else None,
        datetime.fromisoformat(original_at) if original_at is not None else None,
    )


# --- items -----------------------------------------------------------------------------------------------------


async def _items(
    session: AsyncSession, scope: WorkspaceScope, walk: Walk, limit: int
) -> tuple[list[Item], Walk | None]:
    """The next items by (id, original start), and where it goes on; None at the end."""
    behind, only = await _stretch(session, scope, walk)
    # Two more than fit: the first may be the one that was shown, the last tells whether this goes on.
    most = limit + 2 if only is None else None
    events = await repository.events_from(session, scope, since=walk.event_id, only=only, limit=most)
    there = {one.id: one for one in events}
    place = (walk.event_id, walk.original_at) if walk.event_id is not None and walk.original_at is not None else None
    marks = await repository.marked_from(session, list(there), after=place, limit=limit + 1)
    ids = [one for one in sorted({*there, *(only or ())}) if walk.event_id is None or one >= walk.event_id]
    items = list(islice(_in_order(ids, there, marks, walk.event_id), limit + 1))
    if len(items) <= limit:
        return items, behind
    last = items[limit - 1]
    return items[:limit], replace(walk, event_id=last.event_id, original_at=last.original_at)


def _in_order(
    ids: Sequence[UUID],
    there: Mapping[UUID, CalendarEvent],
    marks: Iterable[tuple[UUID, datetime]],
    shown: UUID | None,
) -> Iterator[Item]:
    by_event: dict[UUID, list[datetime]] = defaultdict(list)
    for event_id, original_at in marks:
        by_event[event_id].append(original_at)
    for event_id in ids:
        if event_id != shown:
            yield Item(event_id, there.get(event_id))
        for original_at in by_event[event_id]:
            yield Item(event_id, there[event_id], original_at)


async def _stretch(
    session: AsyncSession, scope: WorkspaceScope, walk: Walk
) -> tuple[Walk | None, Sequence[UUID] | None]:
    """Where the walk goes on behind what it looks at now, and the events of that; None for all there are."""
    if walk.after is None:
        return None, None
    try:
        touched = await feed.touched(session, scope, ENTITY, after=walk.after, up_to=walk.to.position, limit=STRETCH)
    except CursorExpired:
        raise SyncTokenExpired from None
    on = Walk(walk.to, touched.position) if touched.position < walk.to.position else None
    return on, touched.ids


async def _shown(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, items: Sequence[Item], zone: str
) -> list[EventRead | EventTombstone]:
    """The items as the caller sees them, in their order."""
    events = {one.event_id: one.event for one in items if one.event is not None}
    masters = [one for one in items if one.event is not None and one.original_at is None]
    whole = await reading.read_masters(session, platform, scope, [events[one.event_id] for one in masters])
    read = dict(zip(masters, whole, strict=True))
    placed: dict[Item, Placed] = {}
    overrides = await overrides_of(session, {one.event_id for one in items if one.original_at is not None})
    series = {one: series_of(events[one], overrides.get(one, ())) for one in events}
    for one in items:
        if one.original_at is not None:
            with suppress(OccurrenceUnknown):  # an answer to what the series has no more
                placed[one] = one_of(series[one.event_id], one.original_at, zone, cancelled=True)
    occurrences = await reading.reads(session, platform, scope, list(placed.values()), zone=zone)
    # Of what is masked, only what differs in time: an answer to it is nobody else's business.
    read |= {
        item: shown
        for item, shown in zip(placed, occurrences, strict=True)
        if not shown.is_masked or placed[item].override is not None
    }
    return [
        read[one] if one in read else EventTombstone(id=str(one.event_id))
        for one in items
        if one in read or one.event is None
    ]
