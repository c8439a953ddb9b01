"""Refusals of recurrence: what a rule may not say, and what may not be asked of a series.

Routes list them with `raises(*ADMISSION)` where a series is written, `raises(*EXPANSION)` where a range is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from pm_api.core.errors import NotFound, Unprocessable


class RecurrenceRefused(Unprocessable):
    """The repetition cannot be used as it was sent."""

    field: ClassVar[str | None] = "rrule"
    """What it is about, as an event calls it; `naming` gives it the name that it has in another request."""

    def __init__(self, detail: str | None = None, *, field: str | None = None, **arguments: Any) -> None:
        super().__init__(detail, **arguments)
        self.point_to(field or self.field)

    def point_to(self, field: str | None) -> None:
        if field is not None:
            self.details = [{"pointer": f"/{field}", "detail": self.detail}]


@contextmanager
def naming(**names: str) -> Iterator[None]:
    """Refusals in it point to the fields as this request calls them: `naming(timeZone="tz")`."""
    try:
        yield
    except RecurrenceRefused as refusal:
        for one in refusal.details or ():
            name = one["pointer"].removeprefix("/")
            one["pointer"] = f"/{names.get(name, name)}"
        raise


class RuleMalformed(RecurrenceRefused):
    """The repetition rule cannot be read.

    A rule is written as in RFC 5545 §3.3.10, for example `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`: parts joined by
    semicolons, each part once.
    """

    code = "recurrence_rule_malformed"


class RuleTooLong(RecurrenceRefused):
    """The repetition rule is longer than 2 KiB."""

    code = "recurrence_rule_too_long"


class FrequencyUnsupported(RecurrenceRefused):
    """A repetition is daily, weekly, monthly or yearly: FREQ is DAILY, WEEKLY, MONTHLY or YEARLY.

    Several times a day are said with BYHOUR and BYMINUTE: `FREQ=DAILY;BYHOUR=9,12,15`.
    """

    code = "recurrence_frequency_unsupported"


class IntervalOutOfRange(RecurrenceRefused):
    """INTERVAL is a whole number from 1 to 1000."""

    code = "recurrence_interval_out_of_range"


class CountOutOfRange(RecurrenceRefused):
    """COUNT is a whole number from 1 to 1000; leave it out, or use UNTIL, for a longer series."""

    code = "recurrence_count_out_of_range"


class CountAndUntil(RecurrenceRefused):
    """A rule ends by COUNT or by UNTIL, never by both."""

    code = "recurrence_count_and_until"


class PartOutOfRange(RecurrenceRefused):
    """A part of the rule holds a number that it cannot hold, such as BYMONTH=13."""

    code = "recurrence_part_out_of_range"


class PartsConflict(RecurrenceRefused):
    """Two parts of the rule cannot stand together, such as BYWEEKNO in a monthly rule."""

    code = "recurrence_parts_conflict"


class RuleTooDense(RecurrenceRefused):
    """The rule repeats more often on one day than a calendar can hold."""

    code = "recurrence_rule_too_dense"


class RuleTooComplex(RecurrenceRefused):
    """The rule repeats so seldom, or so intricately, that its dates cannot be worked out in reasonable time."""

    code = "recurrence_rule_too_complex"
    field = None


class RuleEmpty(RecurrenceRefused):
    """The rule has no occurrence: no day fits all of its parts, or it ends before it begins.

    30 February is such a day. Take away a part, or move the end.
    """

    code = "recurrence_rule_empty"


class DatesMalformed(RecurrenceRefused):
    """An extra or an excluded date cannot be read, or there are more than 1000 of them."""

    code = "recurrence_dates_malformed"
    field = "rdate"


class StartOutOfRange(RecurrenceRefused):
    """What repeats starts between 1900 and 2999, and each occurrence ends after it starts, within 100 years."""

    code = "recurrence_start_out_of_range"
    field = "startTime"


class ZoneUnknown(RecurrenceRefused):
    """The time zone is not one of the IANA database, such as `Europe/Berlin`."""

    code = "time_zone_unknown"
    field = "timeZone"


class WindowRefused(RecurrenceRefused):
    """A range of time ends after it starts and spans 400 days at most; ask for several ranges instead."""

    code = "time_range_refused"
    field = "end"


class TooManyOccurrences(RecurrenceRefused):
    """One series has more than 1000 occurrences in the range; ask for a shorter range."""

    code = "too_many_occurrences"
    field = "end"


class OccurrenceUnknown(NotFound):
    """The series has no such occurrence.

    It may have been taken out, and then PUT brings it back. When the series was split, later occurrences are of the
    series that names this one in `previousSeriesId`.
    """

    code = "occurrence_not_found"


ADMISSION: Final = (
    *(RuleMalformed, RuleTooLong, FrequencyUnsupported, IntervalOutOfRange, CountOutOfRange, CountAndUntil),
    *(PartOutOfRange, PartsConflict, RuleTooDense, RuleTooComplex, RuleEmpty, DatesMalformed, StartOutOfRange),
    ZoneUnknown,
)
EXPANSION: Final = (WindowRefused, TooManyOccurrences, RuleTooComplex, ZoneUnknown)
