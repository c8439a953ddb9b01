"""Who says REJECT never takes time that another takes at the same moment: over HTTP in two processes."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import httpx
import pytest

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.identity.teams import join
from tests.races.test_rooms import START, WEEKLY, Hall
from tests.races.town import Json, Town, done, outcomes
from tests.support.soak import rounds

pytestmark = [pytest.mark.xdist_group("processes")]

AT_ONCE: Final = 20
GUESTS: Final = 4
DAY: Final = 24 * 60
ROUND: Final = 28 * DAY
"""Minutes: each round has weeks of its own."""
REJECT: Final[Json] = {"conflictPolicy": "REJECT"}


class Court(Hall):
    """A hall whose people each hold what others are invited to."""

    def __init__(self, town: Town, people: list[Person], guests: list[Person], workspace_id: str) -> None:
        super().__init__(town, people, workspace_id)
        self.guests = guests

    def invite(
        self, number: int, minutes: int, *guests: Person, rooms: Sequence[str] = (), **fields: Any
    ) -> Awaitable[httpx.Response]:
        """For an hour, if all have time."""
        ids = [str(one.id) for one in guests]
        return self.book(number, list(rooms), minutes, attendeeIds=ids, **REJECT, **fields)

    async def prove_apart(self, people: Sequence[Person]) -> None:
        """Of what does not recur: nobody is expected in two places at one time."""
        for one in people:
            taken = await self.town.query(
                "SELECT starts_at, ends_at FROM calendar_events e WHERE organizer_user_id = :id OR EXISTS "
                "(SELECT FROM calendar_attendees a WHERE a.event_id = e.id AND a.user_id = :id) ORDER BY starts_at",
                id=one.id,
            )
            for before, after in pairwise(taken):
                assert before[1] <= after[0]

    async def minutes_taken(self, guest: Person, start: datetime, end: datetime) -> float:
        answer = await done(
            self.send(
                *(0, "POST", "/calendar/free-busy"),
                workspaceId=self.workspace_id,
                userIds=[str(guest.id)],
                start=start.isoformat(),
                end=end.isoformat(),
            )
        )
        busy = answer["freeBusy"]["people"][0]["busy"]
        spans = [[datetime.fromisoformat(one[name]) for name in ("start", "end")] for one in busy]
        return sum((last - first) / timedelta(minutes=1) for first, last in spans)


@pytest.fixture
async def court(town: Town) -> Court:
    people = [await town.settle() for _ in range(AT_ONCE + GUESTS)]
    headers = {"Authorization": f"Bearer {people[0].access_token}"}
    body = {"name": "Court", "slug": people[0].id.hex}
    made = await done(town.apis[0].post("/api/workspaces", headers=headers, json=body), 201)
    workspace_id = made["workspace"]["id"]
    for one in people[1:]:
        await join(town.platform, workspace_id, one, Role.MEMBER)
    return Court(town, people[:AT_ONCE], people[AT_ONCE:], workspace_id)


async def test_of_twenty_who_want_one_person_one_has_them(court: Court) -> None:
    """Each holds it themselves: the one they share is the guest."""
    for turn in range(rounds(1, 40)):
        guest = court.guests[turn % GUESTS]
        answers = await asyncio.gather(
            *(court.invite(number, turn * DAY + 5 * (number % 4), guest) for number in range(AT_ONCE))
        )
        assert outcomes(answers) == Counter({"done": 1, "calendar_conflict": AT_ONCE - 1})
        for one in answers:
            if not one.is_success:
                assert [met["userId"] for met in one.json()["conflicts"]] == [str(guest.id)]
        await court.prove_apart([guest])


async def test_moves_and_series_and_lists_meet_too(court: Court) -> None:
    """Events are moved there, the rest of a series too; lists of events, series and single ones are new there."""
    for turn in range(rounds(1, 40)):
        base, guest = turn * ROUND, court.guests[turn % GUESTS]
        start = START + timedelta(minutes=base)
        away = [await court.invite(number, base + (number + 1) * 3000, guest) for number in range(5)]
        cut = await court.invite(5, base - 7 * DAY + 90, guest, rrule=f"{WEEKLY};COUNT=3")
        assert outcomes([*away, cut]) == {"done": 6}
        ids = [one.json()["event"]["id"] for one in (*away, cut)]
        times = {"startTime": start.isoformat(), "endTime": (start + timedelta(hours=1)).isoformat()}
        rest = f"{ids[5]}_{start + timedelta(minutes=90):%Y%m%dT%H%M%SZ}?scope=following"
        event = {**court.body([], base), "attendeeIds": [str(guest.id)], **REJECT}
        del event["resourceIds"]
        whole = {"workspaceId": court.workspace_id, "items": [{"action": "create", "event": event}]}
        answers = await asyncio.gather(
            *(
                court.send(number, "PATCH", f"/calendar/events/{ids[number]}", **times, **REJECT)
                for number in range(5)
            ),
            court.send(5, "PATCH", f"/calendar/events/{rest}", **times, **REJECT),
            *(court.send(number, "POST", "/calendar/events/bulk", **whole) for number in range(6, 10)),
            *(court.invite(number, base, guest, rrule=f"{WEEKLY};COUNT=2") for number in range(10, 14)),
            *(court.invite(number, base + 15, guest) for number in range(14, AT_ONCE)),
        )
        assert outcomes(answers) == Counter({"done": 1, "calendar_conflict": AT_ONCE - 1})
        stays = 0 if answers[5].is_success else 60
        taken = await court.minutes_taken(guest, start, start + timedelta(minutes=150))
        assert taken == 60 + stays


async def test_groups_and_rooms_in_any_order_lock_nobody_out(court: Court) -> None:
    dice = random.Random(5)
    for turn in range(rounds(1, 40)):
        rooms = [await court.room() for _ in range(3)]

        def meet(number: int, turn: int = turn, rooms: Sequence[str] = rooms) -> Awaitable[httpx.Response]:
            group = dice.sample(court.guests, dice.randrange(1, GUESTS))
            minutes = turn * DAY + 30 * dice.randrange(6)
            return court.invite(number, minutes, *group, rooms=dice.sample(rooms, dice.randrange(3)))

        answers = await asyncio.gather(*(meet(number) for number in range(AT_ONCE)))
        assert set(outcomes(answers)) <= {"done", "calendar_conflict", "resource_taken"}
        assert outcomes(answers)["done"] >= 1
    await court.prove_apart([*court.guests, *court.people])
