"""Power cuts with holds and gifts in the traffic: what was acknowledged is there once, and the rest can be sent again
with the same keys. What open holds hold is what the accounts say is held.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import make_url

from tests.races.test_credits import grant, sign_up, verification
from tests.races.test_kills import Fleet, Member, until
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

PEOPLE: Final = 4
WORKS: Final = 120
START: Final = 100_000
FREE_CREDITS: Final = 10
TURNS_OF_PEOPLE: Final = 25
"""Others come before these have been given as many lots as gifts may fill an account with."""

Json = dict[str, Any]
Call = Callable[..., Awaitable[Json]]


class Lost(Exception):
    """No answer came; what became of the request is open."""


@dataclass
class Work:
    """One thing a person wants, in one or more requests, each under a key of its own; and what they were told."""

    number: int
    turn: int
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    finished: bool = False
    replayed: set[str] = field(default_factory=set)

    @property
    def person(self) -> int:
        return self.number % PEOPLE

    @property
    def other(self) -> int:
        return (self.number + 1 + self.number // PEOPLE % (PEOPLE - 1)) % PEOPLE

    @property
    def kind(self) -> str:
        return KINDS[self.number // PEOPLE // 2 % len(KINDS)]

    @property
    def amount(self) -> int:
        return 2 + self.number % 3

    def key(self, step: str) -> str:
        return f"{step}-{self.turn}-{self.number}"

    async def do(self, call: Call, people: list[dict[str, str]]) -> None:
        """From its beginning; doing it again changes nothing that was done before."""
        self.finished = False
        await _DOING[self.kind](self, call, people)
        self.finished = True


async def _spend(work: Work, call: Call, _people: list[dict[str, str]]) -> None:
    await call(work, work.person, "spend", "spend", amount=work.amount)


async def _hold(work: Work, call: Call) -> str:
    placed = await call(work, work.person, "hold", "holds", amount=work.amount, ttlSeconds=86_400)
    found: str = placed["hold"]["id"]
    return found


async def _leave_held(work: Work, call: Call, _people: list[dict[str, str]]) -> None:
    await _hold(work, call)


async def _capture(work: Work, call: Call, _people: list[dict[str, str]]) -> None:
    """A credit first, then another one; what is left goes back."""
    hold = await _hold(work, call)
    await call(work, work.person, "part", f"holds/{hold}/capture", amount=1)
    await call(work, work.person, "rest", f"holds/{hold}/capture", amount=1, final=True)


async def _release(work: Work, call: Call, _people: list[dict[str, str]]) -> None:
    hold = await _hold(work, call)
    await call(work, work.person, "release", f"holds/{hold}/release")


async def _give(work: Work, call: Call, people: list[dict[str, str]]) -> None:
    await call(
        work, work.person, "gift", "gifts", amount=work.amount, recipientUserId=people[work.other]["X-Test-User"]
    )


async def _give_by_code(work: Work, call: Call, _people: list[dict[str, str]]) -> None:
    sent = await call(work, work.person, "code", "gifts", amount=work.amount, code={})
    await call(work, work.other, "redeem", "gifts/redeem", code=sent["codes"][0]["code"])


_DOING: Final = {
    "spend": _spend,
    "leave": _leave_held,
    "capture": _capture,
    "release": _release,
    "gift": _give,
    "code": _give_by_code,
}
KINDS: Final = list(_DOING)


@dataclass
class Expected:
    """What the books must say after all works were done, by person."""

    spent: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)
    given: Counter[int] = field(default_factory=Counter)
    received: Counter[int] = field(default_factory=Counter)

    def add(self, work: Work) -> None:
        if work.kind == "spend":
            self.spent[work.person] += work.amount
        elif work.kind == "capture":
            self.spent[work.person] += 2
        elif work.kind == "leave":
            self.held[work.person] += work.amount
        elif work.kind in ("gift", "code"):
            self.given[work.person] += work.amount
            self.received[work.other] += work.amount


@pytest.fixture
async def fleet(fresh_database: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(fresh_database, stack)
        fleet.members += await asyncio.gather(fleet.start(), fleet.start())
        yield fleet


async def test_a_killed_api_loses_no_hold_and_no_gift_and_repeats_none(fleet: Fleet) -> None:
    chance = random.Random(30)
    for turn in range(rounds(2, 100)):
        if turn % TURNS_OF_PEOPLE == 0:
            people = [await sign_up(fleet.members[1].client) for _ in range(PEOPLE)]
            expected = Expected()
        for person in people:
            await grant(fleet.members[1].client, person, START, f"start-{turn}")
        works = [Work(number, turn) for number in range(WORKS)]
        await _work_while_the_first_dies(fleet, people, works, deaf_after=chance.randrange(1, 80))
        fleet.members[0] = await fleet.start()
        await _finish(fleet, people, works)
        for work in works:
            expected.add(work)
        await _compare(fleet, people, expected, turn % TURNS_OF_PEOPLE + 1)


def _caller(member: Member, people: list[dict[str, str]], told: Callable[[], None]) -> Call:
    async def call(work: Work, who: int, step: str, path: str, **body: Any) -> Json:
        headers = {**people[who], "Idempotency-Key": work.key(step)}
        try:
            answer = await member.client.post(f"/api/credits/{path}", headers=headers, json=body)
        except httpx.TransportError as error:
            raise Lost from error
        told()
        assert answer.is_success, answer.text
        known = work.answers.setdefault(step, answer)
        assert answer.content == known.content
        if known is not answer:
            assert answer.headers.get("Idempotent-Replayed") == "true" or step == "redeem", answer.headers
        if answer.headers.get("Idempotent-Replayed") == "true":
            work.replayed.add(step)
        content: Json = answer.json()
        return content

    return call


async def _work_while_the_first_dies(
    fleet: Fleet, people: list[dict[str, str]], works: list[Work], *, deaf_after: int
) -> None:
    """All at once, half of it at the process that dies: after so many answers the next ones are lost on the way."""
    dying, steady = fleet.members
    acknowledged = 0

    def told() -> None:
        nonlocal acknowledged
        acknowledged += 1
        dying.relay.deaf = dying.relay.deaf or acknowledged >= deaf_after

    callers = (_caller(dying, people, told), _caller(steady, people, lambda: None))

    async def begin(work: Work) -> None:
        try:
            # The person changes fastest, so that each has work at both processes.
            await work.do(callers[work.number // PEOPLE % 2], people)
        except Lost:
            assert work.number // PEOPLE % 2 == 0, "the steady process lost a request"

    async def kill() -> None:
        async def has_lost() -> bool:
            return dying.relay.lost_answers > works[0].turn % 7

        await until(has_lost, "answers are lost on the way")
        dying.process.kill()

    await asyncio.gather(*(begin(work) for work in works), kill())
    assert await dying.process.handle.wait() == -9


async def _finish(fleet: Fleet, people: list[dict[str, str]], works: list[Work]) -> None:
    """Do what was cut off again, because one must, and some of the rest because one may."""
    lost = [work for work in works if not work.finished]
    again = lost + [work for work in works if work.finished][::7]
    known = {id(work): set(work.answers) for work in again}
    callers = [_caller(member, people, lambda: None) for member in fleet.members]
    await asyncio.gather(*(work.do(callers[place % 2], people) for place, work in enumerate(again)))
    assert all(work.finished for work in works)
    written = [step for work in lost for step in work.replayed - known[id(work)]]
    assert written, "every lost request was lost before it was written: nothing was put to the test"


async def _compare(fleet: Fleet, people: list[dict[str, str]], expected: Expected, turns: int) -> None:
    url = make_url(fleet.database).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        for place, person in enumerate(people):
            identity = (await verification(fleet.members[place % 2].client, person))["identity"]
            assert identity["spent"] == expected.spent[place]
            assert identity["held"] == expected.held[place]
            assert identity["transferredOut"] == expected.given[place]
            assert identity["granted"] == FREE_CREDITS + turns * START + expected.received[place]
            [row] = await connection.fetch(
                "SELECT a.held, coalesce((SELECT sum(h.amount - h.captured) FROM credit_holds h"
                " WHERE h.account_id = a.id AND h.status = 'OPEN'), 0) AS open,"
                " coalesce((SELECT sum(l.amount) FROM credit_hold_lots l WHERE l.account_id = a.id), 0) AS resting"
                " FROM credit_accounts a WHERE a.id = $1",
                person["X-Test-User"],
            )
            assert set(row) == {expected.held[place]}
            gifts = await connection.fetchval(
                "SELECT coalesce(sum(amount), 0) FROM credit_grants WHERE account_id = $1 AND kind = 'GIFT'",
                person["X-Test-User"],
            )
            assert gifts == expected.received[place]
    finally:
        await connection.close()
