"""What a calendar is written from: events with who comes, told as one reader may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pm_api.core.recurrence import RecurrenceSet
from pm_api.domains.calendar.enums import Channel, EventType, Response, ShowAs, Visibility

BUSY_TITLE: Final = "Busy"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by their address, and what they answered."""

    address: str
    name: str = ""
    response: Response = Response.PENDING
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """When whoever has the calendar wants to be told."""

    minutes_before: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class Entry:
    """One event or series. `people_at` has, by the original start of an occurrence, who comes to it where that is
    not who comes to the series. With `only_at` nothing but that occurrence is written, as an invitation to it alone.
    With `is_masked` nothing but its times is.
    """

    uid: str
    set: RecurrenceSet
    title: str
    stamped_at: datetime
    created_at: datetime
    sequence: int = 0
    description: str = ""
    location: str = ""
    type: EventType = EventType.MEETING
    visibility: Visibility = Visibility.DEFAULT
    show_as: ShowAs = ShowAs.BUSY
    organizer: Person | None = None
    people: Sequence[Person] = ()
    people_at: Mapping[datetime, Sequence[Person]] = field(default_factory=lambda: MappingProxyType({}))
    sequences_at: Mapping[datetime, int] = field(default_factory=lambda: MappingProxyType({}))
    alarms: Sequence[Alarm] = ()
    url: str = ""
    is_masked: bool = False
    is_cancelled: bool = False
    only_at: datetime | None = None
