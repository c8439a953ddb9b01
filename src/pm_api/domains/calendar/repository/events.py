"""Queries of events: in sight, under lock, within a stretch of time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Uuid,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window
from pm_api.domains.calendar.errors.events import MOST_EVENTS, TooManyEvents
from pm_api.domains.calendar.mapping import Series, series_of
from pm_api.domains.calendar.models import (
    CalendarAttendee,
    CalendarEvent,
    CalendarHome,
    CalendarOverride,
    CalendarReach,
)
from pm_api.domains.calendar.models.events import MAY_BE_DENSE
from pm_api.domains.calendar.reaching import ALWAYS, ELSEWHERE, weeks_of
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Scope
from pm_api.identity.repository import circles
from pm_api.identity.repository.people import scopes_seen, visible_scope

DENSE: Final = text(f"({MAY_BE_DENSE})")
MOST_LOOKED_AT: Final = 50_000
"""In the weeks of one question, whoever sees them."""


# --- one by one ----------------------------------------------------------------------------------------------------


async def is_living(session: AsyncSession, event_id: UUID) -> bool:
    """Whether there is such an event, in no deleted project."""
    found = select(CalendarEvent.id).where(CalendarEvent.id == event_id, _of_living_project())
    return await session.scalar(found) is not None


async def event(
    session: AsyncSession, scope: WorkspaceScope, event_id: UUID, *, lock: bool = False
) -> CalendarEvent | None:
    """One that the caller sees, as committed now; with `lock` held until the transaction ends."""
    if lock:
        mine = (CalendarEvent.id == event_id, CalendarEvent.workspace_id == scope.workspace_id)
        await session.execute(select(CalendarEvent.id).where(*mine).with_for_update())
    return await session.scalar(
        select(CalendarEvent)
        .where(
            CalendarEvent.id == event_id,
            CalendarEvent.workspace_id == scope.workspace_id,
            _of_living_project(),
            visible_scope(CalendarEvent.scope_id, scope.user_id),
        )
        .execution_options(populate_existing=True)
    )


async def overrides_of(session: AsyncSession, event_ids: Collection[UUID]) -> dict[UUID, list[CalendarOverride]]:
    """By event, in the order of original starts; events without are left out."""
    found: dict[UUID, list[CalendarOverride]] = {}
    if event_ids:
        rows = await session.scalars(
            select(CalendarOverride)
            .where(CalendarOverride.event_id.in_(event_ids))
            .order_by(CalendarOverride.event_id, CalendarOverride.original_at)
            .execution_options(populate_existing=True)
        )
        for row in rows:
            found.setdefault(row.event_id, []).append(row)
    return found


async def with_overrides(session: AsyncSession, events: Sequence[CalendarEvent]) -> list[Series]:
    """The events as series, in their order."""
    overrides = await overrides_of(session, [one.id for one in events])
    return [series_of(one, overrides.get(one.id, ())) for one in events]


async def series_of_ids(session: AsyncSession, scope: WorkspaceScope, ids: Collection[UUID]) -> list[Series]:
    """Those of the ids that the caller sees, by id."""
    if not ids:
        return []
    rows = await session.scalars(
        select(CalendarEvent)
        .where(CalendarEvent.id.in_(ids), in_sight(scope))
        .order_by(CalendarEvent.id)
        .execution_options(populate_existing=True)
    )
    return await with_overrides(session, rows.all())


async def hold_projects(session: AsyncSession, project_ids: Iterable[UUID | None]) -> None:
    """FOR SHARE, by id: none of them is archived or deleted before what is written in them is committed."""
    wanted = {one for one in project_ids if one is not None}
    if wanted:
        rows = select(Project.id).where(Project.id.in_(wanted)).order_by(Project.id)
        await session.execute(rows.with_for_update(read=True))


# --- sight ---------------------------------------------------------------------------------------------------------


def in_sight(scope: WorkspaceScope) -> ColumnElement[bool]:
    """Of events, for lists: those of the workspace in scopes that the caller sees, in no deleted project."""
    return and_(CalendarEvent.workspace_id == scope.workspace_id, _in_scopes_seen(scope))


def _in_scopes_seen(scope: WorkspaceScope) -> ColumnElement[bool]:
    living = select(Project.id).where(Project.workspace_id == scope.workspace_id, Project.deleted_at.is_(None))
    return and_(
        CalendarEvent.scope_id.in_(scopes_seen(scope.workspace_id, scope.user_id)),
        or_(CalendarEvent.project_id.is_(None), CalendarEvent.project_id.in_(living)),
    )


def _of_living_project() -> ColumnElement[bool]:
    """For one event."""
    return or_(
        CalendarEvent.project_id.is_(None),
        exists().where(Project.id == CalendarEvent.project_id, Project.deleted_at.is_(None)),
    )


async def home_scope(session: AsyncSession, platform: Platform, workspace_id: UUID) -> UUID:
    """The open scope of a workspace's events that are in no project, made on first use; of two who make it at once
    one waits, and takes the other's.
    """
    wanted = select(CalendarHome.scope_id).where(CalendarHome.workspace_id == workspace_id)
    found: UUID | None = await session.scalar(wanted)
    if found is not None:
        return found
    scope_id = platform.randomness.uuid()
    await circles.insert_circle(session, scope_id, workspace_id, is_open=True)
    made: UUID | None = await session.scalar(
        insert(CalendarHome)
        .values(workspace_id=workspace_id, scope_id=scope_id)
        .on_conflict_do_nothing(index_elements=["workspace_id"])
        .returning(CalendarHome.scope_id)
    )
    if made is not None:
        return made
    await session.execute(delete(Scope).where(Scope.id == scope_id).execution_options(synchronize_session=False))
    found = await session.scalar(wanted)
    assert found is not None, "somebody else made it, and that was committed"
    return found


async def has_home(session: AsyncSession, workspace_id: UUID) -> bool:
    """Whether a workspace ever had an event outside of projects."""
    found = select(CalendarHome.scope_id).where(CalendarHome.workspace_id == workspace_id)
    return await session.scalar(found) is not None


# --- within a stretch of time --------------------------------------------------------------------------------------


def _ids_reaching(workspace_id: UUID, window: Window) -> CompoundSelect[UUID]:
    """Ids of events that may have something in the window, by the weeks they reach. Endless series that are not known
    so far ahead are among them.
    """
    weeks = weeks_of(window)
    in_weeks = (
        select(CalendarReach.event_id)
        .where(CalendarReach.workspace_id == workspace_id)
        .where(CalendarReach.week.between(weeks[0], weeks[-1]))
    )
    always = select(CalendarReach.event_id).where(
        CalendarReach.workspace_id == workspace_id, CalendarReach.week == ALWAYS
    )
    beyond = select(CalendarEvent.id).where(
        CalendarEvent.workspace_id == workspace_id, CalendarEvent.reached_until < window.end + ELSEWHERE
    )
    return union(in_weeks, always, beyond)


def reaching(workspace_id: UUID, window: Window) -> ColumnElement[bool]:
    """The same as a condition on events."""
    return CalendarEvent.id.in_(_ids_reaching(workspace_id, window))


def touching(window: Window) -> ColumnElement[bool]:
    """By the bounds of each, which leave out much of what is only in the same week."""
    return and_(
        CalendarEvent.series_starts_at < window.end + ELSEWHERE,
        or_(
            CalendarEvent.series_ends_at.is_(None),
            CalendarEvent.series_ends_at >= window.start - ELSEWHERE,
        ),
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What of what is seen is asked for. Empty is everything."""

    project_id: UUID | None = None
    types: Collection[str] = ()
    attendee_id: UUID | None = None


def narrowed(
    statement: Select[CalendarEvent],
    scope: WorkspaceScope,
    project_id: UUID | None,
    types: Collection[str],
    attendee_id: UUID | None,
) -> Select[CalendarEvent]:
    """What is asked for of what is seen. What is masked to the caller is not found by its project or its people: that
    would tell them.
    """
    if project_id is not None:
        statement = statement.where(CalendarEvent.project_id == project_id, _unmasked(scope.user_id))
    if types:
        statement = statement.where(CalendarEvent.type.in_(types))
    if attendee_id is not None:
        statement = statement.where(_is_invited(attendee_id), _unmasked(scope.user_id))
    return statement


def _filtered(statement: Select[CalendarEvent], scope: WorkspaceScope, filters: Filters) -> Select[CalendarEvent]:
    return narrowed(statement, scope, filters.project_id, filters.types, filters.attendee_id)


def _is_invited(user_id: UUID) -> ColumnElement[bool]:
    return exists().where(CalendarAttendee.event_id == CalendarEvent.id, CalendarAttendee.user_id == user_id)


def _unmasked(user_id: UUID) -> ColumnElement[bool]:
    return or_(
        CalendarEvent.visibility == "DEFAULT",
        CalendarEvent.organizer_user_id == user_id,
        CalendarEvent.created_by_user_id == user_id,
        _is_invited(user_id),
    )


async def meeting(
    session: AsyncSession,
    scope: WorkspaceScope,
    window: Window,
    *,
    project_id: UUID | None = None,
    types: Collection[str] = (),
    attendee_id: UUID | None = None,
    most: int = MOST_EVENTS,
) -> list[Series]:
    """What the caller sees that may have something in the window, by id. Raises TooManyEvents."""
    statement = await _of_window(session, scope, window, Filters(project_id, types, attendee_id))
    events = await _rows(session, statement.order_by(CalendarEvent.id).limit(most + 1))
    if len(events) > most:
        raise TooManyEvents
    return await with_overrides(session, events)


async def dense(session: AsyncSession, scope: WorkspaceScope, window: Window, filters: Filters) -> list[Series]:
    """Of what may have something in the window, those that may have over 1,000 occurrences there. There are few such
    in a workspace, and they have an index of their own: what else lies in the window is not looked at.
    """
    statement = select(CalendarEvent).where(DENSE, touching(window), in_sight(scope)).order_by(CalendarEvent.id)
    statement = _filtered(statement, scope, filters)
    return await with_overrides(session, await _rows(session, statement.limit(MOST_EVENTS)))


async def masters(
    session: AsyncSession,
    scope: WorkspaceScope,
    filters: Filters,
    window: Window | None,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Series]:
    """Events and series by their first start; with a window those that may have something in it."""
    if window is not None:
        statement = await _of_window(session, scope, window, filters)
    else:
        statement = _filtered(select(CalendarEvent).where(in_sight(scope)), scope, filters)
    if after is not None:
        statement = statement.where(tuple_(CalendarEvent.starts_at, CalendarEvent.id) > tuple_(*after))
    statement = statement.order_by(CalendarEvent.starts_at, CalendarEvent.id).limit(limit)
    return await with_overrides(session, await _rows(session, statement))


async def _of_window(
    session: AsyncSession, scope: WorkspaceScope, window: Window, filters: Filters
) -> Select[CalendarEvent]:
    """The ids first, by indexes alone: in one statement the planner cannot tell how few they are, and reads the whole
    table. Raises TooManyEvents.
    """
    ids = list(await session.scalars(_ids_reaching(scope.workspace_id, window).limit(MOST_LOOKED_AT + 1)))
    if len(ids) > MOST_LOOKED_AT:
        raise TooManyEvents
    # The ids are of this workspace; to say so again would lead a small one to read all of its index instead of these.
    named = CalendarEvent.id == func.any(bindparam("ids", ids, ARRAY(Uuid()), unique=True))
    return _filtered(select(CalendarEvent).where(named, touching(window), _in_scopes_seen(scope)), scope, filters)


async def _rows(session: AsyncSession, statement: Select[CalendarEvent]) -> Sequence[CalendarEvent]:
    return (await session.scalars(statement.execution_options(populate_existing=True))).all()
