"""Series laid out in time: which occurrences lie in a window, and by which id each is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pm_api.core.recurrence import Occurrence, Window, expand, occurrence_at, zone
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.core.recurrence.sets import Override
from pm_api.domains.calendar.mapping import Series

ENDED: Final = (
    "The series has no such occurrence: it ends before. When it was split, look in the series that names it in "
    "`previousSeriesId`."
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A single event, or one occurrence of a series, where it lies."""

    series: Series
    occurrence: Occurrence
    cancelled: bool = False

    @property
    def id(self) -> str:
        """The event's own when it does not recur."""
        return self.occurrence.id(self.series.id) if self.series.recurs else str(self.series.id)

    @property
    def start(self) -> datetime:
        return self.occurrence.starts_at

    @property
    def end(self) -> datetime:
        return self.occurrence.ends_at

    @property
    def original_at(self) -> datetime | None:
        """What names an occurrence of a series; None for a single event."""
        return self.occurrence.key if self.series.recurs else None

    @property
    def override(self) -> Override | None:
        return self.occurrence.override

    def value(self, name: str) -> Any:
        """A field as this occurrence has it, by the name of calendar_events' column."""
        override = self.occurrence.override
        if override is not None and name in override.changes:
            return override.changes[name]
        return getattr(self.series.event, name)


def placed(series_list: Iterable[Series], window: Window, viewer_zone: str) -> list[Placed]:
    """Everything that meets the window, ordered by (start, id); all-day ones lie in the viewer's zone.

    Raises TooManyOccurrences over 1,000 of one series, RuleTooComplex.
    """
    found = [Placed(one, each) for one in series_list for each in expand(one.set, window, viewer=viewer_zone)]
    return sorted(found, key=order)


def order(one: Placed) -> tuple[datetime, str]:
    return one.start, one.id


def first_of(series: Series, viewer_zone: str) -> Placed:
    """A single event where it lies; of a series where its DTSTART lies."""
    placement, place = series.set.placement, zone(viewer_zone)
    return Placed(
        series,
        Occurrence(
            placement.key(placement.start), placement, placement.starts_at(place), placement.ends_at(place), None
        ),
    )


def one_of(series: Series, original_at: datetime, viewer_zone: str, *, cancelled: bool = False) -> Placed:
    """The occurrence with an original start; with `cancelled` one that was taken out too, where it was to be.

    Raises OccurrenceUnknown.
    """
    if not series.recurs:
        raise OccurrenceUnknown
    found = occurrence_at(series.set, original_at, viewer=viewer_zone)
    if found is not None:
        return Placed(series, found)
    placement = series.set.placement
    taken = next((one for one in series.set.overrides if placement.key(one.original) == original_at), None)
    if taken is not None and taken.cancelled and not cancelled:
        raise OccurrenceUnknown("This occurrence was taken out of its series; PUT brings it back.")
    if taken is None or not taken.cancelled:
        if series.event.series_ends_at is not None and original_at >= series.event.series_ends_at:
            raise OccurrenceUnknown(ENDED)
        raise OccurrenceUnknown
    place, at = zone(viewer_zone), taken.placement or placement.at(taken.original)
    there = Occurrence(original_at, at, at.starts_at(place), at.ends_at(place), taken)
    return Placed(series, there, cancelled=True)
