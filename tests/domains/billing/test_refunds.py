"""Money that goes back takes what was bought with it along: once, in proportion, in any order of the events."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.jobs import JobContext
from pm_api.domains.ai_credits.jobs import grant_due_months
from pm_api.domains.billing import paid_credits
from pm_api.domains.billing.jobs import follow_refunds
from pm_api.integrations.stripe import StripeRefund, payments
from pm_api.integrations.stripe import refunds as stripe_refunds
from tests.conftest import Person
from tests.domains.billing.bills import (
    DISPUTES,
    FREE,
    MEDIUM,
    REFUNDS,
    authorized,
    bills,
    buy_pack,
    close_dispute,
    dispute,
    give_back,
    ledger,
    operate,
    refunded,
    spend,
    tell,
)
from tests.domains.billing.subscribing import PREMIUM, STANDARD, SUBSCRIPTION, Shop, new_key
from tests.support.stripe import PACK_PRICE_MINOR

Json = dict[str, Any]
HALF = 300


# --- packs ------------------------------------------------------------------------------------------------------


async def test_two_parts_of_a_pack_take_their_share_each(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    assert await shop.credits(None, buyer) == FREE + MEDIUM
    first = await give_back(shop, paid.payment_intent_id, HALF)
    await tell(shop, "charge.refunded", first.charge_id or "")
    # 300 of 899 cents: 500 bought and 50 on top, each lot's share rounded up.
    taken = -(-500 * HALF // PACK_PRICE_MINOR) + -(-50 * HALF // PACK_PRICE_MINOR)
    assert await shop.credits(None, buyer) == FREE + MEDIUM - taken
    [shown] = await bills(buyer)
    assert (shown["status"], shown["amountRefunded"]) == ("PAID", HALF)

    second = await give_back(shop, paid.payment_intent_id)
    for kind in ("refund.created", "refund.updated"):
        for made in (second, first):
            await tell(shop, kind, made.id)
    assert await shop.credits(None, buyer) == FREE
    [shown] = await bills(buyer)
    assert (shown["status"], shown["amountRefunded"]) == ("REFUNDED", PACK_PRICE_MINOR)
    assert len(await shop.notices(buyer, "billing.refund")) == 2


async def test_what_is_spent_is_owed(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    await spend(shop, buyer, 100)
    made = await give_back(shop, paid.payment_intent_id)
    await tell(shop, "refund.created", made.id)
    balance, debt = await ledger(shop, buyer.id)
    # The free credits went first: 90 of the pack were spent.
    assert (balance, debt) == (0, 90)


async def test_a_refund_before_its_purchase_was_heard_of(shop: Shop) -> None:
    """The purchase is granted by the refund's event, and taken back in the same breath; its own event comes late."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer, hear=False)
    made = await give_back(shop, paid.payment_intent_id)
    await tell(shop, "refund.created", made.id)
    assert await shop.credits(None, buyer) == FREE
    assert await ledger(shop, buyer.id) == (FREE, 0)
    await tell(shop, "checkout.session.completed", paid.id)
    assert paid.invoice_id is not None
    await tell(shop, "invoice.paid", paid.invoice_id)
    assert await shop.credits(None, buyer) == FREE
    [shown] = await bills(buyer)
    assert shown["status"] == "REFUNDED"


async def test_a_refund_of_what_cannot_be_granted_yet_is_followed_later(shop: Shop) -> None:
    """Its checkout is not known here: nothing is lost, the sweep looks again until it is."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer, hear=False)
    await name_another(shop, paid.id, None)
    made = await give_back(shop, paid.payment_intent_id)
    await tell(shop, "refund.created", made.id)
    [(due,)] = await shop.rows("SELECT credits_due_at FROM refunds WHERE stripe_refund_id = :id", id=made.id)
    assert due is not None
    assert due > shop.now
    await name_another(shop, paid.id, paid.client_reference_id)
    await tell(shop, "checkout.session.completed", paid.id)
    assert await shop.credits(None, buyer) == FREE + MEDIUM
    await sweep(shop)
    assert await shop.credits(None, buyer) == FREE + MEDIUM
    shop.installation.clock.shift_to(timedelta(minutes=10))
    await sweep(shop)
    assert await shop.credits(None, buyer) == FREE
    [(due,)] = await shop.rows("SELECT credits_due_at FROM refunds WHERE stripe_refund_id = :id", id=made.id)
    assert due is None


async def test_a_charge_that_cannot_be_followed_keeps_none_of_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put off, so that it does not come first each time."""
    one, other = [await buy_pack(shop, await shop.person()) for _ in range(2)]
    made = [await give_back(shop, paid.payment_intent_id) for paid in (one, other)]
    for refund in made:
        await tell(shop, "refund.created", refund.id)
    async with shop.till.platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE refunds SET credits_due_at = CAST(:now AS timestamptz)"
                " - CASE stripe_refund_id WHEN :id THEN interval '1 min' ELSE interval '0' END"
            ),
            {"now": shop.now, "id": made[0].id},
        )
    follow = paid_credits.follow

    async def follow_all_but_one(session: Any, platform: Any, owner: Any, picture: Any, moved_minor: int) -> Any:
        if picture.charge.id == made[0].charge_id:
            raise ZeroDivisionError
        return await follow(session, platform, owner, picture, moved_minor)

    monkeypatch.setattr(paid_credits, "follow", follow_all_but_one)
    await sweep(shop)
    rows = await shop.rows("SELECT stripe_refund_id, credits_due_at > :now FROM refunds", now=shop.now)
    assert dict(rows) == {made[0].id: True, made[1].id: None}


async def test_a_refund_that_fails_gives_back_what_it_took(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    made = await give_back(shop, paid.payment_intent_id)
    await tell(shop, "refund.created", made.id)
    assert await shop.credits(None, buyer) == FREE
    await shop.control("POST", f"/refunds/{made.id}/fail")
    await tell(shop, "refund.failed", made.id)
    assert await shop.credits(None, buyer) == FREE + MEDIUM
    [shown] = await bills(buyer)
    assert (shown["status"], shown["amountRefunded"]) == ("PAID", 0)
    assert len(await shop.notices(buyer, "billing.refund_failed")) == 1


# --- plans ------------------------------------------------------------------------------------------------------


async def test_a_refunded_plan_gives_back_its_periods_credits(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    [shown] = await bills(owner, workspaceId=team)
    made = await refunded(shop, invoiceId=shown["id"], amount=STANDARD // 3)
    assert (made["status"], made["amount"], made["accountId"]) == ("SUCCEEDED", STANDARD // 3, team)
    assert await shop.credits(team) == 500 - 167
    [partly] = await bills(owner, workspaceId=team)
    assert (partly["status"], partly["amountRefunded"]) == ("PAID", STANDARD // 3)
    await refunded(shop, invoiceId=shown["id"])
    assert await shop.credits(team) == 0
    [whole] = await bills(owner, workspaceId=team)
    assert whole["status"] == "REFUNDED"
    # The limits are the subscription's, which goes on.
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"


async def test_credits_that_ran_out_unused_are_not_owed(shop: Shop) -> None:
    """The first month is refunded in the second: only what was spent of it is owed."""
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    [shown] = await bills(owner, workspaceId=team)
    await spend(shop, owner, 40, workspace_id=team)
    await shop.move(days=31, hours=3)
    await shop.hear(made["stripeSubscriptionId"])
    assert await shop.credits(team) == 500
    await refunded(shop, invoiceId=shown["id"])
    balance, debt = await ledger(shop, UUID(team))
    assert (balance, debt) == (500, 40)


async def test_a_refunded_change_of_plan_gives_back_what_it_brought(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    before = await shop.credits(team)
    changed = await shop.send(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert changed.status_code == 200, changed.text
    brought = await shop.credits(team) - before
    assert brought > 0
    change, first = await bills(owner, workspaceId=team)
    assert change["billingReason"] == "subscription_update"
    assert 0 < change["amountPaid"] <= PREMIUM
    await refunded(shop, invoiceId=change["id"])
    assert await shop.credits(team) == before
    [_, untouched] = await bills(owner, workspaceId=team)
    assert (untouched["id"], untouched["status"]) == (first["id"], "PAID")


async def test_a_refunded_month_leaves_the_year_that_replaced_it(shop: Shop) -> None:
    """Its lots began within the month, but the year's invoice paid for them."""
    person = await shop.person()
    await shop.active(person)
    await shop.move(days=10)
    await shop.done(person, "PUT", SUBSCRIPTION, plan="INDIVIDUAL_PRO", billingInterval="YEARLY")
    assert await shop.credits(None, person) == 100
    year, month = await bills(person)
    await refunded(shop, invoiceId=month["id"])
    assert await shop.credits(None, person) == 100
    assert await ledger(shop, person.id) == (100, 0)
    await refunded(shop, invoiceId=year["id"])
    assert await shop.credits(None, person) == 0


async def test_a_year_that_is_refunded_whole_brings_no_further_months(shop: Shop) -> None:
    """Nothing comes and goes again each month; should the refund fail after all, the months come again."""
    person, other = await shop.person(), await shop.person()
    for one in (person, other):
        await shop.active(one, billingInterval="YEARLY")
    [bill], [half] = await bills(person), await bills(other)
    made = await refunded(shop, invoiceId=bill["id"])
    await refunded(shop, invoiceId=half["id"], amount=half["amountPaid"] // 2)
    assert (await shop.credits(None, person), await shop.credits(None, other)) == (0, 50)
    before = await lines(shop, person)
    for _ in range(2):
        await shop.move(days=31)
        await grant_due_months(JobContext(shop.till.platform, "test"))
        await shop.move(minutes=20)
        await sweep(shop)
        assert await shop.credits(None, other) == 50, "in proportion, as before"
    assert await lines(shop, person) == before, "nothing came, and nothing was taken"
    assert len(await shop.notices(person, "billing.refund")) == 1

    await shop.control("POST", f"/refunds/{made['stripeRefundId']}/fail")
    await tell(shop, "refund.failed", made["stripeRefundId"])
    await grant_due_months(JobContext(shop.till.platform, "test"))
    assert await shop.credits(None, person) == 100, "the month that runs"
    await shop.move(days=31)
    await grant_due_months(JobContext(shop.till.platform, "test"))
    assert await shop.credits(None, person) == 100


# --- disputes ---------------------------------------------------------------------------------------------------


async def test_an_open_dispute_takes_nothing_and_the_operator_hears_of_it(shop: Shop) -> None:
    operator, buyer = await shop.person(), await shop.person()
    await shop.installation.execute("UPDATE users SET is_admin = true WHERE id = :id", id=operator.id)
    paid = await buy_pack(shop, buyer)
    made = await dispute(shop, paid.payment_intent_id)
    for kind in ("charge.dispute.created", "charge.dispute.funds_withdrawn"):
        await tell(shop, kind, made["id"])
    assert await shop.credits(None, buyer) == FREE + MEDIUM
    [told] = await shop.notices(operator, "billing.dispute")
    assert told["data"]["accountId"] == str(buyer.id)
    [shown] = (await operate(shop, "GET", DISPUTES)).json()["disputes"]
    assert (shown["status"], shown["amount"], shown["stripeDisputeId"]) == ("OPEN", PACK_PRICE_MINOR, made["id"])
    assert await shop.notices(buyer, "billing.dispute") == []


async def test_a_lost_dispute_takes_the_credits(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    made = await dispute(shop, paid.payment_intent_id)
    await close_dispute(shop, made["id"], "lost")
    # Its beginning is heard of after its end.
    for kind in ("charge.dispute.closed", "charge.dispute.created", "charge.dispute.closed"):
        await tell(shop, kind, made["id"])
    assert await shop.credits(None, buyer) == FREE
    [shown] = (await operate(shop, "GET", f"{DISPUTES}?status=LOST")).json()["disputes"]
    assert shown["accountId"] == str(buyer.id)


async def test_a_won_dispute_leaves_everything(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    made = await dispute(shop, paid.payment_intent_id)
    await tell(shop, "charge.dispute.created", made["id"])
    await close_dispute(shop, made["id"], "won")
    for kind in ("charge.dispute.funds_reinstated", "charge.dispute.closed"):
        await tell(shop, kind, made["id"])
    assert await shop.credits(None, buyer) == FREE + MEDIUM


async def test_a_verdict_that_is_turned_round_gives_back(shop: Shop) -> None:
    """Lost, and won on appeal."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    made = await dispute(shop, paid.payment_intent_id)
    await close_dispute(shop, made["id"], "lost")
    await tell(shop, "charge.dispute.closed", made["id"])
    await spend(shop, buyer, FREE)
    about = (await shop.till.stripe.http.get(f"/v1/disputes/{made['id']}", headers=authorized(shop))).json()
    await shop.till.stripe.put(about | {"status": "won"})
    await tell(shop, "charge.dispute.closed", made["id"])
    assert await shop.credits(None, buyer) == MEDIUM


async def test_a_refund_and_a_lost_dispute_take_no_more_than_there_was(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    part = await give_back(shop, paid.payment_intent_id, HALF)
    made = await dispute(shop, paid.payment_intent_id)
    await close_dispute(shop, made["id"], "lost")
    await tell(shop, "charge.dispute.closed", made["id"])
    await tell(shop, "refund.created", part.id)
    assert await ledger(shop, buyer.id) == (FREE, 0)


# --- the operator's route ---------------------------------------------------------------------------------------


async def test_an_operator_gives_a_checkouts_money_back(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    key = new_key()
    body = {"checkoutSessionId": paid.id, "amount": HALF, "reason": "DUPLICATE"}
    answer = await operate(shop, "POST", REFUNDS, key=key, **body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["refund"]
    assert (made["amount"], made["status"], made["reason"]) == (HALF, "SUCCEEDED", "DUPLICATE")
    assert made["requestedBy"] == "admin_key"
    [shown] = await bills(buyer)
    assert (made["invoiceId"], shown["amountRefunded"]) == (shown["id"], HALF)
    again = await operate(shop, "POST", REFUNDS, key=key, **body)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == answer.json()
    assert len(await at_stripe(shop, paid.payment_intent_id)) == 1
    one = await operate(shop, "GET", answer.headers["Location"])
    assert (one.status_code, one.json()["refund"]["id"]) == (200, made["id"])
    listed = (await operate(shop, "GET", f"{REFUNDS}?accountId={buyer.id}")).json()["refunds"]
    assert [one["id"] for one in listed] == [made["id"]]
    # Stripe's own word of it changes nothing more.
    await tell(shop, "refund.created", made["stripeRefundId"])
    listed = (await operate(shop, "GET", f"{REFUNDS}?accountId={buyer.id}")).json()["refunds"]
    assert [(one["id"], one["version"]) for one in listed] == [(made["id"], made["version"])]


async def test_more_than_is_left_is_refused(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    await refunded(shop, invoiceId=shown["id"], amount=HALF)
    answer = await operate(shop, "POST", REFUNDS, invoiceId=shown["id"], amount=PACK_PRICE_MINOR, reason="DUPLICATE")
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_payment")
    assert answer.json()["left"] == PACK_PRICE_MINOR - HALF
    # What was given at Stripe, and not heard of here yet, counts too: Stripe says so.
    await give_back(shop, paid.payment_intent_id, HALF)
    answer = await operate(shop, "POST", REFUNDS, invoiceId=shown["id"], reason="DUPLICATE")
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_payment")
    await refunded(shop, invoiceId=shown["id"], amount=PACK_PRICE_MINOR - 2 * HALF)
    answer = await operate(shop, "POST", REFUNDS, invoiceId=shown["id"], reason="DUPLICATE")
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_payment")
    assert sum(one.amount for one in await at_stripe(shop, paid.payment_intent_id)) == PACK_PRICE_MINOR
    assert await shop.credits(None, buyer) == FREE


async def test_what_cannot_be_refunded_is_refused(shop: Shop) -> None:
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    await dispute(shop, paid.payment_intent_id)
    refusals: tuple[tuple[Json, tuple[int, str]], ...] = (
        ({"invoiceId": shown["id"]}, (409, "payment_disputed")),
        ({"invoiceId": str(uuid4())}, (404, "not_found")),
        ({"checkoutSessionId": "cs_test_unknown"}, (404, "not_found")),
        ({"invoiceId": shown["id"], "checkoutSessionId": paid.id}, (422, "validation_failed")),
        ({}, (422, "validation_failed")),
        ({"invoiceId": shown["id"], "amount": 0}, (422, "validation_failed")),
    )
    for body, wanted in refusals:
        answer = await operate(shop, "POST", REFUNDS, **{"reason": "FRAUDULENT", **body})
        assert (answer.status_code, answer.json()["code"]) == wanted, body
    # A refused one holds nothing.
    [(held,)] = await shop.rows("SELECT count(*) FROM refunds WHERE status <> 'CANCELED'")
    assert held == 0


async def test_two_refunds_of_one_invoice_at_the_same_moment(shop: Shop) -> None:
    """Each wants all of it: one gets it."""
    buyer = await shop.person()
    paid = await buy_pack(shop, buyer)
    [shown] = await bills(buyer)
    answers = await asyncio.gather(
        *(operate(shop, "POST", REFUNDS, invoiceId=shown["id"], reason="REQUESTED_BY_CUSTOMER") for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    [made] = await at_stripe(shop, paid.payment_intent_id)
    assert made.amount == PACK_PRICE_MINOR
    assert await shop.credits(None, buyer) == FREE


# --- helpers ----------------------------------------------------------------------------------------------------


async def at_stripe(shop: Shop, payment_intent_id: str | None) -> list[StripeRefund]:
    payment = await payments.retrieve(shop.door, payment_intent_id or "")
    assert payment.charge_id is not None
    return list((await stripe_refunds.list_of_charge(shop.door, payment.charge_id)).items)


async def lines(shop: Shop, person: Person) -> list[tuple[Any, ...]]:
    """What has come to an account's ledger and was taken from it; what ran out is not among it."""
    return await shop.rows(
        "SELECT seq, type, amount, description FROM credit_entries"
        " WHERE account_id = :id AND type <> 'EXPIRY' ORDER BY seq",
        id=person.id,
    )


async def sweep(shop: Shop) -> None:
    await follow_refunds(JobContext(shop.till.platform, "test"))


async def name_another(shop: Shop, session_id: str, reference: str | None) -> None:
    """From now on the session at Stripe says it is for another checkout of ours, or for none."""
    path = f"/v1/checkout/sessions/{session_id}"
    about = (await shop.till.stripe.http.get(path, headers=authorized(shop))).json()
    await shop.till.stripe.put(about | {"client_reference_id": reference})
