"""Queries of following what changes: events with their exceptions, in an order that never changes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.calendar.models import CalendarAnswer, CalendarAttendee, CalendarEvent, CalendarOverride
from pm_api.domains.calendar.repository.events import in_sight
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import ScopeMember
from pm_api.identity.repository.people import visible_scope


class SeenProject(NamedTuple):
    """What of a project decides what somebody sees of its events, and may do with them."""

    scope_id: UUID
    created_at: datetime
    is_archived: bool
    role: str | None


async def projects_seen(session: AsyncSession, scope: WorkspaceScope) -> Sequence[SeenProject]:
    """Living projects in the caller's sight, by scope."""
    rows = await session.execute(
        select(Project.scope_id, Project.created_at, Project.archived_at.is_not(None), ScopeMember.role)
        .outerjoin(ScopeMember, and_(ScopeMember.scope_id == Project.scope_id, ScopeMember.user_id == scope.user_id))
        .where(
            Project.workspace_id == scope.workspace_id,
            Project.deleted_at.is_(None),
            visible_scope(Project.scope_id, scope.user_id),
        )
        .order_by(Project.scope_id)
    )
    return [SeenProject(*row) for row in rows]


async def events_from(
    session: AsyncSession,
    scope: WorkspaceScope,
    *,
    since: UUID | None,
    only: Collection[UUID] | None,
    limit: int | None,
) -> Sequence[CalendarEvent]:
    """Events in sight by id, from this id on (with it); all, or those among `only`."""
    statement = select(CalendarEvent).where(in_sight(scope)).order_by(CalendarEvent.id).limit(limit)
    if since is not None:
        statement = statement.where(CalendarEvent.id >= since)
    if only is not None:
        statement = statement.where(CalendarEvent.id.in_(only))
    return (await session.scalars(statement.execution_options(populate_existing=True))).all()


async def marked_from(
    session: AsyncSession, event_ids: Collection[UUID], *, after: tuple[UUID, datetime] | None, limit: int
) -> Sequence[tuple[UUID, datetime]]:
    """Occurrences of these events with something of their own: a difference, an answer, somebody invited to it alone;
    by (event, original start), after that of one.
    """
    found = union(
        select(CalendarOverride.event_id, CalendarOverride.original_at.label("at")).where(
            CalendarOverride.event_id.in_(event_ids)
        ),
        select(CalendarAnswer.event_id, CalendarAnswer.original_at).where(CalendarAnswer.event_id.in_(event_ids)),
        select(CalendarAttendee.event_id, CalendarAttendee.only_at).where(
            CalendarAttendee.event_id.in_(event_ids), CalendarAttendee.only_at.is_not(None)
        ),
    ).subquery()
    statement = select(found.c.event_id, found.c.at).order_by(found.c.event_id, found.c.at).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(found.c.event_id, found.c.at) > tuple_(*after))
    return [(row[0], row[1]) for row in await session.execute(statement)]
