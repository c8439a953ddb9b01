"""What was read of a calendar: events that can be stored, and of every item of the file what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Final

from pm_api.core.recurrence import Budget, Override, Placement, RecurrenceSet, occurrence_at
from pm_api.core.recurrence.errors import RecurrenceRefused
from pm_api.core.recurrence.zones import to_utc, zone
from pm_api.domains.calendar.enums import Visibility
from pm_api.domains.calendar.ical.entries import Alarm, Entry, Person
from pm_api.domains.calendar.ical.times import NotThat

OF_AN_OCCURRENCE: Final = ("title", "description", "location", "type", "show_as")
"""What may differ in one occurrence, beside its time and who comes."""
_STRICTNESS: Final = (Visibility.DEFAULT, Visibility.PRIVATE, Visibility.CONFIDENTIAL)


@dataclass(slots=True)
class Item:
    """One VEVENT of the file. `refusal` says why it cannot be taken in, `notes` what was done to take it in. One that
    `takes_back` is of a message that cancels: it counts where it is as new as what is here.
    """

    uid: str
    recurrence_id: str | None
    title: str
    sequence: int
    notes: list[str] = field(default_factory=list)
    refusal: str | None = None
    takes_back: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A moment as it was written: a day when `zone` is None, else wall time there."""

    wall: datetime
    zone: str | None

    @property
    def instant(self) -> datetime:
        """Midnight UTC of a day."""
        return self.wall.replace(tzinfo=UTC) if self.zone is None else to_utc(self.wall, zone(self.zone))

    @property
    def day(self) -> date:
        return self.wall.date()


@dataclass(frozen=True, slots=True)
class Changed:
    """One occurrence that differs from its series."""

    item: Item
    original: Point
    placement: Placement | None
    fields: Mapping[str, str]
    people: Sequence[Person]
    is_cancelled: bool
    alarms: Sequence[Alarm] = ()

    @property
    def visibility(self) -> Visibility:
        """Of one that does not take place nothing is told."""
        return Visibility.DEFAULT if self.is_cancelled else Visibility(self.fields["visibility"])


@dataclass(frozen=True, slots=True)
class Draft:
    """A series or a single event as it can be stored, but for the occurrences that differ."""

    item: Item
    entry: Entry
    changed: Sequence[Changed]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An event that does not take place any more, with all that the file says of its occurrences."""

    item: Item
    occurrences: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Reading:
    """`loose` are occurrences whose series is not in the file, by UID. `ignored` counts what is no event."""

    name: str
    items: Sequence[Item]
    drafts: Sequence[Draft]
    cancelled: Sequence[Cancelled]
    loose: Mapping[str, Sequence[Changed]]
    ignored: Mapping[str, int]


def key_of(series: RecurrenceSet, original: Point) -> datetime:
    """What names the occurrence in this series. A day alone is the one at the usual time of that day."""
    placement = series.placement
    if placement.all_day:
        return datetime.combine(original.day, time(), UTC)
    if original.zone is None:
        return placement.key(datetime.combine(original.day, placement.start.time()))
    return original.instant


def override_for(series: RecurrenceSet, fields: Mapping[str, str], changed: Changed, budget: Budget) -> Override:
    """The difference to a series that has these fields. Raises NotThat where the series has no such occurrence."""
    key = key_of(series, changed.original)
    bare = replace(series, overrides=())
    try:
        there = occurrence_at(bare, key, budget=budget)
        was_there = there or occurrence_at(replace(bare, exdates=()), key, budget=budget)
    except RecurrenceRefused as error:
        raise NotThat(f"its series cannot be followed so far: {error.detail}") from None
    if there is None:
        raise NotThat(
            "its series leaves this occurrence out (EXDATE)"
            if was_there is not None
            else "its series has no occurrence at this RECURRENCE-ID"
        )
    original = there.placement.start
    if changed.is_cancelled:
        return Override(original, cancelled=True)
    placement = changed.placement
    if placement is not None and is_same(placement, there.placement):
        placement = None
    differs = {
        name: changed.fields[name]
        for name in OF_AN_OCCURRENCE
        if name in changed.fields and changed.fields[name] != fields[name]
    }
    return Override(original, placement=placement, changes=differs)


def strictest(one: Visibility, *others: Visibility) -> Visibility:
    """A series is as private as the most private of its occurrences."""
    return max((one, *others), key=_STRICTNESS.index)


def is_same(one: Placement, other: Placement) -> bool:
    if (one.all_day, one.zone if not one.all_day else "") != (other.all_day, other.zone if not other.all_day else ""):
        return False
    place = zone("UTC")
    return (one.starts_at(place), one.ends_at(place)) == (other.starts_at(place), other.ends_at(place))


def fields_of(entry: Entry) -> dict[str, str]:
    return {name: str(getattr(entry, name)) for name in OF_AN_OCCURRENCE}
