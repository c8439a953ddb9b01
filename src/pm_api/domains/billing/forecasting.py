"""A straight line, pure: how a figure goes on if it goes on as in this period."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SHORTEST: Final = timedelta(days=1)
"""Of less than this nobody draws a line: two people on the first minute would be thousands in a month."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start`, included, to `end`, not included."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """How many there were when the period began, how many there are now, and how many there may be."""

    began_with: int
    used: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """`at_end` is None where too little is known."""

    at_end: int | None
    reaches_limit_at: datetime | None


def straight_on(course: Course, period: Stretch, now: datetime) -> Line:
    """What the period ends with, and when within it the limit is met: at once where it is met already."""
    grown = course.used - course.began_with
    passed, left = now - period.start, max(period.end - now, timedelta())
    met = now if course.limit is not None and course.used >= course.limit else None
    if passed < SHORTEST and grown:
        return Line(None, met)
    at_end = course.used + round(grown * (left / max(passed, SHORTEST)))
    if met is None and course.limit is not None and grown > 0:
        as_long_again = (course.limit - course.used) / grown
        met = now + passed * as_long_again if as_long_again <= left / passed else None
    return Line(at_end, met)
