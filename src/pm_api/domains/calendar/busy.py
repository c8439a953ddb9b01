"""Whose time is taken, and when: by what they hold, and by what they are invited to and have not declined.

Of what lies all day each has the day of their own zone. Nobody learns more than times: whoever may not see an event
sees that somebody is busy.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.recurrence import Budget, Occurrence, Window, expand
from pm_api.core.recurrence.errors import RuleTooComplex, TooManyOccurrences
from pm_api.domains.calendar import permitting
from pm_api.domains.calendar.enums import ShowAs
from pm_api.domains.calendar.errors.places import ResourceNotFound
from pm_api.domains.calendar.errors.time import PersonNotFound
from pm_api.domains.calendar.mapping import Series, series_of
from pm_api.domains.calendar.models import CalendarAnswer, CalendarAttendee
from pm_api.domains.calendar.repository import busy as repository
from pm_api.domains.calendar.repository import resources as resource_rows
from pm_api.domains.calendar.repository.events import overrides_of
from pm_api.domains.calendar.rules import Span, Taken, merged, status_of
from pm_api.domains.calendar.schemas.busy import (
    BusyInterval,
    BusyProblem,
    FreeBusyRead,
    FreeBusyRequest,
    PersonBusy,
    ResourceBusy,
)
from pm_api.domains.calendar.standing import of_person, standing

SHORTEST_STRETCH: Final = timedelta(hours=1)
ELSEWHERE: Final = "UTC"
MOST_STEPS: Final = 100_000
"""For one series: more than the densest that does not overlap itself needs for a quarter of a year."""
MOST_STEPS_OF_ALL: Final = 1_000_000
"""For one question."""
Name = tuple[UUID, datetime | None]
"""A single event, or an occurrence of a series by its original start."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one occurrence of something is to somebody."""

    series: Series
    occurrence: Occurrence
    status: ShowAs

    @property
    def taken(self) -> Taken:
        return Taken(self.occurrence.starts_at, self.occurrence.ends_at, self.status)


@dataclass(slots=True)
class Uses:
    """By person; with whatever could not be worked out of what is theirs."""

    of: dict[UUID, list[Use]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[UUID, list[ApiError]] = field(default_factory=lambda: defaultdict(list))


# --- from rows to time ----------------------------------------------------------------------------------------


async def uses_of(
    session: AsyncSession,
    scope: WorkspaceScope,
    zones: Mapping[UUID, str],
    window: Window,
    *,
    without: Collection[UUID] = (),
) -> Uses:
    """What takes time of these people (by their zones) in the window, and is not free to them."""
    found = Uses()
    if not zones:
        return found
    events = await repository.events_of(session, scope.workspace_id, zones, window, without=without)
    ids = [one.id for one in events]
    overrides = await overrides_of(session, ids)
    invitations: dict[tuple[UUID, UUID], list[CalendarAttendee]] = defaultdict(list)
    for row in await repository.invitations_of(session, ids, zones):
        assert row.user_id is not None
        invitations[row.event_id, row.user_id].append(row)
    rows = await repository.answers_to(session, [one.id for rows in invitations.values() for one in rows])
    answers = {(row.attendee_id, row.original_at): row for row in rows}
    parts: dict[UUID, list[UUID]] = defaultdict(list)
    for event_id, user_id in invitations:
        parts[event_id].append(user_id)
    left = MOST_STEPS_OF_ALL
    for event in events:
        if event.organizer_user_id in zones and event.organizer_user_id not in parts[event.id]:
            parts[event.id].append(event.organizer_user_id)
        laid: dict[str, list[Occurrence] | RuleTooComplex] = {}
        series = series_of(event, overrides.get(event.id, ()))
        for user_id in parts[event.id]:
            viewer = zones[user_id] if lies_anywhere(series) else ELSEWHERE
            if viewer not in laid:
                budget = Budget(min(MOST_STEPS, left))
                laid[viewer] = _expanded_or_refused(series, window, viewer, budget)
                left -= min(budget.spent, left)
            occurrences = laid[viewer]
            if isinstance(occurrences, ApiError):
                found.refusals[user_id].append(occurrences)
                continue
            own = invitations.get((event.id, user_id), [])
            found.of[user_id] += _uses(series, occurrences, user_id, own, answers)
    return found


def expanded(series: Series, window: Window, viewer: str, budget: Budget | None = None) -> list[Occurrence]:
    """Its occurrences in the window, however many; by (start, key). Raises RuleTooComplex when they cost more than
    the budget, or even an hour has over 1,000: many that last long are met in every stretch.
    """
    budget = budget or Budget(MOST_STEPS)
    try:
        return expand(series.set, window, viewer=viewer, budget=budget)
    except TooManyOccurrences:
        half = (window.end - window.start) / 2
        if half < SHORTEST_STRETCH:
            raise RuleTooComplex from None
    middle = window.start + half
    found = {one.key: one for one in expanded(series, Window(window.start, middle), viewer, budget)}
    found |= {one.key: one for one in expanded(series, Window(middle, window.end), viewer, budget)}
    return sorted(found.values(), key=lambda one: (one.starts_at, one.key))


def lies_anywhere(series: Series) -> bool:
    """Whether where it lies depends on who looks."""
    return series.event.all_day or any(one.all_day for one in series.overrides)


async def readable(session: AsyncSession, scope: WorkspaceScope, names: Iterable[Name]) -> set[Name]:
    """Those of these that are more than Busy to the caller: of a private series each occurrence by itself, because
    somebody may be invited to one alone, or to all but one.
    """
    wanted = set(names)
    events = {one.id: one for one in await repository.in_sight(session, scope, {one for one, _ in wanted})}
    own = await repository.invitations_of(session, list(events), [scope.user_id])
    answers = {
        (one.attendee_id, one.original_at): one
        for one in await repository.answers_to(session, [one.id for one in own])
    }

    def is_readable(event_id: UUID, at: datetime | None) -> bool:
        if event_id not in events:
            return False
        comes = standing([one for one in own if one.event_id == event_id], answers, at)
        return not permitting.is_masked(events[event_id], scope.user_id, invited=bool(comes))

    return {one for one in wanted if is_readable(*one)}


def shown_as(series: Series, occurrence: Occurrence) -> ShowAs:
    """What the time of an occurrence is to those who take part."""
    changed = occurrence.override.changes.get("show_as") if occurrence.override is not None else None
    return ShowAs(changed or series.event.show_as)


def _expanded_or_refused(
    series: Series, window: Window, viewer: str, budget: Budget
) -> list[Occurrence] | RuleTooComplex:
    try:
        return expanded(series, window, viewer, budget)
    except RuleTooComplex as error:
        return error


def _uses(
    series: Series,
    occurrences: Sequence[Occurrence],
    user_id: UUID,
    own: Sequence[CalendarAttendee],
    answers: Mapping[tuple[UUID, datetime], CalendarAnswer],
) -> list[Use]:
    found = []
    for one in occurrences:
        place = of_person(standing(own, answers, one.key), user_id) if own else None
        if place is None and series.event.organizer_user_id != user_id:
            continue
        status = status_of(shown_as(series, one), place.response if place is not None else None)
        if status is not None:
            found.append(Use(series, one, status))
    return found


# --- the answer -----------------------------------------------------------------------------------------------


async def free_busy(session: AsyncSession, scope: WorkspaceScope, wanted: FreeBusyRequest) -> FreeBusyRead:
    """When these people and rooms are taken; who cannot be told of has an error instead of failing all.

    Raises WindowRefused.
    """
    window = Window(wanted.start, wanted.end)
    within = Span(wanted.start, wanted.end)
    zones = await repository.zones_of(session, scope, wanted.user_ids)
    uses = await uses_of(session, scope, zones, window)
    rooms = await resource_rows.resources(session, scope, wanted.resource_ids)
    taken: dict[UUID, list[Taken]] = defaultdict(list)
    for resource_id, start, end in await repository.bookings_of(session, rooms, window.start, window.end):
        taken[resource_id].append(Taken(start, end, ShowAs.BUSY))
    return FreeBusyRead(
        start=wanted.start,
        end=wanted.end,
        people=[
            PersonBusy(
                user_id=one,
                busy=_intervals([use.taken for use in uses.of[one]], within),
                errors=problems([*uses.refusals[one], *([] if one in zones else [PersonNotFound()])]),
            )
            for one in dict.fromkeys(wanted.user_ids)
        ],
        resources=[
            ResourceBusy(
                resource_id=one,
                busy=_intervals(taken[one], within),
                errors=problems([] if one in rooms else [ResourceNotFound()]),
            )
            for one in dict.fromkeys(wanted.resource_ids)
        ],
    )


def _intervals(taken: Sequence[Taken], within: Span) -> list[BusyInterval]:
    return [BusyInterval(start=one.start, end=one.end, status=one.status) for one in merged(taken, within)]


def problems(errors: Sequence[ApiError]) -> list[BusyProblem]:
    """What could not be told of somebody, each once."""
    told = {one.code: one.detail for one in errors}
    return [BusyProblem(code=code, detail=detail) for code, detail in sorted(told.items())]
