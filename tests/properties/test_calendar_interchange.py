"""What goes out as iCalendar comes in elsewhere as what it was: rules at random, with dates added and taken out, and
with occurrences that were moved, renamed and cancelled, over HTTP.
"""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pm_api.core.platform import Platform
from pm_api.core.recurrence import RecurrenceSet
from tests.conftest import NewPerson
from tests.core.recurrence.random_rules import admitted, repeatable
from tests.domains.calendar.diaries import Diary, Json, open_diary
from tests.domains.calendar.files import file_of_event, taken_in
from tests.properties.test_calendar_splits import body_of, clear, seen

ZONES: Final = (
    *("America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "UTC"),
)
SHOWN: Final = (
    *("startTime", "endTime", "startDate", "endDate", "originalStartTime", "title", "status", "allDay", "type"),
    *("showAs", "isException", "uid"),
)
ELSEWHERE: Final = "Asia/Tokyo"


@pytest.fixture
async def here(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


@pytest.fixture
async def there(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def told(shown: list[Json]) -> list[Json]:
    return sorted(({name: one[name] for name in SHOWN} for one in shown), key=str)


def moved(one: Json, chance: random.Random) -> Json:
    """Other times for an occurrence: earlier or later, longer, in another zone, or as whole days."""
    if one["allDay"]:
        by = timedelta(days=chance.choice([-9, -1, 2, 40]))
        days = {name: str(date.fromisoformat(one[name]) + by) for name in ("startDate", "endDate")}
        return {"startTime": days["startDate"], "endTime": days["endDate"]}
    start, end = (datetime.fromisoformat(one[name]) for name in ("startTime", "endTime"))
    if chance.random() < 0.2:
        return {"allDay": True, "startTime": str(start.date()), "endTime": str(end.date() + timedelta(days=1))}
    by = timedelta(minutes=chance.choice([-6000, -180, 0, 45, 1800, 120_000]))
    longer = timedelta(minutes=chance.choice([0, 0, 25, 3000]))
    times: Json = {"startTime": (start + by).isoformat(), "endTime": (end + by + longer).isoformat()}
    return {**times, "timeZone": ELSEWHERE} if chance.random() < 0.3 else times


async def differ(diary: Diary, shown: list[Json], chance: random.Random) -> None:
    """Some occurrences are moved, renamed or taken out; one stays as it is."""
    for one in chance.sample(shown, min(len(shown) - 1, chance.randrange(5))):
        if chance.random() < 0.3:
            await diary.delete(one["id"], scope="this")
            continue
        wanted: Json = moved(one, chance) if chance.random() < 0.7 else {}
        if chance.random() < 0.6:
            wanted |= {"title": f"Other; {chance.random()}, \\n", "showAs": chance.choice(["FREE", "BUSY", "OOO"])}
        await diary.patch(one["id"], query={"scope": "this"}, **wanted)


@repeatable(examples=6, usual_seed=37, soak=300)
@given(series=admitted(zones=ZONES), data=st.data())
async def test_what_went_out_comes_in_as_it_was(
    here: Diary, there: Diary, series: RecurrenceSet, data: st.DataObject
) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    body = body_of(series)
    if body["rdate"] and chance.random() < 0.3:
        del body["rrule"]  # dates alone
    made = await here.post(**body)
    assume(made.status_code == 201)  # by its instants it may be another series, which has no occurrence
    event = made.json()["event"]
    start = datetime.fromisoformat(event["startTime"]).astimezone(UTC) - timedelta(days=2)
    try:
        shown = await seen(here, start)
        assume(shown)
        await differ(here, shown or [], chance)
        before = await seen(here, start)
        assume(before)
        assert before is not None
        file = await file_of_event(here, event["id"])
        report = await taken_in(there, file)
        assert {one["outcome"] for one in report["items"]} == {"CREATED"}, report
        after = await seen(there, start)
        assert after is not None
        assert told(after) == told(before)
        late = start + timedelta(days=chance.randrange(400, 3000))
        assert told(await seen(there, late) or []) == told(await seen(here, late) or [])
        again = await taken_in(there, file)
        assert {one["outcome"] for one in again["items"]} == {"UNCHANGED"}, again
        assert await seen(there, start) == after
    finally:
        await clear(here)
        await clear(there)
