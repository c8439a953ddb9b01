"""Gifts and refunds under fire, in two processes: credits change hands once, and nobody waits for ever."""

import asyncio
from uuid import UUID

import pytest

from tests.conftest import Person
from tests.races.town import Town, after, done, once, outcomes
from tests.support.soak import rounds

PATIENCE = 60
"""Turns more, at most, until a race has ended both ways."""

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

GIVEN = "SELECT transferred_out FROM credit_accounts WHERE id = :id"


async def make_code(town: Town, giver: Person, amount: int, claims: int = 1) -> tuple[str, str]:
    """(gift, code)"""
    sent = await done(town.post(0, giver, "gifts", amount=amount, code={"maxClaims": claims}), 201)
    return sent["gift"]["id"], sent["codes"][0]["code"]


async def usable(town: Town, person: Person) -> int:
    found: int = (await town.prove(person))["available"]
    return found


async def test_a_gift_sent_fifty_times_under_one_key_is_one(town: Town) -> None:
    giver, receiver = await town.settle(50), await town.settle()
    answers = await asyncio.gather(
        *(
            town.post(number, giver, "gifts", "the-one", amount=8, recipientUserId=str(receiver.id))
            for number in range(50)
        )
    )
    once(answers, 201)
    assert (await usable(town, giver), await usable(town, receiver)) == (42, 8)
    assert await town.column(GIVEN, giver) == 8


async def test_a_single_use_code_redeemed_fifty_times_at_once_is_claimed_once(town: Town) -> None:
    people = [await town.settle() for _ in range(25)]
    for _ in range(rounds(2, 50)):
        giver = await town.settle(40)
        _, code = await make_code(town, giver, 15)
        before = [await town.column("SELECT balance FROM credit_accounts WHERE id = :id", one) for one in people]
        answers = await asyncio.gather(
            *(town.post(number, people[number % 25], "gifts/redeem", code=code) for number in range(50))
        )
        claimed = outcomes(answers)
        assert claimed["done"] == 1, claimed
        assert set(claimed) <= {"done", "gift_code_spent", "gift_already_claimed"}
        after = [await town.column("SELECT balance FROM credit_accounts WHERE id = :id", one) for one in people]
        assert sorted(new - old for old, new in zip(before, after, strict=True)) == [0] * 24 + [15]
        assert await usable(town, giver) == 25
    for person in people:
        await town.prove(person)


async def test_a_code_for_many_is_claimed_once_by_each_and_no_more_often_than_it_may(town: Town) -> None:
    people = [await town.settle() for _ in range(12)]
    for _ in range(rounds(1, 30)):
        giver = await town.settle(100)
        _, code = await make_code(town, giver, 10, claims=7)
        answers = await asyncio.gather(
            *(town.post(number // 12, people[number % 12], "gifts/redeem", code=code) for number in range(48))
        )
        claimed = outcomes(answers)
        assert claimed["done"] == 7, claimed
        assert set(claimed) <= {"done", "gift_code_spent", "gift_already_claimed"}
        winners = [number % 12 for number, answer in enumerate(answers) if answer.is_success]
        assert len(set(winners)) == 7
        assert await usable(town, giver) == 30


async def test_gifts_that_cross_between_two_accounts_all_arrive(town: Town) -> None:
    """Each wants both accounts' locks, one in each order: nothing may wait for itself."""
    for turn in range(rounds(3, 100)):
        if turn % 25 == 0:  # each gift is a lot, and gifts fill an account only so far
            one, other = await town.settle(1000), await town.settle(1000)
            sent = 0
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                *(
                    town.post(
                        number // 2,
                        (one, other)[number % 2],
                        "gifts",
                        amount=1,
                        recipientUserId=str((other, one)[number % 2].id),
                    )
                    for number in range(20)
                )
            )
        assert outcomes(answers) == {"done": 20}
        sent += 10
        assert [await usable(town, person) for person in (one, other)] == [1000, 1000]
        assert [await town.column(GIVEN, person) for person in (one, other)] == [sent, sent]


async def test_gifts_and_spends_share_what_there_is_to_the_last_credit(town: Town) -> None:
    receiver = await town.settle()
    got = 0
    for _ in range(rounds(2, 50)):
        giver = await town.settle(100)
        answers = await asyncio.gather(
            *(
                town.post(number // 2, giver, "gifts", amount=10, recipientUserId=str(receiver.id))
                if number % 2
                else town.spend(number // 2, giver, 10)
                for number in range(40)
            )
        )
        assert outcomes(answers) == {"done": 10, "insufficient_credits": 30}
        given = sum(10 for number, answer in enumerate(answers) if number % 2 and answer.is_success)
        got += given
        identity = await town.prove(giver)
        assert (identity["available"], identity["transferredOut"]) == (0, given)
        assert await usable(town, receiver) == got


async def test_a_code_taken_back_while_it_is_redeemed_goes_one_way(town: Town) -> None:
    ways = set[bool]()
    turns = rounds(6, 200)
    for turn in range(turns + PATIENCE):
        if turn >= turns and len(ways) == 2:
            break
        giver, receiver = await town.settle(20), await town.settle()
        gift, code = await make_code(town, giver, 20)
        head_start = 0.004 * (
            1 + max(0, turn - turns) // 6
        )  # a busy machine needs a longer one for the other way to happen too
        delays = (0, head_start) if turn % 2 else (head_start, 0)
        redeeming, cancelling = await asyncio.gather(
            after(delays[0], town.post(turn, receiver, "gifts/redeem", code=code)),
            after(delays[1], town.post(turn + 1, giver, f"gifts/{gift}/cancel")),
        )
        redeemed = redeeming.is_success
        ways.add(redeemed)
        if redeemed:
            assert outcomes([cancelling]) == {"gift_closed": 1}
        else:
            assert cancelling.is_success, cancelling.text
            assert outcomes([redeeming]) == {"gift_code_expired": 1}
        assert [await usable(town, person) for person in (giver, receiver)] == ([0, 20] if redeemed else [20, 0])
    assert ways == {True, False}, "the race always ended the same way, so it was none"


# --- refunds ----------------------------------------------------------------------------------------------------


async def spent(town: Town, person: Person, amount: int) -> UUID:
    found = await done(town.spend(0, person, amount))
    return UUID(found["entry"]["id"])


async def test_one_refund_sent_fifty_times_under_one_key_is_one(town: Town) -> None:
    person = await town.settle(20)
    entry = await spent(town, person, 9)
    answers = await asyncio.gather(
        *(
            town.post(number, None, "refund", "the-one", entryId=str(entry), amount=4, reason="race")
            for number in range(50)
        )
    )
    once(answers)
    assert (await town.prove(person))["available"] == 15


async def test_refunds_of_one_spend_never_give_back_more_than_it_took(town: Town) -> None:
    for _ in range(rounds(3, 100)):
        person = await town.settle(20)
        entry = await spent(town, person, 10)
        answers = await asyncio.gather(
            *(town.post(number, None, "refund", entryId=str(entry), amount=3, reason="race") for number in range(20))
        )
        assert outcomes(answers) == {"done": 3, "reversal_exceeds_entry": 17}
        identity = await town.prove(person)
        assert (identity["available"], identity["spent"]) == (19, 10 + 1)


async def test_a_refund_beside_spends_is_spent_at_most_once(town: Town) -> None:
    for turn in range(rounds(5, 200)):
        person = await town.settle(10)
        entry = await spent(town, person, 10)
        refunded, *answers = await asyncio.gather(
            after(turn % 5 * 0.004, town.post(turn, None, "refund", entryId=str(entry), reason="race")),
            *(after(number * 0.003, town.spend(number, person, 10)) for number in range(10)),
        )
        assert refunded.status_code == 200, refunded.text
        again = outcomes(answers)
        assert again["done"] <= 1
        assert again["done"] + again["insufficient_credits"] == 10
        identity = await town.prove(person)
        assert (identity["available"], identity["spent"]) == (10 - 10 * again["done"], 10 + 10 * again["done"])
