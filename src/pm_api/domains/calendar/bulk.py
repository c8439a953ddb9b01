"""Many writes at once: who may is asked for all before any is done, and each is done as its own route does it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ApiError, Forbidden
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.core.problem import Problem, problem_body
from pm_api.core.recurrence import occurrence_id
from pm_api.domains.calendar import conflicts, dry_running, permitting, writing
from pm_api.domains.calendar.dry_running import Name
from pm_api.domains.calendar.enums import ConflictPolicy
from pm_api.domains.calendar.errors.events import EventNotFound
from pm_api.domains.calendar.errors.series import BulkEventsForbidden, BulkEventsNotFound
from pm_api.domains.calendar.guards import EventScope, named
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.calendar.repository import resources, surroundings
from pm_api.domains.calendar.repository.attendees import attendees_of
from pm_api.domains.calendar.repository.events import hold_projects, series_of_ids
from pm_api.domains.calendar.schemas.bulk import (
    BulkEventCreate,
    BulkEventDelete,
    BulkEventItem,
    BulkEventUpdate,
    EventBulkAnswer,
    EventBulkMode,
    EventBulkRequest,
    EventBulkResult,
)
from pm_api.domains.calendar.schemas.events import ConflictRead, EventRead
from pm_api.domains.calendar.schemas.series import EventDifference, EventOutcome
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.repository import circles

DONE: Final = frozenset({EventOutcome.CREATED, EventOutcome.CHANGED, EventOutcome.DELETED})


@dataclass
class _Work:
    """What is to be done, what each item names, and how it went."""

    wanted: EventBulkRequest
    names: dict[int, Name] = field(default_factory=dict)
    outcomes: dict[int, EventOutcome] = field(default_factory=dict)
    left_as: dict[int, Name] = field(default_factory=dict)
    conflicts: dict[int, list[ConflictRead]] = field(default_factory=dict)
    errors: dict[int, ApiError] = field(default_factory=dict)

    @property
    def items(self) -> Iterable[tuple[int, BulkEventItem]]:
        return enumerate(self.wanted.items)

    @property
    def event_ids(self) -> set[UUID]:
        return {event_id for event_id, _ in self.names.values()}


async def run(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: EventBulkRequest
) -> EventBulkAnswer:
    """Do it, or tell what would be done; raises BulkEventsNotFound, BulkEventsForbidden, and in the mode ATOMIC what
    any of the items refuses, with its number as `item`.
    """
    work = _Work(wanted)
    async with session.begin_nested() as attempt:
        await _hold(session, scope, work)
        await _check(session, platform, scope, work)
        named_whole = [(event_id, None) for event_id in work.event_ids]
        old = await dry_running.sights(session, platform, scope, [*work.names.values(), *named_whole])
        for index, item in work.items:
            if index not in work.errors:
                await _one(session, platform, scope, work, index, item)
        left = [*work.left_as.values(), *((event_id, None) for event_id, _ in work.left_as.values())]
        new = await dry_running.sights(session, platform, scope, [*left, *work.names.values(), *named_whole])
        if wanted.dry_run:
            await attempt.rollback()
    results = [_result(work, index, item, old, new) for index, item in work.items]
    return EventBulkAnswer(
        results=results,
        changed=sum(one.outcome in DONE for one in results),
        failed=sum(one.outcome is EventOutcome.FAILED for one in results),
        dry_run=wanted.dry_run,
    )


# --- who may ------------------------------------------------------------------------------------------------------


async def _hold(session: AsyncSession, scope: WorkspaceScope, work: _Work) -> None:
    """All events that are named, then their projects, people and rooms, each by id, as everybody takes them: of two
    who write the same in another order none waits for the other.
    """
    for index, item in work.items:
        if not isinstance(item, BulkEventCreate):
            try:
                work.names[index] = named(item.id)
            except EventNotFound as error:
                work.errors[index] = error
    seen = {one.id: one.event for one in await series_of_ids(session, scope, work.event_ids)}
    await resources.lock_events(session, list(seen))
    project_ids = {one.project_id for one in seen.values()}
    room_ids = {one.id for rooms in (await resources.resources_of(session, seen)).values() for one in rooms}
    for _, item in work.items:
        if isinstance(item, BulkEventCreate):
            project_ids.add(item.event.project_id)
            room_ids.update(item.event.resource_ids)
        elif isinstance(item, BulkEventUpdate):
            project_ids.add(item.change.project_id)
            room_ids.update(item.change.resource_ids or ())
    await hold_projects(session, project_ids)
    if any(_rejects(item) for _, item in work.items):
        await conflicts.hold(session, scope, None, ConflictPolicy.REJECT)
    await resources.lock(session, room_ids)


def _rejects(item: BulkEventItem) -> bool:
    if isinstance(item, BulkEventDelete):
        return False
    fields = item.event if isinstance(item, BulkEventCreate) else item.change
    return fields.conflict_policy is ConflictPolicy.REJECT


async def _check(session: AsyncSession, platform: Platform, scope: WorkspaceScope, work: _Work) -> None:
    """Whether all are there and may be changed; in the mode PARTIAL the others are told of and left out."""
    events = {one.id: one.event for one in await series_of_ids(session, scope, work.event_ids)}
    roles = await circles.roles_in_scopes(session, scope.user_id, {one.scope_id for one in events.values()})
    invited = await attendees_of(session, list(events))
    projects = await surroundings.projects(
        session, {one.project_id for one in events.values() if one.project_id is not None}
    )

    def ensure(event: CalendarEvent | None, item: BulkEventUpdate | BulkEventDelete) -> None:
        if event is None:
            raise EventNotFound
        is_invited = any(one.user_id == scope.user_id for one in invited.get(event.id, ()))
        permitting.ensure_may_edit(event, scope.user_id, roles.get(event.scope_id), invited=is_invited)
        if event.project_id is not None and projects[event.project_id].archived_at is not None:
            raise ProjectArchived
        check_version(event.version, item.version)

    places: dict[UUID | None, ApiError | None] = {}
    for index, item in work.items:
        try:
            if not isinstance(item, BulkEventCreate):
                if index not in work.errors:
                    ensure(events.get(work.names[index][0]), item)
            elif await _refusal(session, platform, scope, item.event.project_id, places) is not None:
                work.errors[index] = places[item.event.project_id] or EventNotFound()
        except ApiError as error:
            work.errors[index] = error
    if work.errors and work.wanted.mode is EventBulkMode.ATOMIC:
        raise _of_all(work)


async def _refusal(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID | None,
    known: dict[UUID | None, ApiError | None],
) -> ApiError | None:
    """Why the caller may not make events there; None when they may. Asked once a place."""
    if project_id not in known:
        known[project_id] = None
        try:
            await writing.place_for(session, platform, scope, project_id)
        except ApiError as error:
            known[project_id] = error
    return known[project_id]


def _of_all(work: _Work) -> ApiError:
    """One refusal for all: what is not there before what is not allowed before the first of the rest."""
    errors = sorted(work.errors.items())
    missing = [index for index, error in errors if isinstance(error, EventNotFound)]
    if missing:
        ids = [getattr(work.wanted.items[index], "id", None) for index in missing]
        return BulkEventsNotFound(eventIds=ids, items=missing)
    refused = [index for index, error in errors if isinstance(error, Forbidden)]
    if refused:
        return BulkEventsForbidden(items=refused)
    index, error = errors[0]
    error.extra["item"] = index
    return error


# --- one after the other ------------------------------------------------------------------------------------------


async def _one(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, work: _Work, index: int, item: BulkEventItem
) -> None:
    if work.wanted.mode is EventBulkMode.ATOMIC:
        try:
            await _do(session, platform, scope, work, index, item)
        except ApiError as error:
            error.extra["item"] = index
            raise
        return
    try:
        async with session.begin_nested():
            await _do(session, platform, scope, work, index, item)
    except ApiError as error:
        work.errors[index] = error


async def _do(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, work: _Work, index: int, item: BulkEventItem
) -> None:
    """As the route for one does it; versions were compared before any was done."""
    if isinstance(item, BulkEventCreate):
        series, work.conflicts[index] = await writing.create(session, platform, scope, item.event)
        work.left_as[index] = (series.id, None)
        work.outcomes[index] = EventOutcome.CREATED
        return
    event_id, original_at = work.names[index]
    at = EventScope(scope, event_id, original_at)
    if isinstance(item, BulkEventDelete):
        await writing.remove(session, platform, scope, at, item.scope, None)
        work.outcomes[index] = EventOutcome.DELETED
        return
    written = await writing.change(session, platform, scope, at, item.change, item.scope, None)
    work.conflicts[index] = written.conflicts
    work.left_as[index] = (written.series.id, written.original_at)
    work.outcomes[index] = EventOutcome.CHANGED


def _result(
    work: _Work, index: int, item: BulkEventItem, old: dict[str, EventRead], new: dict[str, EventRead]
) -> EventBulkResult:
    error, name = work.errors.get(index), work.left_as.get(index)
    made = {one for one, _ in work.left_as.values()} - work.event_ids if work.wanted.dry_run else set()
    known = item.id if not isinstance(item, BulkEventCreate) else None
    if error is not None:
        return EventBulkResult(
            index=index,
            id=known,
            outcome=EventOutcome.FAILED,
            event=None,
            changes=[],
            differences=[],
            conflicts=[],
            problem=_problem(error),
        )
    shown_id = _text(name) if name is not None else known
    event = new.get(shown_id) if name is not None and shown_id is not None else None
    before = old.get(known) if known is not None else None
    if event is not None:
        event = dry_running.unnamed(event, made)
    outcome = work.outcomes[index]
    changes = dry_running.field_changes(before, event) if before is not None and event is not None else []
    if outcome is EventOutcome.CHANGED and before is not None and event is not None:
        stays = (before.id, before.version) == (event.id, event.version)
        outcome = EventOutcome.UNCHANGED if stays else EventOutcome.CHANGED
    return EventBulkResult(
        index=index,
        id=known if name is not None and name[0] in made else shown_id,
        outcome=outcome,
        event=event,
        changes=changes,
        differences=_differences(work, index, old, new, made),
        conflicts=work.conflicts.get(index, []),
        problem=None,
    )


def _differences(
    work: _Work, index: int, old: dict[str, EventRead], new: dict[str, EventRead], made: set[UUID]
) -> list[EventDifference]:
    """What is otherwise of the event, of the occurrence that is named, and of a series that was split off."""
    if index not in work.names:
        return []
    event_id, original_at = work.names[index]
    names = [(event_id, None), (event_id, original_at)]
    if index in work.left_as:
        names.append((work.left_as[index][0], None))
    found = []
    for name in dict.fromkeys(map(_text, names)):
        before, after = old.get(name), new.get(name)
        if before is None and after is None:
            continue
        shown = dry_running.unnamed(after, made) if after is not None else None
        one = dry_running.difference(name if shown is None else shown.id, before, shown)
        if one.outcome is not EventOutcome.UNCHANGED:
            found.append(one)
    return found


def _text(name: Name) -> str:
    event_id, original_at = name
    return str(event_id) if original_at is None else occurrence_id(event_id, original_at)


def _problem(error: ApiError) -> Problem:
    problem: Problem = Problem.model_validate(orjson.loads(problem_body(error, telemetry.request_id())))
    return problem
