"""The second witness for feeds: ical.js, with which programs in browsers read calendars (`make test-icaljs`)."""

import asyncio
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pm_api.core.platform import Platform
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, open_diary
from tests.domains.calendar.files import Shown, as_shown, expanded, feed_of
from tests.domains.calendar.test_feeds import END, RANGE, START, story

MODULE = os.environ.get("PM_ICALJS", "")
"""Where its module lies."""
PROGRAM = Path(__file__).parent / "icaljs" / "occurrences.mjs"

pytestmark = pytest.mark.skipif(
    not MODULE or not shutil.which("node"),
    reason="ical.js or node is not here: `make test-icaljs` fetches the former",
)


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def seen_by_icaljs(file: Path, zone: str) -> list[Shown]:
    """In a browser that is in this zone: what it shows must not depend on it."""
    call = await asyncio.create_subprocess_exec(
        *("node", PROGRAM, MODULE, file, START.isoformat(), END.isoformat()),
        env={**os.environ, "TZ": zone},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await call.communicate()
    assert call.returncode == 0
    return sorted(
        Shown(datetime.fromisoformat(start).astimezone(UTC), datetime.fromisoformat(end).astimezone(UTC), title)
        for start, end, title in json.loads(output)
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
async def test_icaljs_sees_what_we_show(diary: Diary, tmp_path: Path, zone: str) -> None:
    await story(diary)
    feed = await feed_of(diary)
    content = (await diary.owner.client.get(feed["path"])).content
    file = tmp_path / "feed.ics"
    await asyncio.to_thread(file.write_bytes, content)
    shown = as_shown(await diary.shown(*RANGE, tz="UTC"))
    assert len(shown) == 38
    seen = await seen_by_icaljs(file, zone)
    assert [(one.start, one.title) for one in seen] == [(one.start, one.title) for one in shown]
    # RFC 5545 §3.8.5.3 gives every instance "the same exact duration"; ical.js adds it by the clock on the wall: its
    # ends differ where clocks change within an occurrence, in the night of 8 March.
    ends = [(one, other) for one, other in zip(seen, shown, strict=True) if one.end != other.end]
    assert [(one.title, other.end - one.end) for one, other in ends] == [("Night", timedelta(hours=1))]
    assert {one.start for one, _ in ends} == {datetime(2026, 3, 8, 4, 30, tzinfo=UTC)}
    assert expanded(content, START, END) == shown
