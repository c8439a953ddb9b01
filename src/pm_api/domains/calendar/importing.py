"""Events out of a calendar file. Each is taken in, or refused with the reason; the same file twice changes nothing.

An event is known again by its UID, an occurrence by that and its RECURRENCE-ID, and a newer one by its SEQUENCE (RFC
5545 §3.8.4.7, §3.8.7.4). Whoever imports organizes what is new to the workspace, and is reminded of it by its
alarms; what is cancelled goes. Nobody is mailed or told.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Budget, RecurrenceSet, occurrence_at, zone
from pm_api.core.recurrence.errors import RecurrenceRefused
from pm_api.domains.calendar import taking_in, writing
from pm_api.domains.calendar.enums import Channel, EventType, ShowAs, Visibility
from pm_api.domains.calendar.errors.events import EventNotYours
from pm_api.domains.calendar.errors.interchange import InvalidCalendar
from pm_api.domains.calendar.ical import drafts
from pm_api.domains.calendar.ical import reading as ical
from pm_api.domains.calendar.ical.drafts import (
    OF_AN_OCCURRENCE,
    Changed,
    Draft,
    Item,
    Reading,
    key_of,
    override_for,
)
from pm_api.domains.calendar.ical.entries import Alarm, Entry
from pm_api.domains.calendar.ical.lines import Unreadable
from pm_api.domains.calendar.ical.properties import note
from pm_api.domains.calendar.ical.times import NotThat, written_utc
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee
from pm_api.domains.calendar.reading import masked_among
from pm_api.domains.calendar.repository import attendees as people_rows
from pm_api.domains.calendar.repository import events as event_rows
from pm_api.domains.calendar.repository import interchange as repository
from pm_api.domains.calendar.repository import reminders as reminder_rows
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.repository.attendees import Answers
from pm_api.domains.calendar.schemas.interchange import (
    EventImportItem,
    EventImportReport,
    ImportIgnored,
    ImportOutcome,
)
from pm_api.domains.calendar.taking_in import Place

MOST_BYTES: Final = 5_000_000
AS_SINGLE: Final = "It is one occurrence of a series that is not here; it was taken in as an event of its own."
NOT_YOURS: Final = "it is here in an older version, and is not yours to change"
NOT_YOURS_TO_DELETE: Final = "it is cancelled, and what is here of it is not yours to delete"
NOTHING_TO_CANCEL: Final = "It is cancelled, and was not here: there was nothing to cancel."
NOT_NEWER: Final = "It is cancelled, but its SEQUENCE is no higher than of what is here, which stays as it is."
ALARMS_LEFT: Final = "Its alarms were left out: the event is here already, and your reminders of it stay as they are."
OUT_OF_SIGHT: Final = "it was imported before, to where you do not see it now"


@dataclass
class _Import:
    place: Place
    dry_run: bool
    known: dict[str, UUID] = field(default_factory=dict)
    series: dict[UUID, Series] = field(default_factory=dict)
    masked: set[UUID] = field(default_factory=set)
    alarms: dict[UUID, set[Alarm]] = field(default_factory=dict)
    outcomes: dict[int, tuple[ImportOutcome, UUID | None]] = field(default_factory=dict)

    def note(self, items: Sequence[Item], outcome: ImportOutcome, event_id: UUID | None) -> None:
        self.outcomes |= {id(one): (outcome, event_id) for one in items if one.refusal is None}


async def run(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    content: bytes,
    *,
    project_id: UUID | None,
    zone_name: str | None,
    dry_run: bool,
) -> EventImportReport:
    """Take in what can be; with `dry_run` only tell. `zone_name` is where times lie that name no zone.

    Raises InvalidCalendar, NotFound, ProjectArchived, Forbidden, ZoneUnknown.
    """
    floating = zone_name or await surroundings.time_zone_of(session, scope.user_id)
    zone(floating)
    try:
        read = await asyncio.to_thread(ical.read, content, floating=floating, now=platform.clock.now())
    except Unreadable as error:
        raise InvalidCalendar(str(error)) from None
    await repository.hold_imports(session, scope.workspace_id)
    scope_id = await writing.place_for(session, platform, scope, project_id)
    work = _Import(Place(session, platform, scope, project_id, scope_id), dry_run)
    await _look_up(work, read)
    for draft in read.drafts:
        await _take(work, draft)
    for gone in read.cancelled:
        await _cancel(work, [gone.item, *gone.occurrences], gone.item.uid)
    for uid, changed in read.loose.items():
        found = _known(work, uid)
        if isinstance(found, Series):
            for one in changed:
                _leave_alarms(work, one.item, one.alarms, found)
            await _change(work, found, changed)
        else:
            for one in _newest(changed):
                await _take_alone(work, one, platform.clock.now())
    return _report(read, work)


# --- what is here already ---------------------------------------------------------------------------------------


async def _look_up(work: _Import, read: Reading) -> None:
    """Events of the file that are here; those that may be written are held, by id, before any is."""
    place = work.place
    uids = [one.item.uid for one in read.drafts] + [one.item.uid for one in read.cancelled]
    uids += [uid for uid, changed in read.loose.items() for uid in (uid, *(_single_uid(one) for one in changed))]
    wanted = {*uids, *(_own_uid(work, uid) for uid in uids)}
    work.known = await repository.by_uid(place.session, place.scope.workspace_id, wanted)
    if not work.dry_run:
        await repository.hold_events(place.session, work.known.values())
    found = await event_rows.series_of_ids(place.session, place.scope, list(work.known.values()))
    work.series = {one.id: one for one in found}
    work.masked = await masked_among(place.session, place.scope.user_id, [one.event for one in found])
    reminders = await reminder_rows.reminders_of(place.session, list(work.series), place.scope.user_id)
    work.alarms = {
        event_id: {
            Alarm(one.minutes_before, Channel(one.channel))
            for one in rows
            if one.minutes_before is not None and one.channel is not None
        }
        for event_id, rows in reminders.items()
    }
    emails = {
        person.address
        for entry in (*(one.entry for one in read.drafts),)
        for people in (entry.people, *entry.people_at.values())
        for person in people
    }
    emails |= {
        person.address
        for changed in (*read.loose.values(), *(one.changed for one in read.drafts))
        for one in changed
        for person in one.people
    }
    scope_ids = {place.scope_id, *(one.event.scope_id for one in found)}
    place.members.update(await people_rows.members_in(place.session, scope_ids, emails))


def _known(work: _Import, uid: str) -> Series | str | None:
    """The event that an UID stands for to the caller; a sentence when it stands for one that they do not see now.

    What somebody else has under it, in private or out of sight, is not theirs: they get one of their own.
    """
    own = work.known.get(_own_uid(work, uid))
    if own is not None:
        return work.series.get(own) or OUT_OF_SIGHT
    first = work.known.get(uid)
    return work.series.get(first) if first is not None and first not in work.masked else None


def _own_uid(work: _Import, uid: str) -> str:
    said = f"{work.place.scope.user_id}\n{uid}"
    return f"{hashlib.sha256(said.encode()).hexdigest()[:40]}@pm_api"


def _single_uid(one: Changed) -> str:
    """Of an occurrence that is taken in without its series."""
    said = f"{one.item.uid}\n{written_utc(one.original.instant)}"
    return f"{hashlib.sha256(said.encode()).hexdigest()[:40]}@pm_api"


# --- what becomes of it -----------------------------------------------------------------------------------------


async def _take(work: _Import, draft: Draft) -> None:
    """A series or single event, with its occurrences that differ."""
    items, uid = [draft.item, *(one.item for one in draft.changed)], draft.entry.uid
    found = _known(work, uid)
    if isinstance(found, str):
        _refuse(items, found)
    elif found is None:
        stored = uid if uid not in work.known else _own_uid(work, uid)
        await _write(work, items, ImportOutcome.CREATED, draft, stored, None)
    else:
        await _take_known(work, found, draft)


async def _take_known(work: _Import, found: Series, draft: Draft) -> None:
    items = [draft.item, *(one.item for one in draft.changed)]
    _leave_alarms(work, draft.item, draft.entry.alarms, found)
    if found.event.sequence < draft.item.sequence:
        if await _may_edit(work, found):
            same = await _same(work, found, draft)
            await _write(work, items, ImportOutcome.UPDATED, draft, found.event.uid, found)
            work.note(same, ImportOutcome.UNCHANGED, found.id)
        else:
            _refuse(items, NOT_YOURS)
    else:
        work.note([draft.item], ImportOutcome.UNCHANGED, found.id)
        await _change(work, found, draft.changed)


async def _same(work: _Import, found: Series, draft: Draft) -> list[Item]:
    """Occurrences that are here as the file has them: as new, at the same time, with the same words and people."""
    place, rows = work.place, {one.original_at: one for one in found.overrides}
    told = {draft.entry.set.placement.key(one.original): one for one in draft.entry.set.overrides}
    people, said = await _people_at(work, found, list(told))
    same = []
    for one in draft.changed:
        at = key_of(draft.entry.set, one.original)
        row, new = rows.get(at), told.get(at)
        if new is None or one.item.sequence > (row.sequence if row is not None else found.event.sequence):
            continue
        if one.is_cancelled:
            if row is not None and row.cancelled:
                same.append(one.item)
            continue
        try:
            was = occurrence_at(found.set, at, budget=Budget())
        except RecurrenceRefused:
            continue
        shown = {name: str(getattr(found.event, name)) for name in OF_AN_OCCURRENCE}
        shown |= row.fields if row is not None else {}
        placement = draft.entry.set.placement
        if (
            was is not None
            and drafts.is_same(was.placement, new.placement or placement.at(new.original))
            and all(shown[name] == one.fields[name] for name in OF_AN_OCCURRENCE)
            and taking_in.comes_as_said(place, found.event, people, said, at, one.people)
        ):
            same.append(one.item)
    return same


async def _people_at(
    work: _Import, found: Series, keys: Sequence[datetime]
) -> tuple[Sequence[CalendarAttendee], Answers]:
    rows = await people_rows.attendees_of(work.place.session, [found.id])
    return rows[found.id], await people_rows.answers_of(work.place.session, [found.id], keys)


async def _cancel(work: _Import, items: Sequence[Item], uid: str) -> None:
    """An event that does not take place any more, the first of the items, and what the file has of it beside."""
    place, found = work.place, _known(work, uid)
    if isinstance(found, str):
        _refuse(items, found)
        return
    if found is None:
        note(items[0], NOTHING_TO_CANCEL)
        work.note(items, ImportOutcome.UNCHANGED, None)
        return
    here, there = found.event.sequence, items[0].sequence
    if there < here or (there == here and not items[0].takes_back):
        note(items[0], NOT_NEWER)
        work.note(items, ImportOutcome.UNCHANGED, found.id)
        return
    try:
        await writing.ensure_may_edit(place.session, place.scope, found.event)
        if work.dry_run:
            await writing.ensure_writable(place.session, found.event)
        else:
            async with place.session.begin_nested():
                await taking_in.remove(place, found.id)
    except EventNotYours:
        _refuse(items, NOT_YOURS_TO_DELETE)
    except ApiError as error:
        _refuse(items, error.detail)
    else:
        work.note(items, ImportOutcome.DELETED, found.id)


def _leave_alarms(work: _Import, item: Item, alarms: Sequence[Alarm], found: Series) -> None:
    """Whoever has reminders of an event has them as they want them: a file changes none."""
    if alarms and set(alarms) != work.alarms.get(found.id, set()):
        note(item, ALARMS_LEFT)


async def _write(
    work: _Import, items: Sequence[Item], outcome: ImportOutcome, draft: Draft, uid: str, found: Series | None
) -> None:
    if work.dry_run:
        work.note(items, outcome, found.id if found is not None else None)
        return
    try:
        async with work.place.session.begin_nested():
            entry = replace(draft.entry, uid=uid)
            if found is None:
                event_id = await taking_in.create(work.place, entry)
            else:
                event_id = await taking_in.replace_with(work.place, found.id, entry)
    except ApiError as error:
        _refuse(items, error.detail)
        return
    work.known[uid] = event_id
    work.note(items, outcome, event_id)


async def _change(work: _Import, found: Series, changed: Sequence[Changed]) -> None:
    """Occurrences that differ, of a series that is here."""
    placement, event = found.set.placement, found.event
    rows = {one.original_at: one for one in found.overrides}
    new = []
    for one in _newest(changed):
        row = rows.get(key_of(found.set, one.original))
        is_newer = row.sequence < one.item.sequence if row is not None else event.sequence <= one.item.sequence
        if row is not None and one.item.takes_back and not row.cancelled:
            is_newer = row.sequence <= one.item.sequence
        fields = {name: str(getattr(event, name)) for name in OF_AN_OCCURRENCE}
        try:
            override = override_for(found.set, fields, one, Budget())
        except NotThat as error:
            _refuse([one.item], str(error))
            continue
        differs = override.cancelled or override.placement is not None or bool(override.changes)
        if row is None and not differs and event.sequence < one.item.sequence:
            at = placement.key(override.original)
            people, said = await _people_at(work, found, [at])
            differs = not taking_in.comes_as_said(work.place, event, people, said, at, one.people)
        if is_newer and (differs or row is not None):
            new.append((one, override))
        else:
            work.note([one.item], ImportOutcome.UNCHANGED, event.id)
    if not new:
        return
    items = [one.item for one, _ in new]
    if not await _may_edit(work, found):
        _refuse(items, NOT_YOURS)
        return
    if not work.dry_run:
        people_at = {placement.key(override.original): one.people for one, override in new if not override.cancelled}
        sequences = {placement.key(override.original): one.item.sequence for one, override in new}
        visibility = drafts.strictest(Visibility(event.visibility), *(one.visibility for one, _ in new))
        overrides = [override for _, override in new]
        try:
            async with work.place.session.begin_nested():
                await taking_in.change(work.place, found.id, overrides, people_at, sequences, visibility)
        except ApiError as error:
            _refuse(items, error.detail)
            return
    work.note(items, ImportOutcome.UPDATED, event.id)


async def _may_edit(work: _Import, found: Series) -> bool:
    try:
        await writing.ensure_may_edit(work.place.session, work.place.scope, found.event)
    except EventNotYours:
        return False
    return True


def _newest(changed: Sequence[Changed]) -> list[Changed]:
    """Of several that are about one occurrence the newest; the others are refused."""
    found: dict[datetime, Changed] = {}
    for one in sorted(changed, key=lambda each: each.item.sequence):
        older = found.get(one.original.instant)
        if older is not None:
            _refuse([older.item], "another one of the file is about the same occurrence, and is as new")
        found[one.original.instant] = one
    return list(found.values())


async def _take_alone(work: _Import, one: Changed, now: datetime) -> None:
    """An occurrence whose series nobody knows: a single event."""
    if one.is_cancelled:
        await _cancel(work, [one.item], _single_uid(one))
        return
    if one.placement is None:
        _refuse([one.item], "it has no DTSTART")
        return
    one.item.notes.append(AS_SINGLE)
    fields = one.fields
    entry = Entry(
        uid=_single_uid(one),
        set=RecurrenceSet(one.placement),
        title=fields["title"],
        stamped_at=now,
        created_at=now,
        sequence=one.item.sequence,
        description=fields["description"],
        location=fields["location"],
        type=EventType(fields["type"]),
        visibility=Visibility(fields["visibility"]),
        show_as=ShowAs(fields["show_as"]),
        people=one.people,
        alarms=one.alarms,
    )
    await _take(work, Draft(one.item, entry, []))


def _refuse(items: Sequence[Item], why: str) -> None:
    for one in items:
        one.refusal = one.refusal or why


def _report(read: Reading, work: _Import) -> EventImportReport:
    shown = []
    for one in read.items:
        outcome, event_id = work.outcomes.get(id(one), (ImportOutcome.REFUSED, None))
        if one.refusal is not None:
            outcome, event_id = ImportOutcome.REFUSED, None
        shown.append(
            EventImportItem(
                uid=one.uid,
                recurrence_id=one.recurrence_id,
                title=one.title,
                sequence=one.sequence,
                outcome=outcome,
                event_id=event_id,
                reason=_sentence(one.refusal) if one.refusal is not None else None,
                notes=one.notes,
            )
        )
    counts = {outcome: sum(one.outcome is outcome for one in shown) for outcome in ImportOutcome}
    return EventImportReport(
        name=read.name,
        items=shown,
        ignored=[ImportIgnored(component=name[:60], count=count) for name, count in read.ignored.items()],
        created=counts[ImportOutcome.CREATED],
        updated=counts[ImportOutcome.UPDATED],
        deleted=counts[ImportOutcome.DELETED],
        unchanged=counts[ImportOutcome.UNCHANGED],
        refused=counts[ImportOutcome.REFUSED],
        dry_run=work.dry_run,
    )


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}{'' if why.endswith('.') else '.'}"
