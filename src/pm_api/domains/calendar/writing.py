"""The one place that makes events and writes them, whoever asks: a route, a bulk edit, an import.

Whoever writes holds the event's row first: of two writers one waits, and goes by what the other left. After it come
its projects, with conflictPolicy REJECT who takes part, then its rooms, each by id.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.core.recurrence import admit, bounds
from pm_api.core.recurrence.errors import RuleEmpty
from pm_api.domains.calendar import changing, conflicts, following, permitting, settling
from pm_api.domains.calendar.changing import Written
from pm_api.domains.calendar.drafting import placement_of
from pm_api.domains.calendar.enums import SHOWN_AS, Scope
from pm_api.domains.calendar.errors.events import EventNotFound, OccurrenceRequired, WorkspaceOfEventFixed
from pm_api.domains.calendar.expanding import one_of
from pm_api.domains.calendar.guards import EventScope
from pm_api.domains.calendar.mapping import Series, columns_of_set
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.repository import events as repository
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.repository.attendees import attendees_of
from pm_api.domains.calendar.schemas.events import ConflictRead, EventCreate, EventReplace, EventUpdate
from pm_api.domains.projects import service as projects
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.repository import circles

ANYWHERE: Final = "UTC"
"""Which occurrence is meant does not depend on where somebody is."""


class Held(NamedTuple):
    """An event whose row is held, for somebody who may change it."""

    event: CalendarEvent
    series: Series


# --- new -----------------------------------------------------------------------------------------------------------


async def create(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    wanted: EventCreate,
    *,
    uid: str | None = None,
    sequence: int = 0,
) -> tuple[Series, list[ConflictRead]]:
    """A new event or series, of which the caller is organizer; `uid` and `sequence` of one that was imported.

    Raises NotFound, ProjectArchived, Forbidden, a RecurrenceRefused, ValidationFailed, and what inviting, booking and
    a conflict policy raise.
    """
    scope_id = await place_for(session, platform, scope, wanted.project_id)
    zone_name = wanted.time_zone or await surroundings.time_zone_of(session, scope.user_id)
    recurs = wanted.rrule is not None or bool(wanted.rdate)
    placement = placement_of(wanted.start_time, wanted.end_time, zone_name, all_day=wanted.all_day, recurs=recurs)
    made = admit(placement, rrule=wanted.rrule, rdate=wanted.rdate, exdate=wanted.exdate, by_rule=True)
    now, new_id = platform.clock.now(), platform.randomness.uuid()
    event = CalendarEvent(
        id=new_id,
        workspace_id=scope.workspace_id,
        scope_id=scope_id,
        project_id=wanted.project_id,
        type=wanted.type,
        title=wanted.title,
        description=wanted.description,
        location=wanted.location,
        visibility=wanted.visibility,
        show_as=wanted.show_as or SHOWN_AS[wanted.type],
        **columns_of_set(made),
        reached_until=None,
        uid=uid or following.uid_of(new_id),
        sequence=sequence,
        previous_series_id=None,
        organizer_user_id=scope.user_id,
        created_by_user_id=scope.user_id,
        guests_can_invite=wanted.guests_can_invite,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(event)
    await session.flush()
    return await changing.finish_new(session, platform, scope, event, wanted)


async def place_for(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID | None
) -> UUID:
    """The scope of what somebody puts into a project, which is held, or into the calendar of the workspace. Raises
    NotFound, ProjectArchived, Forbidden.
    """
    if project_id is None:
        scope_id = await repository.home_scope(session, platform, scope.workspace_id)
    else:
        await repository.hold_projects(session, [project_id])
        project = await projects.project(session, scope, project_id)
        if project is None:
            raise NotFound
        await projects.ensure_writable(session, project_id)
        scope_id = project.scope_id
    role = (await circles.roles_in_scopes(session, scope.user_id, [scope_id])).get(scope_id)
    if role is None or not permitting.may_write(role):
        raise role_lacks(role or scope.role, permitting.WRITE)
    return scope_id


# --- changes -------------------------------------------------------------------------------------------------------


async def change(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    at: EventScope,
    wanted: EventUpdate | EventReplace,
    which: Scope | None,
    expected_version: int | None,
) -> Written:
    """Write the fields that were sent, or with an EventReplace all of them: to all of a series, to one occurrence, or
    to that and those after it. Without `which`: to what is named. Without a change nothing is written.

    Raises EventNotFound, OccurrenceUnknown, OccurrenceRequired, PreconditionFailed, EventNotYours, ProjectArchived, a
    RecurrenceRefused, ValidationFailed, SeriesFieldOfOccurrence, and what inviting, booking and a conflict policy
    raise.
    """
    held = await hold(session, scope, at.event_id, expected_version, only_at=_only_at(at, which))
    revives = isinstance(wanted, EventReplace)
    which = _which(held.series, at.original_at, which, cancelled=revives)
    sent = await _sent(session, scope, wanted)
    if which is Scope.THIS:
        assert at.original_at is not None
        return await changing.change_one(session, platform, scope, held.series, at.original_at, sent)
    if sent.get("project_id", held.event.project_id) != held.event.project_id:
        sent["scope_id"] = await place_for(session, platform, scope, sent["project_id"])
    if which is Scope.ALL or not sent:  # nothing to change is nothing to cut for
        return await changing.change_all(
            session, platform, scope, held.series, sent, original_at=at.original_at, action=settling.UPDATED
        )

    # What is left before is settled first, with its rooms.
    await conflicts.hold(session, scope, None, sent.get("conflict_policy"))

    async def rest(event: CalendarEvent, is_new: bool) -> Written:
        [series] = await repository.with_overrides(session, [event])
        action = settling.CREATED if is_new else settling.UPDATED
        return await changing.change_all(
            session, platform, scope, series, sent, original_at=at.original_at, action=action
        )

    return await following.change_following(session, platform, scope, held.event, at.original_at, rest)


async def remove(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    at: EventScope,
    which: Scope | None,
    expected_version: int | None,
) -> None:
    """Delete an event with all its occurrences, one of them, or one and those after it. One that is empty goes.

    Raises EventNotFound, OccurrenceUnknown, OccurrenceRequired, PreconditionFailed, EventNotYours, ProjectArchived.
    """
    held = await hold(session, scope, at.event_id, expected_version, only_at=_only_at(at, which))
    which = _which(held.series, at.original_at, which)

    async def end(event: CalendarEvent) -> None:
        [series] = await repository.with_overrides(session, [event])
        await settling.end(session, platform, scope, series)

    if which is Scope.ALL:
        await end(held.event)
    elif which is Scope.FOLLOWING:
        await following.remove_following(session, platform, scope, held.event, at.original_at, end)
    else:
        assert at.original_at is not None
        await changing.cancel(session, platform, held.series, at.original_at)
        [left] = await repository.with_overrides(session, [held.event])
        if _is_empty(left):
            await end(held.event)
        else:
            await settling.settle(
                session,
                platform,
                scope,
                held.event,
                action=settling.UPDATED,
                moved=True,
                at=at.original_at,
                before=held.series,
            )


async def hold(
    session: AsyncSession,
    scope: WorkspaceScope,
    event_id: UUID,
    expected_version: int | None,
    *,
    only_at: datetime | None = None,
) -> Held:
    """The event under its lock, for somebody who may change it now, or with `only_at` that occurrence of it alone.
    Raises EventNotFound, PreconditionFailed, EventNotYours, ProjectArchived.
    """
    event = await repository.event(session, scope, event_id, lock=True)
    if event is None:
        raise EventNotFound
    check_version(event.version, expected_version)
    await ensure_may_edit(session, scope, event, only_at=only_at)
    await ensure_writable(session, event)
    [series] = await repository.with_overrides(session, [event])
    return Held(event, series)


async def ensure_may_edit(
    session: AsyncSession, scope: WorkspaceScope, event: CalendarEvent, *, only_at: datetime | None = None
) -> None:
    """Raises EventNotYours. What somebody is where the event is, is looked at now; who is invited to one occurrence
    alone sees no more of the others than Busy.
    """
    role = (await circles.roles_in_scopes(session, scope.user_id, [event.scope_id])).get(event.scope_id)
    rows = (await attendees_of(session, [event.id]))[event.id]
    invited = any(one.user_id == scope.user_id and one.only_at in (None, only_at) for one in rows)
    permitting.ensure_may_edit(event, scope.user_id, role, invited=invited)


async def ensure_writable(session: AsyncSession, event: CalendarEvent) -> None:
    """Holds the project of the event; raises ProjectArchived, EventNotFound when it was deleted meanwhile."""
    if event.project_id is None:
        return
    await repository.hold_projects(session, [event.project_id])
    try:
        await projects.ensure_writable(session, event.project_id)
    except NotFound:
        raise EventNotFound from None


def _only_at(at: EventScope, which: Scope | None) -> datetime | None:
    return at.original_at if which in (None, Scope.THIS) else None


def _which(series: Series, original_at: datetime | None, which: Scope | None, *, cancelled: bool = False) -> Scope:
    """What of it is meant. An event that does not recur has no occurrences: all of it is. One that was taken out is
    meant by nothing but what brings it back.
    """
    if original_at is not None:
        one_of(series, original_at, ANYWHERE, cancelled=cancelled and which in (None, Scope.THIS))
        return which or Scope.THIS
    if series.recurs and which in (Scope.THIS, Scope.FOLLOWING):
        raise OccurrenceRequired
    return Scope.ALL


def _is_empty(series: Series) -> bool:
    try:
        bounds(series.set)
    except RuleEmpty:
        return True
    return False


async def _sent(session: AsyncSession, scope: WorkspaceScope, wanted: EventUpdate | EventReplace) -> dict[str, Any]:
    """The fields to write, by their names."""
    sent = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if isinstance(wanted, EventUpdate):
        return sent
    if sent.pop("workspace_id", scope.workspace_id) not in (None, scope.workspace_id):
        raise WorkspaceOfEventFixed
    everything: Mapping[str, Any] = {name: getattr(wanted, name) for name in EventReplace.model_fields}
    whole = {**everything, "asked": frozenset(sent)}
    del whole["workspace_id"]
    if whole["time_zone"] is None:
        whole["time_zone"] = await surroundings.time_zone_of(session, scope.user_id)
    whole["show_as"] = whole["show_as"] or SHOWN_AS[whole["type"]]
    return whole
