"""What a recurrence would give, before anything is saved. Bounded by the steps of core/recurrence, and pure but for
whose clocks a wall time is read by that names no zone.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NoReturn

from pm_api.core.actor import UserScope
from pm_api.core.errors import ValidationFailed
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, Placement, Span, try_out, zone
from pm_api.core.recurrence.errors import StartOutOfRange, naming
from pm_api.core.recurrence.sets import EARLIEST
from pm_api.core.recurrence.zones import to_local, to_utc
from pm_api.domains.calendar.repository import surroundings
from pm_api.domains.calendar.schemas.previews import (
    PreviewedOccurrence,
    PreviewWarning,
    RulePreview,
    RulePreviewRequest,
)

_ICALENDAR: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z?))?", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(
    r"\+?P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?", re.ASCII
)
_DAY_LENGTH: Final = len("2026-03-02")


async def answer(platform: Platform, scope: UserScope, wanted: RulePreviewRequest) -> RulePreview:
    """`preview` for a caller: their zone is that of a wall time that names none. Raises ValidationFailed, a
    RecurrenceRefused.
    """
    floating = "UTC"
    if floats(wanted):
        async with platform.database.reading() as session:
            floating = await surroundings.time_zone_of(session, scope.user_id)
    # In a thread: a thousand occurrences take longer than others should wait for.
    return await asyncio.to_thread(preview, wanted, floating)


def preview(wanted: RulePreviewRequest, floating: str = "UTC") -> RulePreview:
    """The first occurrences, what they are called, and what may surprise; `floating` is the zone of wall times that
    name none.

    An empty rule is a warning here, since it may be on its way to a good one; whatever else a series may not have is
    refused as it is when an event is made. Raises ValidationFailed for texts that are no times, a RecurrenceRefused.
    """
    ends = "duration" if wanted.duration is not None else "dtend"
    with naming(startTime="dtstart", endTime=ends, timeZone="tzid"):
        placement = placement_of(wanted, floating)
        found = try_out(
            placement,
            rrule=wanted.rrule,
            rdate=_texts(wanted.rdate),
            exdate=_texts(wanted.exdate),
            most=wanted.count + 1,
            after=wanted.after or EARLIEST,
            viewer=placement.zone,
        )
    return RulePreview(
        occurrences=[_shown(one) for one in found.occurrences[: wanted.count]],
        has_more=len(found.occurrences) > wanted.count,
        rrule=found.rule,
        text=found.text,
        warnings=[PreviewWarning(code=one.kind, detail=one.text, dates=list(one.days)) for one in found.warnings],
    )


def floats(wanted: RulePreviewRequest) -> bool:
    """Whether it is a wall time that names no zone. Raises ValidationFailed."""
    start = read_moment(wanted.dtstart, "dtstart")
    if not isinstance(start, datetime):
        return wanted.tzid is None and wanted.all_day is False
    return wanted.tzid is None and start.tzinfo is None and not wanted.all_day


def placement_of(wanted: RulePreviewRequest, floating: str) -> Placement:
    """Raises ValidationFailed, StartOutOfRange, ZoneUnknown."""
    start = read_moment(wanted.dtstart, "dtstart")
    end = read_moment(wanted.dtend, "dtend") if wanted.dtend is not None else None
    if wanted.dtend is not None and wanted.duration is not None:
        _refuse("duration", "Either dtend or duration, not both")
    if end is not None and isinstance(end, datetime) != isinstance(start, datetime):
        _refuse("dtend", "Both dtstart and dtend are times, or both are days")
    all_day = wanted.all_day if wanted.all_day is not None else not isinstance(start, datetime)
    zone_name = wanted.tzid if wanted.tzid is not None else floating if floats(wanted) else "UTC"
    wall = _wall(start, zone_name)
    if wall.microsecond or not 1900 <= wall.year < 3000:
        raise StartOutOfRange
    if all_day:
        first = wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return Placement(first, _days(first, end, wanted.duration, zone_name), zone_name, all_day=True)
    recurs = wanted.rrule is not None or bool(_texts(wanted.rdate))
    span = _span(start, end, wanted.duration, zone_name)
    return Placement(wall.replace(fold=0) if recurs else wall, span, zone_name)


def read_moment(text: str, name: str) -> datetime | date:
    """A wall time, an instant, or a day, as iCalendar or RFC 3339 writes it; raises ValidationFailed."""
    written = text.strip()
    known = _ICALENDAR.fullmatch(written)
    try:
        if known is not None:
            on = date(*map(int, known.groups()[:3]))
            if known[4] is None:
                return on
            at = time(int(known[4]), int(known[5]), int(known[6]))
            return datetime.combine(on, at, tzinfo=UTC if known[7] else None)
        if len(written) == _DAY_LENGTH:
            return date.fromisoformat(written)
        return datetime.fromisoformat(written)
    except ValueError:
        _refuse(name, "Neither a day nor a time, such as 2026-03-02T09:00:00, 20260302T090000Z or 2026-03-02")


def read_duration(text: str) -> Span:
    """Weeks and days by the calendar, the rest exact; raises ValidationFailed."""
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()):
        _refuse("duration", "Not a duration, such as PT1H30M or P1D")
    weeks, days, hours, minutes, seconds = (int(one or 0) for one in found.groups())
    try:
        return Span(weeks * 7 + days, timedelta(hours=hours, minutes=minutes, seconds=seconds))
    except OverflowError:
        _refuse("duration", "Longer than any event")


def _wall(moment: datetime | date, zone_name: str) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    if moment.tzinfo is None:
        return moment
    try:
        return to_local(moment, zone(zone_name))
    except OverflowError:
        raise StartOutOfRange from None


def _span(start: datetime | date, end: datetime | date | None, duration: str | None, zone_name: str) -> Span:
    if duration is not None:
        return read_duration(duration)
    if end is None:
        return Span()
    wall, until = _wall(start, zone_name), _wall(end, zone_name)
    if isinstance(start, datetime) and isinstance(end, datetime) and start.tzinfo and end.tzinfo:
        return _ends_after(Span(exact=end - start))
    place = zone(zone_name)
    if not 1900 <= until.year < 3200:
        raise StartOutOfRange(field="endTime")
    if isinstance(end, datetime) and end.tzinfo:
        return _ends_after(Span(exact=end - to_utc(wall, place)))
    return _ends_after(Span.between(wall, until, place))


def _days(first: datetime, end: datetime | date | None, duration: str | None, zone_name: str) -> Span:
    if duration is not None:
        span = read_duration(duration)
        whole, rest = divmod(span.exact, timedelta(days=1))
        return Span(max(span.days + whole + bool(rest), 1))
    if end is None:
        return Span(1)
    until = _wall(end, zone_name)
    days = (until.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) - first).days
    return _ends_after(Span(days if days < 0 else max(days, 1)))


def _ends_after(span: Span) -> Span:
    if span.days < 0 or span.exact < timedelta():
        _refuse("dtend", "Must not lie before dtstart")
    return span


def _texts(dates: Sequence[str] | str | None) -> tuple[str, ...]:
    return (dates,) if isinstance(dates, str) else tuple(dates or ())


def _shown(one: Occurrence) -> PreviewedOccurrence:
    placement = one.placement
    first = placement.start.date() if placement.all_day else None
    return PreviewedOccurrence(
        start=one.starts_at,
        end=one.ends_at,
        start_date=first,
        end_date=first + timedelta(days=placement.span.days) if first is not None else None,
    )


def _refuse(name: str, detail: str) -> NoReturn:
    raise ValidationFailed(f"{name}: {detail}", details=[{"pointer": f"/{name}", "detail": detail}])
