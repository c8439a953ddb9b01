"""A room is never booked twice: many who want it at one moment, over HTTP in two processes."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.identity.teams import join
from tests.races.town import Json, Town, outcomes
from tests.support.soak import rounds

pytestmark = [pytest.mark.xdist_group("processes")]

AT_ONCE = 50
PEOPLE = 5
ROUNDS = rounds(1, 30)
START = datetime.fromisoformat("2027-03-01T09:00:00+00:00")
WEEKLY = "FREQ=WEEKLY;BYDAY=MO"


class Hall:
    """A workspace in the town, with people who may book its rooms."""

    def __init__(self, town: Town, people: list[Person], workspace_id: str) -> None:
        self.town, self.people, self.workspace_id = town, people, workspace_id

    async def send(self, number: int, method: str, path: str, **body: object) -> httpx.Response:
        """By one of the people, to one of the processes."""
        who = self.people[number % len(self.people)]
        headers = {"Authorization": f"Bearer {who.access_token}", "Idempotency-Key": uuid4().hex}
        answer = await self.town.apis[number % 2].request(method, f"/api{path}", headers=headers, json=body or None)
        assert answer.status_code < 500, answer.text
        return answer

    async def made(self, path: str, noun: str, **body: object) -> Json:
        answer = await self.send(0, "POST", path, workspaceId=self.workspace_id, **body)
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()[noun]
        return found

    async def room(self) -> str:
        room = await self.made("/calendar/resources", "resource", name=f"Room {uuid4().hex[:6]}", timeZone="UTC")
        return str(room["id"])

    def body(self, rooms: list[str], minutes: int = 0, length: int = 60, **fields: object) -> Json:
        start = START + timedelta(minutes=minutes)
        return {
            "workspaceId": self.workspace_id,
            "title": "Meeting",
            "type": "MEETING",
            "timeZone": "UTC",
            "startTime": start.isoformat(),
            "endTime": (start + timedelta(minutes=length)).isoformat(),
            "resourceIds": rooms,
            **fields,
        }

    async def book(
        self, number: int, rooms: list[str], minutes: int = 0, length: int = 60, **fields: object
    ) -> httpx.Response:
        body = self.body(rooms, minutes, length, **fields)
        return await self.send(number, "POST", "/calendar/events", **body)

    async def bookings(self, room: str) -> list[tuple[datetime, datetime, UUID]]:
        rows = await self.town.query(
            "SELECT starts_at, ends_at, event_id FROM calendar_bookings WHERE resource_id = :room ORDER BY starts_at",
            room=UUID(room),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    async def prove(self, room: str, answers: list[httpx.Response]) -> list[tuple[datetime, datetime, UUID]]:
        """Nothing overlaps; what is booked is what was answered so, and all others were told what is in the way."""
        found = await self.bookings(room)
        for before, after in pairwise(found):
            assert before[1] <= after[0], "two are in one room at one time"
        won = {UUID(one.json()["event"]["id"]) for one in answers if one.is_success}
        assert {event_id for _, _, event_id in found} == won
        assert set(outcomes(answers)) <= {"done", "resource_taken"}
        for one in answers:
            if not one.is_success:
                assert one.json()["conflicts"]
        return found


@pytest.fixture
async def hall(town: Town) -> Hall:
    people = [await town.settle() for _ in range(PEOPLE)]
    headers = {"Authorization": f"Bearer {people[0].access_token}"}
    made = await town.apis[0].post("/api/workspaces", headers=headers, json={"name": "Hall", "slug": uuid4().hex})
    assert made.status_code == 201, made.text
    workspace_id = made.json()["workspace"]["id"]
    for one in people[1:]:
        await join(town.platform, workspace_id, one, Role.MEMBER)
    return Hall(town, people, workspace_id)


async def test_of_fifty_who_overlap_a_set_without_overlap_wins(hall: Hall) -> None:
    for _ in range(ROUNDS):
        room = await hall.room()
        # Each half an hour later than the one before, an hour long: each meets its neighbours.
        slots = [30 * (number % 10) for number in range(AT_ONCE)]
        answers = await asyncio.gather(*(hall.book(number, [room], slots[number]) for number in range(AT_ONCE)))
        found = await hall.prove(room, list(answers))
        assert 4 <= len(found) <= 5, "no slot is left in which one more had room"
        for minutes in slots:
            start, end = (START + timedelta(minutes=minutes + more) for more in (0, 60))
            assert any(one[0] < end and start < one[1] for one in found), "a loser had nothing in the way"


async def test_of_fifty_who_want_the_very_same_one_wins(hall: Hall) -> None:
    for _ in range(ROUNDS):
        room = await hall.room()
        answers = await asyncio.gather(*(hall.book(number, [room]) for number in range(AT_ONCE)))
        assert outcomes(answers) == Counter({"done": 1, "resource_taken": AT_ONCE - 1})
        await hall.prove(room, list(answers))


async def test_series_and_single_ones_never_share_a_moment(hall: Hall) -> None:
    for _ in range(ROUNDS):
        room = await hall.room()
        answers = await asyncio.gather(
            *(
                hall.book(number, [room], rrule=f"{WEEKLY};COUNT=8")
                if number % 4 == 0
                else hall.book(number, [room], 7 * 24 * 60 * (number % 8) + 30, 45)
                for number in range(24)
            )
        )
        found = await hall.prove(room, list(answers))
        recurring = [one for one, count in Counter(event_id for _, _, event_id in found).items() if count == 8]
        assert len(recurring) <= 1, "of the series one can have it"
        assert len(found) >= 1


async def test_several_rooms_in_any_order_lock_nobody_out(hall: Hall) -> None:
    for _ in range(ROUNDS):
        rooms = [await hall.room() for _ in range(4)]
        answers = await asyncio.gather(
            *(
                hall.book(number, (rooms if number % 2 else rooms[::-1])[number % 3 :], 30 * (number % 4))
                for number in range(24)
            )
        )
        assert set(outcomes(answers)) <= {"done", "resource_taken"}
        for room in rooms:
            for before, after in pairwise(await hall.bookings(room)):
                assert before[1] <= after[0]
        booked = {event_id for room in rooms for _, _, event_id in await hall.bookings(room)}
        assert booked == {UUID(one.json()["event"]["id"]) for one in answers if one.is_success}


async def test_moving_an_occurrence_into_a_slot_that_somebody_books(hall: Hall) -> None:
    for _ in range(rounds(5, 60)):
        room = await hall.room()
        body = hall.body([room], rrule=f"{WEEKLY};COUNT=3")
        del body["workspaceId"]
        series = await hall.made("/calendar/events", "event", **body)
        moved_to = {"startTime": "2027-03-08T15:00:00Z", "endTime": "2027-03-08T16:00:00Z"}
        moving, booking = await asyncio.gather(
            hall.send(0, "PATCH", f"/calendar/events/{series['id']}_20270308T090000Z", **moved_to),
            hall.book(1, [room], 7 * 24 * 60 + 6 * 60 + 30),
        )
        assert sorted(outcomes([moving, booking])) == ["done", "resource_taken"]
        found = await hall.bookings(room)
        for before, after in pairwise(found):
            assert before[1] <= after[0]
        assert len(found) == (3 if moving.is_success else 4)


async def test_a_room_that_is_deleted_while_it_is_booked(hall: Hall) -> None:
    for _ in range(rounds(5, 60)):
        room = await hall.room()
        gone, *answers = await asyncio.gather(
            hall.send(0, "DELETE", f"/calendar/resources/{room}?unbook=true"),
            *(hall.book(number, [room], 60 * number) for number in range(6)),
        )
        assert gone.status_code in (204, 409), gone.text
        assert set(outcomes(answers)) <= {"done", "invalid_resources"}
        left = await hall.bookings(room)
        if gone.status_code == 204:
            assert left == []
        else:
            assert gone.json()["code"] == "resource_booked"
            assert len(left) == sum(one.is_success for one in answers)
