"""The clock strikes while everybody is at work: sweeps of both processes, and people's spends, at the same moment."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from pm_api.domains.ai_credits import plans
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.plans import PlanPeriod
from tests.conftest import register
from tests.races.town import OPERATOR, Town, after, done, outcomes, telling
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

SPENDS = 16
BOTH = (0, 1)
DELAYS_S = (0, 0.02, 0.1, 0)
"""How long after the clock began to move the first of them begins."""


async def test_a_lot_that_expires_while_it_is_spent_loses_every_credit_once(town: Town) -> None:
    spent_in_time = set()
    for turn in range(rounds(4, 200)):
        person = await town.settle()
        ends = await town.now() + timedelta(minutes=10)
        body = {"amount": 60, "reason": "race", "userId": str(person.id), "expiresAt": ends.isoformat()}
        headers = {**OPERATOR, "Idempotency-Key": uuid4().hex}
        await done(town.apis[0].post("/api/credits/grant", headers=headers, json=body))
        answered = asyncio.Event()
        if turn % 4 != 3:  # however slow the machine, in some turns somebody was before the clock
            answered.set()
        answers, _ = await asyncio.gather(
            asyncio.gather(
                *(
                    telling(answered, after(DELAYS_S[turn % 4] + number * 0.003, town.spend(number, person, 4)))
                    for number in range(SPENDS)
                )
            ),
            town.move_once(answered, ends, by=BOTH),
        )
        told = outcomes(answers)
        assert told["done"] + told["insufficient_credits"] == SPENDS
        spent_in_time.add(told["done"])
        identity = await town.prove(person)
        expired = 60 - 4 * told["done"]
        assert (identity["available"], identity["held"], identity["spent"]) == (0, 0, 10 + 60 - expired)
        assert identity["expired"] == expired
        lines = await town.query(
            "SELECT amount FROM credit_entries WHERE account_id = :id AND type = 'EXPIRY'", id=person.id
        )
        assert lines == [(-expired,)]
    assert len(spent_in_time) > 1, f"the clock always struck at the same place: {spent_in_time}"


async def test_wallets_are_renewed_once_by_two_processes_while_they_are_spent(town: Town) -> None:
    people = [await register(town.app) for _ in range(rounds(8, 20))]
    for person in people:
        await person.client.aclose()
    spent = dict.fromkeys((person.id for person in people), 0)
    for turn in range(1, rounds(2, 40) + 1):
        spends = asyncio.gather(
            *(after(number * 0.01, town.spend(number, person, 2)) for number, person in enumerate(people))
        )
        late = await town.now() + timedelta(days=31)
        answers, *_ = await asyncio.gather(spends, town.move_to(late, by=BOTH), town.move_to(late, by=BOTH))
        # Between the moment and its sweep the old credits are gone and the new ones not there yet.
        assert set(outcomes(answers)) <= {"done", "insufficient_credits"}
        for person, answer in zip(people, answers, strict=True):
            spent[person.id] += 2 * answer.is_success
            lots = await town.query(
                "SELECT remaining FROM credit_grants WHERE account_id = :id AND kind = 'FREE_TIER'"
                " ORDER BY expires_at",
                id=person.id,
            )
            assert len(lots) == turn + 1
            assert [left for (left,) in lots[:-1]] == [0] * turn
            identity = await town.prove(person)
            assert identity["granted"] == 10 * (turn + 1)
            assert identity["spent"] == spent[person.id]
            assert identity["available"] in (8, 10)
            assert identity["available"] + identity["spent"] + identity["expired"] == identity["granted"]


async def test_months_of_yearly_plans_are_granted_once_by_two_processes(town: Town) -> None:
    people = [await town.settle() for _ in range(rounds(6, 10))]
    begins = await town.now()
    for person in people:
        period = PlanPeriod(
            AccountKind.USER, person.id, "INDIVIDUAL_PRO", begins, begins + timedelta(days=365), yearly=True
        )
        async with town.platform.database.transaction() as session:
            await plans.grant_period(session, town.platform, period)
    spent = dict.fromkeys((person.id for person in people), 10)
    for turn in range(1, rounds(2, 11) + 1):
        late = begins + timedelta(days=31 * turn)
        answers, *_ = await asyncio.gather(
            asyncio.gather(
                *(after(number * 0.01, town.spend(number, person, 30)) for number, person in enumerate(people))
            ),
            town.move_to(late, by=BOTH),
            town.move_to(late, by=BOTH),
        )
        assert set(outcomes(answers)) <= {"done", "insufficient_credits"}
        for person, answer in zip(people, answers, strict=True):
            spent[person.id] += 30 * answer.is_success
            lots = await town.query(
                "SELECT remaining FROM credit_grants WHERE account_id = :id AND kind = 'SUBSCRIPTION_GRANT'"
                " ORDER BY expires_at",
                id=person.id,
            )
            assert len(lots) == turn + 1
            assert lots[-1][0] in (70, 100)
            identity = await town.prove(person)
            assert identity["available"] == lots[-1][0]
            assert identity["spent"] == spent[person.id]


async def test_holds_that_end_are_swept_once_while_they_are_captured(town: Town) -> None:
    """Many holds of one account, all at their end, captured and swept by both processes."""
    for turn in range(rounds(3, 100)):
        person = await town.settle(100)
        holds = [await town.hold(person, 5, ttl_s=60) for _ in range(10)]
        late = await town.now() + timedelta(seconds=61)
        answers, _ = await asyncio.gather(
            asyncio.gather(
                *(
                    after(turn % 3 * 0.02 + number * 0.004, town.post(number, person, f"holds/{hold}/capture"))
                    for number, hold in enumerate(holds)
                )
            ),
            town.move_to(late, by=BOTH),
        )
        told = outcomes(answers)
        assert told["done"] + told["hold_expired"] == 10
        rows = await town.query(
            "SELECT status, count(*) FROM credit_holds WHERE account_id = :id GROUP BY status", id=person.id
        )
        expected = {"CAPTURED": told["done"], "EXPIRED": told["hold_expired"]}
        assert dict(rows) == {status: count for status, count in expected.items() if count}
        identity = await town.prove(person)
        captured = 5 * told["done"]
        assert (identity["available"], identity["held"], identity["spent"]) == (100 - captured, 0, 10 + captured)
