"""Holds under fire, in two processes: each resolves once, and what it held is somewhere."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.commands import PlaceHold
from pm_api.domains.ai_credits.engine import SYSTEM
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.store import Order
from tests.races.town import Town, after, once, outcomes, telling
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

RESOLVED = {"CAPTURED": "hold_already_captured", "RELEASED": "hold_already_released", "EXPIRED": "hold_expired"}


async def test_a_hold_placed_fifty_times_under_one_key_is_one(town: Town) -> None:
    person = await town.settle(30)
    key = "the-one"
    answers = await asyncio.gather(*(town.post(number, person, "holds", key, amount=7) for number in range(50)))
    once(answers, 201)
    assert await town.column("SELECT count(*) FROM credit_holds WHERE account_id = :id", person) == 1
    identity = await town.prove(person)
    assert (identity["available"], identity["held"]) == (23, 7)


async def test_a_capture_sent_fifty_times_under_one_key_is_one_spend(town: Town) -> None:
    person = await town.settle(30)
    hold = await town.hold(person, 20)
    answers = await asyncio.gather(
        *(town.post(number, person, f"holds/{hold}/capture", "the-one", amount=6) for number in range(50))
    )
    entry = once(answers).json()["entry"]
    assert (entry["amount"], entry["balanceAfter"]) == (-6, 24)
    identity = await town.prove(person)
    assert (identity["available"], identity["held"], identity["spent"]) == (10, 14, 10 + 6)


async def test_captures_in_steps_take_no_more_than_was_held(town: Town) -> None:
    for _ in range(rounds(3, 100)):
        person = await town.settle(30)
        hold = await town.hold(person, 12)
        answers = await asyncio.gather(
            *(town.post(number, person, f"holds/{hold}/capture", amount=1) for number in range(20))
        )
        assert outcomes(answers) == {"done": 12, "hold_already_captured": 8}
        identity = await town.prove(person)
        assert (identity["available"], identity["held"], identity["spent"]) == (18, 0, 10 + 12)


async def test_capture_release_and_expiry_of_one_hold_resolve_it_once(town: Town) -> None:
    """The clock passes the hold's end, with its sweep, while both processes are asked to capture and to release."""
    ends: Counter[str] = Counter()
    for turn in range(rounds(4, 300)):
        person = await town.settle(30)
        hold = await town.hold(person, 12, ttl_s=60)
        late = await town.now() + timedelta(seconds=90)
        actions = [("capture", "release")[(number + turn) % 2] for number in range(12)]
        answered = asyncio.Event()
        if turn % 4 != 3:  # however slow the machine, in some turns somebody was before the clock
            answered.set()
        # The clock's turn takes a while: these begin before it, meet it, and come after it.
        answers, _ = await asyncio.gather(
            asyncio.gather(
                *(
                    telling(
                        answered,
                        after(
                            turn % 4 * 0.01 + number * 0.004, town.post(number // 2, person, f"holds/{hold}/{action}")
                        ),
                    )
                    for number, action in enumerate(actions)
                )
            ),
            town.move_once(answered, late),
        )
        status = (await town.get(person, f"holds/{hold}"))["hold"]["status"]
        ends[status] += 1
        by_action = {
            name: outcomes([answer for action, answer in zip(actions, answers, strict=True) if action == name])
            for name in ("capture", "release")
        }
        everybody = by_action["capture"] + by_action["release"]
        assert everybody["done"] == (status != "EXPIRED"), (status, by_action)
        assert everybody[RESOLVED[status]] == 12 - everybody["done"], (status, by_action)
        assert by_action["capture"]["done"] == (status == "CAPTURED")
        identity = await town.prove(person)
        captured = 12 * (status == "CAPTURED")
        assert (identity["available"], identity["held"], identity["spent"]) == (30 - captured, 0, 10 + captured)
        row = await town.query("SELECT status, captured FROM credit_holds WHERE id = CAST(:id AS uuid)", id=hold)
        assert row == [(status, captured)]
    assert len(ends) > 1, f"the race always ended the same way, so it was none: {ends}"


async def test_holds_and_spends_share_what_there_is_to_the_last_credit(town: Town) -> None:
    for _ in range(rounds(3, 100)):
        person = await town.settle(100)
        answers = await asyncio.gather(
            *(town.post(number // 2, person, ("spend", "holds")[number % 2], amount=5) for number in range(60))
        )
        assert outcomes(answers) == {"done": 20, "insufficient_credits": 40}
        held = sum(5 for answer in answers if answer.status_code == 201)
        identity = await town.prove(person)
        assert (identity["available"], identity["held"], identity["spent"]) == (0, held, 10 + 100 - held)


async def test_an_account_never_has_more_open_holds_than_it_may(town: Town) -> None:
    person = await town.settle(2000)
    known = [PlaceHold(person.id, f"s:test:{number}", b"", SYSTEM, 1, 900, "race", b"{}") for number in range(990)]
    async with town.platform.database.transaction() as session:
        await ledger.apply(session, town.platform, [Order(AccountKind.USER, one) for one in known])
    answers = await asyncio.gather(*(town.post(number, person, "holds", amount=1) for number in range(30)))
    assert outcomes(answers) == {"done": 10, "too_many_holds": 20}
    identity = await town.prove(person)
    assert (identity["available"], identity["held"]) == (1000, 1000)
    await town.advance(minutes=20)
    assert outcomes([await town.spend(1, person, 2000)]) == {"done": 1}
    assert (await town.prove(person))["held"] == 0
