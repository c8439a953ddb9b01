"""Calendars taken apart (RFC 5545): every event is understood as it was meant, or refused with the reason.

Nothing is guessed silently: what had to be read into an event stands in its notes. The work is bounded by the size of
the file: rules are admitted like anybody's, and all of them together have a budget.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Final

from pm_api.core.recurrence import Budget, Override, Placement, RecurrenceSet, Span, admit
from pm_api.core.recurrence.errors import RecurrenceRefused
from pm_api.core.recurrence.parsing import MAX_DATES
from pm_api.domains.calendar.enums import EventType, ShowAs
from pm_api.domains.calendar.ical import drafts, times
from pm_api.domains.calendar.ical.alarms import alarms_of
from pm_api.domains.calendar.ical.drafts import (
    Cancelled,
    Changed,
    Draft,
    Item,
    Point,
    Reading,
    fields_of,
    override_for,
)
from pm_api.domains.calendar.ical.entries import Entry, Person
from pm_api.domains.calendar.ical.foreign import NoSuchZone, Zones, by_name
from pm_api.domains.calendar.ical.lines import Component, Property, Unreadable, parsed, plain
from pm_api.domains.calendar.ical.properties import (
    cut,
    note,
    one_line,
    person_of,
    rule_of,
    sequence_of,
    show_as_of,
    span_between,
    span_lasting,
    title_of,
    uid_of,
    visibility_of,
)
from pm_api.domains.calendar.ical.times import NotThat
from pm_api.domains.calendar.schemas.events import MOST_ATTENDEES

MOST_EVENTS: Final = 1000
MOST_ADDRESSES: Final = 20_000
STEPS_OF_AN_EVENT: Final = 25_000
STEPS_OF_A_FILE: Final = 600_000
FOLLOWING_TOO: Final = (
    "an occurrence differs together with all that follow (RANGE=THISANDFUTURE), which is not supported: split the"
    " series there"
)
CANCELLING: Final = "CANCEL"
UNINVITES: Final = (
    "the file is a message (CANCEL) that does not say STATUS:CANCELLED: it takes back who is invited, which is not"
    " done here"
)
OWN_ALARMS: Final = "Its own alarms were left out: its series is told of by the series' alarms."
_MESSAGES: Final = frozenset({"", "PUBLISH", "REQUEST", "ADD", CANCELLING})
_YEARS: Final = range(1800, 3201)
"""What lies outside is no event, and near the ends of the calendar clocks of other zones cannot be read."""


def read(content: bytes, *, floating: str, now: datetime) -> Reading:
    """The events of a file; `floating` is the zone of times that name none. Raises Unreadable."""
    tops = parsed(content)
    calendars = [one for one in tops if one.name == "VCALENDAR"]
    bare = Component("VCALENDAR", children=[one for one in tops if one.name == "VEVENT"])
    if not calendars and not bare.children:
        raise Unreadable("It holds no calendar: nothing in it begins with BEGIN:VCALENDAR.")
    if sum(sum(1 for _ in one.named("VEVENT")) for one in (*calendars, bare)) > MOST_EVENTS:
        raise Unreadable(f"It holds more than {MOST_EVENTS:,} events.")
    return _File(floating, now).read([*calendars, bare])


class _File:
    def __init__(self, floating: str, now: datetime) -> None:
        self._floating = floating
        self._now = now
        self._items: list[Item] = []
        self._masters: dict[str, tuple[Item, Entry | None]] = {}
        self._changed: dict[str, list[Changed]] = {}
        self._refused: dict[str, str] = {}
        self._steps = 0
        self._addresses = 0
        self._zones = Zones(())
        self._default = floating
        self._once = False

    def read(self, calendars: Sequence[Component]) -> Reading:
        ignored: dict[str, int] = {}
        for calendar in calendars:
            self._zones = Zones(list(calendar.named("VTIMEZONE")))
            self._default = by_name(calendar.text("X-WR-TIMEZONE")) or self._floating
            for one in calendar.children:
                if one.name == "VEVENT":
                    self._take(one, calendar.text("METHOD").strip().upper())
                elif one.name != "VTIMEZONE":
                    ignored[one.name or "(no name)"] = ignored.get(one.name or "(no name)", 0) + 1
        name = next((text for one in calendars if (text := one.text("X-WR-CALNAME") or one.text("NAME"))), "")
        taken = {uid: one for uid, one in self._masters.items() if uid not in self._refused}
        drafts = [self._draft(item, entry) for item, entry in taken.values() if entry is not None]
        cancelled = [
            Cancelled(item, [one.item for one in self._changed.get(uid, ())])
            for uid, (item, entry) in taken.items()
            if entry is None
        ]
        for uid, why in self._refused.items():
            for item in (self._masters[uid][0],) if uid in self._masters else ():
                item.refusal = item.refusal or why
            for changed in self._changed.get(uid, ()):
                changed.item.refusal = changed.item.refusal or why
        loose = {
            uid: [one for one in found if one.item.refusal is None]
            for uid, found in self._changed.items()
            if uid not in self._masters and uid not in self._refused
        }
        counts = dict(sorted(ignored.items())[:50])
        return Reading(one_line(name)[:200], self._items, drafts, cancelled, loose, counts)

    def _take(self, event: Component, method: str) -> None:
        named = event.first("RECURRENCE-ID")
        item = Item(
            uid_of(event),
            plain(named.value)[:40] if named else None,
            title_of(event, []),
            sequence_of(event.text("SEQUENCE")),
        )
        self._items.append(item)
        if event.first("UID") is None:
            item.notes.append("It has no UID; it was given one made from what it says.")
        self._once = not event.all("RRULE") and not event.all("RDATE")
        item.notes += [f"This line cannot be read and was left out: {one[:60]}" for one in event.broken[:3]]
        try:
            self._understand(event, item, named, method)
        except NotThat as error:
            item.refusal = str(error)
        except NoSuchZone as error:
            item.refusal = f"its {error}"
        except RecurrenceRefused as error:
            item.refusal = f"its repetition is refused: {error.detail}"

    def _understand(self, event: Component, item: Item, named: Property | None, method: str) -> None:
        """Raises NotThat, NoSuchZone, a RecurrenceRefused."""
        if method not in _MESSAGES:
            raise NotThat(f"the file is a message ({method[:20]}), which is no calendar to take in")
        item.takes_back = method == CANCELLING
        if item.takes_back and not _is_cancelled(event):
            raise NotThat(UNINVITES)
        if named is None:
            self._master(event, item)
            return
        if event.first("UID") is None:
            raise NotThat("it names an occurrence, but has no UID that says of what")
        if named.parameter("RANGE"):
            self._refused[item.uid] = FOLLOWING_TOO
            raise NotThat(FOLLOWING_TOO)
        self._changed.setdefault(item.uid, []).append(self._occurrence(event, item, named))

    # --- what may be stored ---------------------------------------------------------------------------------------

    def _master(self, event: Component, item: Item) -> None:
        other = self._masters.get(item.uid)
        if other is not None and other[0].sequence >= item.sequence:
            raise NotThat("another event of the file has the same UID, and is as new")
        entry = self._series(event, item) if not _is_cancelled(event) else None
        if other is not None:
            other[0].refusal = "another event of the file has the same UID, and is newer"
        self._masters[item.uid] = (item, entry)

    def _series(self, event: Component, item: Item) -> Entry:
        if event.all("EXRULE"):
            raise NotThat("it has an EXRULE, which RFC 5545 took out; EXDATE says the same")
        rules = event.all("RRULE")
        if len(rules) > 1:
            raise NotThat("it has more than one RRULE")
        placement = self._placement(event, item)
        dates, spans = self._dates(event, "RDATE", placement, item)
        excluded, _ = self._dates(event, "EXDATE", placement, item)
        budget = self._budget()
        try:
            series = admit(
                placement, rrule=rule_of(rules[0]) if rules else None, rdate=dates, exdate=excluded, budget=budget
            )
        finally:
            self._steps += budget.spent
        if not rules and not series.rdates:
            series = replace(series, exdates=())
        periods = [Override(wall, placement=at) for wall, at in spans if wall in series.rdates]
        return self._entry(event, item, replace(series, overrides=tuple(periods)))

    def _entry(self, event: Component, item: Item, series: RecurrenceSet) -> Entry:
        fields = self._fields(event, item)
        organizer = event.first("ORGANIZER")
        return Entry(
            uid=item.uid,
            set=series,
            title=fields["title"],
            stamped_at=self._now,
            created_at=self._now,
            sequence=item.sequence,
            description=fields["description"],
            location=fields["location"],
            type=EventType(fields["type"]),
            visibility=visibility_of(event),
            show_as=ShowAs(fields["show_as"]),
            organizer=person_of(organizer) if organizer is not None else None,
            people=self._people(event, item),
            alarms=alarms_of(event, item),
        )

    def _occurrence(self, event: Component, item: Item, named: Property) -> Changed:
        is_cancelled = _is_cancelled(event)
        has_times = event.first("DTSTART") is not None
        original = self._point(named, item)
        return Changed(
            item,
            original,
            self._placement(event, item) if has_times and not is_cancelled else None,
            {**self._fields(event, item), "visibility": str(visibility_of(event))},
            self._people(event, item),
            is_cancelled,
            alarms_of(event, item) if not is_cancelled else (),
        )

    def _draft(self, item: Item, entry: Entry) -> Draft:
        """With the occurrences that differ, each checked against the series."""
        fields, taken = fields_of(entry), list[Changed]()
        overrides = {entry.set.placement.key(one.original): one for one in entry.set.overrides}
        people_at: dict[datetime, Sequence[Person]] = {}
        sequences: dict[datetime, int] = {}
        visibility = entry.visibility
        for changed in sorted(self._changed.get(item.uid, ()), key=lambda one: one.item.sequence):
            budget = self._budget()
            try:
                override = override_for(entry.set, fields, changed, budget)
            except NotThat as error:
                changed.item.refusal = str(error)
                continue
            finally:
                self._steps += budget.spent
            key = entry.set.placement.key(override.original)
            overrides[key], sequences[key] = override, changed.item.sequence
            if not override.cancelled:
                people_at[key] = changed.people
                visibility = drafts.strictest(visibility, changed.visibility)
                if changed.alarms and set(changed.alarms) != set(entry.alarms):
                    note(changed.item, OWN_ALARMS)
            taken.append(changed)
        whole = replace(entry.set, overrides=tuple(one for _, one in sorted(overrides.items())))
        full = replace(entry, set=whole, people_at=people_at, sequences_at=sequences, visibility=visibility)
        return Draft(item, full, taken)

    def _budget(self) -> Budget:
        left = STEPS_OF_A_FILE - self._steps
        if left <= 0:
            raise NotThat("the repetitions of the file take too long to be worked out together")
        return Budget(min(STEPS_OF_AN_EVENT, left))

    # --- times ----------------------------------------------------------------------------------------------------

    def _point(self, found: Property, item: Item, text: str | None = None) -> Point:
        written = found.value if text is None else text
        moment = times.moment_of(written)
        if moment.year not in _YEARS:
            raise NotThat(f"{plain(written)[:40]!r} lies too far away in time")
        if not isinstance(moment, datetime):
            return Point(datetime.combine(moment, time()), None)
        if moment.tzinfo is not None:
            return Point(moment.replace(tzinfo=None), "UTC")
        tzid = found.parameter("TZID")
        if tzid:
            zone_found = self._zones.find(tzid, moment, once=self._once)
            note(item, zone_found.note)
            return Point(moment, zone_found.name)
        note(item, f"Its time names no zone; it was read in {self._default}.")
        return Point(moment, self._default)

    def _placement(self, event: Component, item: Item) -> Placement:
        begins = event.first("DTSTART")
        if begins is None:
            raise NotThat("it has no DTSTART")
        start = self._point(begins, item)
        ends, lasts = event.first("DTEND"), event.first("DURATION")
        if ends is not None:
            span = span_between(start, self._point(ends, item))
        elif lasts is not None:
            span = span_lasting(start, times.span_of(lasts.value))
        else:
            span = Span(days=1) if start.zone is None else Span()
        placement = Placement(start.wall, span, start.zone or self._default, all_day=start.zone is None)
        placement.check()
        return placement

    def _dates(
        self, event: Component, name: str, placement: Placement, item: Item
    ) -> tuple[list[str], list[tuple[datetime, Placement]]]:
        """Starts as core/recurrence reads them, and where one lasts otherwise, how long."""
        found: list[str] = []
        spans: list[tuple[datetime, Placement]] = []
        for one in event.all(name):
            texts = [text for text in one.value.split(",") if text.strip()]
            if len(found) + len(texts) > MAX_DATES:
                raise NotThat(f"it has more than {MAX_DATES:,} dates in {name}")
            for text in texts:
                begins, _, ends = text.partition("/")
                start = self._wall_in(placement, self._point(one, item, begins), name)
                found.append(start.isoformat())
                if ends and name == "RDATE":
                    span = self._period(one, item, begins, ends)
                    if span != placement.span:
                        longer = replace(placement.at(start), span=span)
                        longer.check()
                        spans.append((start, longer))
        return found, spans

    def _period(self, found: Property, item: Item, begins: str, ends: str) -> Span:
        start = self._point(found, item, begins)
        if ends.strip()[:1] in "Pp+-":
            return span_lasting(start, times.span_of(ends))
        return span_between(start, self._point(found, item, ends))

    @staticmethod
    def _wall_in(placement: Placement, point: Point, name: str) -> datetime:
        """The wall time in the zone of the series."""
        if placement.all_day:
            if point.zone is not None and point.wall.time() != time():
                raise NotThat(f"{name} has a time of day, but the event takes whole days")
            return datetime.combine(point.day, time())
        if point.zone is None:  # what some programs write: the one of that day
            if name == "RDATE":
                raise NotThat("RDATE is a day without a time, but the event begins at a time")
            return datetime.combine(point.day, placement.start.time())
        return point.wall if point.zone == placement.zone else placement.wall(point.instant)

    # --- texts and people -----------------------------------------------------------------------------------------

    def _fields(self, event: Component, item: Item) -> dict[str, str]:
        kind = event.text("X-PM-TYPE").strip().upper()
        return {
            "title": title_of(event, item.notes),
            "description": cut("description", plain(event.text("DESCRIPTION")), item.notes),
            "location": cut("location", plain(event.text("LOCATION")), item.notes),
            "type": kind if kind in EventType.__members__ else EventType.MEETING.value,
            "show_as": show_as_of(event).value,
        }

    def _people(self, event: Component, item: Item) -> list[Person]:
        found: dict[str, Person] = {}
        for one in event.all("ATTENDEE"):
            self._addresses += 1
            if len(found) >= MOST_ATTENDEES or self._addresses > MOST_ADDRESSES:
                note(item, "It has too many attendees; the rest was left out.")
                break
            if one.parameter("CUTYPE").upper() in ("ROOM", "RESOURCE"):
                note(item, "Its rooms were left out; book one here.")
                continue
            person = person_of(one)
            if person is None:
                note(item, f"An attendee without an e-mail address was left out: {plain(one.value)[:60]}")
            else:
                found.setdefault(person.address, person)
        return list(found.values())


def _is_cancelled(event: Component) -> bool:
    return event.text("STATUS").strip().upper() == "CANCELLED"
