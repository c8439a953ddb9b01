"""The streams of one process: woken by NOTIFY, fed from the changes table, holding no connection while they wait.

Many streams of one feed wake at once and share one read of it; reads of different feeds queue at a small gate, so
that streams never take the pool from the requests. A signal is only a hint: what is sent is read from the table,
each stream from its own position on.

A signal may be heard long after somebody was removed, and before anybody says so. So whatever is of a workspace is
read first, and only then who its members are: what was committed after a removal is never sent to the removed.
"""

import asyncio
import contextlib
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson
import structlog
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import repository
from pm_api.domains.changes.errors import InvalidEventId, StreamsExhausted, TooManyStreams
from pm_api.domains.changes.models import Change
from pm_api.domains.changes.schemas import BalanceData, ChangeRead, EndData, ReadyData
from pm_api.identity.permissions import KeyScope, Role, allows, roles_up_to, scope_allows

BALANCE_CHANNEL: Final = "pm_balance"
LIFETIME_S: Final = 600.0
BEAT_S: Final = 3.0
BATCH_ROWS: Final = 200
PARALLEL_READS: Final = 4
CHECKED_TOGETHER: Final = 1000
LONGEST_POSITION: Final = 18
REMOVAL: Final = ("membership", "removed")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One event of a stream. `data` is JSON, written once however many streams send it."""

    event: str
    data: str
    id: str | None = None


@dataclass(eq=False, slots=True)
class Subscription:
    """One open stream: whose it is, where it stands, and what it has been woken for."""

    user_id: UUID
    credential_id: UUID
    """The session, or the API key, without which it ends."""
    workspace_id: UUID | None
    confined: bool = False
    """An API key of a workspace opened it: nothing of its maker's own is in it."""
    hears_balances: bool = True  # not with an API key that may not read them
    positions: dict[UUID, int] = field(default_factory=dict)
    stale: set[UUID] = field(default_factory=set)
    balances: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    greet: bool = True
    reset: bool = False
    ended: str | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    opened_at: float = field(default_factory=time.monotonic)

    @property
    def feeds(self) -> tuple[UUID, ...]:
        if self.workspace_id is None:
            return (self.user_id,)
        return (self.workspace_id,) if self.confined else (self.user_id, self.workspace_id)

    @property
    def event_id(self) -> str:
        workspace = 0 if self.workspace_id is None else self.positions[self.workspace_id]
        return f"{self.positions.get(self.user_id, 0)}-{workspace}"

    def look_at(self, feed_id: UUID) -> None:
        self.stale.add(feed_id)
        self.woken.set()

    def look_again(self) -> None:
        """Signals were missed: read all feeds, and tell the client so, who reads again what is in no feed."""
        self.stale.update(self.feeds)
        self.greet = True
        self.woken.set()

    def note_balance(self, account_id: UUID, available: int, seq: int) -> None:
        """Only the newest balance waits for a slow client: of one line the one heard last, for a hold writes none."""
        if self.hears_balances and self.balances.get(account_id, (0, -1))[1] <= seq:
            self.balances[account_id] = (available, seq)
            self.woken.set()

    def is_over(self) -> bool:
        return self.ended is not None

    def end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
        self.woken.set()


@dataclass(frozen=True, slots=True)
class _Row:
    change: Change
    data: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The next changes of a feed, as all streams at one position get them."""

    rows: list[_Row]
    viewers: dict[UUID, set[UUID]]
    members: dict[UUID, Role] | None
    """Of a workspace's feed: who among the waiting were members when the rows had been read, and as what."""
    removed_from: set[UUID]
    """Of a user's feed: the workspaces it says they were removed from, and they have not come back to."""

    def parts(self, stream: Subscription) -> bool:
        """Whether this stream's workspace is not its user's any more."""
        if self.members is None:
            return stream.workspace_id in self.removed_from
        return stream.user_id not in self.members

    def shows(self, row: _Row, user_id: UUID) -> bool:
        scope_id, least_role = row.change.scope_id, row.change.least_role
        role = Role.OWNER if self.members is None else self.members.get(user_id, Role.GUEST)
        if least_role is not None and least_role not in roles_up_to(role):
            return False
        return role is not Role.GUEST if scope_id is None else user_id in self.viewers[scope_id]


class StreamHub:
    """Opens, wakes, feeds and ends the streams of this process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._open: set[Subscription] = set()
        self._streams: dict[UUID, set[Subscription]] = defaultdict(set)
        self._of_user: Counter[UUID] = Counter()
        self._ticks = itertools.count()
        self._tick_of: dict[UUID, int] = {}
        self._reads: dict[tuple[UUID, int, int], asyncio.Task[_Stretch | None]] = {}
        self._checks: dict[tuple[UUID, int], asyncio.Task[dict[UUID, Role] | None]] = {}
        self._gate = asyncio.Semaphore(PARALLEL_READS)
        self._beat: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def _all(self) -> Iterable[Subscription]:
        """Every stream once, whatever is opened or closed meanwhile."""
        return list(self._open)

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._beat = asyncio.create_task(self._check_regularly(), name="streams")

    def end_all(self, reason: str = "shutdown") -> None:
        """Ends every stream and takes no more. A server calls it before it waits for its connections to close."""
        self._closed = True
        for stream in self._all():
            stream.end(reason)

    async def stop(self) -> None:
        self.end_all()
        if self._beat is not None:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat
        await asyncio.gather(*self._reads.values(), *self._checks.values(), return_exceptions=True)

    async def open(self, scope: AccountScope, last_event_id: str | None) -> Subscription:
        """A stream from `last_event_id` on, or from now on; raises TooManyStreams, StreamsExhausted, InvalidEventId.

        Whoever opens it closes it.
        """
        wanted = parse_event_id(last_event_id)
        settings = self._platform.settings
        if self._closed or len(self._open) >= settings.streams_per_process:
            raise StreamsExhausted(retry_after_s=10)
        if self._of_user[scope.user_id] >= settings.streams_per_user:
            raise TooManyStreams
        actor = scope.actor
        assert actor.credential_id is not None
        workspace_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else None
        confined = actor.api_key is not None and actor.api_key.workspace_id is not None
        hears = actor.api_key is None or scope_allows(actor.api_key.scopes, KeyScope.CREDITS_READ)
        stream = Subscription(scope.user_id, actor.credential_id, workspace_id, confined, hears)
        # Known to the signals before the first look at the table, so that no change falls between the two.
        self._add(stream)
        try:
            async with self._gate, self._platform.database.reading() as session:
                bounds = await repository.bounds_of(session, stream.feeds)
        except BaseException:
            self.close(stream)
            raise
        asked = dict(zip((stream.user_id, stream.workspace_id), wanted or (None, None), strict=True))
        for feed_id in stream.feeds:
            position = asked[feed_id]
            held = bounds[feed_id]
            if position is None:
                stream.positions[feed_id] = held.position
            elif held.pruned_to <= position <= held.position:
                stream.positions[feed_id] = position
                stream.stale.add(feed_id)
            else:
                stream.positions[feed_id] = held.position
                stream.reset = True
        return stream

    def _add(self, stream: Subscription) -> None:
        self._open.add(stream)
        self._of_user[stream.user_id] += 1
        for feed_id in stream.feeds:
            self._streams[feed_id].add(stream)
            self._tick_of[feed_id] = next(self._ticks)
        telemetry.STREAMS.inc()

    def close(self, stream: Subscription) -> None:
        self._open.discard(stream)
        self._of_user[stream.user_id] -= 1
        if not self._of_user[stream.user_id]:
            del self._of_user[stream.user_id]
        for feed_id in stream.feeds:
            self._streams[feed_id].discard(stream)
            if not self._streams[feed_id]:
                del self._streams[feed_id]
                del self._tick_of[feed_id]
        telemetry.STREAMS.dec()

    # --- signals --------------------------------------------------------------------------------------------------

    def on_changes(self, payload: str) -> None:
        """Payload of `pm_changes`: the id of a feed that has grown."""
        feed_id = UUID(payload)
        if feed_id in self._tick_of:
            self._tick_of[feed_id] = next(self._ticks)
            for stream in self._streams[feed_id]:
                stream.look_at(feed_id)

    def on_balances(self, payload: str) -> None:
        """Payload of `pm_balance`: [[account id, available, seq], …]; an account has the id of its owner."""
        for account, available, seq in orjson.loads(payload):
            account_id = UUID(account)
            if account_id in self._tick_of:
                self._tick_of[account_id] = next(self._ticks)
            for stream in self._streams.get(account_id, ()):
                stream.note_balance(account_id, available, seq)

    def on_session_ended(self, payload: str) -> None:
        ended = UUID(payload)
        for stream in self._all():
            if stream.credential_id == ended:
                stream.end("session_ended")

    def on_reset(self) -> None:
        """Signals may have been missed."""
        for feed_id in self._tick_of:
            self._tick_of[feed_id] = next(self._ticks)
        for stream in self._all():
            stream.look_again()

    # --- what a stream sends --------------------------------------------------------------------------------------

    async def messages(self, stream: Subscription) -> AsyncIterator[Message]:
        """All events of a stream, from `ready` to `end`."""
        while not stream.is_over():
            stream.woken.clear()
            if stream.greet:
                stream.greet = False
                ready = ReadyData(id=stream.event_id, reset=stream.reset)
                stream.reset = False
                yield Message("ready", _json(ready), ready.id)
            while stream.balances and not stream.is_over():
                # Taken out before the look at the members: a balance that comes meanwhile asks again.
                account_id, newest = stream.balances.popitem()
                if account_id != stream.workspace_id or await self._reads_balance(stream, account_id):
                    yield _balance(stream, account_id, newest)
            async for message in self._changes(stream):
                yield message
            await stream.woken.wait()
        yield Message("end", _json(EndData(reason=stream.ended or "shutdown")))

    async def _changes(self, stream: Subscription) -> AsyncIterator[Message]:
        while stream.stale and not stream.is_over():
            feed_id = stream.stale.pop()
            stretch = await self._read(feed_id, stream.positions[feed_id])
            if stretch is None:
                stream.end("unavailable")
                return
            if stretch.parts(stream) and feed_id == stream.workspace_id:
                stream.end("membership_ended")
                return
            for row in stretch.rows:
                if stream.is_over():
                    return
                stream.positions[feed_id] = row.change.position
                if stretch.shows(row, stream.user_id):
                    yield Message("change", row.data, stream.event_id)
            if stretch.parts(stream):
                stream.end("membership_ended")
            if len(stretch.rows) == BATCH_ROWS:
                stream.stale.add(feed_id)

    async def _read(self, feed_id: UUID, after: int) -> _Stretch | None:
        """The next changes, shared with every stream that asks the same before the feed grows again."""
        # A read that began before the last signal may not have seen what it announced: the tick keeps it out.
        key = (feed_id, after, self._tick_of[feed_id])
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(self._read_table(feed_id, after))
            task.add_done_callback(lambda _done: self._reads.pop(key))
        return await asyncio.shield(task)

    async def _read_table(self, feed_id: UUID, after: int) -> _Stretch | None:
        is_workspace = any(stream.workspace_id == feed_id for stream in self._streams.get(feed_id, ()))
        try:
            async with self._gate, self._platform.database.reading() as session:
                changes = await repository.changes_after(session, feed_id, after, BATCH_ROWS)
                scope_ids = {change.scope_id for change in changes if change.scope_id is not None}
                user_ids = {stream.user_id for stream in self._streams.get(feed_id, ())}
                viewers = await repository.viewers(session, scope_ids, user_ids)
                members: dict[UUID, Role] | None = None
                removed_from: set[UUID] = set()
                if is_workspace:
                    members = await repository.roles_among(session, feed_id, user_ids)
                else:
                    removed_from = await self._removed_from(session, feed_id, changes)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("stream_read_failed", feed_id=str(feed_id), error=repr(error))
            return None
        workspace_id = feed_id if is_workspace else None
        return _Stretch(
            [_Row(change, _json(change_read(change, workspace_id))) for change in changes],
            viewers,
            members,
            removed_from,
        )

    async def _removed_from(self, session: AsyncSession, user_id: UUID, changes: Sequence[Change]) -> set[UUID]:
        """A removal may be an old one, replayed to somebody who has come back since."""
        said = {one.entity_id for one in changes if (one.entity, one.action) == REMOVAL}
        return {one for one in said if not await repository.roles_among(session, one, {user_id})}

    async def _reads_balance(self, stream: Subscription, workspace_id: UUID) -> bool:
        """Whether this stream's user may see it. Asked of the table after the last signal of the workspace, once for
        all its streams; ends the stream of who is no member.
        """
        key = (workspace_id, self._tick_of[workspace_id])
        task = self._checks.get(key)
        if task is None:
            task = self._checks[key] = asyncio.create_task(self._members_of(workspace_id))
            task.add_done_callback(lambda _done: self._checks.pop(key))
        members = await asyncio.shield(task)
        if members is None:
            stream.end("unavailable")
        elif stream.user_id not in members:
            stream.end("membership_ended")
        return not stream.is_over() and members is not None and allows(members[stream.user_id], "credits.read")

    async def _members_of(self, workspace_id: UUID) -> dict[UUID, Role] | None:
        try:
            async with self._gate, self._platform.database.reading() as session:
                user_ids = {stream.user_id for stream in self._streams.get(workspace_id, ())}
                return await repository.roles_among(session, workspace_id, user_ids)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("stream_read_failed", feed_id=str(workspace_id), error=repr(error))
            return None

    # --- may they still? ------------------------------------------------------------------------------------------

    async def _check_regularly(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._check()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("stream_check_failed", error=repr(error))

    async def _check(self) -> None:
        """End the streams of ended sessions and of people who are members no more, and those that are too old."""
        streams = list(self._all())
        born_before = time.monotonic() - LIFETIME_S
        for one in streams:
            if one.opened_at <= born_before:
                one.end("lifetime")
        for start in range(0, len(streams), CHECKED_TOGETHER):
            some = streams[start : start + CHECKED_TOGETHER]
            places = {(one.workspace_id, one.user_id) for one in some if one.workspace_id is not None}
            async with self._platform.database.reading() as session:
                now = self._platform.clock.wall()
                live = await repository.live_credentials_among(session, {one.credential_id for one in some}, now)
                held = await repository.memberships_among(session, places)
            for one in some:
                if one.credential_id not in live:
                    one.end("session_ended")
                elif one.workspace_id is not None and (one.workspace_id, one.user_id) not in held:
                    one.end("membership_ended")


def parse_event_id(text: str | None) -> tuple[int, int] | None:
    """(own position, workspace position); raises InvalidEventId."""
    if not text:
        return None
    parts = text.split("-")
    if len(parts) != 2 or not all(
        part.isascii() and part.isdecimal() and len(part) <= LONGEST_POSITION for part in parts
    ):
        raise InvalidEventId
    return int(parts[0]), int(parts[1])


def change_read(change: Change, workspace_id: UUID | None) -> ChangeRead:
    """A change as it leaves, under the workspace whose feed it is in (null for a user's own)."""
    return ChangeRead(
        workspace_id=workspace_id,
        position=change.position,
        entity=change.entity,
        entity_id=change.entity_id,
        action=change.action,
        version=change.version,
        actor_user_id=change.actor_user_id,
        actor_key_id=change.actor_key_id,
        created_at=change.created_at,
    )


def _balance(stream: Subscription, account_id: UUID, newest: tuple[int, int]) -> Message:
    available, seq = newest
    workspace_id = account_id if account_id == stream.workspace_id else None
    data = BalanceData(account_id=account_id, workspace_id=workspace_id, available=available, seq=seq)
    return Message("credits.balance", _json(data))


def _json(model: BaseModel) -> str:
    return model.model_dump_json()
