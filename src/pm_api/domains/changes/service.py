"""Rules of the change feed: how a change is recorded, read back, and how a stream ticket is used."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from pm_api.core import acting
from pm_api.core.actor import AccountScope, SystemScope, WorkspaceScope
from pm_api.core.crypto import digest_token
from pm_api.core.db import BEFORE_COMMIT, before_commit
from pm_api.core.platform import Platform
from pm_api.domains.changes import repository
from pm_api.domains.changes.errors import CursorExpired, InvalidTicket
from pm_api.domains.changes.models import Change, StreamTicket
from pm_api.identity.permissions import Role

LAST_OF_ALL: Final = "zz.changes"
KEPT: Final = timedelta(days=30)
TICKET_LIFETIME: Final = timedelta(seconds=30)
SCANNED_POSITIONS: Final = 5000
WORKSPACE, USER = "WORKSPACE", "USER"


@dataclass(frozen=True, slots=True)
class NewChange:
    entity: str
    entity_id: UUID
    action: str
    version: int
    scope_id: UUID | None
    least_role: Role | None
    actor_user_id: UUID | None
    actor_key_id: UUID | None
    event_id: UUID | None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A stretch of a feed: what the reader may see of it, and the position it reaches."""

    rows: Sequence[Change]
    position: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """The ids of what changed in a stretch of a feed, and the position it reaches."""

    ids: Sequence[UUID]
    position: int


def record(
    session: AsyncSession,
    platform: Platform,
    *,
    entity: str,
    entity_id: UUID,
    action: str,
    version: int,
    workspace_id: UUID | None = None,
    user_ids: Collection[UUID] = (),
    scope_id: UUID | None = None,
    least_role: Role | None = None,
    actor_user_id: UUID | None = None,
    actor_key_id: UUID | None = None,
    event_id: UUID | None = None,
) -> None:
    """Note that something changed, in the feed of a workspace and/or of users. The API key of the request at hand is
    named without being told; `actor_key_id` is for who works on behalf of an earlier one. `least_role`: members of
    the workspace below that role may not read the thing, and are not told of it.

    It is written by the last statements before COMMIT, so that positions are commit order and a feed is locked for
    the shortest time. What is rolled back, whole or to a savepoint, is not written. `event_id` makes a second
    delivery of one domain event write nothing.
    """
    callback = session.info.get(BEFORE_COMMIT, {}).get(LAST_OF_ALL)
    if not isinstance(callback, _Pending):
        callback = _Pending(session, platform)
        before_commit(session, LAST_OF_ALL, callback)
    key_id = actor_key_id or acting.key_id()
    change = NewChange(entity, entity_id, action, version, scope_id, least_role, actor_user_id, key_id, event_id)
    feeds = dict.fromkeys(user_ids, USER)
    if workspace_id is not None:
        feeds[workspace_id] = WORKSPACE
    callback.add(session.sync_session, change, feeds)


class _Pending:
    """What one session will write when it commits; forgets what is rolled back before."""

    def __init__(self, session: AsyncSession, platform: Platform) -> None:
        self._platform = platform
        self._noted: list[tuple[NewChange, dict[UUID, str], set[SessionTransaction]]] = []
        event.listen(session.sync_session, "after_soft_rollback", self._forget)

    def add(self, session: Session, change: NewChange, feeds: dict[UUID, str]) -> None:
        innermost = session.get_nested_transaction() or session.get_transaction() or session.begin()
        inside = set()
        transaction: SessionTransaction | None = innermost
        while transaction is not None:
            inside.add(transaction)
            transaction = transaction.parent
        self._noted.append((change, feeds, inside))

    def _forget(self, _session: Session, rolled_back: SessionTransaction) -> None:
        self._noted = [noted for noted in self._noted if rolled_back not in noted[2]]

    async def __call__(self, session: AsyncSession) -> None:
        by_feed: dict[UUID, list[NewChange]] = defaultdict(list)
        kinds: dict[UUID, str] = {}
        for change, feeds, _inside in self._noted:
            kinds |= feeds
            for feed_id in feeds:
                by_feed[feed_id].append(change)
        now = self._platform.clock.now()
        for feed_id in sorted(by_feed):  # one order for everybody, or two sessions could wait for each other
            await repository.append(
                session, feed_id, kinds[feed_id], [asdict(change) for change in by_feed[feed_id]], now
            )


def feed_of(scope: AccountScope) -> UUID:
    """The id of the feed a scope reads: the workspace's, or the user's own."""
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


async def read(session: AsyncSession, scope: AccountScope, *, after: int | None, limit: int) -> ChangePage:
    """What changed after a position that the caller may see; from the oldest kept when there is none.

    Raises CursorExpired. One page looks at a bounded stretch of the feed, so it may be empty and yet have more.
    """
    feed_id = feed_of(scope)
    bounds = (await repository.bounds_of(session, [feed_id]))[feed_id]
    if after is None:
        after = bounds.pruned_to
    elif after < bounds.pruned_to:
        raise CursorExpired
    # The end of the stretch is read before the rows: all of them up to there are committed and in their order.
    up_to = max(after, min(bounds.position, after + SCANNED_POSITIONS))
    role = Role(scope.role) if isinstance(scope, WorkspaceScope) else None
    rows = await repository.visible_changes(
        session, feed_id, scope.user_id, role, after=after, up_to=up_to, limit=limit
    )
    position = rows[-1].position if len(rows) == limit else up_to
    return ChangePage(rows, position, has_more=position < bounds.position)


async def position_of(session: AsyncSession, scope: WorkspaceScope) -> int:
    """How far the workspace's feed has come: all changes up to there are committed, and none is added to them."""
    return (await repository.bounds_of(session, [scope.workspace_id]))[scope.workspace_id].position


async def touched(
    session: AsyncSession, scope: WorkspaceScope, entity: str, *, after: int, up_to: int, limit: int
) -> Touched:
    """Which things of one kind changed after a position, up to another, as far as the caller may see; a bounded
    stretch of it. Raises CursorExpired, also for a position that the feed has not come to.
    """
    bounds = (await repository.bounds_of(session, [scope.workspace_id]))[scope.workspace_id]
    if not bounds.pruned_to <= after <= up_to <= bounds.position:
        raise CursorExpired
    end = min(up_to, after + SCANNED_POSITIONS)
    rows = await repository.visible_changes(
        session,
        scope.workspace_id,
        scope.user_id,
        Role(scope.role),
        after=after,
        up_to=end,
        limit=limit,
        entity=entity,
    )
    return Touched(sorted({row.entity_id for row in rows}), rows[-1].position if len(rows) == limit else end)


async def positions_of(
    session: AsyncSession, _scope: SystemScope, workspace_ids: Collection[UUID]
) -> dict[UUID, int]:
    """How far the feeds of these workspaces have come."""
    return {feed_id: held.position for feed_id, held in (await repository.bounds_of(session, workspace_ids)).items()}


async def read_for_all(
    session: AsyncSession, _scope: SystemScope, workspace_id: UUID, *, after: int, limit: int
) -> ChangePage:
    """What changed after a position that every member of the workspace but its guests may see: for whoever tells it
    to outsiders.

    From the oldest kept when the position is older than that.
    """
    bounds = (await repository.bounds_of(session, [workspace_id]))[workspace_id]
    after = max(after, bounds.pruned_to)
    up_to = max(after, min(bounds.position, after + SCANNED_POSITIONS))
    rows = await repository.changes_for_all(session, workspace_id, after=after, up_to=up_to, limit=limit)
    position = rows[-1].position if len(rows) == limit else up_to
    return ChangePage(rows, position, has_more=position < bounds.position)


async def issue_ticket(session: AsyncSession, platform: Platform, scope: AccountScope) -> tuple[str, datetime]:
    """A text that opens one stream within 30 seconds, and when it ends. Only its hash is kept."""
    ticket = platform.randomness.token()
    expires_at = platform.clock.wall() + TICKET_LIFETIME
    session.add(
        StreamTicket(
            token_hash=digest_token(ticket),
            user_id=scope.user_id,
            session_id=scope.actor.session_id,
            api_key_id=scope.actor.api_key_id,
            workspace_id=scope.workspace_id if isinstance(scope, WorkspaceScope) else None,
            expires_at=expires_at,
        )
    )
    return ticket, expires_at


async def redeem_ticket(session: AsyncSession, platform: Platform, ticket: str) -> StreamTicket:
    """What the ticket is bound to; raises InvalidTicket. It is used up, whatever comes after."""
    row = await repository.redeem_ticket(session, digest_token(ticket), platform.clock.wall())
    if row is None:
        raise InvalidTicket
    return row
