"""Ranges cut at random show what one range shows, over HTTP and from the database; nothing is called otherwise."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pm_api.core.platform import Platform
from pm_api.core.recurrence import RecurrenceSet
from tests.conftest import NewPerson
from tests.core.recurrence.random_rules import admitted, repeatable
from tests.domains.calendar.diaries import Diary, Json, open_diary, path_of
from tests.properties.test_calendar_splits import ZONE, body_of, differ, seen


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def moment(one: Json, name: str) -> datetime:
    return datetime.fromisoformat(one[name])


def meets(one: Json, start: datetime, end: datetime) -> bool:
    begins, ends = moment(one, "startTime"), moment(one, "endTime")
    return start <= begins < end if begins == ends else begins < end and ends > start


def edges(shown: list[Json], start: datetime, end: datetime, chance: random.Random) -> list[datetime]:
    """Anywhere, and just where something begins or ends, a second to either side."""
    found = {start, end}
    for _ in range(chance.randrange(1, 4)):
        found.add(start + timedelta(seconds=chance.randrange(int((end - start).total_seconds()))))
    for one in chance.sample(shown, min(len(shown), 2)):
        found.add(moment(one, chance.choice(["startTime", "endTime"])) + timedelta(seconds=chance.choice([-1, 0, 1])))
    return sorted(one for one in found if start <= one <= end)


@repeatable(examples=5, usual_seed=31, soak=200)
@given(series=admitted(zones=("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC")), data=st.data())
async def test_pieces_show_what_the_whole_shows(diary: Diary, series: RecurrenceSet, data: st.DataObject) -> None:
    made = await diary.post(**body_of(series))
    assume(made.status_code == 201)  # by its instants it may be another series, which has no occurrence
    event = made.json()["event"]
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    start = moment(event, "startTime").astimezone(UTC) - timedelta(days=2)
    end = start + timedelta(days=399)
    try:
        shown = await seen(diary, start)
        assume(shown)
        await differ(diary, shown or [], chance)
        whole = await seen(diary, start)
        assume(whole)
        assert whole is not None
        assert len({one["id"] for one in whole}) == len(whole)
        for early, late in pairwise(edges(whole, start, end, chance)):
            piece = await diary.shown(early.isoformat(), late.isoformat(), tz=ZONE)
            assert piece == [one for one in whole if meets(one, early, late)]
        shifted = await shown_from(diary, start + timedelta(seconds=chance.randrange(86_400 * 30)))
        by_id = {one["id"]: one for one in shifted}
        assert all(by_id[one["id"]] == one for one in whole if one["id"] in by_id)
        for one in chance.sample(whole, min(len(whole), 3)):
            # All-day ones lie where the caller is, who has no zone in this address.
            alone = await diary.read(one["id"])
            assert alone["id"] == one["id"]
            assert one["allDay"] or alone == one
    finally:
        await diary.owner.client.delete(path_of(event["id"]), params={"scope": "all"})


async def shown_from(diary: Diary, start: datetime) -> list[Any]:
    found = await seen(diary, start)
    return found or []
