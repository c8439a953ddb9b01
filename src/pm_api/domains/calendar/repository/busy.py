"""Queries of whose time is taken: by what they hold or are invited to, whether the caller sees it or not, because
nothing but the time of it is told.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.recurrence import Window, zone_or_utc
from pm_api.domains.calendar.models import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarBooking,
    CalendarEvent,
    CalendarWorkingHours,
)
from pm_api.domains.calendar.repository.events import reaching, touching
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, User
from pm_api.identity.repository.people import is_guest, visible_scope

SHARES: Final = 64
"""The people of a workspace share so many locks: one each would fill the server's table when large groups meet."""
LOCK: Final = "calendar-people:"


async def zones_of(session: AsyncSession, scope: WorkspaceScope, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """The time zones of those who are members and whom the caller may know of: a guest knows who sees a project that
    they see.
    """
    shared = exists().where(
        Project.workspace_id == scope.workspace_id,
        Project.deleted_at.is_(None),
        visible_scope(Project.scope_id, scope.user_id),
        visible_scope(Project.scope_id, User.id),
    )
    rows = await session.execute(
        select(User.id, User.time_zone)
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == scope.workspace_id, User.id.in_(user_ids))
        .where(or_(User.id == scope.user_id, ~is_guest(scope.workspace_id, scope.user_id), shared))
    )
    return {row[0]: zone_or_utc(row[1]).key for row in rows}


async def zones_of_members(session: AsyncSession, workspace_id: UUID, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """The time zones of those who are members."""
    rows = await session.execute(
        select(User.id, User.time_zone)
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == workspace_id, User.id.in_(user_ids))
    )
    return {row[0]: zone_or_utc(row[1]).key for row in rows}


async def events_of(
    session: AsyncSession,
    workspace_id: UUID,
    user_ids: Collection[UUID],
    window: Window,
    *,
    without: Collection[UUID] = (),
) -> Sequence[CalendarEvent]:
    """What may have a part in the window and is held by one of these, or one of them is invited to; by id."""
    invited = exists().where(
        CalendarAttendee.event_id == CalendarEvent.id,
        CalendarAttendee.workspace_id == workspace_id,
        CalendarAttendee.user_id.in_(user_ids),
    )
    statement = (
        select(CalendarEvent)
        .where(reaching(workspace_id, window), touching(window), CalendarEvent.workspace_id == workspace_id)
        .where(~_of_deleted_project())
        .where(or_(CalendarEvent.organizer_user_id.in_(user_ids), invited))
        .order_by(CalendarEvent.id)
    )
    if without:
        statement = statement.where(CalendarEvent.id.not_in(without))
    return (await session.scalars(statement)).all()


async def invitations_of(
    session: AsyncSession, event_ids: Collection[UUID], user_ids: Collection[UUID]
) -> Sequence[CalendarAttendee]:
    return (
        await session.scalars(
            select(CalendarAttendee).where(
                CalendarAttendee.event_id.in_(event_ids), CalendarAttendee.user_id.in_(user_ids)
            )
        )
    ).all()


async def answers_to(session: AsyncSession, attendee_ids: Collection[UUID]) -> Sequence[CalendarAnswer]:
    return (await session.scalars(select(CalendarAnswer).where(CalendarAnswer.attendee_id.in_(attendee_ids)))).all()


async def in_sight(
    session: AsyncSession, scope: WorkspaceScope, event_ids: Collection[UUID]
) -> Sequence[CalendarEvent]:
    """Those of these events that the caller sees, if only as Busy."""
    return (
        await session.scalars(
            select(CalendarEvent)
            .where(CalendarEvent.id.in_(event_ids), CalendarEvent.workspace_id == scope.workspace_id)
            .where(visible_scope(CalendarEvent.scope_id, scope.user_id), ~_of_deleted_project())
        )
    ).all()


def _of_deleted_project() -> ColumnElement[bool]:
    return exists().where(Project.id == CalendarEvent.project_id, Project.deleted_at.is_not(None))


async def bookings_of(
    session: AsyncSession, resource_ids: Collection[UUID], start: datetime, end: datetime
) -> Sequence[tuple[UUID, datetime, datetime]]:
    """When rooms are taken: (room, start, end), those that meet the range."""
    rows = await session.execute(
        select(CalendarBooking.resource_id, CalendarBooking.starts_at, CalendarBooking.ends_at)
        .where(CalendarBooking.resource_id.in_(resource_ids))
        .where(CalendarBooking.ends_at > start, CalendarBooking.starts_at < end)
        .where(CalendarBooking.ends_at > CalendarBooking.starts_at)
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def hours_of(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, CalendarWorkingHours]:
    rows = await session.scalars(select(CalendarWorkingHours).where(CalendarWorkingHours.user_id.in_(user_ids)))
    return {row.user_id: row for row in rows}


async def hold_people(session: AsyncSession, workspace_id: UUID, user_ids: Collection[UUID] | None) -> None:
    """Until the transaction ends nobody else asks whether the time of these is free, to write only if so; None:
    anybody's. In one order, so that of two groups with the same people one waits for the other.
    """
    shares = range(SHARES) if user_ids is None else sorted({one.int % SHARES for one in user_ids})
    names = [f"{LOCK}{workspace_id}:{share:02}" for share in shares]
    name = func.unnest(literal(names, ARRAY(Text))).column_valued("name")
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def lock_hours(session: AsyncSession, user_id: UUID) -> CalendarWorkingHours | None:
    """Somebody's own, held; who has none yet holds their person, so that two first choices come in turn."""
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    return await session.scalar(
        select(CalendarWorkingHours)
        .where(CalendarWorkingHours.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
