"""A series that is cut anywhere, over HTTP: the two parts show what the one showed."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pm_api.core.platform import Platform
from pm_api.core.recurrence import RecurrenceSet
from tests.conftest import NewPerson
from tests.core.recurrence.random_rules import admitted, repeatable
from tests.domains.calendar.diaries import Diary, Json, open_diary, path_of

SHOWN: Final = ("startTime", "endTime", "startDate", "endDate", "originalStartTime", "title", "status")
ZONE: Final = "Europe/Berlin"


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def body_of(series: RecurrenceSet) -> Json:
    """What a client sends to have it."""
    placement = series.placement
    utc = ZoneInfo("UTC")
    if placement.all_day:
        days = (placement.start.date(), (placement.start + timedelta(days=placement.span.days)).date())
        start, end = (str(one) for one in days)
    else:
        start, end = (one.isoformat() for one in (placement.starts_at(utc), placement.ends_at(utc)))
    return {
        "title": "Whole",
        "startTime": start,
        "endTime": end,
        "allDay": placement.all_day,
        "timeZone": placement.zone,
        "rrule": str(series.rule),
        "rdate": [one.date().isoformat() if placement.all_day else one.isoformat() for one in series.rdates],
        "exdate": [one.date().isoformat() if placement.all_day else one.isoformat() for one in series.exdates],
    }


async def seen(diary: Diary, start: datetime) -> list[Json] | None:
    """What a range shows, without the names of series; None when it is more than a range may show."""
    asked: Json = {
        "workspaceId": diary.id,
        "start": start.isoformat(),
        "end": (start + timedelta(days=399)).isoformat(),
        "tz": ZONE,
        "limit": 200,
    }
    found: list[Json] = []
    while True:
        answer = await diary.owner.client.get("/api/calendar/events", params=asked)
        if answer.status_code == 422:
            assert answer.json()["code"] in ("too_many_occurrences", "recurrence_rule_too_complex"), answer.text
            return None
        assert answer.status_code == 200, answer.text
        found += answer.json()["events"]
        if answer.json()["nextCursor"] is None:
            return found
        asked["cursor"] = answer.json()["nextCursor"]


def told(shown: list[Json], *but: str) -> list[list[Any]]:
    names = [name for name in SHOWN if name not in but]
    return sorted(([one[name] for name in names] for one in shown), key=str)


async def differ(diary: Diary, shown: list[Json], chance: random.Random) -> None:
    """Some occurrences are moved, renamed or taken out."""
    for one in chance.sample(shown, min(len(shown) - 1, chance.randrange(4))):
        moved: Json = {}
        if chance.random() < 0.6 and not one["allDay"]:
            by = timedelta(hours=chance.choice([-100, -3, 5, 30, 2000]))
            for name in ("startTime", "endTime"):
                moved[name] = (datetime.fromisoformat(one[name]) + by).isoformat()
        if chance.random() < 0.3:
            await diary.owner.client.delete(path_of(one["id"]), params={"scope": "this"})
        else:
            await diary.patch(one["id"], query={"scope": "this"}, title=f"Other {chance.random()}", **moved)


@repeatable(examples=6, usual_seed=23, soak=240)
@given(series=admitted(zones=("America/New_York", "Europe/Berlin", "Australia/Lord_Howe")), data=st.data())
async def test_the_parts_show_what_the_whole_showed(diary: Diary, series: RecurrenceSet, data: st.DataObject) -> None:
    made = await diary.post(**body_of(series))
    if made.status_code == 422:  # by its instant it is another series, which may be none
        assume(False)
    assert made.status_code == 201, made.text
    whole = made.json()["event"]
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    start = datetime.fromisoformat(whole["startTime"]).astimezone(UTC) - timedelta(days=2)
    try:
        shown = await seen(diary, start)
        assume(shown)
        assert shown is not None
        await differ(diary, shown, chance)
        before = await seen(diary, start)
        assume(before)
        assert before is not None
        cut = chance.choice(before)
        answer = await diary.owner.client.patch(
            path_of(cut["id"]), params={"scope": "following"}, json={"description": "Second part"}
        )
        assert answer.status_code == 200, answer.text
        after = await seen(diary, start)
        assert after is not None
        assert told(after) == told(before)
        second = answer.json()["event"]
        series_id = second["seriesId"] or second["id"]
        original = cut["originalStartTime"]
        for one in after:
            is_later = one["originalStartTime"] >= original
            assert (one["seriesId"] == series_id) == (is_later or series_id == whole["id"]), one
        if series_id != whole["id"]:
            assert {one["id"] for one in after if one["seriesId"] == whole["id"]} == {
                one["id"] for one in before if one["originalStartTime"] < original
            }, "those before keep their names"
    finally:
        await clear(diary)


async def clear(diary: Diary) -> None:
    """Each example has the calendar for itself."""
    answer = await diary.owner.client.get("/api/calendar/events", params={"workspaceId": diary.id, "limit": 200})
    for one in answer.json()["events"]:
        await diary.delete(one["id"], scope="all")
