"""From what somebody sends to placements and recurrence sets: what a time means, and what moves along with it. Pure.

A time on the wire is an instant, read in the zone of the event; a bare date is a day of an all-day one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from pm_api.core.recurrence import Budget, Frequency, Placement, RecurrenceSet, Rule, Span, zone
from pm_api.core.recurrence.admission import STEPS, checked
from pm_api.core.recurrence.errors import StartOutOfRange, naming
from pm_api.core.recurrence.expansion import HORIZON
from pm_api.core.recurrence.parsing import parse_dates, parse_rule
from pm_api.core.recurrence.rules import Day
from pm_api.core.recurrence.zones import to_local, to_utc
from pm_api.domains.calendar.errors.events import refused
from pm_api.domains.calendar.mapping import wall_end

Moment = datetime | date

TIMES: Final = frozenset({"start_time", "end_time", "time_zone", "all_day"})
RULES: Final = frozenset({"rrule", "rdate", "exdate"})
FIRST_YEAR: Final = 1900
_DAY: Final = timedelta(days=1)


# --- placements ----------------------------------------------------------------------------------------------------


def placement_of(start: Moment, end: Moment, zone_name: str, *, all_day: bool, recurs: bool) -> Placement:
    """Of something new; raises ZoneUnknown, ValidationFailed, StartOutOfRange."""
    place = zone(zone_name)
    if all_day:
        made = _on_days(_day(start, zone_name), _day(end, zone_name), zone_name)
    else:
        first, last = _instant(start, "/startTime"), _instant(end, "/endTime")
        made = _timed(to_local(first, place), last - first, zone_name, recurs=recurs)
    made.check()
    return made


def changed_placement(base: Placement, sent: Mapping[str, Any], *, recurs: bool) -> Placement:
    """`base` with those of TIMES that were sent. A start alone takes the end along, a zone alone keeps the wall time,
    `allDay` alone takes the days it touches, or the whole of its days. Raises the same.
    """
    all_day: bool = sent.get("all_day", base.all_day)
    zone_name: str = sent.get("time_zone", base.zone)
    start, end = sent.get("start_time"), sent.get("end_time")
    if start is not None and end is not None:
        return placement_of(start, end, zone_name, all_day=all_day, recurs=recurs)
    if all_day:
        first = _day(start, zone_name) if start is not None else _midnight(base.start)
        made = _on_days(first, _day(end, zone_name) if end is not None else first + _days_of(base), zone_name)
    else:
        place = zone(zone_name)
        wall = to_local(_instant(start, "/startTime"), place) if start is not None else base.start
        wall = wall.replace(fold=0) if recurs else wall
        if end is not None:
            made = _timed(wall, _instant(end, "/endTime") - to_utc(wall, place), zone_name, recurs=recurs)
        elif base.all_day:
            made = Placement.timed(wall, wall + _days_of(base), zone_name)
        else:
            made = Placement(wall, base.span, zone_name)
    made.check()
    return made


def moved_as(
    own: Placement, there: Placement, usual: Placement, sent: Mapping[str, Any], *, recurs: bool
) -> Placement:
    """The series (`usual`) when an occurrence of it that was moved by itself goes from `own` to `there`: it moves by
    as much, and lasts as long as before unless that one lasts otherwise now. Raises the same.
    """
    kept = {name: value for name, value in sent.items() if name in ("time_zone", "all_day")}
    usual = changed_placement(usual, kept, recurs=recurs)
    start = moved_wall(own, replace(there, all_day=usual.all_day), usual.start)
    lasts_otherwise = there.span != own.span and there.all_day == usual.all_day
    return replace(usual, start=start, span=there.span if lasts_otherwise else usual.span)


def _timed(wall: datetime, lasts: timedelta, zone_name: str, *, recurs: bool) -> Placement:
    """What recurs goes by the wall alone: where clocks show its time twice, the first counts."""
    if lasts < timedelta(0):
        raise refused("/endTime", "Must not lie before startTime")
    return Placement(wall.replace(fold=0) if recurs else wall, Span(exact=lasts), zone_name)


def _on_days(first: datetime, end: datetime, zone_name: str) -> Placement:
    if end < first:
        raise refused("/endTime", "Must not lie before startTime")
    return Placement.on_days(first, max(end, first + _DAY), zone_name)


def _days_of(base: Placement) -> timedelta:
    """All-day it lasts these days; otherwise the days that it touches."""
    if base.all_day:
        return timedelta(days=base.span.days)
    first, end = _midnight(base.start), wall_end(base)
    touched = _midnight(end) + (_DAY if end.time() != time() else timedelta(0))
    return max(touched - first, _DAY)


def _instant(moment: Moment, pointer: str) -> datetime:
    if not isinstance(moment, datetime):
        raise refused(pointer, "A bare date is for what is all-day: send allDay too, or a time")
    return moment.replace(microsecond=0)


def _day(moment: Moment, zone_name: str) -> datetime:
    if isinstance(moment, datetime):
        return _midnight(to_local(moment, zone(zone_name)))
    return datetime.combine(moment, time())


def _midnight(wall: datetime) -> datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


# --- recurrence sets -----------------------------------------------------------------------------------------------


def composed(
    placement: Placement, rule: Rule | None, rdates: Iterable[datetime], exdates: Iterable[datetime]
) -> RecurrenceSet:
    """The same checks as `admit`, of parts that are read already; raises a RecurrenceRefused."""
    return checked(RecurrenceSet(placement, rule, tuple(rdates), tuple(exdates)), Budget(STEPS))


def changed_set(whole: RecurrenceSet, placement: Placement, sent: Mapping[str, Any]) -> RecurrenceSet:
    """The series at another placement, with those of RULES that were sent; overrides are not in it. What was not sent
    moves along: the end of the rule, its weekdays, dates that were added and taken out. Raises a RecurrenceRefused.
    """
    place = placement.place
    if "rrule" in sent:
        rule = parse_rule(sent["rrule"], place=place) if sent["rrule"] is not None else None
    else:
        rule = _moved_rule(whole, placement)
    if "rdate" in sent:
        rdates = parse_dates(sent["rdate"], place=place)
    else:
        rdates = tuple(moved_wall(whole.placement, placement, one) for one in whole.rdates)
    if "exdate" in sent:
        with naming(rdate="exdate"):
            exdates = parse_dates(sent["exdate"], place=place)
    else:
        exdates = tuple(moved_wall(whole.placement, placement, one) for one in whole.exdates)
    if rule is not None or rdates:
        placement = placement.at(placement.start.replace(fold=0))
    else:
        exdates = ()
    return composed(placement, rule, rdates, exdates)


def moved_wall(old: Placement, new: Placement, wall: datetime) -> datetime:
    """Where a wall time of a series lies when all of it moves. Raises StartOutOfRange where no calendar reaches."""
    try:
        there = wall + (new.start.replace(fold=0) - old.start.replace(fold=0))
    except OverflowError:
        raise StartOutOfRange from None
    if not FIRST_YEAR <= there.year <= HORIZON.year:
        raise StartOutOfRange
    return _midnight(there) if new.all_day else there


def _moved_rule(whole: RecurrenceSet, placement: Placement) -> Rule | None:
    rule, old = whole.rule, whole.placement
    if rule is None or (old.start, old.zone, old.all_day) == (placement.start, placement.zone, placement.all_day):
        return rule
    rule = _on_other_days(rule, old.start, placement.start)
    if rule.until is not None and not (rule.hours or rule.minutes or rule.seconds):
        rule = rule.ending(until=_moved_until(rule.until, old, placement))
    return parse_rule(str(rule), place=placement.place)


def _moved_until(until: datetime | date, old: Placement, new: Placement) -> datetime | date:
    if until.year >= HORIZON.year:
        return until
    if isinstance(until, datetime):
        wall = to_local(until, old.place or zone("UTC"))
    else:
        wall = datetime.combine(until, time())
    there = moved_wall(old, new, wall.replace(fold=0))
    return there.date() if new.place is None else to_utc(there, new.place)


def _on_other_days(rule: Rule, old: datetime, new: datetime) -> Rule:
    """A weekly rule that is moved by days goes on on those; one for the day of the month that it began on, likewise.
    Others say by themselves when they recur.
    """
    by = (new.date() - old.date()).days
    if not by:
        return rule
    if rule.frequency is Frequency.WEEKLY and rule.days:
        days = tuple(sorted(Day((one.weekday + by) % 7) for one in rule.days))
        counts_weeks = rule.interval > 1 or bool(rule.positions)
        week_start = (rule.week_start + by) % 7 if counts_weeks else rule.week_start
        return replace(rule, days=days, week_start=week_start)
    if rule.month_days == (old.day,) and rule.months in ((), (old.month,)):
        return replace(rule, month_days=(new.day,), months=(new.month,) if rule.months else ())
    return rule
