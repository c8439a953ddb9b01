"""VTIMEZONE: dateutil, which knows our zones by that text alone, tells the time as the IANA tables do."""

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.tz import tzical

from pm_api.core.recurrence import zone
from pm_api.core.recurrence.zones import changes, is_gap, is_twice
from pm_api.domains.calendar.ical.foreign import NoSuchZone, Zones, by_name
from pm_api.domains.calendar.ical.lines import parsed
from pm_api.domains.calendar.ical.zones import vtimezone, wall_before_gap

PLACES = (
    *("America/New_York", "Europe/Berlin", "Europe/London", "Europe/Dublin", "Australia/Lord_Howe", "Asia/Kolkata"),
    *("America/Sao_Paulo", "America/Nuuk", "America/Santiago", "Asia/Jerusalem", "Asia/Gaza", "Africa/Cairo"),
    *("Africa/Casablanca", "Asia/Tehran", "Pacific/Apia", "Pacific/Chatham", "America/St_Johns", "Asia/Tokyo"),
)


def unfolded(text: str) -> str:
    return re.sub("X-LIC[^\r]*\r\n", "", text).replace("\r\n ", "").replace("\r\n", "\n")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("first", "last"), [(2024, None), (1995, 2009), (2026, 2026)])
def test_another_program_tells_the_same_time(name: str, first: int, last: int | None) -> None:
    told, place = tzical(io.StringIO(unfolded(vtimezone(name, first, last)))).get(), zone(name)
    assert told is not None
    begin, end = datetime(first, 1, 1, 1, 30), datetime((last or 2075) + 1, 1, 1)  # noqa: DTZ001  # wall time
    asked = {begin + timedelta(days=days, hours=days % 24) for days in range((end - begin).days)}
    soon = datetime(min((last or first + 3) + 1, 2030), 1, 1, tzinfo=UTC)
    for change in changes(place, datetime(first, 1, 1, tzinfo=UTC), soon):
        for seconds in (-7200, -1, 0, 1, 7200):
            asked.add((change.instant + timedelta(seconds=seconds)).astimezone(place).replace(tzinfo=None, fold=0))
    for wall in asked:
        if not is_gap(wall, place) and not is_twice(wall, place):
            assert wall.replace(tzinfo=told).utcoffset() == wall.replace(tzinfo=place).utcoffset(), wall


def test_a_rule_for_ever_is_written_as_one() -> None:
    text = vtimezone("America/New_York", 2026, None)
    assert "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n" in text
    assert "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r\n" in text
    assert "UNTIL" not in text
    assert "RRULE" not in vtimezone("Asia/Tokyo", 2026, None)
    assert "RRULE" not in vtimezone("America/New_York", 2000, 2005), "another rule held then"


def test_the_wall_time_that_clocks_skip() -> None:
    after = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert wall_before_gap(after, "America/New_York") == datetime(2026, 3, 8, 2, 30)  # noqa: DTZ001  # wall time
    assert wall_before_gap(after + timedelta(days=1), "America/New_York") is None
    assert wall_before_gap(datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "America/New_York") is None


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("/mozilla.org/20070129_1/America/New_York", "America/New_York"),
        ("America/Los Angeles", "America/Los_Angeles"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("tokyo standard time", "Asia/Tokyo"),
        ("US-Eastern", "US/Eastern"),
        ("Etc/UTC", "UTC"),
        ("Middle/Earth", None),
        ("Earth/UTC", None),
        ("", None),
        ("/" * 500, None),
    ],
)
def test_names(named: str, meant: str | None) -> None:
    assert by_name(named) == meant


@pytest.mark.parametrize("name", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_a_zone_described_under_another_name_is_found_by_its_clocks(name: str) -> None:
    text = re.sub("X-LIC[^\r]*\r\n", "", vtimezone(name, 2020, None)).replace(f"TZID:{name}", "TZID:Ours")
    found = Zones(parsed(text.encode())).find("Ours", datetime(2026, 1, 1), once=False)  # noqa: DTZ001  # wall time
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    assert changes(zone(found.name), begin, end) == changes(zone(name), begin, end)
    assert found.name in found.note
    with pytest.raises(NoSuchZone, match="does not describe it"):
        Zones([]).find("Ours", datetime(2026, 1, 1), once=False)  # noqa: DTZ001  # wall time
