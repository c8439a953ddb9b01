"""Refunds and lost disputes: what comes back, from whom, and what is owed."""

import asyncio
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import clawbacks, gift_claims, gift_codes, ledger, plans, purchases
from pm_api.domains.ai_credits.clawbacks import ClawedBack, PurchaseNotGranted, Refunded
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.plans import PlanPeriod
from pm_api.domains.ai_credits.purchases import Purchase
from pm_api.domains.ai_credits.repository import gifts as gift_rows
from pm_api.domains.ai_credits.repository import ledger as ledger_rows
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.test_gifts import code_of, gift, give, give_codes, notified, prove, redeem
from tests.domains.ai_credits.test_routes import balance, grant, spend
from tests.support.clock import MovableClock

PAID = 899
FREE = 10


async def buy(platform: Platform, person: Person, pack: str = "SMALL") -> str:
    """A bought pack; its checkout session. SMALL is 100 credits, MEDIUM 500 and 50 on top."""
    checkout = f"cs_{uuid4().hex}"
    async with platform.database.transaction() as session:
        bought = Purchase("USER", person.id, pack, 1, checkout, PAID, "USD")
        await purchases.grant_purchase(session, platform, bought)
    return checkout


async def refund(
    platform: Platform, person: Person, checkout: str, minor: int = PAID, *, bonus: bool = False, **more: Any
) -> ClawedBack:
    async with platform.database.transaction() as session:
        return await clawbacks.claw_back(
            session,
            platform,
            account_kind="USER",
            account_id=person.id,
            source_type="stripe_checkout",
            source_refs=[checkout, f"{checkout}:bonus"] if bonus else [checkout],
            refunded_minor=minor,
            paid_minor=PAID,
            reference=f"ch_{checkout}",
            **more,
        )


@pytest.fixture
async def buyer(person: Person) -> Person:
    """Without the free plan's credits, so that figures are those of purchases."""
    assert (await spend(person, amount=FREE)).status_code == 200
    return person


async def figures(person: Person) -> tuple[int, int]:
    """(available, debt)."""
    found = await balance(person)
    return found["current"], found["debt"]


# --- the buyer's own -------------------------------------------------------------------------------------------


async def test_unspent_credits_come_back(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer, "MEDIUM")
    assert await refund(platform, buyer, checkout, bonus=True) == ClawedBack(taken=550)
    assert await figures(buyer) == (0, 0)
    entries = (await buyer.client.get("/api/credits/history?type=CLAWBACK")).json()["entries"]
    assert [entry["amount"] for entry in entries] == [-550]
    await prove(platform, buyer.id)


async def test_what_is_spent_becomes_a_debt_that_the_next_grant_pays(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    await spend(buyer, amount=70)
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=30, debt=70)
    assert await figures(buyer) == (0, 70)
    await grant(buyer.client, userId=str(buyer.id), amount=50)
    assert await figures(buyer) == (0, 20)
    await grant(buyer.client, userId=str(buyer.id), amount=50)
    assert await figures(buyer) == (30, 0)
    await prove(platform, buyer.id)


async def test_everything_spent(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    await spend(buyer, amount=100)
    assert await refund(platform, buyer, checkout) == ClawedBack(debt=100)
    assert await refund(platform, buyer, checkout) == ClawedBack()
    assert await figures(buyer) == (0, 100)
    await prove(platform, buyer.id)


@pytest.mark.parametrize("order", list(permutations((100, 450, 899))))
async def test_partial_refunds_in_any_order_and_twice(
    new_person: NewPerson, platform: Platform, order: tuple[int, ...]
) -> None:
    """Cumulative amounts: a late or repeated event changes nothing, and the end is the same."""
    person = await new_person()
    await spend(person, amount=FREE)
    checkout = await buy(platform, person, "MEDIUM")
    await spend(person, amount=60)
    for minor in order:
        for _ in range(2):
            await refund(platform, person, checkout, minor, bonus=True)
    assert await figures(person) == (0, 60)
    await prove(platform, person.id)


async def test_shares_are_rounded_up_and_never_above_the_lot(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer, "MEDIUM")
    done = await refund(platform, buyer, checkout, 1, bonus=True)
    assert done == ClawedBack(taken=2), "one credit of each lot for one cent"
    await refund(platform, buyer, checkout, 2 * PAID, bonus=True)
    assert await figures(buyer) == (0, 0)


async def test_two_events_at_once_take_once(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    await spend(buyer, amount=40)
    done = await asyncio.gather(*(refund(platform, buyer, checkout) for _ in range(5)))
    assert sorted((one.taken, one.debt) for one in done) == [(0, 0)] * 4 + [(60, 40)]
    assert await figures(buyer) == (0, 40)


async def test_a_purchase_that_was_never_granted(buyer: Person, platform: Platform) -> None:
    with pytest.raises(PurchaseNotGranted):
        await refund(platform, buyer, "cs_unknown")
    checkout = await buy(platform, buyer)
    with pytest.raises(ValueError, match="cannot claw back"):
        await refund(platform, buyer, checkout, -1)
    assert await figures(buyer) == (100, 0)


# --- a dispute that is won -------------------------------------------------------------------------------------


async def test_a_dispute_won_gives_back_what_was_taken(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    await spend(buyer, amount=30)
    await refund(platform, buyer, checkout)
    assert await figures(buyer) == (0, 30)
    assert await refund(platform, buyer, checkout, 0) == ClawedBack(), "an old event gives nothing back by itself"
    assert (await refund(platform, buyer, checkout, 0, reinstate=True)).given_back == 100
    assert await figures(buyer) == (70, 0)
    lost_again = await refund(platform, buyer, checkout)
    assert (lost_again.taken, lost_again.debt) == (70, 30), "the same amount again is no repetition"
    await prove(platform, buyer.id)


async def test_a_debt_paid_meanwhile_comes_back_as_credits(buyer: Person, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    await spend(buyer, amount=100)
    await refund(platform, buyer, checkout)
    await grant(buyer.client, userId=str(buyer.id), amount=150)
    assert await figures(buyer) == (50, 0)
    await refund(platform, buyer, checkout, 0, reinstate=True)
    assert await figures(buyer) == (150, 0)
    assert "REFUND" in {lot["kind"] for lot in (await balance(buyer))["lots"]}
    await prove(platform, buyer.id)


# --- a period of a plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_time", "late"),
    [((6500,), ()), ((), (6500,)), ((6500,), (6500, 6500)), ((400,), (400, 6500)), ((400, 2500), (6500, 400, 6500))],
)
async def test_what_ran_out_unused_is_not_owed_whenever_a_refund_is_heard_of(
    new_person: NewPerson, platform: Platform, clock: MovableClock, in_time: tuple[int, ...], late: tuple[int, ...]
) -> None:
    """Of 500 credits 450 are spent, and 50 come back or run out; 6,500 of 9,999 minor are 326 credits."""
    person = await new_person()
    starts_at = clock.now()
    period = PlanPeriod(
        AccountKind.USER, person.id, "INDIVIDUAL_PRO", starts_at, starts_at + timedelta(days=30), credits=500
    )
    async with platform.database.transaction() as session:
        await plans.grant_period(session, platform, period)
        [reference] = await clawbacks.lots_of(session, person.id, "plan", "INDIVIDUAL_PRO")
    assert (await spend(person, amount=450)).status_code == 200

    async def hear(minor: int) -> ClawedBack:
        async with platform.database.transaction() as session:
            return await clawbacks.claw_back(
                session,
                platform,
                account_kind="USER",
                account_id=person.id,
                source_type="plan",
                source_refs=[reference],
                refunded_minor=minor,
                paid_minor=9999,
                reference="in_period",
                reinstate=True,
                forgive_expired=True,
            )

    async def owed() -> tuple[int, int]:
        async with platform.database.transaction() as session:
            await ledger.expire_due(session, platform, [person.id])
            statement = text("SELECT balance, debt FROM credit_accounts WHERE id = :id")
            balance, debt = (await session.execute(statement, {"id": person.id})).one()
            return balance, debt

    for minor in in_time:
        await hear(minor)
    clock.advance(days=31)
    await owed()
    for minor in late:
        await hear(minor)
    assert await owed() == (0, 276)
    assert await hear(6500) == ClawedBack(), "heard of again, it changes nothing"
    await prove(platform, person.id)
    await hear(0)
    assert await owed() == (0, 0)
    await prove(platform, person.id)


# --- a refunded purchase follows the gift ----------------------------------------------------------------------


async def test_a_gift_nobody_claimed_is_withdrawn(buyer: Person, new_person: NewPerson, platform: Platform) -> None:
    checkout = await buy(platform, buyer)
    gift_id, code = await code_of(buyer, amount=60)
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=100)
    found = (await gift(buyer, gift_id))["gift"]
    assert (found["status"], found["returned"]) == ("WITHDRAWN", 60)
    late = await redeem(await new_person(), code)
    assert (late.status_code, late.json()["code"]) == (410, "gift_code_expired")
    assert await figures(buyer) == (0, 0)
    assert "credits.gift_withdrawn" in await notified(buyer)
    await prove(platform, buyer.id)


async def test_a_gift_claimed_and_unspent_is_taken_from_who_has_it(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    checkout = await buy(platform, buyer)
    assert (await give(buyer, recipientUserId=str(bob.id), amount=60)).status_code == 201
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=40, elsewhere=60)
    assert (await figures(buyer), await figures(bob)) == ((0, 0), (FREE, 0))
    assert "credits.gift_taken_back" in await notified(bob)
    assert await refund(platform, buyer, checkout) == ClawedBack()
    await prove(platform, buyer.id, bob.id)


async def test_what_a_recipient_has_spent_the_buyer_owes(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    checkout = await buy(platform, buyer)
    _, code = await code_of(buyer, amount=60)
    assert (await redeem(bob, code)).status_code == 200
    await spend(bob, amount=FREE + 45)
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=40, elsewhere=15, debt=45)
    assert (await figures(buyer), await figures(bob)) == ((0, 45), (0, 0)), "never a debt of who was given to"
    await prove(platform, buyer.id, bob.id)


async def test_what_a_recipient_holds_for_work_stays_theirs(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    checkout = await buy(platform, buyer)
    await give(buyer, recipientUserId=str(bob.id), amount=60)
    held = await bob.client.post(
        "/api/credits/holds", headers={"Idempotency-Key": uuid4().hex}, json={"amount": FREE + 20}
    )
    assert held.status_code == 201, held.text
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=40, elsewhere=40, debt=20)
    assert await figures(bob) == (0, 0)
    assert (await balance(bob))["held"] == FREE + 20
    await prove(platform, buyer.id, bob.id)


async def test_gifts_are_left_alone_while_the_buyers_own_credits_do(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    checkout = await buy(platform, buyer)
    await give(buyer, recipientUserId=str(bob.id), amount=30)
    gift_id, _ = await code_of(buyer, amount=30)
    assert await refund(platform, buyer, checkout, 300) == ClawedBack(taken=34)
    assert (await gift(buyer, gift_id))["gift"]["status"] == "OPEN"
    assert await refund(platform, buyer, checkout, 600) == ClawedBack(taken=33)
    assert (await gift(buyer, gift_id))["gift"]["status"] == "WITHDRAWN", "unclaimed ones go first"
    assert await figures(bob) == (FREE + 30, 0)
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=3, elsewhere=30)
    assert await figures(bob) == (FREE, 0)
    await prove(platform, buyer.id, bob.id)


async def test_a_gift_is_followed_only_as_far_as_it_drew_on_the_refunded_purchase(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    first, second = await buy(platform, buyer), await buy(platform, buyer)
    await give(buyer, recipientUserId=str(bob.id), amount=150)
    assert await refund(platform, buyer, second) == ClawedBack(taken=50, elsewhere=50)
    assert await figures(bob) == (FREE + 100, 0)
    await refund(platform, buyer, second, 0, reinstate=True)
    assert (await figures(bob), await figures(buyer)) == ((FREE + 100, 0), (100, 0)), "the buyer gets it back"
    await spend(buyer, amount=100)
    again = await refund(platform, buyer, second)
    assert (again.elsewhere, again.debt) == (0, 100), "what was followed once is not followed twice"
    assert await figures(bob) == (FREE + 100, 0), "what came from the other purchase stays"
    assert await refund(platform, buyer, first) == ClawedBack(elsewhere=100)
    assert await figures(bob) == (FREE, 0)
    await prove(platform, buyer.id, bob.id)


async def test_the_newest_claims_are_followed_first(buyer: Person, new_person: NewPerson, platform: Platform) -> None:
    bob, eve = await new_person(), await new_person()
    checkout = await buy(platform, buyer)
    codes = [one["code"] for one in (await give_codes(buyer, count=2, amount=50)).json()["codes"]]
    assert (await redeem(bob, codes[1])).status_code == 200
    assert (await redeem(eve, codes[0])).status_code == 200
    assert await refund(platform, buyer, checkout, 450) == ClawedBack(elsewhere=51)
    assert (await figures(eve), await figures(bob)) == ((FREE, 0), (FREE + 49, 0))
    await prove(platform, buyer.id, bob.id, eve.id)


async def test_half_claimed(buyer: Person, new_person: NewPerson, platform: Platform) -> None:
    """The unclaimed half returns, the claimed half is followed, the spent part is owed."""
    bob, eve = await new_person(), await new_person()
    checkout = await buy(platform, buyer)
    gift_id, code = await code_of(buyer, amount=25, code={"maxClaims": 4})
    for one in (bob, eve):
        assert (await redeem(one, code)).status_code == 200
    await spend(eve, amount=FREE + 20)
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=50, elsewhere=30, debt=20)
    assert (await gift(buyer, gift_id))["gift"]["returned"] == 50
    assert [await figures(one) for one in (buyer, bob, eve)] == [(0, 20), (FREE, 0), (0, 0)]
    await prove(platform, buyer.id, bob.id, eve.id)


async def test_claims_against_a_refund(buyer: Person, new_person: NewPerson, platform: Platform) -> None:
    """Whatever the order, every credit of the purchase is taken, owed or nowhere: none is left with anybody."""
    people = [await new_person() for _ in range(8)]
    for _ in range(3):
        checkout = await buy(platform, buyer)
        _, code = await code_of(buyer, amount=10, code={"maxClaims": 8})
        answers = await asyncio.gather(
            *(redeem(one, code) for one in people[:4]),
            refund(platform, buyer, checkout),
            *(redeem(one, code) for one in people[4:]),
        )
        done = answers.pop(4)
        assert isinstance(done, ClawedBack)
        assert (done.taken + done.elsewhere, done.debt) == (100, 0)
        assert [await figures(one) for one in people] == [(FREE, 0)] * 8
        assert await figures(buyer) == (0, 0)
    await prove(platform, buyer.id, *(one.id for one in people))


async def test_a_claim_that_commits_while_the_locks_are_waited_for_is_followed(
    buyer: Person, new_person: NewPerson, platform: Platform
) -> None:
    """The refund looks, waits for the gift's row, and finds a claimant it has not locked: it begins anew."""
    bob = await new_person()
    checkout = await buy(platform, buyer)
    gift_id, code = await code_of(buyer, amount=60)
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND query LIKE '%credit_gifts%'"
    )
    refunded = Refunded(AccountKind.USER, buyer.id, "stripe_checkout", (checkout,), PAID, PAID, "ch")

    async def locking() -> set[UUID]:
        async with platform.database.reading() as session:
            return await clawbacks.lock_involved(session, refunded)

    async with platform.database.transaction() as session:
        # As a redemption does it: the claimant's account, then the gift's row.
        await ledger_rows.lock_accounts(session, [bob.id])
        digests = gift_codes.digests(platform.keys, code)
        found = await gift_rows.code_by_digest(session, digests)
        assert found is not None
        assert await gift_rows.count_claim(session, found, platform.clock.now())
        refunding = asyncio.create_task(locking())
        async with asyncio.timeout(10), platform.database.reading() as looking:
            while not (await looking.execute(waiting)).scalar():
                await looking.rollback()
        given = await gift_rows.gift(session, buyer.id, UUID(gift_id))
        assert given is not None
        claim = gift_claims.new_claim(platform, given, 1, bob.id, None)
        session.add(claim)
        actor = Actor(ActorKind.USER, bob.id)
        await gift_claims.grant(session, platform, actor, given, claim)
    assert await refunding == {bob.id}
    assert await refund(platform, buyer, checkout) == ClawedBack(taken=40, elsewhere=60)
    assert await figures(bob) == (FREE, 0)
    await prove(platform, buyer.id, bob.id)
