"""Queries of the change feed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Uuid,
    any_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.changes.models import Change, Feed, StreamTicket
from pm_api.identity.models.people import Member, Scope, User, UserSession, Workspace
from pm_api.identity.permissions import Role, roles_up_to
from pm_api.identity.repository.credentials import live_keys_among
from pm_api.identity.repository.people import is_guest, visible_scope

CHANGES_CHANNEL: Final = "pm_changes"

# One statement a feed: lock it and take the positions, write the changes, tell everybody.
_APPEND = text(
    """
    WITH moved AS (
        INSERT INTO feeds AS feed (id, kind, position) VALUES (:feed_id, :kind, :count)
        ON CONFLICT (id) DO UPDATE SET position = feed.position + excluded.position
        RETURNING position - :count AS base
    ), written AS (
        INSERT INTO changes (
            feed_id, position, entity, entity_id, action, version, scope_id, least_role, actor_user_id, actor_key_id,
            event_id, created_at
        )
        SELECT :feed_id, moved.base + item.number, item.entity, item.entity_id, item.action, item.version,
               item.scope_id, item.least_role, item.actor_user_id, item.actor_key_id, item.event_id, :created_at
        FROM moved, jsonb_to_recordset(:changes) AS item(
            number bigint, entity text, entity_id uuid, action text, version bigint, scope_id uuid,
            least_role text, actor_user_id uuid, actor_key_id uuid, event_id uuid
        )
        ON CONFLICT (feed_id, event_id) WHERE event_id IS NOT NULL DO NOTHING
    )
    SELECT pg_notify(:channel, CAST(:feed_id AS text))
    """
).bindparams(
    bindparam("feed_id", type_=Uuid()),
    bindparam("count", type_=BigInteger()),
    bindparam("changes", type_=JSONB()),
    bindparam("created_at", type_=DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a feed holds: changes after `pruned_to`, up to and with `position`."""

    position: int = 0
    pruned_to: int = 0


async def append(
    session: AsyncSession, feed_id: UUID, kind: str, changes: Sequence[Mapping[str, Any]], created_at: datetime
) -> None:
    """Give the changes the feed's next positions. The feed stays locked until commit, so position is commit order."""
    await session.execute(
        _APPEND,
        {
            "feed_id": feed_id,
            "kind": kind,
            "count": len(changes),
            "changes": [{"number": number, **change} for number, change in enumerate(changes, 1)],
            "created_at": created_at,
            "channel": CHANGES_CHANNEL,
        },
    )


async def bounds_of(session: AsyncSession, feed_ids: Collection[UUID]) -> dict[UUID, Bounds]:
    """Bounds of each feed; a feed nobody has written to yet is empty."""
    rows = await session.execute(select(Feed.id, Feed.position, Feed.pruned_to).where(Feed.id.in_(feed_ids)))
    found = {row.id: Bounds(row.position, row.pruned_to) for row in rows}
    return {feed_id: found.get(feed_id, Bounds()) for feed_id in feed_ids}


async def visible_changes(
    session: AsyncSession,
    feed_id: UUID,
    user_id: UUID,
    role: Role | None,
    *,
    after: int,
    up_to: int,
    limit: int,
    entity: str | None = None,
) -> Sequence[Change]:
    """What one user may see of a stretch of a feed, oldest first; their role if it is a workspace's. Of one kind of
    thing, or of all.
    """
    rows = await session.scalars(
        select(Change)
        .where(
            Change.feed_id == feed_id,
            Change.position > after,
            Change.position <= up_to,
            visible_scope(Change.scope_id, user_id),
            or_(Change.least_role.is_(None), Change.least_role.in_(roles_up_to(role))),
            or_(Change.scope_id.is_not(None), ~is_guest(feed_id, user_id)),
            *(() if entity is None else (Change.entity == entity,)),
        )
        .order_by(Change.position)
        .limit(limit)
    )
    return rows.all()


async def changes_for_all(
    session: AsyncSession, workspace_id: UUID, *, after: int, up_to: int, limit: int
) -> Sequence[Change]:
    """What every member of a workspace may see of a stretch of its feed, oldest first. Guests do not count: they see
    nothing but their projects, and one of them would keep all the rest from being told.
    """
    somebody_may_not = exists().where(
        Member.workspace_id == workspace_id,
        Member.role != Role.GUEST,
        ~visible_scope(Change.scope_id, Member.user_id),
    )
    is_open = exists().where(Scope.id == Change.scope_id, Scope.is_open)
    rows = await session.scalars(
        select(Change)
        .where(
            Change.feed_id == workspace_id,
            Change.position > after,
            Change.position <= up_to,
            # What is open needs no look at every member: of a closed circle the first who may not ends it.
            or_(Change.scope_id.is_(None), is_open, ~somebody_may_not),
            Change.least_role.is_(None),
        )
        .order_by(Change.position)
        .limit(limit)
    )
    return rows.all()


async def changes_after(session: AsyncSession, feed_id: UUID, after: int, limit: int) -> Sequence[Change]:
    """The next changes of a feed, whoever may see them: for the streams, which ask `viewers` once for all."""
    rows = await session.scalars(
        select(Change)
        .where(Change.feed_id == feed_id, Change.position > after)
        .order_by(Change.position)
        .limit(limit)
    )
    return rows.all()


async def viewers(
    session: AsyncSession, scope_ids: Collection[UUID], user_ids: Collection[UUID]
) -> dict[UUID, set[UUID]]:
    """Which of these users see which of these scopes."""
    found: dict[UUID, set[UUID]] = {scope_id: set() for scope_id in scope_ids}
    if not scope_ids:
        return found
    rows = await session.execute(
        select(Scope.id, User.id)
        .join(User, true())
        .where(
            Scope.id.in_(scope_ids),
            User.id == any_(literal(list(user_ids), ARRAY(Uuid()))),
            visible_scope(Scope.id, User.id),
        )
    )
    for scope_id, user_id in rows:
        found[scope_id].add(user_id)
    return found


# --- pruning ---------------------------------------------------------------------------------------------------


async def feeds_with_changes_before(session: AsyncSession, before: datetime, limit: int) -> Sequence[UUID]:
    oldest = select(Change.feed_id).where(Change.created_at < before).order_by(Change.created_at).limit(limit)
    rows = await session.scalars(select(oldest.subquery().c.feed_id).distinct())
    return rows.all()


async def prune_feed(session: AsyncSession, feed_id: UUID, before: datetime, limit: int) -> None:
    """Forget a feed's oldest changes, and remember up to where."""
    oldest = (
        select(Change.position)
        .where(Change.feed_id == feed_id, Change.created_at < before)
        .order_by(Change.position)
        .limit(limit)
        .subquery()
    )
    up_to = await session.scalar(select(func.max(oldest.c.position)))
    if up_to is None:
        return
    await session.execute(
        update(Feed).where(Feed.id == feed_id).values(pruned_to=func.greatest(Feed.pruned_to, up_to))
    )
    await session.execute(delete(Change).where(Change.feed_id == feed_id, Change.position <= up_to))


# --- streams ---------------------------------------------------------------------------------------------------


async def redeem_ticket(session: AsyncSession, token_hash: bytes, now: datetime) -> StreamTicket | None:
    """Takes the ticket out, so that only one of two who show it gets it."""
    return await session.scalar(
        delete(StreamTicket)
        .where(StreamTicket.token_hash == token_hash, StreamTicket.expires_at > now)
        .returning(StreamTicket)
    )


async def delete_expired_tickets(session: AsyncSession, now: datetime, limit: int) -> int:
    expired = select(StreamTicket.token_hash).where(StreamTicket.expires_at <= now).limit(limit)
    rows = await session.scalars(
        delete(StreamTicket).where(StreamTicket.token_hash.in_(expired)).returning(StreamTicket.token_hash)
    )
    return len(rows.all())


async def live_credentials_among(session: AsyncSession, ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Which of these sign-in sessions and API keys have neither ended nor expired."""
    rows = await session.scalars(
        select(UserSession.id).where(
            UserSession.id.in_(ids), UserSession.revoked_at.is_(None), UserSession.expires_at > now
        )
    )
    return set(rows) | await live_keys_among(session, ids, now)


async def memberships_among(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Which of these (workspace, user) are members of a workspace that is not deleted."""
    if not pairs:
        return set()
    rows = await session.execute(
        select(Member.workspace_id, Member.user_id)
        .join(Workspace, Workspace.id == Member.workspace_id)
        .where(tuple_(Member.workspace_id, Member.user_id).in_(pairs), Workspace.deleted_at.is_(None))
    )
    return {(row[0], row[1]) for row in rows}


async def roles_among(session: AsyncSession, workspace_id: UUID, user_ids: Collection[UUID]) -> dict[UUID, Role]:
    """Which of these users are members of a workspace, deleted or not: its last change tells them of the deletion."""
    rows = await session.execute(
        select(Member.user_id, Member.role).where(
            Member.workspace_id == workspace_id, Member.user_id == any_(literal(list(user_ids), ARRAY(Uuid())))
        )
    )
    return {user_id: Role(role) for user_id, role in rows}
