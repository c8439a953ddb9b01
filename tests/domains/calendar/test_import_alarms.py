"""Alarms of a file are reminders of whoever imports it; of what cannot be one, a note says so."""

import pytest

from pm_api.core.platform import Platform
from pm_api.domains.calendar.ical.reading import OWN_ALARMS
from pm_api.domains.calendar.importing import ALARMS_LEFT
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, open_diary, path_of
from tests.domains.calendar.files import file_of, taken_in
from tests.domains.calendar.test_import import MOVED, WEEKLY, once, one_of


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def alarm(trigger: str, action: str = "ACTION:DISPLAY\n", rest: str = "") -> str:
    return f"\nBEGIN:VALARM\n{action}TRIGGER{trigger}\n{rest}END:VALARM"


async def reminders(diary: Diary, event_id: str, by: Person | None = None) -> list[tuple[int, str]]:
    found = (await diary.read(event_id, by))["reminders"]
    return sorted((one["minutesBefore"], one["channel"]) for one in found)


MAIL = "ACTION:EMAIL\nSUMMARY:Soon\nATTENDEE:mailto:a@example.org\n"


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        (alarm(":-PT15M"), [(15, "IN_APP")]),
        (alarm(":-P0DT0H10M0S"), [(10, "IN_APP")]),
        (alarm(";RELATED=START;VALUE=DURATION:-PT1H", "ACTION:AUDIO\n"), [(60, "IN_APP")]),
        (alarm(":-P1D", MAIL), [(1440, "MAIL")]),
        (alarm(":PT0S"), [(0, "IN_APP")]),
        (alarm(":-P4W"), [(40_320, "IN_APP")]),
        (alarm(":-PT15M") + alarm(":-PT900S", MAIL) + alarm(":-PT15M"), [(15, "MAIL")]),
        (alarm(";VALUE=DATE-TIME:19760401T005545Z", "ACTION:NONE\n"), []),
        ("".join(alarm(f":-PT{number}M") for number in (1, 2, 3, 4, 5, 5)),
         [(number, "IN_APP") for number in (1, 2, 3, 4, 5)]),
    ],
)  # fmt: skip
async def test_alarms_before_the_start(diary: Diary, alarms: str, expected: list[tuple[int, str]]) -> None:
    item = await one_of(diary, file_of(once() + alarms))
    assert (item["outcome"], item["notes"]) == ("CREATED", [])
    assert await reminders(diary, item["eventId"]) == expected


@pytest.mark.parametrize(
    ("alarms", "why"),
    [
        (alarm(":PT5M"), "after the start"),
        (alarm(";RELATED=END:-PT5M"), "goes by the end"),
        (alarm(";VALUE=DATE-TIME:20260301T090000Z"), "fixed time"),
        (alarm(":-PT30S"), "not whole minutes"),
        (alarm(":-P5W"), "more than 40,320 minutes"),
        (alarm(":--PT5M"), "is no duration"),
        (alarm(":soon"), "is no duration"),
        (alarm("X:-PT5M"), "has no TRIGGER"),
        (alarm(":-PT5M", "ACTION:PROCEDURE\n"), "'PROCEDURE'"),
        (alarm(":-PT5M", ""), "has no ACTION"),
    ],
)
async def test_of_what_is_no_reminder_a_note_says_so(diary: Diary, alarms: str, why: str) -> None:
    item = await one_of(diary, file_of(once() + alarms + alarm(":-PT15M")))
    assert item["outcome"] == "CREATED"
    assert [why in one for one in item["notes"]] == [True], item["notes"]
    assert await reminders(diary, item["eventId"]) == [(15, "IN_APP")]


async def test_no_more_than_five_and_none_repeats(diary: Diary) -> None:
    item = await one_of(diary, file_of(once() + "".join(alarm(f":-PT{number}M") for number in range(1, 9))))
    assert item["notes"] == ["It has more than 5 alarms; the rest was left out."]
    assert [minutes for minutes, _ in await reminders(diary, item["eventId"])] == [1, 2, 3, 4, 5]
    again = alarm(":-PT15M", rest="REPEAT:3\nDURATION:PT5M\n")
    repeating = await one_of(diary, file_of(once(UID="b@example.org") + again))
    assert repeating["notes"] == ["An alarm that repeats tells once here."]
    assert await reminders(diary, repeating["eventId"]) == [(15, "IN_APP")]


async def test_they_are_of_whoever_imports_and_stay_as_those_want_them(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    content = file_of(f"{WEEKLY}\nATTENDEE:mailto:{ann.email}{alarm(':-PT15M')}")
    event_id = (await one_of(diary, content))["eventId"]
    assert await reminders(diary, event_id, ann) == []
    again = await one_of(diary, content)
    assert (again["outcome"], again["notes"]) == ("UNCHANGED", [])
    body = {"reminders": [{"minutesBefore": 7, "channel": "MAIL"}]}
    answer = await diary.owner.client.put(path_of(event_id, "/reminders"), json=body)
    assert answer.status_code == 200, answer.text
    newer = file_of(WEEKLY.replace("SEQUENCE:1", "SEQUENCE:2") + alarm(":-PT30M"))
    updated = await one_of(diary, newer)
    assert (updated["outcome"], updated["notes"]) == ("UPDATED", [ALARMS_LEFT])
    assert await reminders(diary, event_id) == [(7, "MAIL")]
    assert (await one_of(diary, newer, dryRun="true"))["notes"] == [ALARMS_LEFT]


async def test_of_alarms_of_one_occurrence(diary: Diary) -> None:
    series, same, other = WEEKLY + alarm(":-PT15M"), MOVED + alarm(":-PT15M"), MOVED + alarm(":-PT5M")
    dry = await taken_in(diary, file_of(series, other), dryRun="true")
    assert [one["notes"] for one in dry["items"]] == [[], [OWN_ALARMS]]
    report = await taken_in(diary, file_of(series, same))
    assert [one["notes"] for one in report["items"]] == [[], []]
    alone = await one_of(diary, file_of(other.replace("SEQUENCE:1", "SEQUENCE:2")))
    assert (alone["outcome"], alone["notes"]) == ("UPDATED", [ALARMS_LEFT])
    assert await reminders(diary, report["items"][0]["eventId"]) == [(15, "IN_APP")]
    single = await one_of(diary, file_of(other.replace("weekly@", "single@")))
    assert await reminders(diary, single["eventId"]) == [(5, "IN_APP")]
