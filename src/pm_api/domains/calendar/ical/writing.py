"""Calendars as text (RFC 5545, and with a METHOD RFC 5546).

An occurrence that was cancelled is an EXDATE of its series: every program leaves it out then, while a VEVENT that is
CANCELLED is shown by some. Where the end of something cannot be said by the clock on the wall, because clocks change
in it, its length is written instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pm_api.core.recurrence import Budget, Override, Placement, RecurrenceSet, Rule, bounds
from pm_api.core.recurrence.errors import RecurrenceRefused
from pm_api.core.recurrence.expansion import fits
from pm_api.core.recurrence.placement import Span
from pm_api.core.recurrence.sets import originals
from pm_api.core.recurrence.zones import LARGEST_CHANGE, is_gap, is_twice, to_utc, zone
from pm_api.domains.calendar.enums import Response, ShowAs, Visibility
from pm_api.domains.calendar.ical import times
from pm_api.domains.calendar.ical.entries import BUSY_TITLE, Entry, Person
from pm_api.domains.calendar.ical.lines import escaped, line, mail_address
from pm_api.domains.calendar.ical.zones import UTC_NAMES, vtimezone, wall_before_gap
from pm_api.domains.calendar.mapping import wall_end

PRODUCT: Final = "-//pm_api//calendar//EN"
MEDIA_TYPE: Final = "text/calendar; charset=utf-8"
PARTICIPATION: Final = {
    Response.PENDING: "NEEDS-ACTION",
    Response.ACCEPTED: "ACCEPTED",
    Response.DECLINED: "DECLINED",
    Response.TENTATIVE: "TENTATIVE",
}
CLASSES: Final = {
    Visibility.DEFAULT: "PUBLIC",
    Visibility.PRIVATE: "PRIVATE",
    Visibility.CONFIDENTIAL: "CONFIDENTIAL",
}
BUSY_STATUS: Final = {
    ShowAs.BUSY: "BUSY",
    ShowAs.TENTATIVE: "TENTATIVE",
    ShowAs.OOO: "OOF",
    ShowAs.FREE: "FREE",
}
END: Final = line("END", "VCALENDAR")


@dataclass(frozen=True, slots=True)
class Years:
    """From the first to the last year that something lies in; `last` None is for ever."""

    first: int
    last: int | None

    def __or__(self, other: "Years") -> "Years":
        endless = self.last is None or other.last is None
        return Years(min(self.first, other.first), None if endless else max(self.last or 0, other.last or 0))


def calendar_of(entries: Sequence[Entry], *, method: str | None = None, name: str = "") -> bytes:
    """A whole calendar, its zones first. `method` makes it a message: REQUEST, CANCEL, …"""
    text = "".join(
        (
            head(method=method, name=name),
            *(time_zone(one, years) for one, years in sorted(zones_of(entries).items())),
            *(events(entry) for entry in entries),
            END,
        )
    )
    return text.encode()


def head(*, method: str | None = None, name: str = "", asked_again_after: timedelta | None = None) -> str:
    """How a calendar begins; `END` ends it. Whoever subscribes to it asks for it again after whole hours (RFC 7986
    §5.7; the X- property is what it was called before).
    """
    parts = [
        line("BEGIN", "VCALENDAR"),
        line("VERSION", "2.0"),
        line("PRODID", PRODUCT),
        line("CALSCALE", "GREGORIAN"),
    ]
    if method is not None:
        parts.append(line("METHOD", method))
    if name:
        parts += [line("NAME", escaped(name)), line("X-WR-CALNAME", escaped(name))]
    if asked_again_after is not None:
        lasts = f"PT{asked_again_after // timedelta(hours=1)}H"
        parts += [line("REFRESH-INTERVAL", lasts, [("VALUE", "DURATION")]), line("X-PUBLISHED-TTL", lasts)]
    return "".join(parts)


def time_zone(name: str, years: Years) -> str:
    return vtimezone(name, years.first, years.last)


def zones_of(entries: Iterable[Entry]) -> dict[str, Years]:
    """The zones that have to be told, each with the years that something lies in it."""
    found: dict[str, Years] = {}
    for entry in entries:
        for name, years in _zones_of(entry.set):
            found[name] = found[name] | years if name in found else years
    return found


def _zones_of(series: RecurrenceSet) -> Iterator[tuple[str, Years]]:
    moved = [one.placement for one in series.overrides if one.placement is not None]
    if _has_zone(series.placement):
        yield series.placement.zone, _years_of(series)
    for placement in moved:
        if _has_zone(placement):
            first = placement.start.year
            yield placement.zone, Years(first, first + 1 + placement.span.longest.days // 365)


def _years_of(series: RecurrenceSet) -> Years:
    try:
        limits = bounds(series)
    except RecurrenceRefused:  # every occurrence is gone, or too far away to be looked for
        return Years(series.placement.start.year, None if series.rule is not None else series.placement.start.year)
    first = min(limits.starts_at.year, series.placement.start.year) - 1
    return Years(first, None if limits.ends_at is None else limits.ends_at.year + 1)


def _has_zone(placement: Placement) -> bool:
    return not placement.all_day and placement.zone not in UTC_NAMES


# --- events -----------------------------------------------------------------------------------------------------


def events(entry: Entry) -> str:
    """The VEVENTs of one event: the series, and each occurrence that differs."""
    if entry.only_at is not None:
        return _occurrence(entry, _override_at(entry, entry.only_at))
    gone = [one.original for one in entry.set.overrides if one.cancelled]
    parts = [_master(entry, gone)]
    excluded = {entry.set.placement.key(one) for one in entry.set.exdates}
    changed = {entry.set.placement.key(one.original): one for one in entry.set.overrides if not one.cancelled}
    if not entry.is_masked:
        for key in entry.people_at:
            if key not in changed:
                changed[key] = Override(entry.set.placement.wall(key))
    parts += [_occurrence(entry, one) for key, one in sorted(changed.items()) if key not in excluded]
    return "".join(parts)


def _override_at(entry: Entry, key: datetime) -> Override:
    found = next((one for one in entry.set.overrides if entry.set.placement.key(one.original) == key), None)
    return found or Override(entry.set.placement.wall(key))


def _master(entry: Entry, gone: Sequence[datetime]) -> str:
    series = entry.set
    parts = [
        line("BEGIN", "VEVENT"),
        *_names(entry, entry.sequence),
        *_times(series.placement, recurs=_recurs(series)),
    ]
    rule, dates = _rule_and_dates(series)
    if rule is not None:
        parts.append(line("RRULE", str(rule)))
    parts += [_moment("RDATE", series.placement, one) for one in dates]
    excluded = dict.fromkeys((*series.exdates, *gone))
    parts += [_moment("EXDATE", series.placement, by_rule(series, one)) for one in sorted(excluded)]
    parts += _what(entry, {})
    parts += _who(entry, entry.people)
    return "".join((*parts, line("END", "VEVENT")))


def _rule_and_dates(series: RecurrenceSet) -> tuple[Rule | None, Sequence[datetime]]:
    """So that every program finds the same occurrences. The first start is one, and counts, also where the rule does
    not say it (§3.8.5.3); many leave it out then, and count one more. It is told as a date of its own, and the end as
    a moment.
    """
    rule, placement = series.rule, series.placement
    if rule is None or _says_its_start(series):
        return rule, series.rdates
    last, place = series.counted_end, placement.place
    if rule.count is not None and last is not None:
        until = last.date() if place is None else to_utc(last, place)
        rule = rule.ending(until=until) if last > placement.start else None
    return rule, [placement.start, *(one for one in series.rdates if one != placement.start)]


def _says_its_start(series: RecurrenceSet) -> bool:
    try:
        return series.rule is None or fits(series.rule, series.placement.start)
    except RecurrenceRefused:
        return True


def _occurrence(entry: Entry, override: Override) -> str:
    series, key = entry.set, entry.set.placement.key(override.original)
    placement = override.placement or series.placement.at(by_rule(series, override.original))
    sequence = max(entry.sequence, entry.sequences_at.get(key, 0))
    parts = [line("BEGIN", "VEVENT"), *_names(entry, sequence)]
    if _recurs(series):
        parts.append(_moment("RECURRENCE-ID", series.placement, by_rule(series, override.original)))
    parts += _times(placement, recurs=override.placement is None)
    parts += _what(entry, override.changes, is_cancelled=override.cancelled)
    parts += _who(entry, entry.people_at.get(key, entry.people))
    return "".join((*parts, line("END", "VEVENT")))


def _names(entry: Entry, sequence: int) -> Iterator[str]:
    yield line("UID", escaped(entry.uid))
    yield line("DTSTAMP", times.written_utc(entry.stamped_at))
    yield line("CREATED", times.written_utc(entry.created_at))
    yield line("LAST-MODIFIED", times.written_utc(entry.stamped_at))
    yield line("SEQUENCE", str(sequence))


def _what(entry: Entry, changes: Any, *, is_cancelled: bool = False) -> Iterator[str]:
    def now(name: str) -> str:
        return str(changes.get(name, getattr(entry, name)))

    cancelled = entry.is_cancelled or is_cancelled
    yield line("STATUS", "CANCELLED" if cancelled else "CONFIRMED")
    show_as = ShowAs(now("show_as"))
    yield line("TRANSP", "TRANSPARENT" if show_as is ShowAs.FREE else "OPAQUE")
    yield line("X-MICROSOFT-CDO-BUSYSTATUS", BUSY_STATUS[show_as])
    yield line("CLASS", CLASSES[Visibility(now("visibility"))])
    if entry.is_masked:
        yield line("SUMMARY", BUSY_TITLE)
        return
    yield line("SUMMARY", escaped(now("title")))
    yield line("X-PM-TYPE", now("type"))
    if now("description"):
        yield line("DESCRIPTION", escaped(now("description")))
    if now("location"):
        yield line("LOCATION", escaped(now("location")))
    if entry.url:
        yield line("URL", entry.url)


def _who(entry: Entry, people: Sequence[Person]) -> Iterator[str]:
    if entry.is_masked:
        return
    if entry.organizer is not None:
        named = [("CN", entry.organizer.name)] if entry.organizer.name else []
        yield line("ORGANIZER", mail_address(entry.organizer.address), named)
    for one in people:
        parameters = [("CN", one.name)] if one.name else []
        parameters += [
            ("ROLE", "OPT-PARTICIPANT" if one.is_optional else "REQ-PARTICIPANT"),
            ("PARTSTAT", PARTICIPATION[one.response]),
            ("RSVP", "TRUE" if one.response is Response.PENDING else "FALSE"),
        ]
        yield line("ATTENDEE", mail_address(one.address), parameters)


# --- times ------------------------------------------------------------------------------------------------------


def _recurs(series: RecurrenceSet) -> bool:
    return series.rule is not None or bool(series.rdates)


def _times(placement: Placement, *, recurs: bool) -> Iterator[str]:
    if placement.all_day:
        yield _day("DTSTART", placement.start)
        yield _day("DTEND", placement.start + timedelta(days=placement.span.days))
        return
    place = zone(placement.zone)
    if placement.start.fold and not recurs and is_twice(placement.start.replace(fold=0), place):
        # The second pass of an hour that comes twice has no name in its own zone.
        start = to_utc(placement.start, place)
        yield line("DTSTART", times.written_utc(start))
        yield from _length(placement.span)
        return
    yield _moment("DTSTART", placement, placement.start)
    if placement.span.is_zero:
        return
    end = wall_end(placement)
    said = not placement.span.days and not is_gap(placement.start, place)
    if said and Span.between(placement.start.replace(fold=0), end, place) == placement.span:
        yield _moment("DTEND", placement, end)
    else:
        yield from _length(placement.span)


def _length(span: Span) -> Iterator[str]:
    if not span.is_zero:
        yield line("DURATION", times.written_span(span))


def _moment(name: str, placement: Placement, wall: datetime) -> str:
    """As the placement's own times are written: a date, UTC, or wall time with its zone."""
    if placement.all_day:
        return _day(name, wall)
    if placement.zone in UTC_NAMES:
        return line(name, f"{times.written_wall(wall)}Z")
    return line(name, times.written_wall(wall), [("TZID", placement.zone)])


def _day(name: str, day: datetime) -> str:
    return line(name, times.written_date(day.date()), [("VALUE", "DATE")])


def by_rule(series: RecurrenceSet, wall: datetime) -> datetime:
    """The wall time as the rule says it. They differ only where clocks are set forward: what a rule puts at 02:30
    happens at 03:30 then, and other programs look for it by the former.
    """
    placement = series.placement
    if placement.all_day or placement.zone in UTC_NAMES:
        return wall
    key = placement.key(wall)
    skipped = wall_before_gap(key, placement.zone)
    if skipped is None:
        return wall
    bare = RecurrenceSet(placement, series.rule, series.rdates, counted_end=series.counted_end)
    try:
        said = set(originals(bare, skipped - LARGEST_CHANGE, skipped + LARGEST_CHANGE, Budget()))
    except RecurrenceRefused:
        return wall
    return skipped if skipped in said and wall not in said else wall
