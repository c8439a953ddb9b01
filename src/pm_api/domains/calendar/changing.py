"""What a change of an event does, once its row is held and its writer may do it: to all of it, or to one of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Budget, Placement, RecurrenceSet
from pm_api.core.recurrence.sets import Override, originals
from pm_api.core.recurrence.zones import LARGEST_CHANGE
from pm_api.domains.calendar import attending, booking, conflicts, reminding, settling
from pm_api.domains.calendar.drafting import (
    RULES,
    TIMES,
    changed_placement,
    changed_set,
    moved_as,
    moved_wall,
)
from pm_api.domains.calendar.enums import ConflictPolicy, Response
from pm_api.domains.calendar.errors.attendees import AttendeeCannotSee
from pm_api.domains.calendar.errors.events import SeriesFieldOfOccurrence
from pm_api.domains.calendar.expanding import Placed, one_of
from pm_api.domains.calendar.mapping import (
    UTC_ZONE,
    Series,
    columns_of_override,
    columns_of_placement,
    columns_of_set,
    moved_to,
)
from pm_api.domains.calendar.models import CalendarEvent, CalendarOverride
from pm_api.domains.calendar.repository import occurrences as repository
from pm_api.domains.calendar.repository.attendees import attendees_of, who_sees
from pm_api.domains.calendar.repository.events import with_overrides
from pm_api.domains.calendar.repository.occurrences import There
from pm_api.domains.calendar.repository.resources import resources_of
from pm_api.domains.calendar.schemas.events import ConflictRead, EventWrite

PLAIN: Final = ("title", "description", "location", "type", "show_as", "visibility", "guests_can_invite")
OF_OCCURRENCE: Final = ("title", "description", "location", "type", "show_as")
"""What an occurrence may have otherwise than its series, beside its time and who comes."""
OF_SERIES: Final = frozenset(
    {
        *("project_id", "rrule", "rdate", "exdate", "visibility", "guests_can_invite", "organizer_id"),
        "resource_ids",
    }
)
ANYWHERE: Final = "UTC"


@dataclass(frozen=True, slots=True)
class Written:
    """The event as it is now, the occurrence that was meant, and what it meets."""

    series: Series
    original_at: datetime | None
    conflicts: list[ConflictRead] = field(default_factory=list)


async def finish_new(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, event: CalendarEvent, wanted: EventWrite
) -> tuple[Series, list[ConflictRead]]:
    """Who comes to it, which rooms it takes, and all that follows."""
    await attending.invite(session, platform, scope, event, members=wanted.attendee_ids, addresses=wanted.attendees)
    await _hold_people(session, scope, event, wanted.conflict_policy)
    await booking.tie(session, scope, event, wanted.resource_ids)
    met = await _conflicts(session, platform, scope, event, wanted.conflict_policy)
    series = await settling.settle(session, platform, scope, event, action=settling.CREATED, moved=True)
    await reminding.put(session, platform, series, scope.user_id, wanted.reminders)
    return series, met


# --- all of it -----------------------------------------------------------------------------------------------------


async def change_all(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    series: Series,
    sent: Mapping[str, Any],
    *,
    original_at: datetime | None,
    action: str,
) -> Written:
    """The series, or the event that does not recur. Times are those of the occurrence that is named, and the others
    move by as much; answers, guests and what differs in single occurrences move with them, and go with those that go.
    What the named one had otherwise than its series is what was sent, too.
    """
    event, before = series.event, series
    changed = _write_plain(event, sent)
    new_set = _new_set(series, sent, original_at)
    changed = await _overwrite_own(session, series, sent, original_at) or changed
    moved = new_set is not None
    if new_set is not None:
        await _take_along(session, series, new_set)
        for name, value in columns_of_set(new_set).items():
            setattr(event, name, value)
        await session.flush()
    old_scope_id = event.scope_id
    if "scope_id" in sent:
        event.project_id, event.scope_id = sent["project_id"], sent["scope_id"]
        changed = True
        await session.flush()
    if sent.get("organizer_id") is not None and sent["organizer_id"] != event.organizer_user_id:
        await attending.hand_over(session, platform, scope, event, sent["organizer_id"])
        changed = True
    changed = await _invite(session, platform, scope, event, sent, None) or changed
    if old_scope_id != event.scope_id:
        await _ensure_all_see(session, event)
    await _hold_people(session, scope, event, sent.get("conflict_policy"))
    changed = await _take_rooms(session, scope, event, sent) or changed
    if not (changed or moved or action == settling.CREATED):
        await _remind(session, platform, scope, series, sent)
        return Written(series, original_at)
    if moved:
        await attending.reset_answers(session, event, keep=[scope.user_id])
    met = await _conflicts(session, platform, scope, event, sent.get("conflict_policy"))
    after = await settling.settle(
        session, platform, scope, event, action=action, moved=moved, before=before if moved else None
    )
    await _remind(session, platform, scope, after, sent)
    if old_scope_id != event.scope_id and action != settling.CREATED:
        settling.note(session, platform, event, settling.DELETED, old_scope_id, scope.user_id)
    return Written(after, _name_now(before, after, original_at), met)


def _name_now(before: Series, after: Series, original_at: datetime | None) -> datetime | None:
    """What the occurrence that was named is called after a move of the whole; None when it is no more."""
    if original_at is None or not after.recurs:
        return None
    old, new = before.set.placement, after.set.placement
    there = new.key(moved_wall(old, new, _wall_of(before.set, original_at)))
    return there if _has(after.set, there) else None


def _write_plain(event: CalendarEvent, sent: Mapping[str, Any]) -> bool:
    changed = False
    for name in PLAIN:
        if name in sent and getattr(event, name) != sent[name]:
            setattr(event, name, sent[name])
            changed = True
    return changed


def _new_set(series: Series, sent: Mapping[str, Any], original_at: datetime | None) -> RecurrenceSet | None:
    """What the series is to be, without overrides; None when it takes place as before."""
    times = {name: value for name, value in sent.items() if name in TIMES}
    rules = {name: value for name, value in sent.items() if name in RULES}
    if not times and not rules:
        return None
    whole = series.set
    recurs = _will_recur(series, rules)
    placement = whole.placement
    own = _own_place(series, original_at)
    if times and own is not None:
        placement = moved_as(own, changed_placement(own, times, recurs=False), placement, times, recurs=recurs)
    elif times:
        named = placement if original_at is None else placement.at(placement.wall(original_at))
        target = changed_placement(named, times, recurs=recurs)
        start = moved_wall(named, target, placement.start) if original_at is not None else target.start
        placement = target.at(start)
    wanted = changed_set(whole, placement, rules)
    same = (wanted.rule, wanted.rdates, wanted.exdates) == (whole.rule, whole.rdates, whole.exdates)
    return None if same and _is_same(wanted.placement, whole.placement) else wanted


def _own_row(series: Series, original_at: datetime | None) -> CalendarOverride | None:
    """What the occurrence that is named has otherwise than its series."""
    rows = (row for row in series.overrides if row.original_at == original_at and not row.cancelled)
    return next(rows, None)


def _own_place(series: Series, original_at: datetime | None) -> Placement | None:
    """Where the occurrence that is named was moved to by itself, if it was."""
    row = _own_row(series, original_at)
    return moved_to(row) if row is not None else None


async def _overwrite_own(
    session: AsyncSession, series: Series, sent: Mapping[str, Any], original_at: datetime | None
) -> bool:
    """What was sent holds of the occurrence that is named, although it had something else; returns whether it had."""
    row, own = _own_row(series, original_at), _own_place(series, original_at)
    if row is None:
        return False
    left = {name: value for name, value in row.fields.items() if name not in sent}
    changed = left != row.fields
    row.fields = left
    times = {name: value for name, value in sent.items() if name in TIMES}
    there = changed_placement(own, times, recurs=False) if own is not None and times else None
    if there is not None and not _is_same(there, own):
        changed = True
        for name, value in columns_of_placement(there).items():
            setattr(row, name, value)
    await session.flush()
    return changed


def _is_same(one: Placement | None, other: Placement | None) -> bool:
    """Two wall times are equal in Python although clocks show them twice, and one is the second time."""
    if one is None or other is None:
        return one is other
    return one == other and one.starts_at(UTC_ZONE) == other.starts_at(UTC_ZONE)


def _will_recur(series: Series, rules: Mapping[str, Any]) -> bool:
    by_rule = rules["rrule"] is not None if "rrule" in rules else series.event.rrule is not None
    return by_rule or bool(rules.get("rdate", series.event.rdates))


async def _take_along(session: AsyncSession, series: Series, wanted: RecurrenceSet) -> None:
    """What hangs on single occurrences hangs on them where they are now; of those that are no more it goes."""
    old, new = series.set.placement, wanted.placement
    names = await repository.names_of(session, series.id)
    if not names:
        return
    recurs = wanted.rule is not None or bool(wanted.rdates)
    stays: dict[datetime, There] = {}
    for name in sorted(names):
        wall = moved_wall(old, new, _wall_of(series.set, name))
        there = There(new.key(wall), wall)
        if recurs and there.key not in {one.key for one in stays.values()} and _has(wanted, there.key):
            stays[name] = there
    await repository.drop(session, series.id, names - set(stays))
    if any(name != there.key for name, there in stays.items()) or old.start != new.start:
        await repository.rename(session, series.id, stays)


def _wall_of(series: RecurrenceSet, key: datetime) -> datetime:
    """What the series says: where clocks skip that, they show another time at the same moment."""
    about = series.placement.wall(key)
    near = originals(series, about - LARGEST_CHANGE, about + LARGEST_CHANGE, Budget())
    return next((one for one in near if series.placement.key(one) == key), about)


def _has(series: RecurrenceSet, key: datetime) -> bool:
    """Whether the rule or the added dates say this start, and nobody took it out by date."""
    placement = series.placement
    wall = placement.wall(key)
    near = originals(series, wall - LARGEST_CHANGE, wall + LARGEST_CHANGE, Budget())
    return any(placement.key(one) == key for one in near)


# --- one occurrence ------------------------------------------------------------------------------------------------


async def change_one(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    series: Series,
    original_at: datetime,
    sent: Mapping[str, Any],
) -> Written:
    """One occurrence differs from its series from now on; one that was taken out is back. Raises
    SeriesFieldOfOccurrence.
    """
    asked = sent.get("asked", sent.keys())
    refused = sorted(OF_SERIES.intersection(asked))
    if refused:
        raise SeriesFieldOfOccurrence(details=[_pointer(name) for name in refused])
    event = series.event
    found = one_of(series, original_at, ANYWHERE, cancelled=True)
    override = _overridden(series, found, sent)
    known = found.override or Override(override.original)
    moved = not _is_same(override.placement, known.placement)
    changed = moved or found.cancelled or dict(override.changes) != dict(known.changes)
    if changed:
        _put(session, platform, series, original_at, override)
        await session.flush()
    of_people = {name: sent[name] for name in ("attendee_ids", "attendees") if name in asked}
    changed = await _invite(session, platform, scope, event, of_people, original_at) or changed
    own = {name: sent[name] for name in ("reminders",) if name in asked}
    if not changed:
        await _remind(session, platform, scope, series, own, at=original_at)
        return Written(series, original_at)
    if moved or found.cancelled:
        await attending.reset_answers(session, event, at=original_at, keep=[scope.user_id])
    await _hold_people(session, scope, event, sent.get("conflict_policy"))
    met = await _conflicts(session, platform, scope, event, sent.get("conflict_policy"), at=original_at)
    after = await settling.settle(
        session,
        platform,
        scope,
        event,
        action=settling.UPDATED,
        moved=moved or found.cancelled,
        at=original_at,
        before=series,
    )
    await _remind(session, platform, scope, after, own, at=original_at)
    return Written(after, original_at, met)


async def cancel(session: AsyncSession, platform: Platform, series: Series, original_at: datetime) -> None:
    """Take one occurrence out; the caller settles the event."""
    found = one_of(series, original_at, ANYWHERE)
    known = found.override or Override(found.occurrence.placement.start)
    _put(
        session,
        platform,
        series,
        original_at,
        Override(known.original, cancelled=True, placement=known.placement, changes=known.changes),
    )
    await session.flush()


def _overridden(series: Series, found: Placed, sent: Mapping[str, Any]) -> Override:
    times = {name: value for name, value in sent.items() if name in TIMES}
    known = found.override
    original = known.original if known is not None else found.occurrence.placement.start
    usual = series.set.placement.at(original)
    placement = known.placement if known is not None else None
    if times:
        there = changed_placement(found.occurrence.placement, times, recurs=False)
        placement = None if _is_same(there, usual) else there
    changes = dict(known.changes) if known is not None else {}
    changes |= {name: sent[name] for name in OF_OCCURRENCE if name in sent and sent[name] != found.value(name)}
    return Override(original, placement=placement, changes=changes)


def _put(
    session: AsyncSession, platform: Platform, series: Series, original_at: datetime, override: Override
) -> None:
    now = platform.clock.now()
    row = next((one for one in series.overrides if one.original_at == original_at), None)
    columns = columns_of_override(series.event, override)
    if row is None:
        session.add(CalendarOverride(**columns, sequence=series.event.sequence, created_at=now, updated_at=now))
        return
    del columns["event_id"], columns["original_at"]
    for name, value in columns.items():
        setattr(row, name, value)
    row.updated_at = now


def _pointer(name: str) -> dict[str, str]:
    first, *rest = name.split("_")
    return {"pointer": "/" + first + "".join(map(str.capitalize, rest)), "detail": "Is of the whole series"}


# --- what is around it ---------------------------------------------------------------------------------------------


async def _invite(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    sent: Mapping[str, Any],
    only_at: datetime | None,
) -> bool:
    if "attendee_ids" not in sent and "attendees" not in sent:
        return False
    return await attending.invite(
        session,
        platform,
        scope,
        event,
        members=sent.get("attendee_ids"),
        addresses=sent.get("attendees"),
        only_at=only_at,
    )


async def _ensure_all_see(session: AsyncSession, event: CalendarEvent) -> None:
    """Who comes, and who holds it, see it in its new place too; raises AttendeeCannotSee."""
    rows = (await attendees_of(session, [event.id]))[event.id]
    people = {event.organizer_user_id, *(one.user_id for one in rows if one.user_id is not None)}
    blind = people - await who_sees(session, event.scope_id, people)
    if blind:
        raise AttendeeCannotSee(
            details=[{"pointer": "/projectId", "detail": f"{one} does not see it there"} for one in sorted(blind)]
        )


async def _take_rooms(
    session: AsyncSession, scope: WorkspaceScope, event: CalendarEvent, sent: Mapping[str, Any]
) -> bool:
    if "resource_ids" not in sent:
        return False
    has = {one.id for one in (await resources_of(session, [event.id])).get(event.id, ())}
    await booking.tie(session, scope, event, sent["resource_ids"])
    return has != set(sent["resource_ids"])


async def _remind(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    series: Series,
    sent: Mapping[str, Any],
    *,
    at: datetime | None = None,
) -> None:
    """The caller's own: nobody else's event is another one for it, and its version counts them not."""
    if "reminders" in sent:
        await reminding.put(session, platform, series, scope.user_id, sent["reminders"], only_at=at)


async def _hold_people(
    session: AsyncSession, scope: WorkspaceScope, event: CalendarEvent, policy: ConflictPolicy | None
) -> None:
    """All who may take part: who of them does is read once they are held."""
    if policy is not ConflictPolicy.REJECT:
        return
    await session.flush()
    rows = (await attendees_of(session, [event.id]))[event.id]
    people = {event.organizer_user_id, *(one.user_id for one in rows if one.user_id is not None)}
    await conflicts.hold(session, scope, people, policy)


async def _conflicts(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    policy: ConflictPolicy | None,
    *,
    at: datetime | None = None,
) -> list[ConflictRead]:
    """What those who take part have beside it; raises CalendarConflict."""
    if policy in (None, ConflictPolicy.ALLOW):
        return []
    await session.flush()
    [series] = await with_overrides(session, [event])
    rows = (await attendees_of(session, [event.id]))[event.id]
    takes_part = {event.organizer_user_id}
    takes_part |= {
        one.user_id
        for one in rows
        if one.user_id is not None and one.response != Response.DECLINED and one.only_at in (None, at)
    }
    return await conflicts.found(session, platform, scope, series, takes_part, policy=policy, at=at)
