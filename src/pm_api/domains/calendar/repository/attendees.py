"""Queries of who is invited to events and what they answered."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import CalendarAnswer, CalendarAttendee, CalendarEvent
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, Scope, User, Workspace
from pm_api.identity.permissions import allows
from pm_api.identity.repository.people import role_in_scope, visible_scope

Answers = Mapping[tuple[UUID, datetime], CalendarAnswer]
"""What was answered for single occurrences, by (attendee, original start)."""


async def attendees_of(session: AsyncSession, event_ids: Collection[UUID]) -> dict[UUID, list[CalendarAttendee]]:
    """By event, in the order in which they were invited; those of single occurrences among them."""
    found: dict[UUID, list[CalendarAttendee]] = {one: [] for one in event_ids}
    if event_ids:
        rows = await session.scalars(
            select(CalendarAttendee)
            .where(CalendarAttendee.event_id.in_(event_ids))
            .order_by(CalendarAttendee.id)
            .execution_options(populate_existing=True)
        )
        for row in rows:
            found[row.event_id].append(row)
    return found


async def answers_of(
    session: AsyncSession, event_ids: Collection[UUID], keys: Collection[datetime] | None = None
) -> dict[tuple[UUID, datetime], CalendarAnswer]:
    """What was answered for single occurrences: for all, or for those with these original starts."""
    if not event_ids:
        return {}
    statement = select(CalendarAnswer).where(CalendarAnswer.event_id.in_(event_ids))
    if keys is not None:
        statement = statement.where(CalendarAnswer.original_at.in_(keys))
    rows = await session.scalars(statement.execution_options(populate_existing=True))
    return {(row.attendee_id, row.original_at): row for row in rows}


async def attendee(session: AsyncSession, attendee_id: UUID) -> CalendarAttendee | None:
    return await session.scalar(
        select(CalendarAttendee).where(CalendarAttendee.id == attendee_id).execution_options(populate_existing=True)
    )


async def put_answers(session: AsyncSession, rows: Collection[Mapping[str, Any]]) -> None:
    """Of each (attendee, occurrence) the one answer there is from now on; all rows have the same columns."""
    if not rows:
        return
    statement = insert(CalendarAnswer).values(list(rows))
    changed = {
        name: statement.excluded[name] for name in next(iter(rows)) if name not in ("attendee_id", "original_at")
    }
    await session.execute(
        statement.on_conflict_do_update(index_elements=["attendee_id", "original_at"], set_=changed)
    )


async def forget_answers(session: AsyncSession, event_id: UUID, *, but: Collection[UUID] = ()) -> None:
    """What was answered for single occurrences of a series, except by these attendees; who need not come to one still
    need not.
    """
    await session.execute(
        delete(CalendarAnswer)
        .where(
            CalendarAnswer.event_id == event_id,
            CalendarAnswer.uninvited.is_(False),
            CalendarAnswer.attendee_id.not_in(but),
        )
        .execution_options(synchronize_session=False)
    )


async def bring_back(session: AsyncSession, event_id: UUID, keys: Collection[datetime] | None) -> None:
    """Nobody is left out of these occurrences of a series any more, or of any."""
    statement = delete(CalendarAnswer).where(CalendarAnswer.event_id == event_id, CalendarAnswer.uninvited.is_(True))
    if keys is not None:
        statement = statement.where(CalendarAnswer.original_at.in_(keys))
    await session.execute(statement.execution_options(synchronize_session=False))


async def answers_by(session: AsyncSession, attendee_id: UUID) -> list[CalendarAnswer]:
    """What one invited person answered for single occurrences, where they are to come."""
    rows = await session.scalars(
        select(CalendarAnswer)
        .where(CalendarAnswer.attendee_id == attendee_id, CalendarAnswer.uninvited.is_(False))
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def drop_answers(session: AsyncSession, rows: Collection[CalendarAnswer]) -> None:
    for row in rows:
        await session.delete(row)


async def remove(session: AsyncSession, attendee_ids: Collection[UUID]) -> None:
    """Their answers go with them."""
    await session.execute(
        delete(CalendarAttendee)
        .where(CalendarAttendee.id.in_(attendee_ids))
        .execution_options(synchronize_session=False)
    )


async def set_told(session: AsyncSession, attendee_ids: Collection[UUID]) -> None:
    await session.execute(
        update(CalendarAttendee)
        .where(CalendarAttendee.id.in_(attendee_ids))
        .values(is_told=True)
        .execution_options(synchronize_session=False)
    )


# --- people --------------------------------------------------------------------------------------------------------


async def who_sees(session: AsyncSession, scope_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of the people who are members and see what is in a scope."""
    if not user_ids:
        return set()
    rows = await session.scalars(
        select(Member.user_id)
        .join(Scope, Scope.workspace_id == Member.workspace_id)
        .where(Scope.id == scope_id, Member.user_id.in_(user_ids), visible_scope(Scope.id, Member.user_id))
    )
    return set(rows)


async def may_hold(session: AsyncSession, scope_id: UUID, user_id: UUID) -> bool:
    """Whether somebody sees a scope and may write in the calendar, so that an event can be theirs."""
    if not await who_sees(session, scope_id, [user_id]):
        return False
    role = await session.scalar(
        select(Member.role)
        .join(Scope, Scope.workspace_id == Member.workspace_id)
        .where(Scope.id == scope_id, Member.user_id == user_id)
    )
    within = await role_in_scope(session, scope_id, user_id, role) if role is not None else None
    return within is not None and allows(within, "calendar.write")


async def members_by_email(session: AsyncSession, scope_id: UUID, emails: Collection[str]) -> dict[str, UUID]:
    """Members who see a scope, by those of the addresses that are theirs and proved."""
    return (await members_in(session, [scope_id], emails))[scope_id]


async def members_in(
    session: AsyncSession, scope_ids: Collection[UUID], emails: Collection[str]
) -> dict[UUID, dict[str, UUID]]:
    """The same for several scopes."""
    found: dict[UUID, dict[str, UUID]] = {one: {} for one in scope_ids}
    if not emails:
        return found
    rows = await session.execute(
        select(Scope.id, User.email, User.id)
        .join(Member, Member.workspace_id == Scope.workspace_id)
        .join(User, User.id == Member.user_id)
        .where(Scope.id.in_(scope_ids), User.email.in_(emails), visible_scope(Scope.id, Member.user_id))
    )
    for scope_id, email, user_id in rows:
        found[scope_id][email] = user_id
    return found


async def people(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, User]:
    if not user_ids:
        return {}
    rows = await session.scalars(select(User).where(User.id.in_(user_ids)))
    return {row.id: row for row in rows}


# --- what is of somebody -------------------------------------------------------------------------------------------


async def of_series(session: AsyncSession, event_id: UUID, user_id: UUID) -> list[CalendarAttendee]:
    """Somebody's own invitations to an event: to all of it, and to single occurrences."""
    rows = await session.scalars(
        select(CalendarAttendee)
        .where(CalendarAttendee.event_id == event_id, CalendarAttendee.user_id == user_id)
        .order_by(CalendarAttendee.id)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def living_event(session: AsyncSession, event_id: UUID) -> CalendarEvent | None:
    """An event as committed now, whoever sees it: of a living project and workspace. For who comes with a link."""
    return await session.scalar(
        select(CalendarEvent)
        .join(Workspace, Workspace.id == CalendarEvent.workspace_id)
        .outerjoin(Project, Project.id == CalendarEvent.project_id)
        .where(CalendarEvent.id == event_id, Workspace.deleted_at.is_(None), Project.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )


async def locked_event(session: AsyncSession, event_id: UUID) -> CalendarEvent | None:
    """The same, held."""
    await session.execute(select(CalendarEvent.id).where(CalendarEvent.id == event_id).with_for_update())
    return await living_event(session, event_id)
