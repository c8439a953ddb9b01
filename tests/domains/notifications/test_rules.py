"""Quiet hours and digests by the wall clocks of zones whose days are not all alike."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_api.domains.notifications.enums import Delivery, Weekday
from pm_api.domains.notifications.rules import (
    QuietHours,
    Rhythm,
    due_at,
    first_at,
    last_at,
    next_slot,
    quiet_until,
)
from tests.support.soak import rounds

NEW_YORK, BERLIN, LORD_HOWE = (
    ZoneInfo("America/New_York"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Australia/Lord_Howe"),
)
A_MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rhythm(zone: ZoneInfo, begin: str, end: str, **more: object) -> Rhythm:
    return Rhythm(zone, QuietHours(time.fromisoformat(begin), time.fromisoformat(end)), **more)  # type: ignore[arg-type]


# --- one time of one day ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "clock", "first", "last"),
    [
        # An ordinary day.
        (NEW_YORK, "2026-03-07", "02:30", "2026-03-07T07:30", "2026-03-07T07:30"),
        # Skipped: the moment after the gap, however far into it.
        (NEW_YORK, "2026-03-08", "02:30", "2026-03-08T07:00", "2026-03-08T07:00"),
        (NEW_YORK, "2026-03-08", "02:00", "2026-03-08T07:00", "2026-03-08T07:00"),
        (NEW_YORK, "2026-03-08", "03:00", "2026-03-08T07:00", "2026-03-08T07:00"),
        (BERLIN, "2026-03-29", "02:59", "2026-03-29T01:00", "2026-03-29T01:00"),
        # Half an hour is skipped there.
        (LORD_HOWE, "2026-10-04", "02:10", "2026-10-03T15:30", "2026-10-03T15:30"),
        (LORD_HOWE, "2026-10-04", "02:30", "2026-10-03T15:30", "2026-10-03T15:30"),
        # Twice.
        (NEW_YORK, "2026-11-01", "01:30", "2026-11-01T05:30", "2026-11-01T06:30"),
        (BERLIN, "2026-10-25", "02:00", "2026-10-25T00:00", "2026-10-25T01:00"),
        (LORD_HOWE, "2026-04-05", "01:45", "2026-04-04T14:45", "2026-04-04T15:15"),
        (LORD_HOWE, "2026-04-05", "02:00", "2026-04-04T15:30", "2026-04-04T15:30"),
    ],
)
def test_a_time_of_a_day(zone: ZoneInfo, day: str, clock: str, first: str, last: str) -> None:
    wanted = date.fromisoformat(day), time.fromisoformat(clock)
    assert (first_at(*wanted, zone), last_at(*wanted, zone)) == (utc(first), utc(last))


# --- quiet hours -----------------------------------------------------------------------------------------------


def test_the_begin_is_quiet_and_the_end_is_not() -> None:
    night = rhythm(BERLIN, "22:00", "07:00")
    assert quiet_until(utc("2026-01-10T20:59:59"), night) is None
    assert quiet_until(utc("2026-01-10T21:00"), night) == utc("2026-01-11T06:00")
    assert quiet_until(utc("2026-01-11T05:59:59"), night) == utc("2026-01-11T06:00")
    assert quiet_until(utc("2026-01-11T06:00"), night) is None
    noon = rhythm(BERLIN, "12:00", "14:00")
    assert quiet_until(utc("2026-01-10T11:30"), noon) == utc("2026-01-10T13:00")
    assert quiet_until(utc("2026-01-10T23:00"), noon) is None
    assert quiet_until(utc("2026-01-10T23:00"), Rhythm(BERLIN)) is None


@pytest.mark.parametrize(
    ("zone", "begin", "end", "moment", "until"),
    [
        # The night that loses an hour, and the one that has one twice, end by the clock on the wall.
        (NEW_YORK, "22:00", "07:00", "2026-03-08T03:00", "2026-03-08T11:00"),
        (NEW_YORK, "22:00", "07:00", "2026-11-01T02:00", "2026-11-01T12:00"),
        (BERLIN, "22:00", "07:00", "2026-03-28T21:30", "2026-03-29T05:00"),
        (BERLIN, "22:00", "07:00", "2026-10-24T20:00", "2026-10-25T06:00"),
        (LORD_HOWE, "22:00", "07:00", "2026-10-03T12:00", "2026-10-03T20:00"),
        (LORD_HOWE, "22:00", "07:00", "2026-04-04T12:00", "2026-04-04T20:30"),
        # They end in the gap: with it.
        (NEW_YORK, "22:00", "02:30", "2026-03-08T05:00", "2026-03-08T07:00"),
        (BERLIN, "22:00", "02:30", "2026-03-29T00:00", "2026-03-29T01:00"),
        (LORD_HOWE, "22:00", "02:15", "2026-10-03T15:00", "2026-10-03T15:30"),
        # They begin in the gap.
        (NEW_YORK, "02:30", "05:00", "2026-03-08T07:10", "2026-03-08T09:00"),
        (NEW_YORK, "02:30", "05:00", "2026-03-08T06:59", None),
        # They end in the hour that comes twice: it is quiet both times.
        (NEW_YORK, "22:00", "01:30", "2026-11-01T05:45", "2026-11-01T06:30"),
        (BERLIN, "22:00", "02:30", "2026-10-25T00:45", "2026-10-25T01:30"),
        (LORD_HOWE, "22:00", "01:45", "2026-04-04T14:50", "2026-04-04T15:15"),
        # They begin in it: from the first time on.
        (NEW_YORK, "01:30", "07:00", "2026-11-01T06:10", "2026-11-01T12:00"),
        (BERLIN, "02:30", "07:00", "2026-10-25T00:30", "2026-10-25T06:00"),
        (LORD_HOWE, "01:45", "07:00", "2026-04-04T15:05", "2026-04-04T20:30"),
        # All of them fall into the gap: there are none that day.
        (NEW_YORK, "02:10", "02:50", "2026-03-08T07:00", None),
        # Nearly the whole day: one minute is left, and what ends at it is no new night.
        (BERLIN, "07:00", "06:59", "2026-01-10T12:00", "2026-01-11T05:59"),
    ],
)
def test_nights_of_all_lengths(zone: ZoneInfo, begin: str, end: str, moment: str, until: str | None) -> None:
    found = quiet_until(utc(moment), rhythm(zone, begin, end))
    assert found == (None if until is None else utc(until))


def on_the_clock(moment: datetime, quiet: QuietHours, zone: ZoneInfo) -> bool:
    """What the clock on the wall says."""
    now = moment.astimezone(zone).time()
    if quiet.begin < quiet.end:
        return quiet.begin <= now < quiet.end
    return now >= quiet.begin or now < quiet.end


def minutes(first: datetime, hours: int) -> Iterator[datetime]:
    return (first + A_MINUTE * number for number in range(hours * 60))


@settings(max_examples=rounds(24, 600), deadline=None)
@given(
    zone_and_day=st.sampled_from(
        [
            (NEW_YORK, "2026-03-07T12:00"),
            (NEW_YORK, "2026-10-31T12:00"),
            (BERLIN, "2026-03-28T12:00"),
            (BERLIN, "2026-10-24T12:00"),
            (LORD_HOWE, "2026-10-03T00:00"),
            (LORD_HOWE, "2026-04-04T00:00"),
        ]
    ),
    begin=st.integers(0, 24 * 60 - 1),
    length=st.integers(1, 24 * 60 - 1),
)
def test_every_minute_around_a_change_agrees_with_the_wall(
    zone_and_day: tuple[ZoneInfo, str], begin: int, length: int
) -> None:
    """What the wall's clock calls quiet is quiet. Beside it only what lies between two showings of one hour is; and
    the end is the first minute that is quiet no more.
    """
    zone, first = zone_and_day
    end = (begin + length) % (24 * 60)
    quiet = QuietHours(time(begin // 60, begin % 60), time(end // 60, end % 60))
    mine = Rhythm(zone, quiet)
    walk = list(minutes(utc(first), 36))
    ends = {moment: quiet_until(moment, mine) for moment in walk}
    for moment in walk:
        until = ends[moment]
        if on_the_clock(moment, quiet, zone):
            assert until is not None, moment
        elif until is not None:
            local = moment.astimezone(zone)
            near = {(moment + A_MINUTE * shift).astimezone(zone).utcoffset() for shift in (-61, 61)}
            assert len(near) == 2, f"{local} is quiet, and no hour comes twice there"
        if until is not None:
            assert until > moment
            assert ends.get(until) is None
            following = moment + A_MINUTE
            assert following == until or ends.get(following, until) is not None, "a gap before its end"


# --- digests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hour", "around", "expected"),
    [
        (NEW_YORK, 2, "2026-03-07T00:00", ["2026-03-07T07:00", "2026-03-08T07:00", "2026-03-09T06:00"]),
        (NEW_YORK, 1, "2026-10-31T00:00", ["2026-10-31T05:00", "2026-11-01T05:00", "2026-11-02T06:00"]),
        (BERLIN, 2, "2026-03-28T00:00", ["2026-03-28T01:00", "2026-03-29T01:00", "2026-03-30T00:00"]),
        (BERLIN, 2, "2026-10-23T23:00", ["2026-10-24T00:00", "2026-10-25T00:00", "2026-10-26T01:00"]),
        (LORD_HOWE, 2, "2026-10-02T10:00", ["2026-10-02T15:30", "2026-10-03T15:30", "2026-10-04T15:00"]),
        (LORD_HOWE, 1, "2026-04-03T10:00", ["2026-04-03T14:00", "2026-04-04T14:00", "2026-04-05T14:30"]),
    ],
)
def test_one_daily_digest_a_day(zone: ZoneInfo, hour: int, around: str, expected: list[str]) -> None:
    """Also on the day that has no such hour, and on the one that has two."""
    mine, at, found = Rhythm(zone, digest_hour=hour), utc(around), []
    for _ in expected:
        at = next_slot(at, Delivery.DAILY, mine)
        found.append(at)
    assert found == [utc(one) for one in expected]


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, LORD_HOWE, ZoneInfo("Pacific/Apia"), ZoneInfo("UTC")])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 8, 23])
def test_a_year_of_days_has_as_many_digests(zone: ZoneInfo, hour: int) -> None:
    mine, at, days = Rhythm(zone, digest_hour=hour), utc("2026-01-01T12:00"), []
    while at < utc("2027-01-05T00:00"):
        at = next_slot(at, Delivery.DAILY, mine)
        days.append(at.astimezone(zone).date())
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]


def test_the_weekly_digest_comes_on_its_day_at_its_hour() -> None:
    mine = Rhythm(NEW_YORK, digest_hour=9, digest_weekday=Weekday.SUNDAY)
    at, found = utc("2026-02-27T00:00"), []
    for _ in range(3):
        at = next_slot(at, Delivery.WEEKLY, mine)
        found.append(at)
    assert found == [utc("2026-03-01T14:00"), utc("2026-03-08T13:00"), utc("2026-03-15T13:00")]


def test_the_hourly_digest_comes_every_hour_also_when_the_clocks_change() -> None:
    mine, at, found = Rhythm(BERLIN), utc("2026-10-24T22:10"), []
    for _ in range(5):
        at = next_slot(at, Delivery.HOURLY, mine)
        found.append(at)
    assert found == [utc("2026-10-24T23:00") + timedelta(hours=number) for number in range(5)]


def test_a_digest_at_its_very_moment_is_the_next_one() -> None:
    mine = Rhythm(BERLIN, digest_hour=8)
    assert next_slot(utc("2026-01-10T07:00"), Delivery.DAILY, mine) == utc("2026-01-11T07:00")
    assert next_slot(utc("2026-01-10T06:59:59"), Delivery.DAILY, mine) == utc("2026-01-10T07:00")


def test_a_digest_in_quiet_hours_waits_for_their_end() -> None:
    mine = rhythm(BERLIN, "22:00", "07:30", digest_hour=6)
    assert due_at(utc("2026-01-10T12:00"), Delivery.DAILY, mine) == utc("2026-01-11T06:30")
    assert due_at(utc("2026-01-10T22:10"), Delivery.HOURLY, mine) == utc("2026-01-11T06:30")
    assert due_at(utc("2026-01-10T12:10"), Delivery.HOURLY, mine) == utc("2026-01-10T13:00")
    assert due_at(utc("2026-01-10T12:10"), Delivery.INSTANT, mine) is None
    assert due_at(utc("2026-01-10T23:10"), Delivery.INSTANT, mine) == utc("2026-01-11T06:30")
