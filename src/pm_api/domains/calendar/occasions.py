"""When something is, in words for notifications, mails and the page behind a link; and whether two people were told
the same. Pure.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence import Occurrence, Placement, occurrence_at, occurrence_id, text_of, zone_or_utc
from pm_api.core.recurrence.zones import to_local
from pm_api.domains.calendar.mapping import Series

A_DAY: Final = timedelta(days=1)
UTC_NAME: Final = "UTC"
PATH: Final = "/calendar/events/"


def shown(series: Series, name: str, at: datetime | None) -> Any:
    """A field of the event, or of one occurrence as it differs."""
    if at is not None:
        key = series.set.placement.key
        for one in series.set.overrides:
            if key(one.original) == at and name in one.changes:
                return one.changes[name]
    return getattr(series.event, name)


def placement_at(series: Series, at: datetime | None) -> Placement:
    """Where the event lies, or the occurrence with this original start, also one that is cancelled."""
    whole = series.set.placement
    if at is None:
        return whole
    for one in series.set.overrides:
        if whole.key(one.original) == at:
            return one.placement or whole.at(one.original)
    return whole.at(whole.wall(at))


def is_there(series: Series, at: datetime) -> bool:
    """Whether the series has this occurrence still. Raises RuleTooComplex."""
    return occurrence(series, at) is not None


def occurrence(series: Series, at: datetime, viewer: str = UTC_NAME) -> Occurrence | None:
    return occurrence_at(series.set, at, viewer=viewer)


def when(placement: Placement, reader: str | None = None) -> str:
    """`Monday, 2 March 2026, 09:00–10:00 (America/New_York)`, in the zone it was made in, or in the reader's."""
    if placement.all_day:
        return _days(placement)
    name = reader or placement.zone
    place = zone_or_utc(name)
    start, end = placement.starts_at(place), placement.ends_at(place)
    first, last = to_local(start, place), to_local(end, place)
    if first == last:
        return f"{day(first)}, {first:%H:%M} ({name})"
    if first.date() == last.date():
        return f"{day(first)}, {first:%H:%M}–{last:%H:%M} ({name})"
    return f"{day(first)}, {first:%H:%M} – {day(last)}, {last:%H:%M} ({name})"


def moment(at: datetime, place: ZoneInfo, name: str) -> str:
    local = to_local(at, place)
    return f"{day(local)}, {local:%H:%M} ({name})"


def recurs(series: Series) -> str | None:
    """How a series recurs, in words."""
    return text_of(series.set) if series.recurs else None


def day(one: datetime) -> str:
    return f"{one:%A}, {one.day} {one:%B} {one.year}"


def _days(placement: Placement) -> str:
    last = placement.start + timedelta(days=placement.span.days) - A_DAY
    return day(placement.start) if last <= placement.start else f"{day(placement.start)} – {day(last)}"


def digest(series: Series, only_at: datetime | None, excused: list[datetime]) -> bytes:
    """Of all that an invitation says: equal as long as nobody has to be told anew."""
    event = series.event
    said: list[Any] = [event.uid, event.organizer_user_id]
    if only_at is None:
        said += [event.title, event.description, event.location]
        said += [event.starts_wall, event.ends_wall, event.time_zone, event.all_day, event.rrule]
        said += [event.rdates, event.exdates, sorted(excused)]
        said += [
            (
                one.original,
                one.cancelled,
                one.placement,
                sorted((key, str(value)) for key, value in one.changes.items()),
            )
            for one in series.set.overrides
        ]
    else:
        said += [placement_at(series, only_at), *(str(shown(series, one, only_at)) for one in ("title", "location"))]
        said += [str(shown(series, "description", only_at)), only_at]
    return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()


def between(place: Placement, start: datetime, end: datetime) -> str:
    """Two moments where the event is at home."""
    name = UTC_NAME if place.all_day else place.zone
    return f"{moment(start, zone_or_utc(name), name)} – {moment(end, zone_or_utc(name), name)}"


def id_of(series: Series, at: datetime | None) -> str:
    """The id on the wire: the event's own, or its occurrence's."""
    return str(series.id) if at is None or not series.recurs else occurrence_id(series.id, at)
