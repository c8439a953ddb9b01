"""Queries of what somebody has in a calendar that they leave, or want to take along."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import CalendarAnswer, CalendarAttendee, CalendarEvent
from pm_api.identity.models.people import Member
from pm_api.identity.permissions import Role


def _goes_on(now: datetime) -> ColumnElement[bool]:
    return or_(CalendarEvent.series_ends_at.is_(None), CalendarEvent.series_ends_at >= now)


def _is_alone() -> ColumnElement[bool]:
    """What nobody sees but whoever holds it."""
    others = exists().where(
        CalendarAttendee.event_id == CalendarEvent.id,
        CalendarAttendee.user_id.is_not(None),
        CalendarAttendee.user_id != CalendarEvent.organizer_user_id,
    )
    is_masked = CalendarEvent.visibility != "DEFAULT"
    return and_(is_masked, CalendarEvent.created_by_user_id == CalendarEvent.organizer_user_id, ~others)


async def count_organized(session: AsyncSession, workspace_id: UUID, user_id: UUID, now: datetime) -> int:
    counted = select(func.count()).where(
        CalendarEvent.workspace_id == workspace_id, CalendarEvent.organizer_user_id == user_id, _goes_on(now)
    )
    return await session.scalar(counted) or 0


async def locked_organized(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, now: datetime, *, after: UUID | None, limit: int
) -> Sequence[CalendarEvent]:
    """What somebody organizes that is not over, and what they alone see, held, by id."""
    statement = select(CalendarEvent).where(
        CalendarEvent.workspace_id == workspace_id,
        CalendarEvent.organizer_user_id == user_id,
        or_(_goes_on(now), _is_alone()),
    )
    if after is not None:
        statement = statement.where(CalendarEvent.id > after)
    rows = await session.scalars(
        statement.order_by(CalendarEvent.id).limit(limit).with_for_update().execution_options(populate_existing=True)
    )
    return rows.all()


async def locked_attended(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, now: datetime, *, after: UUID | None, limit: int
) -> Sequence[CalendarEvent]:
    """What somebody is invited to that is not over, held, by id."""
    mine = select(CalendarAttendee.event_id).where(
        CalendarAttendee.user_id == user_id, CalendarAttendee.workspace_id == workspace_id
    )
    statement = select(CalendarEvent).where(CalendarEvent.id.in_(mine), _goes_on(now))
    if after is not None:
        statement = statement.where(CalendarEvent.id > after)
    rows = await session.scalars(
        statement.order_by(CalendarEvent.id).limit(limit).with_for_update().execution_options(populate_existing=True)
    )
    return rows.all()


async def locked_inviting(session: AsyncSession, emails: Collection[str], *, limit: int) -> Sequence[CalendarEvent]:
    """What any of these addresses is invited to, wherever it is, held, by id."""
    theirs = select(CalendarAttendee.event_id).where(CalendarAttendee.email.in_(emails))
    statement = select(CalendarEvent).where(CalendarEvent.id.in_(theirs)).order_by(CalendarEvent.id).limit(limit)
    return (await session.scalars(statement.with_for_update().execution_options(populate_existing=True))).all()


async def forget_addresses(session: AsyncSession, event_ids: Collection[UUID], emails: Collection[str]) -> None:
    await session.execute(
        delete(CalendarAttendee)
        .where(CalendarAttendee.event_id.in_(event_ids), CalendarAttendee.email.in_(emails))
        .execution_options(synchronize_session=False)
    )


async def take_off(session: AsyncSession, event_ids: Collection[UUID], user_id: UUID) -> None:
    await session.execute(
        delete(CalendarAttendee)
        .where(CalendarAttendee.event_id.in_(event_ids), CalendarAttendee.user_id == user_id)
        .execution_options(synchronize_session=False)
    )


async def administrators(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Owners before admins, those who came first before others."""
    rows = await session.scalars(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_((Role.OWNER, Role.ADMIN)))
        .order_by(case((Member.role == Role.OWNER, 0), else_=1), Member.id)
    )
    return list(rows)


# --- to take along -------------------------------------------------------------------------------------------------


async def events_of(
    session: AsyncSession, user_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[CalendarEvent]:
    """What somebody made or organizes anywhere, by id."""
    statement = select(CalendarEvent).where(
        or_(CalendarEvent.created_by_user_id == user_id, CalendarEvent.organizer_user_id == user_id)
    )
    if after is not None:
        statement = statement.where(CalendarEvent.id > after)
    return (await session.scalars(statement.order_by(CalendarEvent.id).limit(limit))).all()


async def answers_of(
    session: AsyncSession, user_id: UUID, *, after: tuple[UUID, datetime] | None, limit: int
) -> Sequence[CalendarAnswer]:
    """What somebody answered for single occurrences."""
    statement = (
        select(CalendarAnswer)
        .join(CalendarAttendee, CalendarAttendee.id == CalendarAnswer.attendee_id)
        .where(CalendarAttendee.user_id == user_id)
    )
    if after is not None:
        attendee_id, original_at = after
        statement = statement.where(
            or_(
                CalendarAnswer.attendee_id > attendee_id,
                and_(CalendarAnswer.attendee_id == attendee_id, CalendarAnswer.original_at > original_at),
            )
        )
    rows = await session.scalars(
        statement.order_by(CalendarAnswer.attendee_id, CalendarAnswer.original_at).limit(limit)
    )
    return rows.all()
