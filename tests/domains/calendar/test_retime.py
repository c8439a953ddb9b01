"""After a new release of the zone tables: rows that another release worked out are worked out again, once."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, text
from typer.testing import CliRunner

from pm_api import cli
from pm_api.core.platform import Platform
from pm_api.core.recurrence import occurrence_id, tzdata_version, zone
from pm_api.core.recurrence.zones import changes, to_local, to_utc
from pm_api.domains.calendar import gauging, retiming, settling
from pm_api.domains.calendar.clocks import Clocks, clocks_of
from pm_api.domains.calendar.mapping import moved_to, placement_of
from pm_api.domains.calendar.models import (
    CalendarAttendee,
    CalendarBooking,
    CalendarEvent,
    CalendarEventResource,
    CalendarLetter,
    CalendarOverride,
    CalendarZoneTable,
)
from pm_api.domains.calendar.repository import occurrences, zone_tables
from pm_api.domains.calendar.repository.occurrences import There
from pm_api.domains.calendar.retiming import Retimed
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Json, key, path_of
from tests.domains.calendar.halls import Hall
from tests.domains.projects import sites
from tests.support.clock import MovableClock
from tests.support.settings import environment_for

NEW_YORK: Final = "America/New_York"
OLDER: Final = "2000a"
AUTUMN: Final = datetime(2026, 11, 2, tzinfo=UTC)
AN_HOUR: Final = timedelta(hours=1)
WINTER_FOR_EVER: Final = Clocks(
    tuple(
        one for one in clocks_of(NEW_YORK, AUTUMN).offsets if one[0] < datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    )
)
"""What an older release said of New York: that clocks stay as they are from November 2026 on."""


@pytest.fixture
async def hall(clock: MovableClock, platform: Platform, new_person: NewPerson) -> Hall:
    clock.move_to(AUTUMN)
    found = await sites.open_site(platform, new_person)
    return Hall(found.platform, found.new_person, found.workspace, found.owner, found.people, found.member_ids)


async def retimed(hall: Hall, *, dry_run: bool = False) -> list[Retimed]:
    done = [one async for one in retiming.retime(hall.platform, dry_run=dry_run)]
    return [one for one in done if str(one.workspace_id) == hall.id or one.refusal is not None]


async def make_older(hall: Hall, *event_ids: str, by: timedelta = AN_HOUR) -> None:
    """As if all of them had been worked out when the zone was so far off; its clocks were noted by nobody."""
    async with hall.platform.database.transaction() as session:
        await session.execute(delete(CalendarZoneTable).where(CalendarZoneTable.tzdata_version == OLDER))
        for event_id in event_ids:
            for table, where, columns in (
                ("calendar_events", "id", ("starts_at", "ends_at", "series_starts_at", "series_ends_at")),
                ("calendar_overrides", "event_id", ("starts_at", "ends_at")),
            ):
                moved = ", ".join(f"{one} = {one} + :by" for one in columns)
                await session.execute(
                    text(f"UPDATE {table} SET {moved} WHERE {where} = :id"),
                    {"by": by, "id": UUID(event_id)},
                )
            for table, column in (
                *((one.__tablename__, column) for one, column in occurrences.NAMED_BY),
                *((CalendarBooking.__tablename__, one) for one in ("original_at", "ends_at", "starts_at")),
            ):
                at_once = f"UPDATE {table} SET {column} = {column} + :by WHERE event_id = :id"
                await session.execute(text(at_once), {"by": by, "id": UUID(event_id)})
            row = await session.get_one(CalendarEvent, UUID(event_id))
            row.tzdata_version = OLDER


async def make_older_by(hall: Hall, clocks: Clocks, event_id: str) -> None:
    """As an older release, whose clocks were noted, worked a series out."""
    async with hall.platform.database.transaction() as session:
        await session.execute(delete(CalendarZoneTable).where(CalendarZoneTable.tzdata_version == OLDER))
        event = await session.get_one(CalendarEvent, UUID(event_id))
        await zone_tables.note(session, event.time_zone, OLDER, clocks, AUTUMN)
        wall = placement_of(event).wall
        names = await occurrences.names_of(session, event.id)
        await occurrences.rename(
            session, event.id, {one: There(clocks.instant(wall(one)), wall(one)) for one in names}
        )
        for row in await session.scalars(select(CalendarOverride).where(CalendarOverride.event_id == event.id)):
            there = moved_to(row)
            if there is not None:
                row.starts_at = clocks.instant(there.start)
                row.ends_at = row.starts_at + there.span.exact
        event.starts_at = clocks.instant(event.starts_wall)
        event.tzdata_version = OLDER


async def row_of(hall: Hall, event_id: str) -> CalendarEvent:
    async with hall.platform.database.reading() as session:
        return await session.get_one(CalendarEvent, UUID(event_id))


async def told(person: Person) -> list[Json]:
    answer = await person.client.get("/api/notifications", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["notifications"] if one["type"] == gauging.TYPE]


async def booked(hall: Hall, event: Json) -> list[tuple[datetime, datetime]]:
    async with hall.platform.database.reading() as session:
        rows = await session.execute(
            select(CalendarBooking.starts_at, CalendarBooking.ends_at)
            .where(CalendarBooking.event_id == UUID(event["id"]))
            .order_by(CalendarBooking.starts_at)
        )
        return [(row[0], row[1]) for row in rows]


def shifts(done: Iterable[Retimed]) -> list[tuple[str, int, str]]:
    return [(str(one.event_id), one.times, f"{one.first.now:%Y-%m-%dT%H:%MZ}") for one in done if one.first]


# --- single events --------------------------------------------------------------------------------------------------


async def test_an_event_to_come_is_put_right_and_told_of(hall: Hall) -> None:
    member, other = await hall.person(Role.MEMBER), await hall.person(Role.MEMBER)
    made = await hall.event(
        title="Launch",
        startTime="2027-06-01T09:00:00-04:00",
        endTime="2027-06-01T10:00:00-04:00",
        attendeeIds=[str(member.id)],
    )
    await make_older(hall, made["id"])
    listed = await retimed(hall, dry_run=True)
    assert shifts(listed) == [(made["id"], 1, "2027-06-01T13:00Z")]
    assert listed[0].told() == (
        f"{made['id']}: 2027-06-01 09:00 America/New_York was 2027-06-01T14:00:00.000Z, is 2027-06-01T13:00:00.000Z"
    )
    assert "Launch" not in listed[0].told()
    before = await row_of(hall, made["id"])
    assert (before.tzdata_version, before.version) == (OLDER, made["version"]), "a dry run changes nothing"
    assert await told(member) == []

    assert await retimed(hall) == listed
    row = await row_of(hall, made["id"])
    assert (row.starts_at, row.ends_at) == (
        datetime(2027, 6, 1, 13, tzinfo=UTC),
        datetime(2027, 6, 1, 14, tzinfo=UTC),
    )
    assert (row.tzdata_version, row.version, row.sequence) == (tzdata_version(), made["version"] + 1, 0)
    for person in (hall.owner, member):
        [one] = await told(person)
        assert "Launch" in one["title"]
        assert "13:00 UTC now, not 14:00" in one["body"]
    assert await told(other) == []
    assert [one["entityId"] for one in await hall.feed() if one["action"] == "updated"] == [made["id"]]

    assert await retimed(hall) == []
    assert len(await told(member)) == 1
    assert (await row_of(hall, made["id"])).version == made["version"] + 1


@pytest.mark.parametrize(
    "fields",
    [
        {"startTime": "2026-10-01T09:00:00-04:00", "endTime": "2026-10-01T10:00:00-04:00"},
        {"startTime": "2027-06-01", "endTime": "2027-06-02", "allDay": True},
    ],
    ids=["over", "all day"],
)
async def test_what_is_over_or_all_day_is_nobodys_news(hall: Hall, fields: Json) -> None:
    made = await hall.event(**fields)
    by = timedelta() if fields.get("allDay") else AN_HOUR
    await make_older(hall, made["id"], by=by)
    assert await retimed(hall) == []
    row = await row_of(hall, made["id"])
    assert (row.tzdata_version, row.version) == (tzdata_version(), made["version"])
    assert await told(hall.owner) == []


async def test_what_did_not_move_is_only_stamped(hall: Hall) -> None:
    made = [await hall.event(title=f"Event {number}") for number in range(3)]
    weekly = await hall.series(rrule="FREQ=WEEKLY;BYDAY=MO")
    await make_older(hall, *(one["id"] for one in (*made, weekly)), by=timedelta())
    feed = await hall.feed()
    assert await retimed(hall) == []
    for one in (*made, weekly):
        row = await row_of(hall, one["id"])
        assert (row.tzdata_version, row.version) == (tzdata_version(), one["version"])
    assert await hall.feed() == feed


# --- series ---------------------------------------------------------------------------------------------------------

FEBRUARY: Final[Json] = {"startTime": "2027-02-22T09:00:00-05:00", "endTime": "2027-02-22T10:00:00-05:00"}


async def test_occurrences_keep_what_hangs_on_them(hall: Hall) -> None:
    """Clocks go forward on 14 March 2027 after all: Mondays from the 15th on are an hour earlier than was told."""
    member = await hall.person(Role.MEMBER)
    weekly = await hall.series(rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=8", **FEBRUARY, attendeeIds=[str(member.id)])
    march = {day: key(weekly["id"], f"202703{day}T1{hour}0000Z") for day, hour in (("01", 4), ("15", 3), ("22", 3))}
    for at in march.values():
        await hall.respond(member, at, "DECLINED" if at == march["22"] else "TENTATIVE", scope="this")
    await hall.patch(march["22"], query={"scope": "this"}, title="Otherwise")
    april = key(weekly["id"], "20270405T130000Z")
    moved: Json = {"startTime": "2027-04-06T09:00:00-04:00", "endTime": "2027-04-06T10:00:00-04:00"}
    await hall.patch(april, query={"scope": "this"}, **moved)
    await hall.delete(key(weekly["id"], "20270329T130000Z"), scope="this")
    shown = await hall.shown("2027-02-01", "2027-05-01", tz="UTC")
    assert len(shown) == 7

    await make_older_by(hall, WINTER_FOR_EVER, weekly["id"])
    [one] = await retimed(hall)
    assert one.first is not None
    assert (one.first.wall, one.first.was, one.first.now) == (
        datetime(2027, 3, 15, 9),  # noqa: DTZ001  # wall time
        datetime(2027, 3, 15, 14, tzinfo=UTC),
        datetime(2027, 3, 15, 13, tzinfo=UTC),
    )
    assert one.times == 4, "15 and 22 March, 6 April (moved), 12 April; not the cancelled one"
    again = await hall.shown("2027-02-01", "2027-05-01", tz="UTC")
    assert [without_counts(each) for each in again] == [without_counts(each) for each in shown]
    own = {
        each["id"]: each["myResponse"] for each in await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC")
    }
    assert [own[at] for at in march.values()] == ["TENTATIVE", "TENTATIVE", "DECLINED"]
    [news] = await told(member)
    assert "4 occurrences" in news["body"]
    assert await retimed(hall) == []


async def test_without_notes_all_is_as_far_off_as_the_first(hall: Hall) -> None:
    member = await hall.person(Role.MEMBER)
    daily = await hall.series(rrule="FREQ=DAILY;COUNT=5", **FEBRUARY, attendeeIds=[str(member.id)])
    third = key(daily["id"], "20270224T140000Z")
    await hall.respond(member, third, "DECLINED", scope="this")
    shown = [without_counts(one) for one in await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC")]
    await make_older(hall, daily["id"], by=-AN_HOUR)
    [one] = await retimed(hall)
    assert one.times == 5
    after = await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC")
    assert [without_counts(each) for each in after] == shown
    assert [each["myResponse"] for each in after if each["id"] == third] == ["DECLINED"]


async def test_what_is_written_meanwhile_is_caught_up_with(hall: Hall) -> None:
    """Whoever edits before the operator runs the command does it for that event, with the same care."""
    member = await hall.person(Role.MEMBER)
    weekly = await hall.series(rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=8", **FEBRUARY, attendeeIds=[str(member.id)])
    at = key(weekly["id"], "20270315T130000Z")
    await hall.respond(member, at, "DECLINED", scope="this")
    await make_older_by(hall, WINTER_FOR_EVER, weekly["id"])
    await hall.patch(weekly["id"], query={"scope": "all"}, location="Room 4")
    assert (await row_of(hall, weekly["id"])).tzdata_version == tzdata_version()
    assert (await hall.read(at, by=member))["myResponse"] == "DECLINED"
    assert len(await told(member)) == 1
    assert await retimed(hall) == []


async def series_of_an_older_release(hall: Hall, member: Person, room: Json) -> tuple[Json, dict[str, str]]:
    """Eight Mondays from 22 February 2027 on, with something on five of them; 29 March is taken out. From 15 March on
    they were told for an hour later than clocks will say.
    """
    weekly = await hall.series(
        rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=8",
        **FEBRUARY,
        attendeeIds=[str(member.id)],
        resourceIds=[room["id"]],
        reminders=[{"minutesBefore": 30}],
    )
    at = {
        day: key(weekly["id"], f"2027{day}T1{hour}0000Z")
        for day, hour in (("0301", 4), ("0315", 3), ("0322", 3), ("0329", 3), ("0405", 3))
    }
    await hall.respond(member, at["0301"], "TENTATIVE", scope="this")
    await hall.respond(member, at["0315"], "ACCEPTED", scope="this")
    await hall.respond(member, at["0322"], "DECLINED", scope="this")
    moved: Json = {"startTime": "2027-04-06T09:00:00-04:00", "endTime": "2027-04-06T10:00:00-04:00"}
    await hall.patch(at["0405"], query={"scope": "this"}, **moved, title="Moved")
    await hall.delete(at["0329"], scope="this")
    await make_older_by(hall, WINTER_FOR_EVER, weekly["id"])
    return weekly, at


def told_to(shown: Iterable[Json]) -> list[tuple[str, ...]]:
    return [
        tuple(str(one[name]) for name in ("startTime", "endTime", "originalStartTime", "title", "myResponse"))
        for one in shown
    ]


@pytest.mark.parametrize("cut", ["0315", "0322", "0405"])
async def test_a_series_of_an_older_release_is_cut(hall: Hall, cut: str) -> None:
    """At a change of clocks and after it: both parts go by this release, with what hangs on each occurrence."""
    member, room = await hall.person(Role.MEMBER), await hall.room()
    weekly, at = await series_of_an_older_release(hall, member, room)
    shown = told_to(await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC"))
    assert [one[0][5:16] for one in shown] == [
        *("02-22T14:00", "03-01T14:00", "03-08T14:00", "03-15T13:00", "03-22T13:00", "04-06T13:00", "04-12T13:00")
    ]
    rest = (await hall.patch(at[cut], query={"scope": "following"}, description="The rest"))["event"]
    rest_id = rest["seriesId"] or rest["id"]
    assert rest_id != weekly["id"]
    again = await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC")
    assert [one[:4] for one in told_to(again)] == [one[:4] for one in shown]
    own = {one["originalStartTime"][5:10]: one["myResponse"] for one in again}
    assert [own[day] for day in ("03-01", "03-15", "03-22")] == ["TENTATIVE", "ACCEPTED", "DECLINED"]
    for one in again:
        assert (one["seriesId"] == rest_id) == (one["originalStartTime"] >= rest["originalStartTime"])
    starts = {one["startTime"]: one["endTime"] for one in again}
    for part in (weekly, {"id": rest_id}):
        row = await row_of(hall, part["id"])
        assert row.tzdata_version == tzdata_version()
        for start, end in await booked(hall, part):
            assert datetime.fromisoformat(starts[f"{start:%Y-%m-%dT%H:%M:%S}.000Z"]) == end
    assert len(await booked(hall, weekly)) + len(await booked(hall, {"id": rest_id})) == 7
    assert len(await told(member)) == 1, "that clocks change otherwise is told once"
    assert await retimed(hall) == []
    await hall.patch(rest_id, query={"scope": "all"}, description="Both")
    assert told_to(await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC")) == told_to(again)


async def test_the_rest_of_a_series_of_an_older_release_is_taken_away(hall: Hall) -> None:
    member, room = await hall.person(Role.MEMBER), await hall.room()
    weekly, at = await series_of_an_older_release(hall, member, room)
    before = told_to(await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC"))
    await hall.delete(at["0322"], scope="following")
    left = told_to(await hall.shown("2027-02-01", "2027-05-01", by=member, tz="UTC"))
    assert [one[:4] for one in left] == [one[:4] for one in before[:4]]
    assert [one[4] for one in left] == ["PENDING", "TENTATIVE", "PENDING", "ACCEPTED"]
    assert len(await booked(hall, weekly)) == 4
    assert (await row_of(hall, weekly["id"])).tzdata_version == tzdata_version()
    assert await retimed(hall) == []


async def test_what_clocks_do_is_noted_with_every_write(hall: Hall) -> None:
    await hall.event(timeZone="Africa/Juba")
    async with hall.platform.database.reading() as session:
        found = await zone_tables.noted(session, {("Africa/Juba", tzdata_version())})
    [clocks] = found.values()
    assert clocks.instant(datetime(2027, 6, 1, 12)) == to_utc(datetime(2027, 6, 1, 12), zone("Africa/Juba"))  # noqa: DTZ001


def without_counts(event: Json) -> Json:
    return {name: value for name, value in event.items() if name not in ("version", "updatedAt")}


async def test_addresses_outside_get_the_invitation_again(hall: Hall) -> None:
    """The calendar they were mailed says what clocks were to do."""
    made = await hall.event(
        startTime="2027-06-01T09:00:00-04:00",
        endTime="2027-06-01T10:00:00-04:00",
        attendees=[{"email": "gil@example.org"}],
    )
    still = await hall.event(
        startTime="2027-06-01T09:00:00-04:00",
        endTime="2027-06-01T10:00:00-04:00",
        attendees=[{"email": "gil@example.org"}],
    )
    await make_older(hall, made["id"])
    await make_older(hall, still["id"], by=timedelta())
    assert len(await retimed(hall)) == 1
    assert await retimed(hall) == []
    assert [await letters(hall, one) for one in (made, still)] == [2, 1]


async def letters(hall: Hall, event: Json) -> int:
    async with hall.platform.database.reading() as session:
        rows = await session.scalars(
            select(CalendarLetter.id)
            .join(CalendarAttendee, CalendarAttendee.id == CalendarLetter.attendee_id)
            .where(CalendarAttendee.event_id == UUID(event["id"]))
        )
        return len(rows.all())


# --- rooms ----------------------------------------------------------------------------------------------------------


async def test_neighbours_in_a_room_move_together(hall: Hall) -> None:
    """Each stands in the next one's way until that has moved; two series stand in each other's."""
    room = await hall.room()
    made = [await in_room(hall, room, hour) for hour in (14, 15, 16)]
    odd, even = [
        await in_room(hall, room, hour, rrule=f"FREQ=DAILY;COUNT=4;BYHOUR={hours}")
        for hour, hours in ((18, "13,15"), (19, "14,16"))
    ]
    everything = {one["id"]: await booked(hall, one) for one in (*made, odd, even)}
    await make_older_rooms(hall, [*made, odd, even], by=-AN_HOUR)
    done = await retimed(hall)
    assert {str(one.event_id) for one in done} == set(everything)
    assert all(one.refusal is None for one in done)
    assert {one["id"]: await booked(hall, one) for one in (*made, odd, even)} == everything


async def test_who_loses_the_room_is_told(hall: Hall) -> None:
    """The clocks of one city change, those of the other do not: now both want the room at one time."""
    room = await hall.room()
    stays = await in_room(hall, room, 14, timeZone="UTC", title="Stays")
    moves = await in_room(hall, room, 15, title="Moves")
    async with hall.platform.database.transaction() as session:
        row = await session.get_one(CalendarEvent, UUID(moves["id"]))
        row.starts_wall, row.ends_wall = row.starts_wall - AN_HOUR, row.ends_wall - AN_HOUR
        row.tzdata_version = OLDER
    [one] = await retimed(hall)
    assert (str(one.event_id), one.refusal) == (moves["id"], None)
    assert [end - start for start, end in await booked(hall, moves)] == [timedelta()], "it stays without the room"
    assert [end - start for start, end in await booked(hall, stays)] == [AN_HOUR]
    answer = await hall.owner.client.get("/api/notifications", params={"limit": 200})
    assert "calendar.room_not_had" in [each["type"] for each in answer.json()["notifications"]]


async def in_room(hall: Hall, room: Json, hour: int, **fields: Any) -> Json:
    """An hour of Monday, 1 March 2027, by UTC; meant in New York."""
    at = {"startTime": f"2027-03-01T{hour}:00:00Z", "endTime": f"2027-03-01T{hour + 1}:00:00Z"}
    return await hall.event(**{"timeZone": NEW_YORK, **at, "resourceIds": [room["id"]], **fields})


async def make_older_rooms(hall: Hall, events: list[Json], by: timedelta) -> None:
    """All bookings at once: one after the other they would be in each other's way."""
    ids = [UUID(one["id"]) for one in events]
    async with hall.platform.database.transaction() as session:
        await session.execute(delete(CalendarZoneTable).where(CalendarZoneTable.tzdata_version == OLDER))
        rows = (await session.scalars(select(CalendarBooking).where(CalendarBooking.event_id.in_(ids)))).all()
        copies = [
            CalendarBooking(
                resource_id=one.resource_id,
                event_id=one.event_id,
                original_at=one.original_at + by,
                workspace_id=one.workspace_id,
                starts_at=one.starts_at + by,
                ends_at=one.ends_at + by,
            )
            for one in rows
        ]
        await session.execute(delete(CalendarBooking).where(CalendarBooking.event_id.in_(ids)))
        session.expunge_all()
        session.add_all(copies)
        for event_id in ids:
            row = await session.get_one(CalendarEvent, event_id)
            row.starts_at, row.ends_at, row.tzdata_version = row.starts_at + by, row.ends_at + by, OLDER
        assert (await session.scalars(select(CalendarEventResource))).first() is not None


# --- batches, crashes, two at once ----------------------------------------------------------------------------------


async def several(hall: Hall, count: int) -> list[Json]:
    at: Json = {"startTime": "2027-06-01T09:00:00-04:00", "endTime": "2027-06-01T10:00:00-04:00"}
    made = [await hall.event(title=f"Event {number}", **at) for number in range(count)]
    await make_older(hall, *(one["id"] for one in made))
    return made


async def test_a_run_that_dies_is_taken_up(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await several(hall, 5)
    monkeypatch.setattr(retiming, "AT_A_TIME", 2)
    settle, settled = settling.settle, 0

    async def dies_at_the_third(*arguments: Any, **named: Any) -> Any:
        nonlocal settled
        settled += 1
        if settled == 3:
            raise KeyboardInterrupt
        return await settle(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(settling, "settle", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            await retimed(hall)
    versions = [(await row_of(hall, one["id"])).tzdata_version for one in made]
    assert sorted(versions) == sorted([tzdata_version()] * 2 + [OLDER] * 3)
    assert len(await retimed(hall)) == 3
    for one in made:
        row = await row_of(hall, one["id"])
        assert (row.tzdata_version, row.version) == (tzdata_version(), one["version"] + 1)
    assert len(await told(hall.owner)) == 5


async def test_two_runs_and_a_writer_at_once_do_it_once(hall: Hall) -> None:
    made = await several(hall, 6)
    *found, answer = await asyncio.gather(
        retimed(hall),
        retimed(hall),
        hall.owner.client.patch(path_of(made[3]["id"]), json={"location": "Room 4"}),
    )
    assert answer.status_code == 200, answer.text
    done = [str(one.event_id) for some in found for one in some]
    assert len(done) == len(set(done)) >= 5
    assert {one["id"] for one in made} - set(done) <= {made[3]["id"]}
    assert len(await told(hall.owner)) == 6
    for one in made:
        row = await row_of(hall, one["id"])
        assert row.starts_at == datetime(2027, 6, 1, 13, tzinfo=UTC)
        assert row.version == one["version"] + (1 if one is not made[3] or one["id"] not in done else 2)


async def test_the_command_lists_what_moves(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, worker_database: str
) -> None:
    at: Json = {"startTime": "2090-06-01T09:00:00-04:00", "endTime": "2090-06-01T10:00:00-04:00"}
    made = await hall.event(**at)  # the command goes by the real clock
    await make_older(hall, made["id"])
    for name, value in environment_for(worker_database).items():
        monkeypatch.setenv(name, value)
    done = await asyncio.to_thread(CliRunner().invoke, cli.app, ["calendar", "retime", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert f"{made['id']}: 2090-06-01 09:00 America/New_York was 2090-06-01T14:00:00.000Z" in done.output
    assert "would move" in done.output
    assert (await row_of(hall, made["id"])).tzdata_version == OLDER
    done = await asyncio.to_thread(CliRunner().invoke, cli.app, ["calendar", "retime"])
    assert done.exit_code == 0, done.output
    assert "event moved; 0 could not be worked out." in done.output
    assert (await row_of(hall, made["id"])).tzdata_version == tzdata_version()


# --- clocks, as they are noted --------------------------------------------------------------------------------------

ZONES: Final = (NEW_YORK, "Europe/London", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata", "America/Nuuk")


@given(st.sampled_from(ZONES), st.datetimes(datetime(2026, 1, 2), datetime(2037, 12, 30)))  # noqa: DTZ001
def test_noted_clocks_are_the_clocks(name: str, wall: datetime) -> None:
    wall = wall.replace(microsecond=0)
    noted = clocks_of(name, AUTUMN)
    assert noted.instant(wall) == to_utc(wall, zone(name))
    assert noted.wall(wall.replace(tzinfo=UTC)) == to_local(wall.replace(tzinfo=UTC), zone(name)).replace(fold=0)


@pytest.mark.parametrize("name", ZONES)
def test_noted_clocks_around_every_change(name: str) -> None:
    place, noted = zone(name), clocks_of(name, AUTUMN)
    for change in changes(place, datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)):
        for around in change.unusual:
            for seconds in (-1, 0, 1, 900):
                wall = around + timedelta(seconds=seconds)
                assert noted.instant(wall) == to_utc(wall, place), (name, wall)


def test_an_occurrence_id_in_these_tests_is_what_the_house_says() -> None:
    at = datetime(2027, 3, 15, 13, tzinfo=UTC)
    event_id = UUID(int=7)
    assert key(str(event_id), "20270315T130000Z") == occurrence_id(event_id, at)
