"""From wall time to the time line: a second before, at and after every change of clocks of 30 zones."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import pytest
from dateutil import tz

from pm_api.core.recurrence import Placement, RecurrenceSet, Rule, Span, Window, expand, tzdata_version
from pm_api.core.recurrence.errors import ZoneUnknown
from pm_api.core.recurrence.rules import Frequency
from pm_api.core.recurrence.zones import Change, changes, is_gap, is_twice, to_local, to_utc, zone
from tests.core.recurrence.places import utc, wall

SECOND: Final = timedelta(seconds=1)
YEARS: Final = (datetime(1985, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
"""Nepal's only change is that of 1986."""
ZONES: Final = (
    *("Africa/Cairo", "Africa/Casablanca", "America/Adak", "America/Asuncion", "America/Caracas", "America/Chicago"),
    *("America/Havana", "America/Los_Angeles", "America/New_York", "America/Nuuk", "America/Santiago"),
    *("America/Sao_Paulo", "America/St_Johns", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Gaza"),
    *("Asia/Kathmandu", "Asia/Pyongyang", "Asia/Tehran", "Atlantic/Azores", "Australia/Lord_Howe"),
    *("Australia/Sydney", "Europe/Berlin", "Europe/Dublin", "Europe/Istanbul", "Europe/London", "Pacific/Apia"),
    *("Pacific/Chatham", "Pacific/Kiritimati"),
)


@cache
def all_changes(name: str) -> Sequence[Change]:
    return changes(zone(name), *YEARS)


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        ("America/New_York", ["2007-03-11 07:00:00", "2007-11-04 06:00:00"]),
        ("Europe/Dublin", ["2007-03-25 01:00:00", "2007-10-28 01:00:00"]),
        ("Australia/Lord_Howe", ["2007-03-24 15:00:00", "2007-10-27 15:30:00"]),
        ("Asia/Tehran", []),
    ],
)
def test_changes_are_found_to_the_second(name: str, moments: list[str]) -> None:
    found = changes(zone(name), utc("2007-01-01"), utc("2008-01-01"))
    assert [f"{one.instant:%Y-%m-%d %H:%M:%S}" for one in found] == moments


def test_every_change_of_thirty_zones_is_looked_at() -> None:
    """Two a year where clocks change, and the odd ones: Samoa's day, half hours, Ramadan in Morocco."""
    assert len(ZONES) == len(set(ZONES)) == 30
    assert all(all_changes(name) for name in ZONES)
    assert len(all_changes("America/New_York")) == len(all_changes("Europe/Berlin")) == 92
    assert len(all_changes("Africa/Casablanca")) > 50
    # An hour for a summer in 1985, half of one since.
    assert {one.after - one.before for one in all_changes("Australia/Lord_Howe")} >= {
        timedelta(minutes=30),
        timedelta(minutes=-30),
    }
    assert [one.instant for one in all_changes("Pacific/Apia") if one.after - one.before == timedelta(days=1)] == [
        utc("2011-12-30 10:00")
    ]
    assert [one.after - one.before for one in all_changes("Asia/Kathmandu")] == [timedelta(minutes=15)]
    assert {one.after - one.before for one in all_changes("Antarctica/Troll")} >= {
        timedelta(hours=2),
        timedelta(hours=-2),
    }
    assert sum(len(all_changes(name)) for name in ZONES) > 1800


@pytest.mark.parametrize("name", ZONES)
def test_a_second_around_every_change(name: str) -> None:
    place = zone(name)
    for change in all_changes(name):
        at = change.instant
        low, high = change.unusual
        assert to_utc(low - SECOND, place) == (low - SECOND).replace(tzinfo=UTC) - change.before
        assert to_utc(high, place) == high.replace(tzinfo=UTC) - change.after
        assert to_local(at - SECOND, place) == (low if change.forward else high) - SECOND
        assert to_local(at, place) == (high if change.forward else low)
        for one in (low, low + SECOND, high - SECOND):
            # A gap is read with the offset before it; of two the first one also has the offset before.
            assert to_utc(one, place) == one.replace(tzinfo=UTC) - change.before
            assert is_gap(one, place) is change.forward
            assert is_twice(one, place) is not change.forward
        for one in (low - SECOND, high):
            assert not is_gap(one, place)
            assert not is_twice(one, place)


@pytest.mark.parametrize("name", ZONES)
def test_a_series_around_every_change(name: str) -> None:
    """A daily series whose wall time is a second before, at, or after the change; through windows of one second."""
    place = zone(name)
    for change in all_changes(name):
        low, high = change.unusual
        for start in (low - SECOND, low, low + SECOND, high - SECOND, high):
            begin = start - timedelta(days=3)
            daily = RecurrenceSet(Placement(begin, Span(), name), Rule(Frequency.DAILY))
            expected = to_utc(start, place)
            assert expected in {one.key for one in expand(daily, Window(expected, expected + SECOND))}
            assert expected not in {one.key for one in expand(daily, Window(expected - SECOND, expected))}
            assert expected not in {
                one.key for one in expand(daily, Window(expected + SECOND, expected + 2 * SECOND))
            }


@pytest.mark.parametrize(
    "name", ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "Etc/GMT+5", "US/Eastern"]
)
def test_zones_agree_with_a_second_reader(name: str) -> None:
    """dateutil's own reader of zone files, over days at random places of the clock."""
    from_dateutil = tz.gettz(name)
    assert from_dateutil is not None
    for day in range(0, 9000, 11):
        at = wall("2001-01-01 00:07") + timedelta(days=day, minutes=day * 37 % 1440)
        if is_gap(at, zone(name)):
            continue
        assert to_utc(at, zone(name)) == at.replace(tzinfo=from_dateutil).astimezone(UTC)


def test_what_says_itself_that_it_is_the_second_pass_is() -> None:
    twice = wall("2026-11-01 01:30")
    assert to_utc(twice, zone("America/New_York")) == utc("2026-11-01 05:30")
    assert to_utc(twice.replace(fold=1), zone("America/New_York")) == utc("2026-11-01 06:30")
    assert to_local(utc("2026-11-01 06:30"), zone("America/New_York")).fold == 1


@pytest.mark.parametrize(
    "name",
    [
        *("", "Nowhere/City", "America", "../UTC", "/etc/passwd", "America/../UTC", "america/new_york "),
        *(
            "Factory",
            "localtime",
            "posixrules",
            "zone.tab",
            "tzdata.zi",
            "leapseconds",
            "__init__.py",
            "America/__init__",
        ),
        *(
            "Europe/Berlin\n",
            "Europe\\Berlin",
            "x" * 5000,
            "Europe/Berlin/Mitte/1",
            "\N{FULLWIDTH LATIN CAPITAL LETTER U}TC",
        ),
    ],
)
def test_other_names_are_no_zones(name: str) -> None:
    with pytest.raises(ZoneUnknown) as refusal:
        zone(name)
    assert refusal.value.code == "time_zone_unknown"


def test_every_zone_of_the_package_is_known_and_its_release_too() -> None:
    assert zone("Europe/Kyiv") is zone("Europe/Kyiv")
    assert zone("UTC").utcoffset(None) == timedelta(0)
    assert tzdata_version()[:4].isdigit()


def test_a_placement_in_no_zone_is_refused() -> None:
    placement = replace(Placement(wall("2026-01-01"), Span(), "UTC"), zone="Atlantis/Capital")
    with pytest.raises(ZoneUnknown):
        placement.check()
