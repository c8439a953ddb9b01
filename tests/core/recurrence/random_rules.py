"""Rules, series and windows at random, for properties; the same ones in every run but a soak."""

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis import strategies as st

from pm_api.core.recurrence import Placement, RecurrenceSet, admit
from pm_api.core.recurrence.errors import RecurrenceRefused
from pm_api.core.recurrence.rules import Day, Frequency, Rule
from tests.support.soak import SOAKING, rounds

SEED: Final = "PM_RECURRENCE_SEED"
ZONES: Final = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC")

Test = Callable[..., None]


def repeatable(examples: int, usual_seed: int, soak: int | None = None) -> Callable[[Test], Test]:
    """Bounded, and the same examples every time in `make test`; new ones, and more, in `make soak`: twenty times as
    many unless told.
    """
    number = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else usual_seed))
    configured = settings(
        max_examples=rounds(short=examples, long=soak or examples * 20),
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(number)(configured(test))


def some(least: int, greatest: int, most: int = 3, *, from_end: bool = False) -> st.SearchStrategy[tuple[int, ...]]:
    numbers = st.integers(least, greatest)
    if from_end:
        numbers = st.one_of(numbers, numbers.map(lambda number: -number))
    lists = st.lists(numbers, min_size=1, max_size=most, unique=True).map(lambda found: tuple(sorted(found)))
    return st.one_of(st.just(()), st.just(()), lists)


plain_days = st.lists(st.integers(0, 6).map(Day), max_size=4, unique=True).map(lambda days: tuple(sorted(days)))


def counted_days(most: int) -> st.SearchStrategy[tuple[Day, ...]]:
    ordinals = st.sampled_from([0, *range(-most, 0), *range(1, most + 1)])
    days = st.builds(Day, st.integers(0, 6), ordinals)
    return st.lists(days, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))


starts = st.datetimes(datetime.fromisoformat("1995-01-01"), datetime.fromisoformat("2035-01-01")).map(
    lambda at: at.replace(microsecond=0)
)


@st.composite
def rules(draw: st.DrawFn, start: datetime, *, ends: bool = True) -> Rule:
    frequency = draw(st.sampled_from(list(Frequency)))
    fields: dict[str, Any] = {
        "months": draw(some(1, 12)),
        "week_start": draw(st.sampled_from([0, 0, 6, 3])),
        "interval": draw(st.sampled_from([1, 1, 1, 2, 3, 4, 7, 12, 13])),
        "hours": draw(some(0, 23)),
        "minutes": draw(some(0, 59, 2)),
        "seconds": draw(st.sampled_from([(), (), (), (0,), (15, 45)])),
    }
    match frequency:
        case Frequency.YEARLY:
            fields |= {
                "year_days": draw(some(1, 366, from_end=True)),
                "week_numbers": draw(some(1, 53, from_end=True)),
                "month_days": draw(some(1, 31, from_end=True)),
            }
            most = 5 if fields["months"] else 53
            fields["days"] = draw(plain_days if fields["week_numbers"] else counted_days(most))
        case Frequency.MONTHLY:
            fields |= {"month_days": draw(some(1, 31, from_end=True)), "days": draw(counted_days(5))}
        case Frequency.WEEKLY:
            fields["days"] = draw(plain_days)
        case Frequency.DAILY:
            fields |= {"month_days": draw(some(1, 31, from_end=True)), "days": draw(plain_days)}
    chooses = any(fields.get(name) for name in ("months", "month_days", "days", "year_days", "week_numbers", "hours"))
    if chooses:
        fields["positions"] = draw(st.one_of(st.just(()), st.just(()), some(1, 6, from_end=True)))
    if ends:
        match draw(st.sampled_from(["never", "count", "until"])):
            case "count":
                fields["count"] = draw(st.integers(1, 40))
            case "until":
                fields["until"] = (start + timedelta(seconds=draw(st.integers(0, 86_400 * 1500)))).replace(tzinfo=UTC)
    return Rule(frequency, **fields)


@st.composite
def admitted(
    draw: st.DrawFn,
    *,
    zones: tuple[str, ...] = ZONES,
    ends: bool = True,
    extras: bool = True,
    all_day: bool | None = None,
) -> RecurrenceSet:
    """A series that was let in, with dates added and taken away."""
    start = draw(starts)
    days = draw(st.booleans()) if all_day is None else all_day
    rule = draw(rules(start, ends=ends))
    if days:
        start = datetime.combine(start.date(), datetime.min.time())
        length = draw(st.integers(1, 3))
        placement = Placement.on_days(start, start + timedelta(days=length), draw(st.sampled_from(zones)))
    else:
        minutes = draw(st.sampled_from([0, 15, 60, 60, 60, 600, 1440, 4000]))
        placement = Placement.timed(start, start + timedelta(minutes=minutes), draw(st.sampled_from(zones)))
    rdate: tuple[str, ...] = ()
    exdate: tuple[str, ...] = ()
    if extras:
        near = st.integers(0, 400).map(lambda number: _text(start + timedelta(days=number), days))
        rdate, exdate = tuple(draw(st.lists(near, max_size=3))), tuple(draw(st.lists(near, max_size=4)))
    try:
        text = str(rule)
        if days and isinstance(rule.until, datetime):
            text = str(rule.ending(until=rule.until.date()))
        return admit(placement, rrule=text, rdate=rdate, exdate=exdate)
    except RecurrenceRefused:
        assume(False)
        raise


def _text(at: datetime, all_day: bool) -> str:
    return f"{at:%Y%m%d}" if all_day else f"{at:%Y%m%dT%H%M%S}"
