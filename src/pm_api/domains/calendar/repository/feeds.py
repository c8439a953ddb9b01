"""Queries of feeds."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.calendar.models import CalendarFeed
from pm_api.identity.repository.people import role_in


async def feeds(
    session: AsyncSession, scope: WorkspaceScope, *, after: UUID | None, limit: int
) -> Sequence[CalendarFeed]:
    """The caller's own, newest first."""
    statement = select(CalendarFeed).where(
        CalendarFeed.workspace_id == scope.workspace_id, CalendarFeed.user_id == scope.user_id
    )
    if after is not None:
        statement = statement.where(CalendarFeed.id < after)
    return (await session.scalars(statement.order_by(CalendarFeed.id.desc()).limit(limit))).all()


async def feed(session: AsyncSession, scope: WorkspaceScope, feed_id: UUID) -> CalendarFeed | None:
    """One of the caller's own."""
    return await session.scalar(
        select(CalendarFeed).where(
            CalendarFeed.id == feed_id,
            CalendarFeed.workspace_id == scope.workspace_id,
            CalendarFeed.user_id == scope.user_id,
        )
    )


async def count(session: AsyncSession, scope: WorkspaceScope) -> int:
    found = await session.scalar(
        select(func.count())
        .select_from(CalendarFeed)
        .where(CalendarFeed.workspace_id == scope.workspace_id, CalendarFeed.user_id == scope.user_id)
    )
    return found or 0


async def remove(session: AsyncSession, scope: WorkspaceScope, feed_id: UUID) -> bool:
    """One of the caller's own; whether there was one."""
    gone = await session.scalar(
        delete(CalendarFeed)
        .where(
            CalendarFeed.id == feed_id,
            CalendarFeed.workspace_id == scope.workspace_id,
            CalendarFeed.user_id == scope.user_id,
        )
        .returning(CalendarFeed.id)
        .execution_options(synchronize_session=False)
    )
    return gone is not None


async def remove_of(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    """All of somebody who leaves: whoever comes back makes new ones."""
    await session.execute(
        delete(CalendarFeed)
        .where(CalendarFeed.workspace_id == workspace_id, CalendarFeed.user_id == user_id)
        .execution_options(synchronize_session=False)
    )


async def of_token(session: AsyncSession, token_hash: bytes) -> CalendarFeed | None:
    return await session.scalar(select(CalendarFeed).where(CalendarFeed.token_hash == token_hash))


async def role_of_owner(session: AsyncSession, feed: CalendarFeed) -> str | None:
    """What whoever made it is in the workspace now; None when they left, or it was deleted."""
    place = await role_in(session, feed.workspace_id, feed.user_id)
    return place[0] if place is not None and place[1] is None else None


async def was_read(session: AsyncSession, feed_id: UUID, now: datetime, before: datetime) -> None:
    """Note it, unless it was noted since `before`."""
    await session.execute(
        update(CalendarFeed)
        .where(CalendarFeed.id == feed_id, or_(CalendarFeed.read_at.is_(None), CalendarFeed.read_at < before))
        .values(read_at=now)
        .execution_options(synchronize_session=False)
    )
