"""Files that come a second time and say more: who comes, what is private by now; and times beyond all years."""

from typing import Any

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of
from tests.domains.calendar.files import file_of, send, taken_in
from tests.domains.calendar.test_import import GONE, MOVED, WEEKLY, once

MOVED_ONE = "20260309T130000Z"
IN_NEW_YORK = ";TZID=America/New_York"


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def with_people(event: str, *addresses: str, sequence: int = 1) -> str:
    told = event.replace("SEQUENCE:1", f"SEQUENCE:{sequence}")
    return "\n".join((told, *(f"ATTENDEE:mailto:{one}" for one in addresses)))


async def people(diary: Diary, event_id: str) -> list[Any]:
    """Members by id, others by address."""
    shown = (await diary.read(event_id))["attendees"]
    return sorted((one["user"] or {"id": one["email"]})["id"] for one in shown)


async def test_who_was_left_out_of_an_occurrence_is_back_when_a_newer_file_has_them(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    both = sorted([str(ann.id), "b@example.org"])
    series = with_people(WEEKLY, ann.email, "b@example.org")
    report = await taken_in(diary, file_of(series, with_people(MOVED, "c@example.org")))
    event_id = report["items"][0]["eventId"]
    assert await people(diary, key(event_id, MOVED_ONE)) == ["c@example.org"]
    await taken_in(diary, file_of(with_people(MOVED, ann.email, "b@example.org", sequence=2)))
    assert await people(diary, key(event_id, MOVED_ONE)) == both
    await taken_in(diary, file_of(with_people(MOVED, "c@example.org", sequence=3)))
    assert await people(diary, key(event_id, MOVED_ONE)) == ["c@example.org"]
    await taken_in(diary, file_of(with_people(WEEKLY, ann.email, "b@example.org", sequence=4)))
    assert await people(diary, key(event_id, MOVED_ONE)) == both


async def test_an_occurrence_that_stays_as_it_is_when_its_series_is_newer(diary: Diary) -> None:
    series, moved = with_people(WEEKLY, "a@example.org"), with_people(MOVED, "b@example.org")
    event_id = (await taken_in(diary, file_of(series, moved, GONE)))["items"][0]["eventId"]
    newer = with_people(WEEKLY.replace("SUMMARY:Weekly", "SUMMARY:Every week"), "a@example.org", sequence=2)

    async def outcomes(*events: str) -> list[str]:
        return [one["outcome"] for one in (await taken_in(diary, file_of(*events)))["items"]]

    assert await outcomes(newer, moved, GONE) == ["UPDATED", "UNCHANGED", "UNCHANGED"]
    shown = await diary.read(key(event_id, MOVED_ONE))
    assert (shown["title"], shown["startTime"][:16]) == ("Weekly, moved", "2026-03-10T15:30")
    third = newer.replace("SEQUENCE:2", "SEQUENCE:3")
    assert await outcomes(third, moved.replace("T113000", "T113500")) == ["UPDATED", "UPDATED"]
    fourth = newer.replace("SEQUENCE:2", "SEQUENCE:4")
    assert await outcomes(fourth, moved.replace("T113000", "T113500")) == ["UPDATED", "UNCHANGED"]
    fifth = newer.replace("SEQUENCE:2", "SEQUENCE:5")
    others = with_people(MOVED.replace("T113000", "T113500"), "c@example.org")
    assert await outcomes(fifth, others) == ["UPDATED", "UPDATED"], "others come"
    assert await people(diary, key(event_id, MOVED_ONE)) == ["c@example.org"]
    sixth = newer.replace("SEQUENCE:2", "SEQUENCE:6")
    assert await outcomes(sixth, others.replace("SEQUENCE:1", "SEQUENCE:6")) == ["UPDATED", "UPDATED"], "as new"


UNMOVED = """UID:weekly@example.org
SEQUENCE:1
RECURRENCE-ID;TZID=America/New_York:20260309T090000
DTSTART;TZID=America/New_York:20260309T090000
DTEND;TZID=America/New_York:20260309T100000
SUMMARY:Weekly"""


@pytest.mark.parametrize("with_series", [False, True])
async def test_a_newer_occurrence_to_which_others_come(diary: Diary, with_series: bool) -> None:
    series = with_people(WEEKLY, "a@example.org")
    event_id = (await taken_in(diary, file_of(series)))["items"][0]["eventId"]
    before = [series] if with_series else []

    async def outcome(*addresses: str, sequence: int, dry: bool = False) -> str:
        content = file_of(*before, with_people(UNMOVED, *addresses, sequence=sequence))
        told: str = (await taken_in(diary, content, dryRun=dry))["items"][-1]["outcome"]
        return told

    assert await outcome("a@example.org", sequence=2) == "UNCHANGED", "nothing differs"
    assert await outcome("a@example.org", "b@example.org", sequence=2, dry=True) == "UPDATED"
    assert await outcome("a@example.org", "b@example.org", sequence=2) == "UPDATED"
    assert await people(diary, key(event_id, MOVED_ONE)) == ["a@example.org", "b@example.org"]
    assert await people(diary, event_id) == ["a@example.org"]
    assert await outcome("a@example.org", "b@example.org", sequence=2) == "UNCHANGED", "twice is once"
    assert await outcome("a@example.org", sequence=1) == "UNCHANGED", "an older one"
    assert await people(diary, key(event_id, MOVED_ONE)) == ["a@example.org", "b@example.org"]


async def test_an_answer_given_here_outlives_the_same_file(diary: Diary) -> None:
    content = file_of(
        with_people(WEEKLY, diary.owner.email), with_people(UNMOVED, diary.owner.email, "b@example.org")
    )
    event_id = (await taken_in(diary, content))["items"][0]["eventId"]
    named = key(event_id, MOVED_ONE)
    answer = await diary.owner.client.post(path_of(named, "/respond"), json={"response": "DECLINED"})
    assert answer.status_code == 200, answer.text
    assert [one["outcome"] for one in (await taken_in(diary, content))["items"]] == ["UNCHANGED", "UNCHANGED"]
    assert (await diary.read(named))["myResponse"] == "DECLINED"


async def test_people_are_members_where_the_event_is_not_where_new_ones_go(diary: Diary) -> None:
    project = await diary.project(isPrivate=True)
    insider, outsider = await diary.person(Role.GUEST), await diary.person(Role.MEMBER)
    await diary.put(project, insider, "VIEWER")
    file = with_people("SEQUENCE:1\n" + once(), insider.email)
    event_id = (await taken_in(diary, file_of(file), projectId=project["id"]))["items"][0]["eventId"]
    assert await people(diary, event_id) == [str(insider.id)]
    newer = with_people("SEQUENCE:1\n" + once(), insider.email, outsider.email, sequence=2)
    assert (await taken_in(diary, file_of(newer)))["updated"] == 1
    assert await people(diary, event_id) == sorted([str(insider.id), outsider.email])


@pytest.mark.parametrize("with_series", [False, True])
async def test_a_private_occurrence_that_comes_later_is_read_by_nobody_else(diary: Diary, with_series: bool) -> None:
    reader = await diary.person(Role.MEMBER)
    event_id = (await taken_in(diary, file_of(WEEKLY)))["items"][0]["eventId"]
    secret = MOVED.replace("Weekly, moved", "The doctor") + "\nCLASS:PRIVATE"
    report = await taken_in(diary, file_of(*([WEEKLY] if with_series else []), secret))
    assert report["updated"] == 1, report
    shown = await diary.read(key(event_id, MOVED_ONE), reader)
    assert (shown["title"], shown["isMasked"]) == ("Busy", True)
    assert (await diary.read(key(event_id, MOVED_ONE)))["title"] == "The doctor"


EDGES: Json = {
    "a start in the year 1": once(DTSTART=f"{IN_NEW_YORK}:00010101T000000"),
    "a start in the year 1, east": once(DTSTART=";TZID=Asia/Tokyo:00010101T000000"),
    "an end in the year 9999": once(DTEND=f"{IN_NEW_YORK}:99991231T235959"),
    "a described zone in the year 1": once(DTSTART=";TZID=Own:00010101T000000", DTEND=""),
    "a described zone in the year 9999": once(DTSTART=";TZID=Own:99991231T235959", DTEND=""),
    "a zone described from the year 1 on": once(DTSTART=";TZID=From 1:20260302T090000", DTEND=""),
    "a zone described to the year 9999": once(DTSTART=";TZID=To 9999:20260302T090000", DTEND=""),
    "a date added": once(DTSTART=";TZID=Asia/Tokyo:20260302T090000", DTEND="", RDATE=":99991231T235959Z"),
    "a date left out": once(
        DTSTART=";TZID=Asia/Tokyo:20260302T090000", DTEND="", RRULE="FREQ=DAILY", EXDATE=":99991231T235959Z"
    ),
    "a period": once(RDATE=";VALUE=PERIOD:20260303T090000Z/P999999W"),
    "a period to the year 9999": once(RDATE=f";VALUE=PERIOD{IN_NEW_YORK}:20260303T090000/99991231T235959"),
    "an occurrence": once(RECURRENCE_ID=";TZID=Asia/Tokyo:00010101T000000"),
    "an occurrence in the year 9999": once(RECURRENCE_ID=f"{IN_NEW_YORK}:99991231T235959"),
}


def described(name: str, onset: str, rule: str = "") -> str:
    return (
        f"BEGIN:VTIMEZONE\nTZID:{name}\nBEGIN:STANDARD\nDTSTART:{onset}\nTZOFFSETFROM:+1400\nTZOFFSETTO:+0100\n"
        f"{rule}END:STANDARD\nEND:VTIMEZONE\n"
    )


@pytest.mark.parametrize("event", EDGES.values(), ids=EDGES)
async def test_times_beyond_all_years_are_refused_by_themselves(diary: Diary, event: str) -> None:
    """A zone may be described from the first day to the last: what holds in 2026 is what is asked."""
    zones = (
        described("Own", "20000101T000000")
        + described("From 1", "00010101T000000", "RRULE:FREQ=YEARLY;UNTIL=99991231T235959Z\n")
        + described("To 9999", "99991231T235959", "RDATE:00010101T000000\n")
    )
    answer = await send(diary, file_of(event, once(UID="fine@example.org"), before=zones), dryRun="true")
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["report"]["items"]
    expected = "CREATED" if "To 9999" in event else "REFUSED"
    assert (first["outcome"], second["outcome"]) == (expected, "CREATED"), first


async def test_an_occurrence_beyond_all_years_of_a_series_that_is_here(diary: Diary) -> None:
    tokyo = once(DTSTART=";TZID=Asia/Tokyo:20260302T090000", DTEND="", RRULE="FREQ=DAILY;COUNT=3")
    event_id = (await taken_in(diary, file_of(tokyo)))["items"][0]["eventId"]
    for named in ("00010101T000000Z", "99991231T235959Z"):
        report = await taken_in(diary, file_of(once(RECURRENCE_ID=f":{named}")))
        assert report["refused"] == 1, report
        answer = await diary.owner.client.get(f"/api/calendar/events/{key(event_id, named)}")
        assert answer.status_code == 404, answer.text
