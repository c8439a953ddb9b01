"""The agenda: what takes place in a range of time, what is due in it and what starts, of all kinds in one order.

Each kind is asked for what comes after the last page in its own order, and what they give is merged: a page costs
what is on it, however far on it is, and however much there is.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window
from pm_api.core.recurrence.errors import naming
from pm_api.core.recurrence.zones import to_local, to_utc, zone
from pm_api.domains.calendar import listing, reading
from pm_api.domains.calendar.enums import AgendaKind
from pm_api.domains.calendar.expanding import Placed
from pm_api.domains.calendar.repository.events import Filters
from pm_api.domains.calendar.repository.surroundings import time_zone_of
from pm_api.domains.calendar.schemas.agenda import AgendaAnswer, AgendaItem, AgendaProject
from pm_api.domains.calendar.schemas.events import EventRead
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.tasks import service as tasks
from pm_api.domains.tasks.schemas.tasks import TaskRead
from pm_api.identity.permissions import KeyScope, scope_allows

LISTED: Final = "agenda"
A_DAY: Final = timedelta(days=1)
AN_INSTANT: Final = timedelta(microseconds=1)
BEHIND_EVERY_ID: Final = "~"
_OF_TASKS: Final = {
    AgendaKind.TASK_START: tasks.TaskDate.START,
    AgendaKind.TASK_DUE: tasks.TaskDate.DUE,
}
_OF_PROJECTS: Final = {
    AgendaKind.PROJECT_START: projects.ProjectDate.START,
    AgendaKind.PROJECT_DUE: projects.ProjectDate.DUE,
}


class Place(NamedTuple):
    """Where something stands in the order."""

    start: datetime
    kind: AgendaKind
    id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, days laid in `place`; `after` is the last of the page before."""

    window: Window
    place: ZoneInfo
    kinds: frozenset[AgendaKind]
    project_id: UUID | None
    after: Place | None
    limit: int


@dataclass(frozen=True, slots=True)
class Item:
    """What stands there, before it is shown: one of the last three."""

    at: Place
    day: date | None = None
    event: Placed | None = None
    task: tasks.Dated | None = None
    project: projects.Dated | None = None


async def agenda(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    start: datetime | date,
    end: datetime | date,
    zone_name: str | None,
    project_id: UUID | None,
    kinds: Collection[AgendaKind],
) -> AgendaAnswer:
    """A page of what the caller sees in [start, end), by (start, kind, id).

    Raises WindowRefused over 400 days, ZoneUnknown, TooManyOccurrences, TooManyEvents, InvalidCursor.
    """
    zone_name = zone_name or await time_zone_of(session, scope.user_id)
    with naming(timeZone="tz"):
        place = zone(zone_name)
    window = Window(_moment(start, place), _moment(end, place))
    filters = {
        "user": scope.user_id,
        "workspace": scope.workspace_id,
        "start": window.start,
        "end": window.end,
        "zone": zone_name,
        "project": project_id,
        "kinds": sorted(kinds),
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    after = Place(datetime.fromisoformat(key[0]), AgendaKind(key[1]), key[2]) if key else None
    readable = frozenset(one for one in kinds or AgendaKind if _opens(scope.actor, one))
    asked = Asked(window, place, readable, project_id, after, page.limit + 1)
    found = heapq.merge(
        *(
            sorted(some, key=_order)
            for some in (
                await _events(session, scope, asked, zone_name),
                await _tasks(session, scope, asked),
                await _projects(session, scope, asked),
            )
        ),
        key=_order,
    )
    items = [one for _, one in zip(range(asked.limit), found, strict=False)]
    shown = items[: page.limit]
    following = shown[-1].at if len(items) > page.limit else None
    return AgendaAnswer(
        items=await _shown(session, platform, scope, shown, place, zone_name),
        time_zone=zone_name,
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


def _opens(actor: Actor, kind: AgendaKind) -> bool:
    """An API key sees only what it may also read elsewhere."""
    if actor.api_key is None:
        return True
    if kind in _OF_TASKS:
        return scope_allows(actor.api_key.scopes, KeyScope.TASK_READ)
    if kind in _OF_PROJECTS:
        return scope_allows(actor.api_key.scopes, KeyScope.PROJECT_READ)
    return True


# --- what there is --------------------------------------------------------------------------------------------------


async def _events(session: AsyncSession, scope: WorkspaceScope, asked: Asked, zone_name: str) -> list[Item]:
    if AgendaKind.EVENT not in asked.kinds:
        return []
    after = None
    if asked.after is not None:
        # Events come first of what begins at one moment.
        after = asked.after.start, asked.after.id if asked.after.kind is AgendaKind.EVENT else BEHIND_EVERY_ID
    filters = Filters(asked.project_id)
    found = await listing.occurrences(session, scope, filters, asked.window, zone_name, after, asked.limit - 1)
    return [Item(Place(one.start, AgendaKind.EVENT, one.id), event=one) for one in found]


async def _tasks(session: AsyncSession, scope: WorkspaceScope, asked: Asked) -> list[Item]:
    wanted = []
    for kind, which in _OF_TASKS.items():
        if kind in asked.kinds:
            first, last, after_on_first = _days(asked, kind)
            start, after_at_start = _moments(asked, kind)
            within = tasks.Range(first, last, start, asked.window.end, after_on_first, after_at_start)
            wanted.append((which, within))
    found = await tasks.dated(session, scope, wanted, project_id=asked.project_id, limit=asked.limit)
    kinds = {which: kind for kind, which in _OF_TASKS.items()}
    return [
        Item(
            Place(_begins(one.day, one.moment, asked.place), kinds[one.which], str(one.task.id)),
            day=one.day,
            task=one,
        )
        for one in found
    ]


async def _projects(session: AsyncSession, scope: WorkspaceScope, asked: Asked) -> list[Item]:
    wanted = [
        (which, projects.Days(*_days(asked, kind))) for kind, which in _OF_PROJECTS.items() if kind in asked.kinds
    ]
    found = await projects.dated(session, scope, wanted, project_id=asked.project_id, limit=asked.limit)
    kinds = {which: kind for kind, which in _OF_PROJECTS.items()}
    return [
        Item(
            Place(_begins(one.day, None, asked.place), kinds[one.which], str(one.project.id)),
            day=one.day,
            project=one,
        )
        for one in found
    ]


def _days(asked: Asked, kind: AgendaKind) -> tuple[date, date, UUID | None]:
    """The days of the window that come next, first and last, and of those on the first after which id."""
    first = to_local(asked.window.start, asked.place).date()
    last = to_local(asked.window.end - AN_INSTANT, asked.place).date()
    after = asked.after
    if after is None:
        return first, last, None
    on = to_local(after.start, asked.place).date()
    next_id: UUID | None = None
    if _midnight(on, asked.place) != after.start or kind < after.kind:
        on += A_DAY
    elif kind == after.kind:
        next_id = UUID(after.id)
    return (first, last, None) if on < first else (on, last, next_id)


def _moments(asked: Asked, kind: AgendaKind) -> tuple[datetime, UUID | None]:
    """From which moment on, and of what is at that moment after which id."""
    after, first = asked.after, asked.window.start
    if after is None or after.start < first:
        return first, None
    if kind < after.kind:
        return after.start + AN_INSTANT, None
    return after.start, UUID(after.id) if kind == after.kind else None


def _begins(day: date | None, moment: datetime | None, place: ZoneInfo) -> datetime:
    if day is not None:
        return _midnight(day, place)
    assert moment is not None, "a date is a day or a moment"
    return moment.astimezone(UTC)


def _midnight(day: date, place: ZoneInfo) -> datetime:
    return to_utc(datetime.combine(day, time()), place)


def _moment(edge: datetime | date, place: ZoneInfo) -> datetime:
    return edge if isinstance(edge, datetime) else _midnight(edge, place)


def _order(one: Item) -> Place:
    return one.at


# --- as it is shown -------------------------------------------------------------------------------------------------


async def _shown(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    items: Sequence[Item],
    place: ZoneInfo,
    zone_name: str,
) -> list[AgendaItem]:
    of_events = [one.event for one in items if one.event is not None]
    events = iter(await reading.reads(session, platform, scope, of_events, zone=zone_name))
    of_tasks = {one.task.task.id: one.task.task for one in items if one.task is not None}
    read = await tasks.reads(session, platform, scope, list(of_tasks.values()))
    found = {one.id: one for one in read}
    return list(_each(items, events, found, place))


def _each(
    items: Iterable[Item], events: Iterable[EventRead], found: dict[UUID, TaskRead], place: ZoneInfo
) -> Iterable[AgendaItem]:
    events = iter(events)
    for one in items:
        if one.event is not None:
            yield _event(one, next(events))
        elif one.task is not None:
            yield _task(one, found[one.task.task.id], place)
        elif one.project is not None:
            yield _project(one, one.project, place)


def _event(one: Item, event: EventRead) -> AgendaItem:
    return AgendaItem(
        kind=one.at.kind,
        id=event.id,
        title=event.title,
        start_time=event.start_time,
        end_time=event.end_time,
        all_day=event.all_day,
        start_date=event.start_date,
        end_date=event.end_date,
        project_id=event.project_id,
        version=event.version,
        allowed_actions=[str(action) for action in event.allowed_actions],
        event=event,
        task=None,
        project=None,
    )


def _task(one: Item, task: TaskRead, place: ZoneInfo) -> AgendaItem:
    return AgendaItem(
        kind=one.at.kind,
        id=one.at.id,
        title=task.title,
        start_time=one.at.start,
        end_time=_ends(one, place),
        all_day=one.day is not None,
        start_date=one.day,
        end_date=one.day + A_DAY if one.day is not None else None,
        project_id=task.project.id,
        version=task.version,
        allowed_actions=[str(action) for action in task.allowed_actions],
        event=None,
        task=task,
        project=None,
    )


def _project(one: Item, dated: projects.Dated, place: ZoneInfo) -> AgendaItem:
    project = dated.project
    return AgendaItem(
        kind=one.at.kind,
        id=one.at.id,
        title=project.name,
        start_time=one.at.start,
        end_time=_ends(one, place),
        all_day=True,
        start_date=dated.day,
        end_date=dated.day + A_DAY,
        project_id=project.id,
        version=project.version,
        allowed_actions=[str(action) for action in dated.allowed_actions],
        event=None,
        task=None,
        project=AgendaProject(
            id=project.id,
            key=project.key,
            name=project.name,
            colour=project.colour,
            status=ProjectState(project.status),
            starts_on=project.starts_on,
            due_on=project.due_on,
        ),
    )


def _ends(one: Item, place: ZoneInfo) -> datetime:
    return _midnight(one.day + A_DAY, place) if one.day is not None else one.at.start
