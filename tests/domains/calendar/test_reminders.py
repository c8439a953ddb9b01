"""Reminders: each due one is told once, for recurring, moved and cancelled occurrences, over changes of clocks, by
two workers at once and after one has died.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.calendar import reminding
from pm_api.domains.calendar.repository import reminders as rows
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, send_due, smtp_settings
from tests.support.settings import settings_for

MONDAY = datetime(2030, 3, 4, 9, tzinfo=UTC)
AT_NINE: Json = {"startTime": "2030-03-04T09:00:00Z", "endTime": "2030-03-04T10:00:00Z", "timeZone": "UTC"}
SECOND, THIRD = "20300311T090000Z", "20300318T090000Z"
TEN_BEFORE: Json = {"reminders": [{"minutesBefore": 10}]}
WEEK = timedelta(days=7)
A_MINUTE = timedelta(minutes=1)


@dataclass
class Clockwork:
    """A calendar in a database of its own, in which time is moved."""

    platform: Platform
    diary: Diary
    post: Post
    seen: dict[str, int] = field(default_factory=dict)

    @property
    def owner(self) -> Person:
        return self.diary.owner

    def set(self, moment: datetime) -> None:
        assert isinstance(self.platform.clock, MovableClock)
        self.platform.clock.shift_to(moment - self.platform.clock.wall())

    async def sweep(self) -> None:
        for name in ("calendar.remind", "calendar.remind_again"):
            await run_sweep(self.platform, PERIODICS[name])

    async def at(self, moment: datetime, person: Person | None = None) -> list[str]:
        """What somebody is reminded of by the sweep at a moment, and was not before."""
        self.set(moment)
        await self.sweep()
        return await self.new(person)

    async def new(self, person: Person | None = None) -> list[str]:
        person = person or self.owner
        shown = await person.client.get(
            "/api/notifications", params={"type": "calendar.reminder", "limit": 200, "archived": "false"}
        )
        assert shown.status_code == 200, shown.text
        titles = [one["title"] for one in reversed(shown.json()["notifications"])]
        before = self.seen.get(person.email, 0)
        self.seen[person.email] = len(titles)
        return titles[before:]

    async def query(self, statement: str, **values: Any) -> list[Any]:
        async with self.platform.database.transaction() as session:
            found = await session.execute(text(statement), values)
            return list(found) if found.returns_rows else []  # type: ignore[attr-defined]


@pytest.fixture
async def clockwork(fresh_database: str) -> AsyncIterator[Clockwork]:
    people: list[Person] = []
    async with post_office() as post:
        settings = settings_for(fresh_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            app = create_app(settings, platform)

            async def new_person(**fields: Any) -> Person:
                people.append(await register(app, **fields))
                return people[-1]

            made = Clockwork(platform, await open_diary(platform, new_person), post)
            made.set(MONDAY - timedelta(days=3))
            yield made
            for one in people:
                await one.client.aclose()


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def remind(person: Person, event_id: str, *reminders: Json) -> Json:
    answer = await person.client.put(path_of(event_id, "/reminders"), json={"reminders": list(reminders)})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


# --- what somebody chooses -------------------------------------------------------------------------------------


async def test_reminders_are_a_persons_own(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    event = await diary.event(**AT_NINE, **TEN_BEFORE)
    assert event["reminders"] == [{"minutesBefore": 10, "channel": "IN_APP"}]
    chosen = await remind(
        ann,
        event["id"],
        {"minutesBefore": 0},
        {"minutesBefore": 40_320, "channel": "MAIL"},
        {"minutesBefore": 5, "channel": "MAIL"},
        {"minutesBefore": 5, "channel": "IN_APP"},
    )
    assert [(one["minutesBefore"], one["channel"]) for one in chosen["reminders"]] == [
        (40_320, "MAIL"),
        (5, "MAIL"),
        (0, "IN_APP"),
    ], "by mail is in the app too"
    assert (await diary.read(event["id"], by=ann))["reminders"] == chosen["reminders"]
    read = await diary.read(event["id"])
    assert (read["reminders"], read["version"]) == (event["reminders"], event["version"])
    assert await remind(ann, event["id"]) == {"reminders": []}


@pytest.mark.parametrize(
    "reminders",
    [
        [{"minutesBefore": -1}],
        [{"minutesBefore": 40_321}],
        [{"minutesBefore": 1.5}],
        [{"minutesBefore": 1, "channel": "FAX"}],
        [{"minutesBefore": number} for number in range(6)],
        None,
    ],
)
async def test_reminders_that_are_none(diary: Diary, reminders: Any) -> None:
    event = await diary.event(**AT_NINE)
    answer = await diary.owner.client.put(path_of(event["id"], "/reminders"), json={"reminders": reminders})
    assert refusal(answer) == (422, "validation_failed")


async def test_who_may_be_reminded_of_what(diary: Diary, platform: Platform, new_person: NewPerson) -> None:
    viewer, stranger = await diary.person(Role.VIEWER), (await open_diary(platform, new_person)).owner
    event = await diary.series(**AT_NINE)
    private = await diary.event(**AT_NINE, visibility="PRIVATE")
    assert await remind(viewer, event["id"], {"minutesBefore": 5})
    for path, body in (("/reminders", TEN_BEFORE), ("/snooze", {"minutes": 5})):
        method = "PUT" if path == "/reminders" else "POST"

        async def ask(person: Person, name: str, path: str = path, body: Json = body, method: str = method) -> Any:
            return await person.client.request(method, path_of(name, path), json=body)

        assert refusal(await ask(stranger, event["id"])) == (404, "event_not_found")
        assert refusal(await ask(viewer, private["id"])) == (403, "event_not_yours"), "to them it is Busy"
        assert refusal(await ask(viewer, str(uuid4()))) == (404, "event_not_found")
    occurrence = key(event["id"], SECOND)
    nowhere = key(event["id"], "20300312T090000Z")
    answer = await viewer.client.put(path_of(nowhere, "/reminders"), json=TEN_BEFORE)
    assert refusal(answer) == (404, "occurrence_not_found")
    six = {"reminders": [{"minutesBefore": number} for number in range(6)]}
    answer = await viewer.client.put(path_of(occurrence, "/reminders"), json=six)
    assert refusal(answer) == (422, "validation_failed")
    answer = await viewer.client.post(path_of(event["id"], "/snooze"), json={"minutes": 5})
    assert refusal(answer) == (422, "occurrence_needed")
    for bad in ({}, {"minutes": 0}, {"minutes": 5, "until": "2030-03-04T09:00:00Z"}, {"minutes": 40_321}):
        answer = await viewer.client.post(path_of(occurrence, "/snooze"), json=bad)
        assert refusal(answer) == (422, "validation_failed")
    for until in ("2020-03-04T09:00:00Z", "2090-03-04T09:00:00Z"):
        answer = await viewer.client.post(path_of(occurrence, "/snooze"), json={"until": until})
        assert refusal(answer) == (422, "invalid_reminder_snooze")
    viewer.client.headers.pop("Authorization")
    assert (await viewer.client.put(path_of(event["id"], "/reminders"), json=TEN_BEFORE)).status_code == 401


# --- when they are told ----------------------------------------------------------------------------------------


async def test_each_occurrence_is_told_once(clockwork: Clockwork) -> None:
    await clockwork.diary.series(**AT_NINE, **TEN_BEFORE, location="Room 4")
    due = MONDAY - timedelta(minutes=10)
    assert await clockwork.at(due - A_MINUTE) == []
    assert await clockwork.at(due) == ["Standup, 09:00"]
    for later in (due, due + A_MINUTE, MONDAY, MONDAY + timedelta(days=6)):
        assert await clockwork.at(later) == []
    assert await clockwork.at(due + WEEK) == ["Standup, 09:00"]
    assert await clockwork.at(due + 20 * WEEK) == [], "ten there were, and the others are long over"
    [[left]] = await clockwork.query("SELECT count(*) FROM calendar_reminders WHERE next_at IS NOT NULL")
    assert left == 0


async def test_what_it_says(clockwork: Clockwork) -> None:
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE, location="Room 4")
    await clockwork.at(MONDAY - timedelta(minutes=10))
    shown = await clockwork.owner.client.get("/api/notifications", params={"type": "calendar.reminder"})
    [one] = shown.json()["notifications"]
    assert one["body"] == "Monday, 4 March 2030, 09:00–10:00 (UTC)\nRoom 4"
    assert one["link"] == f"/calendar/events/{key(event['id'], '20300304T090000Z')}"
    assert (one["category"], one["data"]["startTime"]) == ("REMINDERS", "2030-03-04T09:00:00.000Z")
    assert clockwork.post.to(clockwork.owner.email) == [] or all(
        "Standup" not in mail.subject for mail in clockwork.post.to(clockwork.owner.email)
    )


async def test_by_mail_it_is_a_mail_too(clockwork: Clockwork) -> None:
    reminders = [{"minutesBefore": 30, "channel": "MAIL"}, {"minutesBefore": 10}]
    await clockwork.diary.event(**AT_NINE, reminders=reminders)
    for minutes in (30, 10):
        assert await clockwork.at(MONDAY - timedelta(minutes=minutes)) == ["Standup, 09:00"]
        await send_due(clockwork.platform)
    mails = [one for one in clockwork.post.to(clockwork.owner.email) if "Standup" in one.subject]
    assert [one.subject for one in mails] == ["Standup, 09:00"]


async def test_a_moved_occurrence_is_told_at_its_new_time(clockwork: Clockwork) -> None:
    diary = clockwork.diary
    event = await diary.series(**AT_NINE, **TEN_BEFORE)
    earlier: Json = {"startTime": "2030-03-09T15:00:00Z", "endTime": "2030-03-09T16:00:00Z"}
    await diary.patch(key(event["id"], SECOND), query={"scope": "this"}, **earlier)
    later: Json = {"startTime": "2030-03-20T15:00:00Z", "endTime": "2030-03-20T16:00:00Z"}
    await diary.patch(key(event["id"], THIRD), query={"scope": "this"}, title="Late one", **later)
    told: dict[str, list[str]] = {}
    for hours in range(24 * 20):
        moment = MONDAY - timedelta(minutes=10) + timedelta(hours=hours)
        if moment.hour in (8, 14):
            found = await clockwork.at(moment)
            told |= {f"{moment:%d %H:%M}": found} if found else {}
    assert told == {"04 08:50": ["Standup, 09:00"], "09 14:50": ["Standup, 15:00"], "20 14:50": ["Late one, 15:00"]}


async def test_moved_after_it_was_told_it_is_told_again(clockwork: Clockwork) -> None:
    event = await clockwork.diary.event(**AT_NINE, **TEN_BEFORE)
    assert await clockwork.at(MONDAY - timedelta(minutes=10)) == ["Standup, 09:00"]
    await clockwork.diary.patch(event["id"], title="Renamed")
    assert await clockwork.at(MONDAY - timedelta(minutes=9)) == []
    await clockwork.diary.patch(event["id"], startTime="2030-03-04T12:00:00Z", endTime="2030-03-04T13:00:00Z")
    assert await clockwork.at(MONDAY) == []
    assert await clockwork.at(MONDAY + timedelta(hours=2, minutes=50)) == ["Renamed, 12:00"]


async def test_what_was_due_and_untold_survives_a_change(clockwork: Clockwork) -> None:
    """The sweep is late; meanwhile somebody gives it another title, and another sends the same reminders again."""
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=8))
    await clockwork.diary.patch(event["id"], title="Renamed")
    await remind(clockwork.owner, event["id"], *TEN_BEFORE["reminders"])
    assert await clockwork.at(MONDAY - timedelta(minutes=5)) == ["Renamed, 09:00"]
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=10)) == ["Renamed, 09:00"]


async def test_what_is_cancelled_or_declined_is_not_told(clockwork: Clockwork) -> None:
    diary = clockwork.diary
    ann = await diary.person(Role.MEMBER)
    event = await diary.series(**AT_NINE, **TEN_BEFORE, attendeeIds=[str(ann.id)])
    await remind(ann, event["id"], {"minutesBefore": 10})
    await diary.delete(key(event["id"], "20300304T090000Z"), scope="this")
    path = path_of(key(event["id"], SECOND), "/respond")
    assert (await ann.client.post(path, json={"response": "DECLINED"})).status_code == 200
    due = MONDAY - timedelta(minutes=10)
    assert await clockwork.at(due) == await clockwork.new(ann) == []
    assert (await clockwork.at(due + WEEK), await clockwork.new(ann)) == (["Standup, 09:00"], [])
    assert (await clockwork.at(due + 2 * WEEK), await clockwork.new(ann)) == (["Standup, 09:00"],) * 2
    assert (await ann.client.post(path_of(event["id"], "/respond"), json={"response": "DECLINED"})).status_code == 200
    path = path_of(key(event["id"], "20300401T090000Z"), "/respond")
    assert (await ann.client.post(path, json={"response": "ACCEPTED"})).status_code == 200
    assert (await clockwork.at(due + 3 * WEEK), await clockwork.new(ann)) == (["Standup, 09:00"], [])
    assert (await clockwork.at(due + 4 * WEEK), await clockwork.new(ann)) == (["Standup, 09:00"],) * 2, "to that"
    await diary.delete(event["id"])
    assert await clockwork.at(due + 5 * WEEK) == []


async def test_an_all_day_event_begins_where_its_reader_is(clockwork: Clockwork) -> None:
    tokyo = await clockwork.diary.person(Role.MEMBER)
    zoned = await tokyo.client.patch("/api/users/me", json={"timeZone": "Asia/Tokyo"})
    if zoned.status_code != 200:
        await clockwork.query("UPDATE users SET time_zone = 'Asia/Tokyo' WHERE id = :id", id=tokyo.id)
    await clockwork.query("UPDATE users SET time_zone = 'UTC' WHERE id = :id", id=clockwork.owner.id)
    event = await clockwork.diary.event(
        title="Holiday", type="MEETING", allDay=True, startTime="2030-03-08", endTime="2030-03-09", **TEN_BEFORE
    )
    await remind(tokyo, event["id"], {"minutesBefore": 10})
    midnight = datetime(2030, 3, 8, tzinfo=UTC)
    assert await clockwork.at(midnight - timedelta(hours=9, minutes=11), tokyo) == []
    assert await clockwork.at(midnight - timedelta(hours=9, minutes=10), tokyo) == ["Holiday, Friday, 8 March 2030"]
    assert await clockwork.at(midnight - timedelta(minutes=11)) == []
    assert await clockwork.at(midnight - timedelta(minutes=10)) == ["Holiday, Friday, 8 March 2030"]


async def test_who_travels_east_is_told_of_the_day_all_the_same(clockwork: Clockwork) -> None:
    """Between the midnight they were to be told at and the one of where they are now, the day is not lost."""
    await clockwork.query("UPDATE users SET time_zone = 'UTC' WHERE id = :id", id=clockwork.owner.id)
    await clockwork.diary.event(
        title="Holiday", type="MEETING", allDay=True, startTime="2030-03-08", endTime="2030-03-09", **TEN_BEFORE
    )
    await clockwork.query("UPDATE users SET time_zone = 'Asia/Tokyo' WHERE id = :id", id=clockwork.owner.id)
    midnight = datetime(2030, 3, 8, tzinfo=UTC)
    assert await clockwork.at(midnight - timedelta(minutes=10)) == ["Holiday, Friday, 8 March 2030"]
    assert await clockwork.at(midnight) == []


async def test_clocks_that_change_change_the_moment(clockwork: Clockwork) -> None:
    """Daily at 02:30 in New York: on 10 March 2030 clocks skip it, and it is 03:30 there, 07:30 UTC."""
    times: Json = {"startTime": "2030-03-09T02:30:00-05:00", "endTime": "2030-03-09T03:00:00-05:00"}
    await clockwork.diary.event(**times, timeZone="America/New_York", rrule="FREQ=DAILY;COUNT=3", **TEN_BEFORE)
    told = []
    moment = datetime(2030, 3, 9, 5, tzinfo=UTC)
    while moment < datetime(2030, 3, 11, 9, tzinfo=UTC):
        if await clockwork.at(moment):
            told.append(f"{moment:%d %H:%M}")
        moment += timedelta(minutes=20)
    assert told == ["09 07:20", "10 07:20", "11 06:20"]


async def test_a_worker_that_was_away_tells_what_is_not_history(clockwork: Clockwork) -> None:
    await clockwork.diary.event(**AT_NINE, rrule="FREQ=DAILY", **TEN_BEFORE)
    assert await clockwork.at(MONDAY + timedelta(days=3, minutes=30)) == ["Standup, 09:00"], "today's alone"
    assert await clockwork.at(MONDAY + timedelta(days=3, hours=23, minutes=50)) == ["Standup, 09:00"]


async def test_nobody_is_told_of_what_they_see_no_more(clockwork: Clockwork) -> None:
    diary = clockwork.diary
    ann = await diary.person(Role.MEMBER)
    project = await diary.project(isPrivate=True)
    await diary.put(project, ann, "MEMBER")
    event = await diary.event(**AT_NINE, projectId=project["id"], attendeeIds=[str(ann.id)], **TEN_BEFORE)
    await remind(ann, event["id"], {"minutesBefore": 10})
    gone = await diary.owner.client.delete(f"/api/projects/{project['id']}/members/{ann.id}")
    assert gone.status_code == 204, gone.text
    other = await diary.event(**AT_NINE, title="Private now")
    await remind(ann, other["id"], {"minutesBefore": 10})
    await diary.patch(other["id"], visibility="PRIVATE")
    assert await clockwork.at(MONDAY - timedelta(minutes=10), ann) == []
    assert await clockwork.new() == ["Standup, 09:00"]


# --- of one occurrence alone -----------------------------------------------------------------------------------


MAIL_THIRTY: Json = {"minutesBefore": 30, "channel": "MAIL"}


async def test_an_occurrence_has_reminders_of_its_own(diary: Diary) -> None:
    """In place of those of its series, for nobody else, and until they are taken back."""
    ann = await diary.person(Role.MEMBER)
    event = await diary.series(**AT_NINE, **TEN_BEFORE)
    await remind(ann, event["id"], {"minutesBefore": 7})
    second, third = key(event["id"], SECOND), key(event["id"], THIRD)
    ten = {"minutesBefore": 10, "channel": "IN_APP"}
    zero = {"minutesBefore": 0, "channel": "IN_APP"}
    assert await remind(diary.owner, second, zero, MAIL_THIRTY) == {"reminders": [MAIL_THIRTY, zero]}
    assert await remind(diary.owner, third) == {"reminders": []}
    assert (await diary.read(second))["reminders"] == [MAIL_THIRTY, zero]
    assert (await diary.read(third))["reminders"] == []
    assert (await diary.read(event["id"]))["reminders"] == [ten]
    shown = await diary.shown("2030-03-01", "2030-03-20", tz="UTC")
    assert [one["reminders"] for one in shown] == [[ten], [MAIL_THIRTY, zero], []]
    hers = await diary.shown("2030-03-01", "2030-03-20", ann, tz="UTC")
    assert [[each["minutesBefore"] for each in one["reminders"]] for one in hers] == [[7]] * 3
    assert (await diary.read(event["id"]))["version"] == event["version"], "nobody else's event is another one for it"
    assert await remind(diary.owner, event["id"], zero) == {"reminders": [zero]}
    assert (await diary.read(second))["reminders"] == [MAIL_THIRTY, zero]
    for one in (second, third):
        back = await diary.owner.client.put(path_of(one, "/reminders"), json={"reminders": None})
        assert (back.status_code, back.json()) == (200, {"reminders": [zero]})
        assert (await diary.read(one))["reminders"] == [zero]


async def test_an_occurrence_is_told_by_its_own(clockwork: Clockwork) -> None:
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    await remind(clockwork.owner, key(event["id"], SECOND), {"minutesBefore": 30}, {"minutesBefore": 5})
    await remind(clockwork.owner, key(event["id"], THIRD))
    seen = {}
    for week in range(4):
        for minutes in (31, 30, 10, 5, 0):
            moment = MONDAY + week * WEEK - timedelta(minutes=minutes)
            if found := await clockwork.at(moment):
                seen[f"{moment:%d %H:%M}"] = found
    nine = ["Standup, 09:00"]
    assert seen == {"04 08:50": nine, "11 08:30": nine, "11 08:55": nine, "25 08:50": nine}


async def test_its_own_are_told_once_whenever_they_are_chosen(clockwork: Clockwork) -> None:
    """Chosen anew after it was told, taken back, sent once more, and swept by four at once."""
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    first = key(event["id"], "20300304T090000Z")
    assert await clockwork.at(MONDAY - timedelta(minutes=10)) == ["Standup, 09:00"]
    await remind(clockwork.owner, first, {"minutesBefore": 10}, {"minutesBefore": 5})
    assert await clockwork.at(MONDAY - timedelta(minutes=9)) == []
    clockwork.set(MONDAY - timedelta(minutes=5))
    await asyncio.gather(*(clockwork.sweep() for _ in range(4)))
    assert await clockwork.new() == ["Standup, 09:00"]
    back = await clockwork.owner.client.put(path_of(first, "/reminders"), json={"reminders": None})
    assert back.status_code == 200, back.text
    assert await clockwork.at(MONDAY) == []
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=10)) == ["Standup, 09:00"]


async def test_none_for_one_is_none_although_the_series_was_due(clockwork: Clockwork) -> None:
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=8))
    await remind(clockwork.owner, key(event["id"], "20300304T090000Z"))
    assert await clockwork.at(MONDAY - timedelta(minutes=7)) == []
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=10)) == ["Standup, 09:00"]


async def test_choosing_and_the_sweep_at_once(clockwork: Clockwork) -> None:
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=10))
    await asyncio.gather(
        clockwork.sweep(),
        remind(clockwork.owner, key(event["id"], "20300304T090000Z"), {"minutesBefore": 10}, {"minutesBefore": 5}),
        clockwork.sweep(),
    )
    await clockwork.sweep()
    assert await clockwork.new() in ([], ["Standup, 09:00"])
    assert await clockwork.at(MONDAY - timedelta(minutes=5)) == ["Standup, 09:00"]
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=10)) == ["Standup, 09:00"]


async def test_its_own_go_with_the_occurrence(clockwork: Clockwork) -> None:
    """One that is moved, one whose series moves, one that is cancelled or declined, and one that is brought back."""
    diary, owner = clockwork.diary, clockwork.owner
    event = await diary.series(**AT_NINE, **TEN_BEFORE)
    second, third = key(event["id"], SECOND), key(event["id"], THIRD)
    for one in (second, third):
        await remind(owner, one, {"minutesBefore": 30})
    moved: Json = {"startTime": "2030-03-12T15:00:00Z", "endTime": "2030-03-12T16:00:00Z"}
    await diary.patch(second, query={"scope": "this"}, **moved)
    await diary.delete(third, scope="this")
    await diary.patch(event["id"], startTime="2030-03-04T11:00:00Z", endTime="2030-03-04T12:00:00Z")
    second, third = (key(event["id"], f"203003{day}T110000Z") for day in (11, 18))
    assert [one["minutesBefore"] for one in (await diary.read(second))["reminders"]] == [30]
    at_second = datetime.fromisoformat((await diary.read(second))["startTime"])
    assert await clockwork.at(MONDAY + timedelta(hours=1, minutes=50)) == ["Standup, 11:00"]
    assert len(await clockwork.at(at_second - timedelta(minutes=30))) == 1
    assert await clockwork.at(at_second - timedelta(minutes=10)) == []
    at_third = MONDAY + 2 * WEEK + timedelta(hours=2)
    assert await clockwork.at(at_third - timedelta(minutes=30)) == []
    assert await clockwork.at(at_third - timedelta(minutes=10)) == []
    [[left]] = await clockwork.query("SELECT count(*) FROM calendar_reminders WHERE only_at IS NOT NULL")
    assert left == 2
    await diary.patch(event["id"], rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=1")
    [[left]] = await clockwork.query("SELECT count(*) FROM calendar_reminders WHERE only_at IS NOT NULL")
    assert left == 0, "of those that are no more they are no more"


async def test_of_one_that_is_declined_its_own_are_not_told(clockwork: Clockwork) -> None:
    ann = await clockwork.diary.person(Role.MEMBER)
    event = await clockwork.diary.series(**AT_NINE, attendeeIds=[str(ann.id)])
    second = key(event["id"], SECOND)
    await remind(ann, second, {"minutesBefore": 30})
    answer = await ann.client.post(path_of(second, "/respond"), json={"response": "DECLINED"})
    assert answer.status_code == 200, answer.text
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=30), ann) == []


async def test_its_own_go_with_their_side_of_a_split(clockwork: Clockwork) -> None:
    diary, owner = clockwork.diary, clockwork.owner
    event = await diary.series(**AT_NINE, **TEN_BEFORE)
    second, third, fourth = (key(event["id"], one) for one in (SECOND, THIRD, "20300325T090000Z"))
    await remind(owner, second, {"minutesBefore": 30})
    await remind(owner, fourth)
    changed = await diary.patch(third, query={"scope": "following"}, title="Later")
    new_id = changed["event"]["seriesId"]
    assert [one["minutesBefore"] for one in (await diary.read(second))["reminders"]] == [30]
    assert (await diary.read(key(new_id, "20300325T090000Z")))["reminders"] == []
    assert [one["minutesBefore"] for one in changed["event"]["reminders"]] == [10]
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=30)) == ["Standup, 09:00"]
    assert await clockwork.at(MONDAY + 2 * WEEK - timedelta(minutes=10)) == ["Later, 09:00"]
    assert await clockwork.at(MONDAY + 3 * WEEK - timedelta(minutes=10)) == []
    assert await clockwork.at(MONDAY + 4 * WEEK - timedelta(minutes=10)) == ["Later, 09:00"]
    await diary.delete(key(event["id"], SECOND), scope="following")
    rows = await clockwork.query("SELECT event_id::text FROM calendar_reminders WHERE only_at IS NOT NULL")
    assert [row[0] for row in rows] == [new_id]


async def test_reminders_of_one_are_changed_with_it(diary: Diary) -> None:
    event = await diary.series(**AT_NINE, **TEN_BEFORE)
    second, third = key(event["id"], SECOND), key(event["id"], THIRD)
    for title in ("Standup", "Other"):  # without another change, and with one
        reminders = [{"minutesBefore": len(title), "channel": "IN_APP"}]
        changed = await diary.patch(second, title=title, reminders=reminders)
        assert changed["event"]["reminders"] == reminders
    assert [one["minutesBefore"] for one in (await diary.read(third))["reminders"]] == [10]


# --- once ------------------------------------------------------------------------------------------------------


async def test_two_workers_tell_it_once(clockwork: Clockwork) -> None:
    for number in range(12):
        await clockwork.diary.event(**{**AT_NINE, "title": f"Event {number}"}, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=10))
    await asyncio.gather(*(clockwork.sweep() for _ in range(4)))
    await clockwork.sweep()
    assert sorted(await clockwork.new()) == sorted(f"Event {number}, 09:00" for number in range(12))


async def test_a_worker_that_dies_before_it_commits_has_told_nothing(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told and moved on are one transaction: there is no moment between them to die in. A second telling under the
    same key, as after a row that was put back, tells nobody either.
    """
    await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=10))
    done = reminding.remind

    async def dying(session: AsyncSession, platform: Platform, found: Any) -> None:
        await done(session, platform, found)
        raise KeyboardInterrupt

    due = await _due(clockwork)
    with pytest.raises(KeyboardInterrupt):
        async with clockwork.platform.database.transaction() as session:
            await dying(session, clockwork.platform, due)
    assert await clockwork.new() == []
    assert await clockwork.at(MONDAY - timedelta(minutes=9)) == ["Standup, 09:00"]
    await clockwork.query("UPDATE calendar_reminders SET next_at = :then", then=MONDAY - timedelta(minutes=10))
    assert await clockwork.at(MONDAY - timedelta(minutes=8)) == []
    assert await clockwork.at(MONDAY + WEEK - timedelta(minutes=10)) == ["Standup, 09:00"]


async def _due(clockwork: Clockwork) -> list[rows.DueReminder]:
    async with clockwork.platform.database.reading() as session:
        return await rows.due(session, clockwork.platform.clock.now(), None, 10)


async def test_a_change_and_the_sweep_at_once(clockwork: Clockwork) -> None:
    """Whichever is first, each start is told at most once, and none that still comes is lost."""
    event = await clockwork.diary.series(**AT_NINE, **TEN_BEFORE)
    clockwork.set(MONDAY - timedelta(minutes=10))
    await asyncio.gather(
        clockwork.sweep(),
        clockwork.diary.patch(event["id"], startTime="2030-03-04T09:30:00Z", endTime="2030-03-04T10:30:00Z"),
        clockwork.sweep(),
    )
    assert (await clockwork.new()).count("Standup, 09:00") <= 1
    assert await clockwork.at(MONDAY + timedelta(minutes=20)) == ["Standup, 09:30"]
    assert await clockwork.at(MONDAY + timedelta(minutes=21)) == []


async def test_one_that_cannot_be_told_holds_up_nobody(clockwork: Clockwork) -> None:
    broken = await clockwork.diary.event(**AT_NINE, title="Broken", **TEN_BEFORE)
    await clockwork.diary.event(**AT_NINE, **TEN_BEFORE)
    await clockwork.query("UPDATE calendar_events SET rrule = 'NONSENSE' WHERE id = :id", id=broken["id"])
    assert await clockwork.at(MONDAY - timedelta(minutes=10)) == ["Standup, 09:00"]


# --- once more -------------------------------------------------------------------------------------------------


async def test_what_is_put_off_is_told_once_more(clockwork: Clockwork) -> None:
    event = await clockwork.diary.series(**AT_NINE)
    occurrence = key(event["id"], "20300304T090000Z")
    clockwork.set(MONDAY - timedelta(minutes=10))
    put = await clockwork.owner.client.post(path_of(occurrence, "/snooze"), json={"minutes": 30})
    assert put.status_code == 200, put.text
    until = (MONDAY - timedelta(minutes=5)).isoformat()
    put = await clockwork.owner.client.post(path_of(occurrence, "/snooze"), json={"until": until})
    assert put.json()["snooze"] == {"eventId": occurrence, "until": "2030-03-04T08:55:00.000Z"}
    assert await clockwork.at(MONDAY - timedelta(minutes=6)) == []
    assert await clockwork.at(MONDAY - timedelta(minutes=5)) == ["Standup, 09:00"]
    assert await clockwork.at(MONDAY + timedelta(minutes=30)) == [], "the last word counted"
    gone = key(event["id"], SECOND)
    assert (await clockwork.owner.client.post(path_of(gone, "/snooze"), json={"minutes": 5})).status_code == 200
    await clockwork.diary.delete(gone, scope="this")
    assert await clockwork.at(MONDAY + timedelta(minutes=40)) == []
    [[left]] = await clockwork.query("SELECT count(*) FROM calendar_snoozes")
    assert left == 0


async def test_two_workers_tell_once_more_once(clockwork: Clockwork) -> None:
    event = await clockwork.diary.event(**AT_NINE)
    put = await clockwork.owner.client.post(path_of(event["id"], "/snooze"), json={"minutes": 5})
    assert put.status_code == 200, put.text
    clockwork.set(MONDAY)
    await asyncio.gather(*(clockwork.sweep() for _ in range(4)))
    assert await clockwork.new() == ["Standup, 09:00"]
