"""Between rows and recurrence sets: what is stored of a series, and the value that core/recurrence reckons with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pm_api.core.recurrence import Override, Placement, RecurrenceSet, Span, bounds, tzdata_version, zone
from pm_api.core.recurrence.parsing import parse_rule
from pm_api.core.recurrence.zones import to_local
from pm_api.domains.calendar.models import CalendarEvent, CalendarOverride

UTC_ZONE = zone("UTC")
NOT_MOVED: Final = dict.fromkeys(
    (
        *("all_day", "time_zone", "starts_wall", "ends_wall", "span_days", "span_seconds"),
        *("starts_at", "ends_at"),
    )
)


@dataclass(frozen=True, slots=True)
class Series:
    """An event with what differs in single occurrences of it, ready to be expanded."""

    event: CalendarEvent
    overrides: Sequence[CalendarOverride]
    set: RecurrenceSet

    @property
    def id(self) -> UUID:
        return self.event.id

    @property
    def recurs(self) -> bool:
        """Whether it is a series: with a rule or added dates."""
        return self.event.rrule is not None or bool(self.event.rdates)


def series_of(event: CalendarEvent, overrides: Iterable[CalendarOverride] = ()) -> Series:
    rows = sorted(overrides, key=lambda one: one.original_at)
    placement = placement_of(event)
    return Series(
        event,
        rows,
        RecurrenceSet(
            placement=placement,
            rule=parse_rule(event.rrule, place=placement.place) if event.rrule else None,
            rdates=tuple(event.rdates),
            exdates=tuple(event.exdates),
            overrides=tuple(override_of(one) for one in rows),
            counted_end=event.counted_end,
        ),
    )


def placement_of(event: CalendarEvent) -> Placement:
    span = Span(days=event.span_days, exact=timedelta(seconds=event.span_seconds))
    placement = Placement(event.starts_wall, span, event.time_zone, event.all_day)
    return placement if event.rrule or event.rdates else _second_pass(placement, event.starts_at)


def override_of(row: CalendarOverride) -> Override:
    return Override(row.original_wall, row.cancelled, moved_to(row), row.fields)


def moved_to(row: CalendarOverride) -> Placement | None:
    """Where an occurrence was moved to, if it was."""
    if row.starts_wall is None or row.time_zone is None:
        return None
    span = Span(days=row.span_days or 0, exact=timedelta(seconds=row.span_seconds or 0))
    placement = Placement(row.starts_wall, span, row.time_zone, bool(row.all_day))
    return _second_pass(placement, row.starts_at)


def _second_pass(placement: Placement, starts_at: datetime | None) -> Placement:
    """A column cannot say which of two equal wall times is meant when clocks go back: the instant beside it can."""
    if placement.all_day or placement.starts_at(UTC_ZONE) == starts_at:
        return placement
    later = placement.at(placement.start.replace(fold=1))
    return later if later.starts_at(UTC_ZONE) == starts_at else placement


def placement_between(start: datetime, end: datetime, zone_name: str, *, all_day: bool, recurs: bool) -> Placement:
    """From two instants, by the wall of a zone; all-day ones begin and end at the midnights of their days there.

    Something that recurs goes by the wall alone: where clocks show its time twice, the first counts. Raises
    ZoneUnknown.
    """
    place = zone(zone_name)
    if all_day:
        first, last = (_midnight(to_local(one, place)) for one in (start, end))
        return Placement.on_days(first, max(last, first + timedelta(days=1)), zone_name)
    wall = to_local(start, place)
    return Placement(wall.replace(fold=0) if recurs else wall, Span(exact=end - start), zone_name)


def wall_end(placement: Placement) -> datetime:
    """The wall time at which it ends, in its own zone; the midnight after the last day when all-day."""
    if placement.all_day:
        return placement.start + timedelta(days=placement.span.days)
    place = zone(placement.zone)
    return to_local(placement.ends_at(place), place).replace(fold=0)


def columns_of_placement(placement: Placement) -> dict[str, Any]:
    """What calendar_events and calendar_overrides store of a placement; all-day ones lie as in UTC."""
    return {
        "all_day": placement.all_day,
        "time_zone": placement.zone,
        "starts_wall": placement.start,
        "ends_wall": wall_end(placement),
        "span_days": placement.span.days,
        "span_seconds": int(placement.span.exact.total_seconds()),
        "starts_at": placement.starts_at(UTC_ZONE),
        "ends_at": placement.ends_at(UTC_ZONE),
    }


def columns_of_set(series: RecurrenceSet) -> dict[str, Any]:
    """What calendar_events stores of a whole series, bounds and release of the zone tables included."""
    limits = bounds(series)
    return {
        **columns_of_placement(series.placement),
        "rrule": str(series.rule) if series.rule is not None else None,
        "rdates": list(series.rdates),
        "exdates": list(series.exdates),
        "counted_end": series.counted_end,
        "series_starts_at": limits.starts_at,
        "series_ends_at": limits.ends_at,
        "tzdata_version": tzdata_version(),
    }


def columns_of_override(event: CalendarEvent, override: Override) -> dict[str, Any]:
    """What calendar_overrides stores of one occurrence that differs."""
    return {
        "event_id": event.id,
        "workspace_id": event.workspace_id,
        "original_at": placement_of(event).key(override.original),
        "original_wall": override.original,
        "cancelled": override.cancelled,
        "fields": dict(override.changes),
        **(columns_of_placement(override.placement) if override.placement is not None else NOT_MOVED),
    }


def _midnight(wall: datetime) -> datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
