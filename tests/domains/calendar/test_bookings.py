"""Rooms that events take: never two at one time, over HTTP."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.calendar.jobs import book_on
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.halls import Hall, Json, open_hall, refusal
from tests.support.clock import MovableClock

WEEKLY = "FREQ=WEEKLY;BYDAY=MO"


@pytest.fixture
async def hall(platform: Platform, new_person: NewPerson) -> Hall:
    return await open_hall(platform, new_person)


async def bookings(hall: Hall, room: Json) -> list[tuple[datetime, datetime]]:
    """As they are stored; those that were given up are left out."""
    statement = """SELECT starts_at, ends_at FROM calendar_bookings
                   WHERE resource_id = :room AND ends_at > starts_at ORDER BY starts_at"""
    async with hall.platform.database.reading() as session:
        rows = await session.execute(text(statement), {"room": UUID(room["id"])})
        return [(row[0], row[1]) for row in rows]


async def test_a_room_is_had_once_at_a_time_and_its_times_are_named(hall: Hall) -> None:
    room = await hall.room()
    made = await hall.booked(room, at=(9, 10), title="Planning")
    assert [one["name"] for one in made["resources"]] == ["Room 4"]
    await hall.booked(room, at=(10, 11))
    await hall.booked(room, at=(8, 9))
    answer = await hall.book(room, at=(9.5, 10.5))
    assert refusal(answer) == (409, "resource_taken")
    assert [
        (one["resourceId"], one["userId"], one["title"], one["startTime"][11:16], one["endTime"][11:16])
        for one in answer.json()["conflicts"]
    ] == [
        (room["id"], None, "Planning", "09:00", "10:00"),
    ]
    assert answer.json()["conflicts"][0]["eventId"] == made["id"]
    assert "Room 4 is taken from 2027-03-01T09:00:00.000Z" in answer.json()["detail"]
    assert await hall.busy_room(room) == ["08:00-11:00 BUSY"]
    await hall.booked(await hall.room("Room 5"), at=(9, 10))


async def test_what_the_caller_may_not_see_is_busy(hall: Hall) -> None:
    room, bea = await hall.room(), await hall.person(Role.MEMBER)
    await hall.booked(room, at=(9, 10), title="Doctor", visibility="PRIVATE")
    project = await hall.project(isPrivate=True)
    await hall.booked(room, at=(10, 11), title="Secret", projectId=project["id"])
    answer = await hall.book(room, at=(9, 11), by=bea)
    assert refusal(answer) == (409, "resource_taken")
    told = answer.json()["conflicts"]
    assert [(one["title"], one["eventId"]) for one in told] == [("Busy", None)]
    assert "Doctor" not in answer.text
    assert "Secret" not in answer.text


async def test_events_of_a_deleted_project_keep_their_rooms_and_are_busy(hall: Hall) -> None:
    """It may be restored, with all that was in it."""
    room, project = await hall.room(), await hall.project()
    await hall.booked(room, at=(9, 10), title="Kick-off", projectId=project["id"])
    assert (await hall.owner.client.delete(f"/api/projects/{project['id']}")).is_success
    answer = await hall.book(room, at=(9, 10))
    assert [(one["title"], one["eventId"]) for one in answer.json()["conflicts"]] == [("Busy", None)]


async def test_deleting_cancelling_and_letting_go_free_it(hall: Hall) -> None:
    room = await hall.room()
    one = await hall.booked(room, at=(9, 10))
    await hall.delete(one["id"])
    two = await hall.booked(room, at=(9, 10))
    await hall.patch(two["id"], resourceIds=[])
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY + ";COUNT=4")
    assert len(await bookings(hall, room)) == 4
    await hall.delete(f"{series['id']}_20270308T090000Z", scope="this")
    assert [start.day for start, _ in await bookings(hall, room)] == [1, 15, 22]
    await hall.booked(room, at=(24 * 7 + 9, 24 * 7 + 10))


async def test_a_moved_occurrence_takes_the_room_where_it_is_and_leaves_where_it_was(hall: Hall) -> None:
    room = await hall.room()
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY + ";COUNT=3")
    await hall.booked(room, at=(13, 14), title="Lunch")
    second = f"{series['id']}_20270308T090000Z"
    answer = await hall.owner.client.patch(
        f"/api/calendar/events/{second}",
        json={"startTime": "2027-03-01T13:30:00Z", "endTime": "2027-03-01T14:30:00Z"},
    )
    assert refusal(answer) == (409, "resource_taken")
    assert [start.day for start, _ in await bookings(hall, room)] == [1, 1, 8, 15], "nothing of it is left"
    await hall.patch(second, startTime="2027-03-01T14:00:00Z", endTime="2027-03-01T15:00:00Z")
    assert await hall.busy_room(room, end="2027-03-09T00:00:00Z") == ["09:00-10:00 BUSY", "13:00-15:00 BUSY"]
    await hall.booked(room, at=(24 * 7 + 9, 24 * 7 + 10))
    assert refusal(await hall.book(room, at=(14.5, 16)))[0] == 409


async def test_a_series_meets_a_single_one_and_the_other_way_round(hall: Hall) -> None:
    room = await hall.room()
    await hall.booked(room, at=(24 * 14 + 9.5, 24 * 14 + 10), title="Visit")
    answer = await hall.book(room, at=(9, 10), rrule=WEEKLY)
    assert refusal(answer) == (409, "resource_taken")
    assert [one["title"] for one in answer.json()["conflicts"]] == ["Visit"]
    series = await hall.booked(room, at=(11, 12), rrule=WEEKLY, title="Standup")
    answer = await hall.book(room, at=(24 * 7 + 11.5, 24 * 7 + 12))
    assert answer.json()["conflicts"][0]["eventId"] == f"{series['id']}_20270308T110000Z"
    twenty = await hall.book(room, at=(11.5, 12), rrule=WEEKLY)
    assert len(twenty.json()["conflicts"]) == 20, "the first of over a hundred"


async def test_moving_a_whole_series_books_it_anew(hall: Hall) -> None:
    room = await hall.room()
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY + ";COUNT=3")
    await hall.patch(series["id"], startTime="2027-03-01T09:30:00Z")
    assert [(start.day, start.minute) for start, _ in await bookings(hall, room)] == [(1, 30), (8, 30), (15, 30)]


async def test_an_event_is_never_in_its_own_way(hall: Hall) -> None:
    room = await hall.room()
    series = await hall.booked(room, at=(9, 9 + 25), rrule="FREQ=DAILY;COUNT=3")
    assert await hall.busy_room(room, end="2027-03-09T00:00:00Z") == ["09:00-03-04 10:00 BUSY"]
    second = f"{series['id']}_20270302T090000Z"
    await hall.patch(second, startTime="2027-03-01T10:00:00Z", endTime="2027-03-01T11:00:00Z")
    assert await hall.busy_room(room, end="2027-03-09T00:00:00Z") == [
        "09:00-03-02 10:00 BUSY",
        "03-03 09:00-03-04 10:00 BUSY",
    ]


async def test_a_day_is_the_rooms_own(hall: Hall) -> None:
    room = await hall.room(timeZone="Pacific/Auckland")
    body: Json = {"startTime": "2027-03-02", "endTime": "2027-03-03", "allDay": True, "resourceIds": [room["id"]]}
    await hall.event(**body)
    assert await hall.busy_room(room, end="2027-03-05T00:00:00Z") == ["11:00-03-02 11:00 BUSY"]
    assert refusal(await hall.book(room, at=(12, 13)))[0] == 409
    await hall.booked(room, at=(10, 11))


async def test_splitting_a_series_keeps_its_rooms(hall: Hall) -> None:
    room = await hall.room()
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY + ";COUNT=4")
    await hall.patch(
        f"{series['id']}_20270315T090000Z",
        query={"scope": "following"},
        startTime="2027-03-15T10:00:00Z",
        endTime="2027-03-15T11:00:00Z",
    )
    assert [(start.day, start.hour) for start, _ in await bookings(hall, room)] == [
        (1, 9),
        (8, 9),
        (15, 10),
        (22, 10),
    ]


async def test_rooms_that_are_not_there_or_take_nothing_are_refused(hall: Hall) -> None:
    old = await hall.room("Old room", isActive=False)
    answer = await hall.book(old, at=(9, 10))
    assert refusal(answer) == (422, "invalid_resources")
    assert answer.json()["details"] == [{"pointer": "/resourceIds/0", "detail": old["id"]}]
    other = await open_hall(hall.platform, hall.new_person)
    foreign = await other.room()
    assert refusal(await hall.book(foreign, at=(9, 10))) == (422, "invalid_resources")


async def test_too_many_times_are_refused(hall: Hall) -> None:
    room = await hall.room()
    dense = "FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24)))
    assert refusal(await hall.book(room, at=(0, 0.5), rrule=dense)) == (422, "too_many_bookings")


async def test_what_takes_no_time_takes_no_room(hall: Hall) -> None:
    room = await hall.room()
    await hall.booked(room, at=(9, 10))
    await hall.booked(room, at=(9.5, 9.5))
    assert len(await bookings(hall, room)) == 1


async def test_a_series_without_end_is_booked_on_and_the_earlier_booking_wins(
    hall: Hall, clock: MovableClock
) -> None:
    room, ann = await hall.room(), await hall.person(Role.MEMBER, name="Ann")
    series = await hall.booked(room, at=(9, 10), by=ann, rrule=WEEKLY, title="Standup")
    first_horizon = (await bookings(hall, room))[-1][0]
    assert timedelta(days=720) < first_horizon - datetime.fromisoformat("2027-03-01T09:00:00+00:00") <= timedelta(730)
    later = first_horizon + timedelta(days=14)
    await hall.event(
        startTime=later.isoformat(),
        endTime=(later + timedelta(hours=1)).isoformat(),
        resourceIds=[room["id"]],
        title="Gala",
    )
    clock.advance_business(days=200)
    await book_on(JobContext(hall.platform, "calendar.book_on", 1))
    starts = [start for start, _ in await bookings(hall, room)]
    assert starts.count(later) == 1, "the gala's"
    assert later + timedelta(days=7) in starts, "it is booked on"
    told = await ann.client.get("/api/notifications")
    [note] = [one for one in told.json()["notifications"] if one["type"] == "calendar.room_not_had"]
    assert note["title"] == "No room for 1 of Standup"
    assert later.isoformat()[:16] in note["body"]
    await book_on(JobContext(hall.platform, "calendar.book_on", 1))
    await hall.patch(series["id"], by=ann, title="Short standup")
    told = await ann.client.get("/api/notifications")
    assert sum(one["type"] == "calendar.room_not_had" for one in told.json()["notifications"]) == 1


async def test_what_was_given_up_is_had_once_it_is_free(hall: Hall, clock: MovableClock) -> None:
    room = await hall.room()
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY)
    later = (await bookings(hall, room))[-1][0] + timedelta(days=7)
    gala = await hall.event(
        startTime=later.isoformat(), endTime=(later + timedelta(hours=1)).isoformat(), resourceIds=[room["id"]]
    )
    clock.advance_business(days=200)
    await book_on(JobContext(hall.platform, "calendar.book_on", 1))
    await hall.delete(gala["id"])
    assert later not in [start for start, _ in await bookings(hall, room)]
    await hall.patch(series["id"], title="Another name")
    assert later in [start for start, _ in await bookings(hall, room)]


async def test_the_past_of_a_series_that_goes_on_is_in_nobodys_way(hall: Hall, clock: MovableClock) -> None:
    room = await hall.room()
    await hall.booked(room, at=(24 * 7 + 10, 24 * 7 + 11))
    series = await hall.booked(room, at=(9, 10), rrule=WEEKLY)
    clock.advance_business(days=(datetime.fromisoformat("2027-04-01T00:00:00+00:00") - clock.now()).days + 1)
    await hall.patch(series["id"], startTime="2027-03-01T10:00:00Z", endTime="2027-03-01T11:00:00Z")
    assert len([start for start, _ in await bookings(hall, room) if start.date().isoformat() == "2027-03-08"]) == 1


async def test_an_event_of_the_past_is_booked_too(hall: Hall, clock: MovableClock) -> None:
    room = await hall.room()
    clock.advance_business(days=(datetime.fromisoformat("2027-04-01T00:00:00+00:00") - clock.now()).days + 1)
    await hall.booked(room, at=(9, 10))
    assert refusal(await hall.book(room, at=(9, 10)))[0] == 409
