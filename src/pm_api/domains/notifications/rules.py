"""When a mail may go out: quiet hours and digest slots in a person's own time zone. Pure: same in, same out.

A zone's days are not all alike. What is asked for at a time that a day skips counts from the moment after the gap; an
hour that a day has twice begins at its first and ends at its last occurrence, so that what is to be quiet then is
quiet both times, and a digest comes once.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pm_api.domains.notifications.enums import DIGEST_HOUR, DIGEST_WEEKDAY, Delivery, Weekday

A_DAY: Final = timedelta(days=1)
AN_HOUR: Final = timedelta(hours=1)
A_SECOND: Final = timedelta(seconds=1)
DAYS_LOOKED_AT: Final = 9
QUIET_IN_A_ROW: Final = 8


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day to another; over midnight when the second is not after the first."""

    begin: time
    end: time


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When one person wants mails, in their zone."""

    zone: ZoneInfo
    quiet: QuietHours | None = None
    digest_hour: int = DIGEST_HOUR
    digest_weekday: Weekday = DIGEST_WEEKDAY


def due_at(now: datetime, delivery: Delivery, rhythm: Rhythm) -> datetime | None:
    """When the mail of what is told now is due; None when it may go at once."""
    if delivery is Delivery.INSTANT:
        return quiet_until(now, rhythm)
    slot = next_slot(now, delivery, rhythm)
    return quiet_until(slot, rhythm) or slot


def next_slot(after: datetime, delivery: Delivery, rhythm: Rhythm) -> datetime:
    """The next moment of a digest, always later than `after`: the full hour (of UTC, so that none is missing or
    double), the person's hour of the day, the same on their day of the week.
    """
    if delivery is Delivery.HOURLY:
        return after.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + AN_HOUR
    today = after.astimezone(rhythm.zone).date()
    for day in (today + A_DAY * number for number in range(-1, DAYS_LOOKED_AT)):
        if delivery is Delivery.WEEKLY and day.isoweekday() != rhythm.digest_weekday.number:
            continue
        slot = first_at(day, time(rhythm.digest_hour), rhythm.zone)
        if slot > after:
            return slot
    raise AssertionError("a week has every day")


def quiet_until(moment: datetime, rhythm: Rhythm) -> datetime | None:
    """When the quiet hours end in which a moment lies; None when it lies in none. The end itself is not quiet."""
    if rhythm.quiet is None:
        return None
    found = moment
    # The end of one night may lie in the next: there are people who want a minute a day.
    for _ in range(QUIET_IN_A_ROW):
        end = _end_of_quiet(found, rhythm.quiet, rhythm.zone)
        if end is None:
            break
        found = end
    return found if found > moment else None


def _end_of_quiet(moment: datetime, quiet: QuietHours, zone: ZoneInfo) -> datetime | None:
    today = moment.astimezone(zone).date()
    for day in (today - A_DAY, today):
        last_day = day if quiet.begin < quiet.end else day + A_DAY
        begin, end = first_at(day, quiet.begin, zone), last_at(last_day, quiet.end, zone)
        if begin <= moment < end:
            return end
    return None


def first_at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The first moment at which a zone's clocks show a time of a day; in a gap, the moment after it. In UTC."""
    return _moment(day, clock, zone, fold=0)


def last_at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The last one."""
    return _moment(day, clock, zone, fold=1)


def _moment(day: date, clock: time, zone: ZoneInfo, fold: int) -> datetime:
    wanted = datetime.combine(day, clock)
    found = wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wanted:
        return found
    # No clock shows it: read by the offset before the gap it lies after it, by the one after it before.
    before = wanted.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wanted.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while after - before > A_SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
