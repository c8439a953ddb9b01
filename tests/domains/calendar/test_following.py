"""`following`: a series is cut in two, and what hangs on its occurrences goes with its side."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from pm_api.core.platform import Platform
from pm_api.core.recurrence.parsing import parse_rule
from pm_api.domains.calendar.models import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarBooking,
    CalendarEvent,
    CalendarEventResource,
    CalendarOverride,
    CalendarReminder,
    CalendarResource,
    CalendarSnooze,
)
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal

MONDAYS: Final = [
    "20260302T140000Z",
    "20260309T130000Z",
    "20260316T130000Z",
    "20260323T130000Z",
    "20260330T130000Z",
    "20260406T130000Z",
    "20260413T130000Z",
    "20260420T130000Z",
    "20260427T130000Z",
    "20260504T130000Z",
]
"""Ten Mondays at nine in New York, over the change of clocks on 8 March."""
SPRING: Final = ("2026-02-01T00:00:00Z", "2026-07-01T00:00:00Z")
FOLLOWING: Final = {"scope": "following"}


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def instant(original: str) -> datetime:
    return datetime.strptime(original, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def wire(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


async def split_off(diary: Diary, series: Json) -> Json:
    """The one series that was split from another."""
    answer = await diary.owner.client.get("/api/calendar/events", params={"workspaceId": diary.id, "limit": 200})
    assert answer.status_code == 200, answer.text
    (found,) = [one for one in answer.json()["events"] if one["previousSeriesId"] == series["id"]]
    return dict(found)


def times(shown: Sequence[Json]) -> list[tuple[str, str]]:
    return [(one["startTime"], one["endTime"]) for one in shown]


async def test_count_is_divided_and_the_new_series_knows_where_it_is_from(diary: Diary) -> None:
    series = await diary.series()
    before = await diary.shown(*SPRING)
    assert len(before) == 10
    await diary.patch(key(series["id"], MONDAYS[3]), query=FOLLOWING, title="Retro")
    first, second = await diary.read(series["id"]), await split_off(diary, series)
    assert ("COUNT=3" in first["rrule"], "COUNT=7" in second["rrule"]) == (True, True)
    assert (first["title"], second["title"]) == ("Standup", "Retro")
    assert second["uid"] != first["uid"]
    assert (first["version"], first["sequence"], second["sequence"]) == (2, 1, 0)
    assert second["startTime"] == "2026-03-23T13:00:00.000Z"
    after = await diary.shown(*SPRING)
    assert times(after) == times(before)
    assert [one["title"] for one in after] == ["Standup"] * 3 + ["Retro"] * 7
    assert [one["id"] for one in after[:3]] == [one["id"] for one in before[:3]], "those before keep their ids"
    assert [one["id"] for one in after[3:]] == [key(second["id"], one) for one in MONDAYS[3:]]


async def test_an_endless_series_ends_before_the_split(diary: Diary) -> None:
    series = await diary.series(rrule="FREQ=DAILY")
    before = await diary.shown(*SPRING)
    await diary.patch(key(series["id"], MONDAYS[5]), query=FOLLOWING, location="Room 4")
    assert "UNTIL=20260406T035959Z" in (await diary.read(series["id"]))["rrule"]
    assert (await split_off(diary, series))["rrule"] == "FREQ=DAILY"
    assert times(await diary.shown(*SPRING)) == times(before)


async def test_changed_and_excluded_ones_go_with_their_side(diary: Diary) -> None:
    series = await diary.series(exdate=["2026-03-16T09:00:00", "2026-04-20T09:00:00"], rdate=["2026-05-20T09:00:00"])
    moved: Json = {"startTime": "2026-06-01T10:00:00-04:00", "endTime": "2026-06-01T11:00:00-04:00"}
    await diary.patch(key(series["id"], MONDAYS[1]), query={"scope": "this"}, **moved)
    early: Json = {"startTime": "2026-02-20T10:00:00-05:00", "endTime": "2026-02-20T11:00:00-05:00"}
    await diary.patch(key(series["id"], MONDAYS[6]), query={"scope": "this"}, title="Early", **early)
    await diary.delete(key(series["id"], MONDAYS[8]), scope="this")
    before = await diary.shown(*SPRING)
    await diary.patch(key(series["id"], MONDAYS[4]), query=FOLLOWING, description="Second half")
    second = await split_off(diary, series)
    after = await diary.shown(*SPRING)
    assert times(after) == times(before)
    assert {one["originalStartTime"] for one in after if one["seriesId"] == second["id"]} == {
        one["originalStartTime"] for one in before if instant_of(one) >= instant(MONDAYS[4])
    }, "a moved occurrence goes where its original start lies"
    assert [one["title"] for one in after if one["startTime"] == "2026-02-20T15:00:00.000Z"] == ["Early"]
    assert (await diary.read(series["id"]))["exdate"] == ["2026-03-16T09:00:00"]
    assert (second["exdate"], second["rdate"]) == (["2026-04-20T09:00:00"], ["2026-05-20T09:00:00"])
    async with diary.platform.database.reading() as session:
        rows = await session.execute(select(CalendarOverride.event_id, CalendarOverride.original_at))
        sides = {at: str(event_id) for event_id, at in rows if str(event_id) in (series["id"], second["id"])}
    assert sides == {
        instant(MONDAYS[1]): series["id"],
        instant(MONDAYS[6]): second["id"],
        instant(MONDAYS[8]): second["id"],
    }


def instant_of(shown: Json) -> datetime:
    return datetime.fromisoformat(shown["originalStartTime"])


async def hang_things_on(diary: Diary, series: Json, ann: Person) -> Json:
    """Answers for single occurrences, somebody invited to one alone, reminders, snoozes, a room and its bookings."""
    event_id, workspace_id = UUID(series["id"]), UUID(diary.id)
    now = diary.platform.clock.now()
    person, room = uuid4(), uuid4()
    common: Json = {"workspace_id": workspace_id, "event_id": event_id}
    ats = [instant(one) for one in MONDAYS]
    async with diary.platform.database.transaction() as session:
        session.add(
            CalendarAttendee(
                id=person, **common, user_id=ann.id, response="TENTATIVE", comment="maybe", responded_at=now
            )
        )
        await session.flush()
        for at in (ats[1], ats[7]):
            session.add(
                CalendarAttendee(
                    id=uuid4(), **common, email=f"{at:%m%d}@example.org", only_at=at, response="ACCEPTED"
                )
            )
        session.add(
            CalendarResource(
                id=room,
                workspace_id=workspace_id,
                name=f"Room {room}",
                description="",
                location="",
                time_zone="UTC",
                created_at=now,
                updated_at=now,
            )
        )
        await session.flush()
        session.add(CalendarEventResource(event_id=event_id, resource_id=room, workspace_id=workspace_id))
        for at in ats:
            session.add(CalendarAnswer(attendee_id=person, original_at=at, **common, response="DECLINED"))
            session.add(CalendarSnooze(id=uuid4(), **common, user_id=ann.id, original_at=at, due_at=at))
            hour = timedelta(hours=1)
            session.add(CalendarBooking(resource_id=room, original_at=at, **common, starts_at=at, ends_at=at + hour))
        session.add(CalendarReminder(id=uuid4(), **common, user_id=ann.id, minutes_before=10, channel="IN_APP"))
    return {"attendee": person, "room": room}


async def test_answers_people_reminders_and_rooms_go_with_their_side(diary: Diary) -> None:
    series, ann = await diary.series(), await diary.person(Role.MEMBER)
    made = await hang_things_on(diary, series, ann)
    await diary.patch(key(series["id"], MONDAYS[4]), query=FOLLOWING, title="Retro")
    second = UUID((await split_off(diary, series))["id"])
    first = UUID(series["id"])
    ats = [instant(one) for one in MONDAYS]
    async with diary.platform.database.reading() as session:

        async def held(table: Any, *columns: Any) -> dict[UUID, list[Any]]:
            rows = await session.execute(
                select(table.event_id, *columns).where(table.event_id.in_([first, second])).order_by(*columns)
            )
            found: dict[UUID, list[Any]] = {first: [], second: []}
            for event_id, *values in rows:
                found[event_id].append(values[0] if len(values) == 1 else tuple(values))
            return found

        invited = await held(
            CalendarAttendee, CalendarAttendee.only_at, CalendarAttendee.email, CalendarAttendee.response
        )
        assert [one for one in invited[first] if one[0] is not None] == [(ats[1], "0309@example.org", "ACCEPTED")]
        assert [one for one in invited[second] if one[0] is not None] == [(ats[7], "0420@example.org", "ACCEPTED")]
        whole = select(CalendarAttendee).where(
            CalendarAttendee.event_id == second, CalendarAttendee.user_id == ann.id
        )
        copied = (await session.scalars(whole)).one()
        assert (copied.response, copied.comment, copied.only_at) == ("TENTATIVE", "maybe", None)
        assert copied.id != made["attendee"]
        answers = await held(CalendarAnswer, CalendarAnswer.original_at, CalendarAnswer.attendee_id)
        assert answers[first] == [(one, made["attendee"]) for one in ats[:4]]
        assert answers[second] == [(one, copied.id) for one in ats[4:]]
        for table in (CalendarSnooze, CalendarBooking):
            sides = await held(table, table.original_at)
            assert (sides[first], sides[second]) == (ats[:4], ats[4:]), table.__tablename__
        reminders = await held(CalendarReminder, CalendarReminder.minutes_before, CalendarReminder.channel)
        assert reminders[first] == reminders[second] == [(10, "IN_APP")]
        rooms = await held(CalendarEventResource, CalendarEventResource.resource_id)
        assert rooms[first] == rooms[second] == [made["room"]]


@pytest.mark.parametrize("taken", [False, True])
async def test_on_the_first_occurrence_it_equals_all(diary: Diary, taken: bool) -> None:
    series = await diary.series()
    at = MONDAYS[0]
    if taken:  # then the second is the first there is
        await diary.delete(key(series["id"], at), scope="this")
        at = MONDAYS[1]
    version = (await diary.read(series["id"]))["version"]
    await diary.patch(key(series["id"], at), query=FOLLOWING, title="Retro")
    now = await diary.read(series["id"])
    assert (now["title"], now["version"], now["uid"]) == ("Retro", version + 1, series["uid"])
    assert "COUNT=10" in now["rrule"]
    assert {one["seriesId"] for one in await diary.shown(*SPRING)} == {series["id"]}


async def test_another_time_from_an_occurrence_on(diary: Diary) -> None:
    series = await diary.series()
    later: Json = {"startTime": "2026-04-07T11:00:00-04:00", "endTime": "2026-04-07T12:30:00-04:00"}
    await diary.patch(key(series["id"], MONDAYS[5]), query=FOLLOWING, rrule="FREQ=WEEKLY;COUNT=5", **later)
    shown = await diary.shown(*SPRING)
    assert [one["startTime"] for one in shown[:5]] == [wire(instant(one)) for one in MONDAYS[:5]]
    assert [one["startTime"] for one in shown[5:]] == [
        wire(datetime(2026, 4, 7, 15, tzinfo=UTC) + timedelta(weeks=number)) for number in range(5)
    ]


async def test_added_dates_alone_stay_a_series_of_one(diary: Diary) -> None:
    series = await diary.event(rdate=["2026-03-04T09:00:00"])
    await diary.patch(key(series["id"], "20260304T140000Z"), query=FOLLOWING, title="Second")
    second = await split_off(diary, series)
    shown = await diary.shown(*SPRING)
    assert [(one["id"], one["title"]) for one in shown] == [
        (key(series["id"], MONDAYS[0]), "Standup"),
        (key(second["id"], "20260304T140000Z"), "Second"),
    ]


async def test_deleting_what_follows(diary: Diary) -> None:
    series, ann = await diary.series(), await diary.person(Role.MEMBER)
    await hang_things_on(diary, series, ann)
    await diary.patch(key(series["id"], MONDAYS[8]), query={"scope": "this"}, title="Other")
    before = await diary.shown(*SPRING)
    await diary.delete(key(series["id"], MONDAYS[4]), scope="following")
    after = await diary.shown(*SPRING)
    assert [one["id"] for one in after] == [one["id"] for one in before[:4]]
    async with diary.platform.database.reading() as session:
        for table in (CalendarAnswer, CalendarOverride, CalendarBooking, CalendarSnooze):
            count = await session.scalar(
                select(func.count())
                .select_from(table)
                .where(table.event_id == UUID(series["id"]), table.original_at >= instant(MONDAYS[4]))
            )
            assert count == 0, table.__tablename__
    await diary.delete(key(series["id"], MONDAYS[0]), scope="following")
    gone = await diary.owner.client.get(path_of(series["id"]))
    assert refusal(gone) == (404, "event_not_found"), "from the first on is all of it"


TABLES: Final = (
    *("calendar_events", "calendar_overrides", "calendar_attendees", "calendar_answers", "calendar_reminders"),
    *("calendar_snoozes", "calendar_bookings", "calendar_event_resources", "calendar_reach", "calendar_homes"),
    *("changes", "feeds", "notifications", "outbox_mails", "pgqueuer", "search_documents"),
)


async def everything(platform: Platform) -> dict[str, list[str]]:
    """Every row of every table that a write of the calendar may touch."""
    found: dict[str, list[str]] = {}
    async with platform.database.reading() as session:
        for name in TABLES:
            if await session.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None:
                rows = await session.scalars(text(f"SELECT row_to_json(t)::text FROM {name} t ORDER BY 1"))
                found[name] = list(rows)
    return found


async def test_a_dry_run_shows_both_parts_and_leaves_nothing(diary: Diary) -> None:
    series, ann = await diary.series(), await diary.person(Role.MEMBER)
    await hang_things_on(diary, series, ann)
    before = await everything(diary.platform)
    assert {"calendar_events", "changes", "pgqueuer"} <= set(before)
    told = await diary.patch(
        key(series["id"], MONDAYS[4]), query={**FOLLOWING, "dryRun": True}, title="Retro", rrule="FREQ=WEEKLY;COUNT=2"
    )
    assert told["dryRun"] is True
    whole, named, new = (find(told, one) for one in ("CHANGED", "DELETED", "CREATED"))
    assert whole["id"] == series["id"]
    rules = [(one["old"], one["new"]) for one in whole["changes"] if one["field"] == "rrule"]
    assert rules == [("FREQ=WEEKLY;COUNT=10;BYDAY=MO", "FREQ=WEEKLY;COUNT=4;BYDAY=MO")]
    assert named["id"] == key(series["id"], MONDAYS[4]), "it would be one of the other series"
    assert (new["event"]["title"], new["event"]["previousSeriesId"]) == ("Retro", series["id"])
    assert "COUNT=2" in new["event"]["rrule"]
    assert await everything(diary.platform) == before
    removed = await diary.owner.client.delete(
        path_of(key(series["id"], MONDAYS[4])), params={**FOLLOWING, "dryRun": True}
    )
    assert removed.status_code == 200, removed.text
    assert find(removed.json(), "CHANGED")["id"] == series["id"]
    whole_gone = await diary.owner.client.delete(path_of(series["id"]), params={"scope": "all", "dryRun": True})
    assert [one["outcome"] for one in whole_gone.json()["differences"]] == ["DELETED"]
    assert await everything(diary.platform) == before


async def test_a_dry_run_of_one_occurrence(diary: Diary) -> None:
    series = await diary.series()
    before = await everything(diary.platform)
    one = key(series["id"], MONDAYS[2])
    told = await diary.patch(one, query={"scope": "this", "dryRun": True}, title="Other")
    assert [(each["id"], each["outcome"]) for each in told["differences"]] == [(one, "CHANGED")]
    changes = {each["field"]: (each["old"], each["new"]) for each in told["differences"][0]["changes"]}
    assert changes["title"] == ("Standup", "Other")
    assert await everything(diary.platform) == before


async def test_a_dry_run_refuses_what_the_run_would(diary: Diary) -> None:
    series = await diary.series()
    stranger = await diary.person(Role.MEMBER)
    dry: Json = {"scope": "all", "dryRun": True}
    refused = await stranger.client.patch(path_of(series["id"]), params=dry, json={"title": "x"})
    assert refusal(refused) == (403, "event_not_yours")
    empty = await diary.owner.client.patch(path_of(series["id"]), params=dry, json={"rrule": "FREQ=DAILY;COUNT=0"})
    assert empty.status_code == 422
    stale = await diary.owner.client.patch(
        path_of(series["id"]), params=dry, json={"title": "x"}, headers={"If-Match": '"7"'}
    )
    assert stale.status_code == 412


def find(told: Json, outcome: str) -> Json:
    (found,) = [one for one in told["differences"] if one["outcome"] == outcome]
    return dict(found)


async def test_only_who_may_and_only_what_is_there(diary: Diary) -> None:
    series = await diary.series()
    member, stranger = await diary.person(Role.MEMBER), await diary.new_person()
    one = path_of(key(series["id"], MONDAYS[4]))
    patched: Json = {"params": FOLLOWING, "json": {"title": "x"}}
    assert refusal(await member.client.patch(one, **patched)) == (403, "event_not_yours")
    assert refusal(await stranger.client.patch(one, **patched)) == (404, "event_not_found")
    tuesday = path_of(key(series["id"], "20260303T140000Z"))
    assert (await diary.owner.client.patch(tuesday, **patched)).status_code == 404
    bare = await diary.owner.client.patch(one, params=FOLLOWING, json={"title": ""})
    assert bare.status_code == 422
    assert (await diary.read(series["id"]))["version"] == 1


async def test_of_many_who_cut_at_once_each_finds_what_the_others_left(diary: Diary) -> None:
    series = await diary.series()
    before = await diary.shown(*SPRING)

    async def cut(number: int) -> int:
        answer = await diary.owner.client.patch(
            path_of(key(series["id"], MONDAYS[number])), params=FOLLOWING, json={"title": f"From {number}"}
        )
        return answer.status_code

    statuses = await asyncio.gather(*(cut(number) for number in (1, 2, 3, 5, 5, 8)))
    assert set(statuses) <= {200, 404}, statuses
    after = await diary.shown(*SPRING)
    assert times(after) == times(before), "none is lost, none comes twice"
    async with diary.platform.database.reading() as session:
        rows = await session.execute(
            select(CalendarEvent.id, CalendarEvent.previous_series_id, CalendarEvent.rrule).where(
                CalendarEvent.workspace_id == UUID(diary.id)
            )
        )
        parts = rows.all()
    assert len(parts) == 1 + statuses.count(200)
    counts = [parse_rule(rule or "", place=None).count or 0 for _, _, rule in parts]
    assert sum(counts) == 10
    assert {previous for _, previous, _ in parts} == {None, UUID(series["id"])}


async def test_of_two_cuts_at_one_place_the_second_finds_it_cut(diary: Diary) -> None:
    series = await diary.series()
    one = path_of(key(series["id"], MONDAYS[5]))
    answers = await asyncio.gather(
        *(diary.owner.client.patch(one, params=FOLLOWING, json={"title": name}) for name in ("a", "b")),
        diary.owner.client.patch(one, params={"scope": "this"}, json={"title": "c"}),
    )
    assert sorted(each.status_code for each in answers[:2]) == [200, 404]
    assert answers[2].status_code in (200, 404)
    assert len(await diary.shown(*SPRING)) == 10
