"""Queries of reminders and snoozes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.models import CalendarEvent, CalendarReminder, CalendarSnooze
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, Workspace
from pm_api.identity.repository.people import visible_scope


class DueReminder(NamedTuple):
    """Its place in the order of the walk, and whose it is."""

    due_at: datetime
    id: UUID
    account_id: UUID


async def reminders_of(
    session: AsyncSession, event_ids: Collection[UUID], user_id: UUID, keys: Collection[datetime] = ()
) -> dict[UUID, list[CalendarReminder]]:
    """One person's own, by event, the earliest first: those for all occurrences, and those for the ones with these
    original starts alone.
    """
    found: dict[UUID, list[CalendarReminder]] = {one: [] for one in event_ids}
    if event_ids:
        rows = await session.scalars(
            select(CalendarReminder)
            .where(
                CalendarReminder.event_id.in_(event_ids),
                CalendarReminder.user_id == user_id,
                or_(CalendarReminder.only_at.is_(None), CalendarReminder.only_at.in_(keys)),
            )
            .order_by(CalendarReminder.minutes_before.desc(), CalendarReminder.id)
        )
        for row in rows:
            found[row.event_id].append(row)
    return found


async def set_apart(
    session: AsyncSession, event_ids: Collection[UUID], user_ids: Collection[UUID]
) -> dict[tuple[UUID, UUID], frozenset[datetime]]:
    """By event and person the original starts of the occurrences they want to be told of otherwise than of all."""
    rows = await session.execute(
        select(CalendarReminder.event_id, CalendarReminder.user_id, CalendarReminder.only_at)
        .where(
            CalendarReminder.event_id.in_(event_ids),
            CalendarReminder.user_id.in_(user_ids),
            CalendarReminder.only_at.is_not(None),
        )
        .distinct()
    )
    found: dict[tuple[UUID, UUID], set[datetime]] = {}
    for event_id, user_id, only_at in rows:
        if only_at is not None:
            found.setdefault((event_id, user_id), set()).add(only_at)
    return {one: frozenset(keys) for one, keys in found.items()}


async def locked_of_event(
    session: AsyncSession, event_id: UUID, user_id: UUID | None = None
) -> Sequence[CalendarReminder]:
    """Everybody's or one person's, held: a sweep that is at one of them comes to its end first."""
    statement = select(CalendarReminder).where(CalendarReminder.event_id == event_id)
    if user_id is not None:
        statement = statement.where(CalendarReminder.user_id == user_id)
    rows = await session.scalars(
        statement.order_by(CalendarReminder.id).with_for_update().execution_options(populate_existing=True)
    )
    return rows.all()


async def due(session: AsyncSession, now: datetime, after: DueReminder | None, limit: int) -> list[DueReminder]:
    statement = select(CalendarReminder.next_at, CalendarReminder.id, CalendarReminder.user_id).where(
        CalendarReminder.next_at <= now
    )
    if after is not None:
        statement = statement.where(tuple_(CalendarReminder.next_at, CalendarReminder.id) > (after.due_at, after.id))
    rows = await session.execute(statement.order_by(CalendarReminder.next_at, CalendarReminder.id).limit(limit))
    return [DueReminder(due_at, row_id, user_id) for due_at, row_id, user_id in rows if due_at is not None]


async def lock_due(session: AsyncSession, ids: Collection[UUID], now: datetime) -> Sequence[CalendarReminder]:
    """Those that are due still. What another worker is at is passed over."""
    rows = await session.scalars(
        select(CalendarReminder)
        .where(CalendarReminder.id.in_(ids), CalendarReminder.next_at <= now)
        .order_by(CalendarReminder.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def due_snoozes(
    session: AsyncSession, now: datetime, after: DueReminder | None, limit: int
) -> list[DueReminder]:
    statement = select(CalendarSnooze.due_at, CalendarSnooze.id, CalendarSnooze.user_id).where(
        CalendarSnooze.due_at <= now
    )
    if after is not None:
        statement = statement.where(tuple_(CalendarSnooze.due_at, CalendarSnooze.id) > (after.due_at, after.id))
    rows = await session.execute(statement.order_by(CalendarSnooze.due_at, CalendarSnooze.id).limit(limit))
    return [DueReminder(*row) for row in rows]


async def lock_due_snoozes(session: AsyncSession, ids: Collection[UUID], now: datetime) -> Sequence[CalendarSnooze]:
    rows = await session.scalars(
        select(CalendarSnooze)
        .where(CalendarSnooze.id.in_(ids), CalendarSnooze.due_at <= now)
        .order_by(CalendarSnooze.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def snooze_of(
    session: AsyncSession, event_id: UUID, user_id: UUID, original_at: datetime | None
) -> CalendarSnooze | None:
    return await session.scalar(
        select(CalendarSnooze)
        .where(
            CalendarSnooze.event_id == event_id,
            CalendarSnooze.user_id == user_id,
            CalendarSnooze.original_at.is_not_distinct_from(original_at),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def events(session: AsyncSession, event_ids: Collection[UUID]) -> list[CalendarEvent]:
    rows = await session.scalars(
        select(CalendarEvent).where(CalendarEvent.id.in_(event_ids)).execution_options(populate_existing=True)
    )
    return list(rows)


async def who_sees_which(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Of (event, person) those where the person is a member and sees the living event."""
    if not pairs:
        return set()
    rows = await session.execute(
        select(CalendarEvent.id, Member.user_id)
        .join(Workspace, Workspace.id == CalendarEvent.workspace_id)
        .join(Member, Member.workspace_id == CalendarEvent.workspace_id)
        .outerjoin(Project, Project.id == CalendarEvent.project_id)
        .where(
            tuple_(CalendarEvent.id, Member.user_id).in_(list(pairs)),
            Workspace.deleted_at.is_(None),
            or_(CalendarEvent.project_id.is_(None), Project.deleted_at.is_(None)),
            visible_scope(CalendarEvent.scope_id, Member.user_id),
        )
    )
    return {(row[0], row[1]) for row in rows}


async def forget_of(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    """Reminders and snoozes of somebody who leaves a workspace."""
    for table in (CalendarReminder, CalendarSnooze):
        await session.execute(
            delete(table)
            .where(table.workspace_id == workspace_id, table.user_id == user_id)
            .execution_options(synchronize_session=False)
        )
