"""Queries of exports and imports."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, String, cast, delete, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.recurrence import Window
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarEvent, CalendarOverride
from pm_api.domains.calendar.repository import events
from pm_api.identity.models.people import Member, User

LOCK: Final = "calendar.import:"


class Span(NamedTuple):
    """From when to when something lies in a zone; `last` None is for ever."""

    zone: str
    first: datetime
    last: datetime | None


async def hold_imports(session: AsyncSession, workspace_id: UUID) -> None:
    """One import at a time into a workspace: two that bring the same UID would both find it missing."""
    name = f"{LOCK}{workspace_id}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def by_uid(session: AsyncSession, workspace_id: UUID, uids: Collection[str]) -> dict[str, UUID]:
    """Events of a workspace by UID, whoever sees them."""
    rows = await session.execute(
        select(CalendarEvent.uid, CalendarEvent.id).where(
            CalendarEvent.workspace_id == workspace_id, CalendarEvent.uid.in_(uids)
        )
    )
    return {row[0]: row[1] for row in rows}


async def hold_events(session: AsyncSession, event_ids: Collection[UUID]) -> None:
    """By id, before any of them is written."""
    wanted = select(CalendarEvent.id).where(CalendarEvent.id.in_(event_ids)).order_by(CalendarEvent.id)
    await session.execute(wanted.with_for_update())


async def drop_overrides(session: AsyncSession, event_id: UUID) -> None:
    await session.execute(delete(CalendarOverride).where(CalendarOverride.event_id == event_id))


async def page(
    session: AsyncSession,
    scope: WorkspaceScope,
    *,
    project_id: UUID | None,
    window: Window | None,
    after: UUID | None,
    limit: int,
) -> list[Series]:
    """What the caller sees, whole series, oldest first."""
    statement = select(CalendarEvent).where(*_wanted(scope, window)).order_by(CalendarEvent.id).limit(limit)
    statement = events.narrowed(statement, scope, project_id, (), None)
    if after is not None:
        statement = statement.where(CalendarEvent.id > after)
    rows = await session.scalars(statement.execution_options(populate_existing=True))
    return await events.with_overrides(session, rows.all())


async def zones(
    session: AsyncSession, scope: WorkspaceScope, *, project_id: UUID | None, window: Window | None
) -> Sequence[Span]:
    """The zones of the same, and of occurrences of it that were moved."""
    ids = select(CalendarEvent).where(*_wanted(scope, window))
    ids = events.narrowed(ids, scope, project_id, (), None)
    found = ids.with_only_columns(CalendarEvent.id)
    of_series = await session.execute(
        select(
            CalendarEvent.time_zone,
            func.least(func.min(CalendarEvent.series_starts_at), func.min(CalendarEvent.starts_at)),
            func.max(CalendarEvent.series_ends_at),
            func.bool_or(CalendarEvent.series_ends_at.is_(None)),
        )
        .where(CalendarEvent.id.in_(found), CalendarEvent.all_day.is_(False))
        .group_by(CalendarEvent.time_zone)
    )
    of_moved = await session.execute(
        select(
            CalendarOverride.time_zone,
            func.min(CalendarOverride.starts_at),
            func.max(CalendarOverride.ends_at),
        )
        .where(
            CalendarOverride.event_id.in_(found),
            CalendarOverride.all_day.is_(False),
            CalendarOverride.time_zone.is_not(None),
        )
        .group_by(CalendarOverride.time_zone)
    )
    return [
        *(Span(zone, first, None if is_endless else last) for zone, first, last, is_endless in of_series),
        *(Span(zone, first, last) for zone, first, last in of_moved if zone is not None and first is not None),
    ]


async def state(session: AsyncSession, scope: WorkspaceScope, project_id: UUID | None) -> str:
    """A digest that changes whenever what an export would say does: with an event, with who sees it, with what people
    are called.
    """
    seen = select(CalendarEvent).where(*_wanted(scope, None))
    seen = events.narrowed(seen, scope, project_id, (), None)
    each = func.concat(cast(CalendarEvent.id, String), ":", CalendarEvent.version)
    listed = func.string_agg(each, aggregate_order_by(text("','"), CalendarEvent.id))
    written = seen.with_only_columns(func.md5(listed))
    person = func.concat(cast(User.id, String), ":", User.email, ":", User.name)
    people = (
        select(func.md5(func.string_agg(person, aggregate_order_by(text("','"), User.id))))
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == scope.workspace_id)
    )
    return f"{await session.scalar(written)}-{await session.scalar(people)}"


def _wanted(scope: WorkspaceScope, window: Window | None) -> list[ColumnElement[bool]]:
    wanted = [events.in_sight(scope)]
    if window is not None:
        wanted += [events.reaching(scope.workspace_id, window), events.touching(window)]
    return wanted
