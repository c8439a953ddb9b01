"""Events as iCalendar: one, a range, all; what goes out comes in again with the same meaning."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import icalendar
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.domains.calendar.files import (
    EXPORT,
    as_shown,
    expanded,
    exported,
    file_of,
    file_of_event,
    parts_of,
    send,
    taken_in,
)
from tests.support.soak import rounds

SHIPPED = sorted(Path(icalendar.__file__).parent.rglob("*.ics"))
"""Whatever calendars have troubled the library that everybody reads calendars with."""
BATCHES = rounds(2, 4)
KEPT = (
    *("title", "description", "location", "type", "visibility", "showAs", "allDay", "timeZone", "rrule", "sequence"),
    *("startTime", "endTime", "uid"),
)


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def masters(diary: Diary) -> list[Json]:
    answer = await diary.owner.client.get("/api/calendar/events", params={"workspaceId": diary.id, "limit": 200})
    assert answer.status_code == 200, answer.text
    assert answer.json()["nextCursor"] is None
    found: list[Json] = answer.json()["events"]
    return found


async def meaning(diary: Diary) -> tuple[list[Json], list[Json]]:
    """What a calendar says: its events and series, and each occurrence near their beginnings. Where somebody was who
    made an all-day event is no part of it.
    """
    events = await masters(diary)
    series = sorted(({name: one[name] for name in KEPT} for one in events), key=lambda one: str(one["uid"]))
    shown: list[Json] = []
    for year in sorted({one["startTime"][:4] for one in events}):
        found = await diary.shown(f"{year}-01-01T00:00:00Z", f"{int(year) + 1}-01-20T00:00:00Z", tz="UTC")
        shown += [
            {name: one[name] for name in (*KEPT, "originalStartTime", "isException") if name != "rrule"}
            for one in found
        ]
    for one in (*series, *shown):
        if one["allDay"]:
            del one["timeZone"]
    return series, sorted(shown, key=lambda one: (one["startTime"], one["uid"], str(one["originalStartTime"])))


def differing(here: list[Json], there: list[Json]) -> list[Json]:
    """What is on one side alone."""
    return [one for one in (*here, *there) if (one in here) != (one in there)]


async def test_everything_comes_in_again_as_it_went_out(diary: Diary, new_person: NewPerson) -> None:
    weekly = await diary.series(title="Weekly", description="What; comes, **next**\n\\n", location="Room; 4")
    await diary.patch(
        key(weekly["id"], "20260309T130000Z"),
        query={"scope": "this"},
        startTime="2026-03-10T15:30:00-04:00",
        endTime="2026-03-10T16:00:00-04:00",
        title="Weekly, moved",
    )
    await diary.delete(key(weekly["id"], "20260316T130000Z"), scope="this")
    await diary.event(title="Out", type="REMINDER", showAs="OOO", visibility="PRIVATE", rdate=["2026-04-01T09:00:00"])
    await diary.event(title="Days", allDay=True, startTime="2026-03-02", endTime="2026-03-05", showAs="FREE")
    await diary.series(title="Gap", startTime="2026-03-07T02:30:00-05:00", endTime="2026-03-07T03:30:00-05:00",
                       rrule="FREQ=DAILY;COUNT=3")  # fmt: skip
    await diary.event(title="Instant", startTime="2026-11-01T06:30:00Z", endTime="2026-11-01T06:30:00Z")
    await diary.event(
        title="Second pass", startTime="2026-11-01T06:30:00Z", endTime="2026-11-01T07:10:00Z", type="CALL"
    )
    there = await meaning(diary)
    other = await open_diary(diary.platform, new_person)
    report = await taken_in(other, await exported(diary))
    assert report["refused"] == 0, report
    here = await meaning(other)
    # The second pass of an hour that comes twice has a name in UTC alone.
    for one in (*there[0], *there[1], *here[0], *here[1]):
        if one["title"] in ("Second pass", "Instant"):
            one["timeZone"] = "UTC"
    assert [one for pair in zip(here, there, strict=True) for one in differing(*pair)] == []
    assert (await taken_in(other, await exported(diary)))["unchanged"] == report["created"]


async def imported(diary: Diary, path: Path) -> int:
    """How many events a file of others brought. One that is refused says why, and so does each of its parts."""
    answer = await send(diary, path.read_bytes(), timeZone="Europe/Vienna")
    if answer.status_code == 422:
        assert answer.json()["code"] == "invalid_calendar", path
        assert len(answer.json()["detail"]) > 20, path
        return 0
    assert answer.status_code == 200, (path, answer.text)
    report = answer.json()["report"]
    for one in report["items"]:
        assert (one["outcome"] == "REFUSED") == (one["eventId"] is None) == (one["reason"] is not None), (path, one)
    return int(report["created"])


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_the_files_that_trouble_others(diary: Diary, new_person: NewPerson, batch: int) -> None:
    """Each file of the library's own tests is taken in or says why not; what was taken in goes out and comes in again
    with the same meaning, in the short run that of every fourth.
    """
    files = SHIPPED[batch::BATCHES]
    sent_out = files[:: rounds(4, 1)]
    assert sum([await imported(diary, path) for path in sent_out]) > 5
    other = await open_diary(diary.platform, new_person)
    out = await exported(diary)
    again = await taken_in(other, out, timeZone="Asia/Tokyo")
    assert again["refused"] == 0, [one for one in again["items"] if one["reason"]]
    pairs = zip(await meaning(other), await meaning(diary), strict=True)
    assert [one for pair in pairs for one in differing(*pair)] == []
    assert len(parts_of(out)) == len(again["items"])
    for path in files:
        if path not in sent_out:
            await imported(diary, path)


async def test_one_event_and_one_occurrence(diary: Diary) -> None:
    weekly = await diary.series(title="Weekly", rrule="FREQ=WEEKLY;BYDAY=MO")
    await diary.patch(key(weekly["id"], "20260309T130000Z"), query={"scope": "this"}, title="Other")
    whole = parts_of(await file_of_event(diary, weekly["id"]))
    assert [str(one["SUMMARY"]) for one in whole] == ["Weekly", "Other"]
    [event] = parts_of(await file_of_event(diary, key(weekly["id"], "20260309T130000Z")))
    assert str(event["SUMMARY"]) == "Other"
    assert event["RECURRENCE-ID"].to_ical() == b"20260309T090000"
    assert event["RECURRENCE-ID"].params["TZID"] == "America/New_York", "in the zone of the series"
    [event] = parts_of(await file_of_event(diary, key(weekly["id"], "20260316T130000Z")))
    assert (str(event["SUMMARY"]), "RRULE" in event) == ("Weekly", False)
    absent = await diary.owner.client.get(path_of(key(weekly["id"], "20260317T130000Z"), ".ics"))
    assert refusal(absent) == (404, "event_not_found")


async def test_a_range_holds_what_meets_it(diary: Diary) -> None:
    await diary.series(title="March to May", rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=10")
    await diary.event(title="In March")
    await diary.event(title="In July", startTime="2026-07-01T09:00:00Z", endTime="2026-07-01T10:00:00Z")
    window: Json = {"start": "2026-04-01T00:00:00Z", "end": "2026-04-30T00:00:00Z"}
    out = await exported(diary, **window)
    found = parts_of(out)
    assert [str(one["SUMMARY"]) for one in found] == ["March to May"]
    shown = as_shown(await diary.shown(window["start"], window["end"]))
    assert expanded(out, datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 30, tzinfo=UTC)) == shown
    everything = parts_of(await exported(diary))
    assert [str(one["SUMMARY"]) for one in everything] == ["March to May", "In March", "In July"]
    for wrong in ({"start": window["start"]}, {"start": window["end"], "end": window["start"]}):
        answer = await diary.owner.client.get(EXPORT, params={"workspaceId": diary.id, **wrong})
        assert refusal(answer) == (422, "time_range_refused")


async def test_a_first_start_that_its_rule_does_not_say(diary: Diary, new_person: NewPerson) -> None:
    """To some programs it is no occurrence then, and does not count; to all a date of its own is one."""
    at = "DTSTART;TZID=America/New_York:20260302T090000\nDURATION:PT1H"
    content = file_of(
        f"UID:1@x\n{at}\nRRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=3\nSUMMARY:Thursdays",
        f"UID:2@x\n{at}\nRRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=1\nSUMMARY:Once",
        "UID:3@x\nDTSTART;VALUE=DATE:20260302\nRRULE:FREQ=MONTHLY;BYMONTHDAY=13;COUNT=3\nSUMMARY:Days",
        f"UID:4@x\n{at}\nRRULE:FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=4\nSUMMARY:For ever",
    )
    assert (await taken_in(diary, content))["created"] == 4
    shown = as_shown(await diary.shown("2026-03-01", "2027-03-01", tz="UTC"))
    assert len(shown) == 9
    out = await exported(diary)
    assert expanded(out, datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)) == shown
    for one in parts_of(out):
        assert "COUNT" not in one.get("RRULE", {})
        assert one["RDATE"].dts[0].dt == one["DTSTART"].dt
    other = await open_diary(diary.platform, new_person)
    assert (await taken_in(other, out))["created"] == 4
    assert as_shown(await other.shown("2026-03-01", "2027-03-01", tz="UTC")) == shown


async def test_an_empty_calendar_is_one(diary: Diary) -> None:
    assert parts_of(await exported(diary)) == []


async def test_what_is_private_goes_out_as_busy(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    content = file_of(
        "UID:secret@elsewhere.example\nDTSTART:20260302T140000Z\nRRULE:FREQ=WEEKLY;COUNT=3\nCLASS:PRIVATE\n"
        "SUMMARY:Dismissal\nDESCRIPTION:Why\nLOCATION:Room 4\nATTENDEE;CN=Lena:mailto:lawyer@example.org"
    )
    item = (await taken_in(diary, content, ann))["items"][0]
    await diary.patch(key(item["eventId"], "20260309T140000Z"), ann, {"scope": "this"}, title="Dismissal, again")
    for out in (await exported(diary), await file_of_event(diary, item["eventId"])):
        text = out.decode()
        assert "SUMMARY:Busy" in text
        assert not [
            one for one in ("Dismissal", "Why", "Room", "lawyer", "Lena", "secret@", ann.email) if one in text
        ]
    assert b"SUMMARY:Dismissal, again" in (await exported(diary, ann)).replace(b"\\,", b",")
    project = await diary.project()
    narrowed = await exported(diary, projectId=project["id"])
    assert b"VEVENT" not in narrowed


async def test_who_may(diary: Diary, new_person: NewPerson) -> None:
    stranger, guest = await new_person(), await diary.person(Role.GUEST)
    event = await diary.event()
    for path, query in ((EXPORT, {"workspaceId": diary.id}), (path_of(event["id"], ".ics"), {})):
        anonymous = await stranger.client.get(path, params=query, headers={"Authorization": ""})
        assert anonymous.status_code == 401
        assert (await stranger.client.get(path, params=query)).status_code == 404
    assert b"VEVENT" not in await exported(diary, guest)
    assert (await guest.client.get(path_of(event["id"], ".ics"))).status_code == 404
    assert (await diary.owner.client.get(path_of(str(uuid4()), ".ics"))).status_code == 404
    assert (await diary.owner.client.get(path_of("nothing", ".ics"))).status_code == 404
    assert (await diary.owner.client.get(EXPORT)).status_code == 422
