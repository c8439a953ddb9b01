"""What a person is shown before a series is saved: the next occurrences, the rule in words, and what may surprise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.core.recurrence.admission import admit
from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.errors import RuleEmpty
from pm_api.core.recurrence.expansion import fits
from pm_api.core.recurrence.periods import MONTH_LENGTHS, resolved
from pm_api.core.recurrence.placement import Placement
from pm_api.core.recurrence.rules import Frequency, Rule
from pm_api.core.recurrence.sets import Occurrence, RecurrenceSet, originals, upcoming
from pm_api.core.recurrence.wording import (
    MONTH_NAMES,
    WEEKDAY_NAMES,
    describe,
    ordinal,
    written_day,
    written_time,
)
from pm_api.core.recurrence.zones import LARGEST_CHANGE, Change, changes, to_local, to_utc

LOOK_AHEAD: Final = timedelta(days=731)
"""Changes of clocks are warned of two years ahead: further on, governments decide."""


class Surprise(StrEnum):
    EMPTY = "EMPTY"
    GAP = "DST_GAP"
    OVERLAP = "DST_OVERLAP"
    SKIPPED = "SKIPPED_DATES"
    START = "START_OUTSIDE_RULE"


@dataclass(frozen=True, slots=True)
class Warned:
    """A surprise in a sentence; the days it happens on where they can be told."""

    kind: Surprise
    text: str
    days: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """`rule` is the canonical text, None without a rule."""

    rule: str | None
    text: str
    occurrences: tuple[Occurrence, ...]
    warnings: tuple[Warned, ...]


def preview(
    series: RecurrenceSet, *, most: int, after: datetime, viewer: str = "UTC", budget: Budget | None = None
) -> Preview:
    """The next occurrences from `after` on, and what to know. Raises RuleTooComplex."""
    budget = budget or Budget()
    return Preview(
        rule=str(series.rule) if series.rule is not None else None,
        text=text_of(series),
        occurrences=tuple(upcoming(series, after, most, viewer=viewer, budget=budget)),
        warnings=tuple(warnings(series, after, budget)),
    )


def try_out(
    placement: Placement,
    *,
    rrule: str | None,
    rdate: tuple[str, ...] = (),
    exdate: tuple[str, ...] = (),
    most: int,
    after: datetime,
    viewer: str = "UTC",
) -> Preview:
    """A preview of what somebody is typing: a rule without an occurrence is told as a warning, since it may be on its
    way to a good one. Everything else that `admit` refuses is refused here too.
    """
    try:
        series = admit(placement, rrule=rrule, rdate=rdate, exdate=exdate, by_rule=True)
    except RuleEmpty as refusal:
        return Preview(
            rrule.strip() if rrule is not None else None, "Never", (), (Warned(Surprise.EMPTY, refusal.detail),)
        )
    found = preview(series, most=most, after=after, viewer=viewer)
    first = series.placement.start
    if first == placement.start:
        return found
    text = f"{written_day(placement.start)} does not fit the rule: the first occurrence is on {written_day(first)}."
    return replace(found, warnings=(Warned(Surprise.START, text, (placement.start.date(),)), *found.warnings))


def text_of(series: RecurrenceSet) -> str:
    """The rule in words, and how many dates were added or taken away."""
    text = "Once" if series.rule is None else describe(series.rule, series.placement)
    if series.rdates:
        text += f", and on {len(series.rdates)} more date{'s' * (len(series.rdates) > 1)}"
    if series.exdates:
        text += f", except on {len(series.exdates)} date{'s' * (len(series.exdates) > 1)}"
    return text


def warnings(series: RecurrenceSet, after: datetime, budget: Budget) -> Iterator[Warned]:
    rule, placement = series.rule, series.placement
    if rule is not None:
        if not fits(rule, placement.start):
            yield Warned(
                Surprise.START,
                f"{written_day(placement.start)} does not fit the rule; it is kept as the first occurrence.",
                (placement.start.date(),),
            )
        for sentence in skipped(rule, placement.start):
            yield Warned(Surprise.SKIPPED, sentence)
    place = placement.place
    if place is not None:
        begin = max(after, to_utc(placement.start, place))
        # A time that is skipped is read as one after the change, so the change may lie before what it is about.
        for change in changes(place, begin - LARGEST_CHANGE, begin + LOOK_AHEAD):
            yield from _at_change(series, change, place, after, budget)


def _at_change(
    series: RecurrenceSet, change: Change, place: ZoneInfo, after: datetime, budget: Budget
) -> Iterator[Warned]:
    first, end = change.unusual
    for wall in originals(series, first, end - timedelta(seconds=1), budget):
        if wall.fold or to_utc(wall, place) < after:  # the second pass was chosen, or it is over
            continue
        on, at = written_day(wall), written_time(wall.time())
        if change.forward:
            then = to_local(to_utc(wall, place), place)
            new = written_time(then.time()) if then.date() == wall.date() else f"{written_day(then)}, {then:%H:%M}"
            text = f"On {on} clocks go forward and skip {at}: it takes place at {new}."
            yield Warned(Surprise.GAP, text, (wall.date(),))
        else:
            text = f"On {on} clocks go back and show {at} twice: the first one counts."
            yield Warned(Surprise.OVERLAP, text, (wall.date(),))


# --- dates that are not in every month or year -------------------------------------------------------------------


def skipped(rule: Rule, start: datetime) -> Iterator[str]:
    """A sentence for each date of the rule that some months or years do not have: such are left out, never moved."""
    full = resolved(rule, start)
    if rule.frequency in {Frequency.MONTHLY, Frequency.YEARLY}:
        yield from _missing_month_days(full)
        yield from _missing_weekdays(full)
    if 366 in full.year_days or -366 in full.year_days:
        yield "Only leap years have 366 days; other years are skipped."
    if 53 in full.week_numbers or -53 in full.week_numbers:
        yield "Most years have no week 53; they are skipped."


def _missing_month_days(full: Rule) -> Iterator[str]:
    months = full.months or tuple(range(1, 13))
    for day in sorted({abs(day) for day in full.month_days if abs(day) > 28}):
        never = [month for month in months if day > (29 if month == 2 else MONTH_LENGTHS[month])]
        from_end = -day in full.month_days and day not in full.month_days
        which = f"{ordinal(-day)} day" if from_end else ordinal(day)
        if never:
            names = ", ".join(MONTH_NAMES[month - 1] for month in never)
            yield f"There is no {which} in {names}: nothing takes place there."
        if day == 29 and 2 in months:
            yield f"February has a {which} in leap years only."


def _missing_weekdays(full: Rule) -> Iterator[str]:
    in_month = full.frequency is Frequency.MONTHLY or bool(full.months)
    for day in full.days:
        if abs(day.ordinal) == (5 if in_month else 53):
            period = "month" if in_month else "year"
            name = WEEKDAY_NAMES[day.weekday]
            yield f"Not every {period} has {_how_many(day.ordinal)} {name}s; those without are skipped."


def _how_many(number: int) -> str:
    return {5: "five"}.get(abs(number), str(abs(number)))
