"""Calendar files taken in over HTTP: what is understood, what is refused and why, and that twice is once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.calendar.importing import MOST_BYTES, NOTHING_TO_CANCEL
from pm_api.domains.calendar.models import CalendarEvent, CalendarLetter
from pm_api.domains.notifications.models import Notification
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.domains.calendar.files import IMPORT, exported, file_of, file_of_event, send, taken_in
from tests.domains.projects import sites

WEEKLY = """UID:weekly@example.org
SEQUENCE:1
DTSTART;TZID=America/New_York:20260302T090000
DTEND;TZID=America/New_York:20260302T100000
RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=5
EXDATE;TZID=America/New_York:20260323T090000
SUMMARY:Weekly"""
MOVED = """UID:weekly@example.org
SEQUENCE:1
RECURRENCE-ID;TZID=America/New_York:20260309T090000
DTSTART;TZID=America/New_York:20260310T113000
DTEND;TZID=America/New_York:20260310T120000
SUMMARY:Weekly, moved"""
GONE = """UID:weekly@example.org
SEQUENCE:1
RECURRENCE-ID:20260316T130000Z
DTSTART;TZID=America/New_York:20260316T090000
STATUS:CANCELLED
SUMMARY:Weekly"""
RANGE = ("2026-02-15T00:00:00Z", "2026-05-01T00:00:00Z")


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def once(**lines: str) -> str:
    """One hour; lines are changed or added by their names, and left out when empty."""
    usual = {
        "UID": "once@example.org",
        "DTSTART": ":20260302T140000Z",
        "DTEND": ":20260302T150000Z",
        "SUMMARY": ":Once",
    }
    told = {**usual, **{name.replace("_", "-"): value for name, value in lines.items()}}
    return "\n".join(f"{name}{':' if value[0] not in ':;' else ''}{value}" for name, value in told.items() if value)


async def one_of(diary: Diary, content: bytes, **query: Any) -> Json:
    """The only item of a report."""
    report = await taken_in(diary, content, **query)
    [item] = report["items"]
    found: Json = item
    return found


async def starts(diary: Diary) -> list[tuple[str, str]]:
    return [(one["startTime"][:16], one["title"]) for one in await diary.shown(*RANGE, tz="UTC")]


# --- twice is once ----------------------------------------------------------------------------------------------


async def test_a_series_with_its_changed_occurrences(diary: Diary) -> None:
    content = file_of(MOVED, WEEKLY, GONE)
    report = await taken_in(diary, content)
    assert [one["outcome"] for one in report["items"]] == ["CREATED"] * 3
    assert (report["created"], report["refused"], report["dryRun"]) == (3, 0, False)
    assert len({one["eventId"] for one in report["items"]}) == 1
    expected = [
        ("2026-03-02T14:00", "Weekly"),
        ("2026-03-10T15:30", "Weekly, moved"),
        ("2026-03-30T13:00", "Weekly"),
    ]
    assert await starts(diary) == expected
    event = await diary.read(report["items"][1]["eventId"])
    assert (event["uid"], event["sequence"], event["timeZone"]) == ("weekly@example.org", 1, "America/New_York")
    again = await taken_in(diary, content)
    assert [one["outcome"] for one in again["items"]] == ["UNCHANGED"] * 3
    assert (await diary.read(event["id"]))["version"] == event["version"]
    assert await starts(diary) == expected


async def test_only_a_higher_sequence_changes_what_is_here(diary: Diary) -> None:
    first = await one_of(diary, file_of(WEEKLY))
    await diary.patch(first["eventId"], title="Renamed here")
    same = await one_of(diary, file_of(WEEKLY.replace("SUMMARY:Weekly", "SUMMARY:Other")))
    older = await one_of(diary, file_of(WEEKLY.replace("SEQUENCE:1", "SEQUENCE:0")))
    assert (same["outcome"], older["outcome"]) == ("UNCHANGED", "UNCHANGED")
    assert (await diary.read(first["eventId"]))["title"] == "Renamed here"
    newer = WEEKLY.replace("SEQUENCE:1", "SEQUENCE:7").replace("T090000", "T080000").replace("COUNT=5", "COUNT=2")
    updated = await one_of(diary, file_of(newer))
    assert (updated["outcome"], updated["eventId"]) == ("UPDATED", first["eventId"])
    event = await diary.read(first["eventId"])
    assert (event["title"], event["sequence"], event["rrule"]) == ("Weekly", 7, "FREQ=WEEKLY;COUNT=2;BYDAY=MO")
    assert await starts(diary) == [("2026-03-02T13:00", "Weekly"), ("2026-03-09T12:00", "Weekly")]


async def test_a_later_file_may_bring_an_occurrence_alone(diary: Diary) -> None:
    series = await one_of(diary, file_of(WEEKLY))
    moved = await one_of(diary, file_of(MOVED))
    assert (moved["outcome"], moved["eventId"]) == ("UPDATED", series["eventId"])
    assert ("2026-03-10T15:30", "Weekly, moved") in await starts(diary)
    assert (await one_of(diary, file_of(MOVED)))["outcome"] == "UNCHANGED"
    newer = await one_of(diary, file_of(MOVED.replace("SEQUENCE:1", "SEQUENCE:2").replace("moved", "again")))
    assert newer["outcome"] == "UPDATED"
    assert ("2026-03-10T15:30", "Weekly, again") in await starts(diary)
    gone = await one_of(diary, file_of(GONE))
    assert gone["outcome"] == "UPDATED"
    assert len(await starts(diary)) == 3
    elsewhere = await one_of(diary, file_of(MOVED.replace("20260309T090000", "20260311T090000")))
    assert elsewhere["outcome"] == "REFUSED"
    assert elsewhere["reason"] == "Its series has no occurrence at this RECURRENCE-ID."


async def test_an_occurrence_without_its_series_is_an_event_of_its_own(diary: Diary) -> None:
    item = await one_of(diary, file_of(MOVED))
    assert item["outcome"] == "CREATED"
    assert "taken in as an event of its own" in item["notes"][0]
    assert await starts(diary) == [("2026-03-10T15:30", "Weekly, moved")]
    assert (await one_of(diary, file_of(MOVED)))["outcome"] == "UNCHANGED"
    gone = await one_of(diary, file_of(GONE))
    assert (gone["outcome"], gone["eventId"], gone["notes"]) == ("UNCHANGED", None, [NOTHING_TO_CANCEL])


async def test_a_dry_run_tells_the_same_and_writes_nothing(diary: Diary, platform: Platform) -> None:
    content = file_of(WEEKLY, MOVED, once(DTSTART=""))
    dry = await taken_in(diary, content, dryRun="true")
    assert dry["dryRun"] is True
    assert await starts(diary) == []
    real = await taken_in(diary, content)
    assert [one["outcome"] for one in dry["items"]] == [one["outcome"] for one in real["items"]]
    assert [one["reason"] for one in dry["items"]] == [one["reason"] for one in real["items"]]
    assert [one["eventId"] for one in dry["items"]] == [None] * 3
    before = (await diary.read(real["items"][0]["eventId"]))["version"]
    newer = await taken_in(diary, file_of(WEEKLY.replace("SEQUENCE:1", "SEQUENCE:2")), dryRun="true")
    assert newer["items"][0]["outcome"] == "UPDATED"
    assert (await diary.read(real["items"][0]["eventId"]))["version"] == before


async def test_the_same_file_many_times_at_once_is_there_once(diary: Diary, platform: Platform) -> None:
    content = file_of(WEEKLY, MOVED)
    reports = await asyncio.gather(*(taken_in(diary, content) for _ in range(6)))
    outcomes = sorted(one["items"][0]["outcome"] for one in reports)
    assert outcomes == ["CREATED"] + ["UNCHANGED"] * 5
    async with platform.database.reading() as session:
        rows = await session.scalars(select(CalendarEvent).where(CalendarEvent.workspace_id == UUID(diary.id)))
        assert len(rows.all()) == 1


async def test_an_idempotency_key_gives_the_same_report_again(diary: Diary) -> None:
    headers = {"Content-Type": "text/calendar", "Idempotency-Key": uuid4().hex}
    asked = {"workspaceId": diary.id}
    first = await diary.owner.client.post(IMPORT, params=asked, content=file_of(WEEKLY), headers=headers)
    second = await diary.owner.client.post(IMPORT, params=asked, content=file_of(WEEKLY), headers=headers)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()


# --- what is understood -----------------------------------------------------------------------------------------

CUSTOM = """BEGIN:VTIMEZONE
TZID:Our own
BEGIN:STANDARD
DTSTART:20001029T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20000326T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
"""
NOBODYS = CUSTOM.replace("BYMONTH=3;BYDAY=-1SU", "BYMONTH=3;BYDAY=2WE").replace("Our own", "Nobody's")


@pytest.mark.parametrize(
    ("lines", "start", "end", "zone"),
    [
        ({"DTSTART": ";TZID=Eastern Standard Time:20260302T090000", "DTEND": ""},
         "14:00", "14:00", "America/New_York"),
        ({"DTSTART": ';TZID="W. Europe Standard Time":20260302T090000', "DTEND": "", "DURATION": "PT90M"},
         "08:00", "09:30", "Europe/Berlin"),
        ({"DTSTART": ";TZID=Our own:20260302T090000", "DTEND": ";TZID=Our own:20260302T093000"},
         "08:00", "08:30", "Europe/Berlin"),
        ({"DTSTART": ";TZID=/softwarestudio.org/Olson_20011030_5/America/Chicago:20260302T090000", "DTEND": ""},
         "15:00", "15:00", "America/Chicago"),
        ({"DTSTART": ":20260302T090000", "DTEND": ":20260302T100000"}, "00:00", "01:00", "Asia/Tokyo"),
        ({"DTSTART": ":20260302T090000Z", "DTEND": ";TZID=Europe/Berlin:20260302T110000"}, "09:00", "10:00", "UTC"),
        ({"DTSTART": ";TZID=America/New_York:20260308T023000", "DTEND": "", "DURATION": "PT1H"},
         "07:30", "08:30", "America/New_York"),
    ],
)  # fmt: skip
async def test_times_as_they_are_written(diary: Diary, lines: Json, start: str, end: str, zone: str) -> None:
    item = await one_of(diary, file_of(once(**lines), before=CUSTOM), timeZone="Asia/Tokyo")
    assert item["outcome"] == "CREATED", item
    event = await diary.read(item["eventId"])
    assert (event["startTime"][11:16], event["endTime"][11:16], event["timeZone"]) == (start, end, zone)
    assert bool(item["notes"]) == (f"TZID={zone}:" not in lines["DTSTART"] and not lines["DTSTART"].endswith("Z"))


async def test_days(diary: Diary) -> None:
    lines = {"DTSTART": ";VALUE=DATE:20260302", "DTEND": ";VALUE=DATE:20260304"}
    event = await diary.read((await one_of(diary, file_of(once(**lines))))["eventId"])
    assert (event["allDay"], event["startDate"], event["endDate"]) == (True, "2026-03-02", "2026-03-04")
    alone = once(UID="b@example.org", DTSTART=";VALUE=DATE:20260302", DTEND="")
    event = await diary.read((await one_of(diary, file_of(alone)))["eventId"])
    assert event["endDate"] == "2026-03-03"


async def test_a_series_in_utc_goes_by_utc(diary: Diary) -> None:
    item = await one_of(diary, file_of(once(RRULE="FREQ=WEEKLY;COUNT=3")))
    assert [one for one, _ in await starts(diary)] == ["2026-03-02T14:00", "2026-03-09T14:00", "2026-03-16T14:00"]
    assert (await diary.read(item["eventId"]))["timeZone"] == "UTC"


async def test_periods_last_as_long_as_they_say(diary: Diary) -> None:
    item = await one_of(
        diary, file_of(once(RDATE=";VALUE=PERIOD:20260305T090000Z/PT3H,20260306T090000Z/20260306T100000Z"))
    )
    assert item["outcome"] == "CREATED", item
    shown = await diary.shown(*RANGE)
    assert [(one["startTime"][5:16], one["endTime"][5:16]) for one in shown] == [
        ("03-02T14:00", "03-02T15:00"),
        ("03-05T09:00", "03-05T12:00"),
        ("03-06T09:00", "03-06T10:00"),
    ]


async def test_texts_and_what_they_mean(diary: Diary) -> None:
    item = await one_of(
        diary,
        file_of(
            once(
                SUMMARY=":Line one\\nline two\\; with\\, commas",
                DESCRIPTION=":a\\nb\\\\n \u00e9",
                LOCATION=';ALTREP="http://x.example/a;b:c":Room 4',
                CLASS="CONFIDENTIAL",
                TRANSP="TRANSPARENT",
            )
        ),
    )
    event = await diary.read(item["eventId"])
    assert event["title"] == "Line one line two; with, commas"
    assert event["description"] == "a\nb\\n \u00e9"
    assert (event["location"], event["visibility"], event["showAs"]) == ("Room 4", "CONFIDENTIAL", "FREE")
    empty = await one_of(diary, file_of(once(UID="b@example.org", SUMMARY="")))
    assert (await diary.read(empty["eventId"]))["title"] == "(No title)"
    long = await one_of(diary, file_of(once(UID="c@example.org", SUMMARY="x" * 700)))
    assert len((await diary.read(long["eventId"]))["title"]) == 500
    assert long["notes"] == ["Its title is longer than 500 characters and was cut."]


async def test_what_is_no_event_is_counted(diary: Diary) -> None:
    todo = "BEGIN:VTODO\nUID:t\nSUMMARY:Buy milk\nEND:VTODO\n"
    report = await taken_in(diary, file_of(once(), before=todo * 3 + "X-WR-CALNAME:Home\n"))
    assert report["ignored"] == [{"component": "VTODO", "count": 3}]
    assert (report["name"], report["created"]) == ("Home", 1)


# --- who comes --------------------------------------------------------------------------------------------------


async def test_people_are_kept_and_nobody_is_told(diary: Diary, platform: Platform) -> None:
    ann = await diary.person(Role.MEMBER)
    people = (
        f"ORGANIZER;CN=Boss:mailto:boss@example.org\n"
        f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:{ann.email}\n"
        f"ATTENDEE;PARTSTAT=TENTATIVE:mailto:{diary.owner.email}\n"
        'ATTENDEE;CN="Gil, Guest";PARTSTAT=DECLINED;ROLE=OPT-PARTICIPANT:MAILTO:Gil@Example.org\n'
        "ATTENDEE;CUTYPE=ROOM:mailto:room4@example.org\nATTENDEE:urn:nobody"
    )
    item = await one_of(diary, file_of(f"{WEEKLY}\n{people}"))
    event = await diary.read(item["eventId"])
    assert event["organizer"]["id"] == str(diary.owner.id)
    found = {one["email"] or one["user"]["id"]: (one["response"], one["optional"]) for one in event["attendees"]}
    assert found == {
        str(ann.id): ("PENDING", False),  # she answers for herself
        str(diary.owner.id): ("TENTATIVE", False),
        "gil@example.org": ("DECLINED", True),
    }
    assert [one["name"] for one in event["attendees"] if one["email"]] == ["Gil, Guest"]
    assert len(item["notes"]) == 2, item["notes"]
    newer = f"{WEEKLY}\n{people}".replace("SEQUENCE:1", "SEQUENCE:2").replace("T090000", "T070000")
    assert (await one_of(diary, file_of(newer)))["outcome"] == "UPDATED"
    async with platform.database.reading() as session:
        mails = await session.scalars(select(CalendarLetter).where(CalendarLetter.workspace_id == UUID(diary.id)))
        told = await session.scalars(select(Notification).where(Notification.user_id == ann.id))
        assert (mails.all(), [one.type for one in told if one.type.startswith("calendar")]) == ([], [])


async def test_who_comes_to_one_occurrence(diary: Diary) -> None:
    series = f"{WEEKLY}\nATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org\nATTENDEE:mailto:b@example.org"
    moved = f"{MOVED}\nATTENDEE;PARTSTAT=DECLINED:mailto:a@example.org\nATTENDEE:mailto:c@example.org"
    report = await taken_in(diary, file_of(series, moved))
    event_id = report["items"][0]["eventId"]

    async def people(named: str) -> Json:
        return {one["email"]: one["response"] for one in (await diary.read(named))["attendees"]}

    assert await people(event_id) == {"a@example.org": "ACCEPTED", "b@example.org": "PENDING"}
    assert await people(key(event_id, "20260302T140000Z")) == {
        "a@example.org": "ACCEPTED",
        "b@example.org": "PENDING",
    }
    changed = {"a@example.org": "DECLINED", "c@example.org": "PENDING"}
    assert await people(key(event_id, "20260309T130000Z")) == changed
    out = await file_of_event(diary, event_id)
    other = await open_diary(diary.platform, diary.new_person)
    again = (await taken_in(other, out))["items"][0]["eventId"]
    answer = await other.owner.client.get(path_of(key(again, "20260309T130000Z")))
    assert {one["email"]: one["response"] for one in answer.json()["event"]["attendees"]} == changed


# --- whose it is ------------------------------------------------------------------------------------------------


async def test_an_event_of_somebody_else_is_not_changed(diary: Diary) -> None:
    ann, bob, admin = [await diary.person(role) for role in (Role.MEMBER, Role.MEMBER, Role.ADMIN)]
    made = await one_of(diary, file_of(WEEKLY), by=ann)
    newer = file_of(WEEKLY.replace("SEQUENCE:1", "SEQUENCE:2").replace("SUMMARY:Weekly", "SUMMARY:Newer"))
    assert (await one_of(diary, file_of(WEEKLY), by=bob))["outcome"] == "UNCHANGED"
    refused = await one_of(diary, newer, by=bob)
    assert (refused["outcome"], refused["eventId"]) == ("REFUSED", None)
    assert "not yours to change" in refused["reason"]
    assert (await one_of(diary, newer, by=bob, dryRun="true"))["reason"] == refused["reason"]
    assert (await one_of(diary, file_of(MOVED), by=bob))["outcome"] == "REFUSED"
    assert (await one_of(diary, newer, by=admin))["outcome"] == "UPDATED"
    assert (await diary.read(made["eventId"]))["title"] == "Newer"


async def test_what_one_does_not_see_is_in_nobodys_way_and_not_told(diary: Diary) -> None:
    """Two people have one meeting in their calendars, and one keeps it private."""
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    hidden = await diary.project(isPrivate=True)
    private = await one_of(diary, file_of(f"{WEEKLY}\nCLASS:PRIVATE"), by=ann)
    inside = await one_of(diary, file_of(once()), projectId=hidden["id"])
    for content, theirs in ((file_of(WEEKLY), private), (file_of(once()), inside)):
        own = await one_of(diary, content, by=bob)
        assert own["outcome"] == "CREATED"
        assert own["eventId"] != theirs["eventId"]
        again = await one_of(diary, content, by=bob)
        assert (again["outcome"], again["eventId"]) == ("UNCHANGED", own["eventId"])


async def test_into_a_project(diary: Diary) -> None:
    project = await diary.project()
    item = await one_of(diary, file_of(once()), projectId=project["id"])
    assert (await diary.read(item["eventId"]))["projectId"] == project["id"]
    guest = await diary.person(Role.GUEST)
    await diary.put(project, guest, "MEMBER")
    inside = await send(diary, file_of(once(UID="g@example.org")), guest, projectId=project["id"])
    assert inside.status_code == 200, inside.text
    assert (await send(diary, file_of(once()), guest)).status_code == 403
    archived = await diary.owner.client.post(sites.path_of(project, "/archive"))
    assert archived.status_code == 200, archived.text
    assert refusal(await send(diary, file_of(once()), projectId=project["id"])) == (409, "project_archived")


async def test_who_may(diary: Diary, new_person: NewPerson) -> None:
    stranger, viewer = await new_person(), await diary.person(Role.VIEWER)
    other = await open_diary(diary.platform, new_person)
    project = await other.project()
    anonymous = await stranger.client.post(IMPORT, params={"workspaceId": diary.id}, headers={"Authorization": ""})
    assert anonymous.status_code == 401
    assert (await send(diary, file_of(once()), stranger)).status_code == 404
    assert (await send(diary, file_of(once()), viewer)).status_code == 403
    assert (await send(diary, file_of(once()), projectId=project["id"])).status_code == 404
    assert (await send(diary, file_of(once()), projectId="x")).status_code == 422
    assert refusal(await send(diary, file_of(once()), timeZone="Middle/Earth")) == (422, "time_zone_unknown")
    missing = await diary.owner.client.post(IMPORT, content=b"", headers={"Content-Type": "text/calendar"})
    assert missing.status_code == 422
    as_json = await diary.owner.client.post(IMPORT, params={"workspaceId": diary.id}, json={})
    assert refusal(as_json) == (415, "unsupported_media_type")


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ({"DTSTART": ""}, "It has no DTSTART."),
        ({"DTSTART": ":20261301T000000Z"}, "'20261301T000000Z' is not in the calendar."),
        ({"DTSTART": ";TZID=Middle/Earth:20260302T090000"}, "is not known, and the file does not describe it"),
        ({"DTSTART": ";TZID=Nobody's:20260302T090000", "RRULE": "FREQ=DAILY", "DTEND": ""}, "no zone of the IANA"),
        ({"DTEND": ":20260302T130000Z"}, "Its DTEND is before its DTSTART."),
        ({"DTEND": ";VALUE=DATE:20260303"}, "one of DTSTART and DTEND is a day"),
        ({"DTEND": "", "DURATION": "-PT1H"}, "goes backwards"),
        ({"RRULE": "FREQ=HOURLY"}, "Its repetition is refused: A repetition is daily, weekly, monthly or yearly"),
        ({"RRULE": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "no occurrence"),
        ({"RRULE": "FREQ=DAILY;COUNT=1", "EXDATE": "20260302T140000Z"}, "every one is excluded"),
        ({"RRULE": "FREQ=DAILY", "EXRULE": "FREQ=WEEKLY"}, "It has an EXRULE"),
        ({"RRULE": "FREQ=DAILY\nRRULE:FREQ=WEEKLY"}, "more than one RRULE"),
        ({"DTSTART": ":18500101T000000Z", "DTEND": ""}, "1900"),
    ],
)  # fmt: skip
async def test_an_event_is_refused_and_the_others_are_not(diary: Diary, lines: Json, why: str) -> None:
    report = await taken_in(diary, file_of(once(**lines), once(UID="fine@example.org"), before=NOBODYS))
    bad, good = report["items"]
    assert (bad["outcome"], good["outcome"]) == ("REFUSED", "CREATED")
    assert why.lower() in bad["reason"].lower()
    assert (report["created"], report["refused"]) == (1, 1)


async def test_this_and_future_refuses_the_series(diary: Diary) -> None:
    future = MOVED.replace("RECURRENCE-ID;", "RECURRENCE-ID;RANGE=THISANDFUTURE;")
    report = await taken_in(diary, file_of(WEEKLY, future, once()))
    assert [one["outcome"] for one in report["items"]] == ["REFUSED", "REFUSED", "CREATED"]
    assert all("THISANDFUTURE" in one["reason"] for one in report["items"][:2])
    alone = await one_of(diary, file_of(future))
    assert "THISANDFUTURE" in alone["reason"]


async def test_a_message_is_no_calendar(diary: Diary) -> None:
    for method in ("CANCEL", "REPLY", "COUNTER"):
        assert "message" in (await one_of(diary, file_of(once(), method=method)))["reason"]
    assert (await one_of(diary, file_of(once(), method="REQUEST")))["outcome"] == "CREATED"


async def test_two_with_one_uid(diary: Diary) -> None:
    report = await taken_in(diary, file_of(once(), once(SEQUENCE="3", SUMMARY="Newer"), once(SEQUENCE="2")))
    assert [one["outcome"] for one in report["items"]] == ["REFUSED", "CREATED", "REFUSED"]
    assert await starts(diary) == [("2026-03-02T14:00", "Newer")]


# --- hostile ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x00" * 1000,
        b"BEGIN:VTODO\r\nEND:VTODO\r\n",
        "BEGIN:VCALENDAR".encode("utf-16"),
        b"BEGIN:VCALENDAR\r\n" * 50,
        file_of(*["UID:x"] * 1001),
    ],
    ids=["empty", "text", "nul", "to-do", "utf-16", "deep", "many"],
)
async def test_what_is_no_calendar(diary: Diary, content: bytes) -> None:
    assert refusal(await send(diary, content)) == (422, "invalid_calendar")


async def test_too_much(diary: Diary) -> None:
    assert refusal(await send(diary, b"x" * (MOST_BYTES + 1))) == (413, "payload_too_large")


BOMBS = {
    "a megabyte of dates": once(RDATE=":" + ",".join(["20260305T090000Z"] * 60_000)),
    "a megabyte of title": once(SUMMARY=":" + "é" * 500_000),
    "a megabyte folded": once(DESCRIPTION=":" + "\n x" * 300_000),
    "empty lines": once() + "\n" * 1_000_000,
    "blanks": once(LOCATION=";A=" + " " * 1_000_000 + ":x"),
    "quotes": once(LOCATION=';A="' * 200_000 + ":x"),
    "attendees": once() + "\nATTENDEE:mailto:x@example.org" * 30_000,
    "attendees, all of them others": once()
    + "".join(f"\nATTENDEE:mailto:x{number}@example.org" for number in range(25_000)),
    "an intricate rule": once(RRULE="FREQ=YEARLY;INTERVAL=997;BYMONTH=2;BYMONTHDAY=29;BYDAY=1MO"),
    "no end": "BEGIN:VEVENT\n" * 5 + once(),
}


@pytest.mark.parametrize("lines", BOMBS.values(), ids=BOMBS)
async def test_bombs(diary: Diary, lines: str) -> None:
    answer = await send(diary, file_of(lines))
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert len(answer.content) < 10_000
    assert len(await exported(diary)) < 60_000


async def test_zones_that_change_their_clocks_without_end(diary: Diary) -> None:
    def described(number: int, rule: str) -> str:
        parts = "".join(
            f"BEGIN:{kind}\nDTSTART:19000101T000000\nTZOFFSETFROM:+0100\n"
            f"TZOFFSETTO:+0{2 + number % 7}00\n{rule}\nEND:{kind}\n"
            for kind in ("STANDARD", "DAYLIGHT")
        )
        return f"BEGIN:VTIMEZONE\nTZID:Zone {number}\n{parts}END:VTIMEZONE\n"

    rules = (
        "RRULE:FREQ=SECONDLY",
        "RRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8",
        "RDATE:" + ",".join(["19000102T000000"] * 3000),
    )
    before = "".join(described(number, rules[number % 3]) for number in range(150))
    events = [
        once(UID=f"{number}@example.org", DTSTART=f";TZID=Zone {number}:20260302T090000", DTEND="")
        for number in range(150)
    ]
    report = await taken_in(diary, file_of(*events, before=before), dryRun="true")
    assert report["refused"] == 150


async def test_nul_and_controls_do_not_get_in(diary: Diary) -> None:
    content = file_of(once(SUMMARY=":a\x00b\x07c\u202ed", DESCRIPTION=":x\x00\ty", LOCATION=":\x00"))
    item = await one_of(diary, content)
    assert item["outcome"] == "CREATED", item
    event = await diary.read(item["eventId"])
    assert (event["title"], event["description"], event["location"]) == ("abcd", "x\ty", "")


async def test_latin_1_of_old_programs(diary: Diary) -> None:
    content = file_of(once(SUMMARY=":Caf\u00e9")).decode().encode("latin-1")
    assert (await diary.read((await one_of(diary, content))["eventId"]))["title"] == "Caf\u00e9"
