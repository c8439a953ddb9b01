"""Every part of an installation reads the zones it ships, whatever tables the machine below has."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest
from pydantic import ValidationError

from pm_api.core.recurrence import zone_or_utc
from pm_api.domains.account.schemas.registration import Registration
from pm_api.domains.notifications import preferences
from pm_api.integrations.mail.rendering import moment

SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def odd_machine(tmp_path: Path) -> Iterator[None]:
    """In Berlin it is as late as in Tokyo, and there are clocks on Mars."""
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    for name in ("Europe/Berlin", "Mars/Olympus"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(tokyo)
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert "Mars/Olympus" in zoneinfo.available_timezones()
        yield
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("odd_machine")
def test_digests_and_quiet_hours_go_by_it() -> None:
    found = preferences.rhythm_of(None, "Europe/Berlin").zone
    assert SUMMER.astimezone(found).hour == 14


@pytest.mark.usefixtures("odd_machine")
def test_mails_go_by_it() -> None:
    assert moment("2026-07-01T12:00:00Z", "Europe/Berlin") == "1 July 2026, 14:00 (Europe/Berlin)"


@pytest.mark.usefixtures("odd_machine")
@pytest.mark.parametrize("name", ["Mars/Olympus", "localtime", "Factory", "../etc/passwd", ""])
def test_nobody_lives_in_a_zone_that_is_not_in_it(name: str) -> None:
    person = {"email": "ann@acme.dev", "password": "correct horse battery", "name": "Ann"}
    with pytest.raises(ValidationError, match="is not an IANA time zone"):
        Registration.model_validate({**person, "timeZone": name})
    assert Registration.model_validate({**person, "timeZone": "Europe/Berlin"}).time_zone == "Europe/Berlin"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "localtime"])
def test_a_zone_nobody_knows_is_utc(name: str) -> None:
    assert zone_or_utc(name).key == "UTC"
