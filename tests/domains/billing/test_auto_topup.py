"""Automatic top-ups: one charge however many notice, the month's cap, declines, confirmation, crashes, and every
order in which Stripe's events and our flow may come.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.jobs import JobContext
from pm_api.domains.ai_credits import jobs as credit_jobs
from pm_api.domains.ai_credits import topup_charges
from pm_api.domains.ai_credits.catalogue import Catalogue, set_pack_price
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.purchases import Purchase, Till, grant_purchase
from pm_api.domains.billing import auto_topup
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.integrations.stripe import payment_methods as stripe_methods
from pm_api.integrations.stripe import payments
from tests.conftest import Person, client_of
from tests.domains.billing.bills import (
    INVOICES,
    MEDIUM,
    REFUNDS,
    bills,
    buy_pack,
    close_dispute,
    dispute,
    ledger,
    operate,
    read,
    refunded,
    tell,
)
from tests.domains.billing.subscribing import Shop, new_key, open_shop
from tests.domains.billing.wallets import (
    ASKS_ALWAYS,
    FAILS_LATER,
    METHODS,
    OTHER_CARD,
    SMALL_PRICE,
    TOP_UPS,
    add_card,
    bought,
    cards,
    customer_of,
    hear_of,
    look,
    payments_of,
    state,
    sweep_flows,
    top_ups,
    wants,
)

SMALL_CREDITS = 100
PAID = ("payment_intent.succeeded",)
REFUSED = ("payment_intent.payment_failed",)


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    """One for all: every test has people of its own."""
    async with open_shop() as opened:
        yield opened


@pytest.fixture(autouse=True)
async def in_order(shop: Shop) -> AsyncIterator[None]:
    """What a test does to the clock and to Stripe ends with it."""
    yield
    await shop.till.stripe.heal()
    shop.installation.clock.reset()


async def low(shop: Shop, *, number: str | None = "4242424242424242", **changed: Any) -> Person:
    """Somebody with ten credits who wants a SMALL pack below fifty."""
    person = await shop.person()
    if number is not None:
        await add_card(shop, person, number=number)
    await wants(person, **changed)
    return person


async def spend_all(person: Person) -> None:
    balance = (await person.client.get("/api/credits/balance")).json()["balance"]["current"]
    if balance:
        answer = await person.client.post(
            "/api/credits/spend", json={"amount": balance}, headers={"Idempotency-Key": new_key()}
        )
        assert answer.status_code == 200, answer.text


async def notices(shop: Shop, person: Person, name: str) -> list[dict[str, Any]]:
    return await shop.notices(person, f"billing.{name}")


# --- buying -----------------------------------------------------------------------------------------------------


async def test_a_pack_is_bought_when_credits_run_low(shop: Shop) -> None:
    person = await low(shop)
    assert (await state(person))["armed"] is False, "nobody has looked yet"
    await look(shop, person.id)
    assert await bought(shop, person.id) == SMALL_CREDITS
    [payment] = await payments_of(shop, person)
    assert (payment.status, payment.amount, payment.currency) == ("succeeded", SMALL_PRICE, "USD")
    [(version,)] = await shop.rows("SELECT max(version) FROM credit_packs WHERE name = 'SMALL'")
    assert payment.metadata == {
        "accountType": "USER",
        "accountId": str(person.id),
        "pack": "SMALL",
        "packVersion": str(version),
        "flow": payment.metadata["flow"],
    }
    found = await state(person)
    assert (found["armed"], found["spentThisMonth"], found["failures"]) == (True, SMALL_PRICE, 0)
    [shown] = await top_ups(person)
    assert (shown["id"], shown["status"], shown["pack"]) == (payment.metadata["flow"], "SUCCEEDED", "SMALL")
    assert (shown["amount"], shown["stripePaymentIntentId"]) == (SMALL_PRICE, payment.id)
    one = await person.client.get(f"{TOP_UPS}/{shown['id']}")
    assert (one.json()["topUp"], one.headers["ETag"]) == (shown, f'"{shown["version"]}"')
    await look(shop, person.id)
    assert len(await payments_of(shop, person)) == 1, "it is not low any more"
    assert len(await notices(shop, person, "topup_bought")) == 1
    lots = await shop.rows(
        "SELECT kind, amount, source_ref, cost_minor, cost_currency, expires_at FROM credit_grants"
        " WHERE account_id = :id AND source_type = 'stripe_payment'",
        id=person.id,
    )
    assert lots == [("PURCHASE", SMALL_CREDITS, payment.id, SMALL_PRICE, "USD", None)]


async def test_what_was_charged_has_its_invoice_once(shop: Shop) -> None:
    """Of a payment without a page Stripe makes none: it has neither a number nor a file, and says so."""
    person = await low(shop)
    await look(shop, person.id)
    [payment] = await payments_of(shop, person)
    for _ in range(2):
        await hear_of(shop, str(person.id), *PAID)
    [shown] = await bills(person)
    assert (shown["status"], shown["amount"], shown["amountPaid"], shown["amountDue"], shown["amountRefunded"]) == (
        *("PAID", SMALL_PRICE, SMALL_PRICE, SMALL_PRICE),
        0,
    )
    assert (shown["userId"], shown["workspaceId"], shown["currency"]) == (str(person.id), None, "USD")
    assert {shown[name] for name in ("subscriptionId", "number", "dueDate", "hostedUrl", "downloadUrl")} == {None}
    assert (shown["stripeInvoiceId"], shown["stripePaymentIntentId"]) == (None, payment.id)
    assert (shown["billingReason"], shown["description"]) == (
        "automatic_charge",
        "SMALL credit pack, bought by auto top-up",
    )
    assert payment.paid_at is not None
    assert datetime.fromisoformat(shown["paidAt"]) == datetime.fromisoformat(shown["issuedAt"]) == payment.paid_at
    one = await read(person, f"{INVOICES}/{shown['id']}")
    [line] = one["invoice"]["lines"]
    assert (line["amount"], line["quantity"], line["description"]) == (SMALL_PRICE, 1, shown["description"])
    file = await person.client.get(f"{INVOICES}/{shown['id']}/pdf")
    assert (file.status_code, file.json()["code"]) == (404, "invoice_has_no_file")
    [notice] = await notices(shop, person, "topup_bought")
    assert (notice["data"]["invoiceId"], notice["data"]["amount"]) == (shown["id"], SMALL_PRICE)
    assert await notices(shop, person, "receipt") == [], "it is told once"
    assert await bills(person, status="PAID") == [shown]
    assert await bills(await shop.person()) == []


async def test_what_is_not_wanted_is_not_bought(shop: Shop) -> None:
    off = await low(shop, enabled=False)
    rich = await low(shop, threshold=5)
    bare = await low(shop, number=None)
    for person in (off, rich, bare, await shop.person()):
        await look(shop, person.id)
        assert await bought(shop, person.id) == 0
        assert await top_ups(person) == []
    assert await payments_of(shop, off) == []
    assert (await state(bare))["disarmedReason"] == "NO_PAYMENT_METHOD"


async def test_a_pool_is_bought_for_and_its_managers_are_told(shop: Shop) -> None:
    owner, workspace_id = await shop.team()
    await add_card(shop, owner, workspace_id)
    await wants(owner, workspace_id)
    await look(shop, workspace_id, AccountKind.WORKSPACE)
    assert (await bought(shop, workspace_id), await bought(shop, owner.id)) == (SMALL_CREDITS, 0)
    assert [one["status"] for one in await top_ups(owner, workspace_id)] == ["SUCCEEDED"]
    assert await top_ups(owner) == []
    assert len(await notices(shop, owner, "topup_bought")) == 1
    other = await owner.client.post("/api/workspaces", json={"name": "Gone", "slug": f"w-{uuid4().hex[:8]}"})
    gone = other.json()["workspace"]["id"]
    await add_card(shop, owner, gone)
    await wants(owner, gone)
    assert (await owner.client.delete(f"/api/workspaces/{gone}")).status_code < 300
    await look(shop, gone, AccountKind.WORKSPACE)
    assert await bought(shop, gone) == 0, "nobody pays for a workspace that was deleted"


async def test_the_sweep_and_an_alert_have_the_low_looked_at(shop: Shop) -> None:
    """Any threshold is noticed by the sweep; what an alert tells of, at once."""

    async def asked(person: Person) -> int:
        found = await shop.rows(
            "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'ai_credits.look_at_topup' AND dedupe_key = :key",
            key=f"topup:{person.id}",
        )
        return int(found[0][0])

    swept, alerted, idle = await low(shop), await low(shop, threshold=5), await low(shop, threshold=5)
    for person in (swept, alerted, idle):
        await look_ready(shop, person)
    await credit_jobs.look_at_topups(JobContext(shop.till.platform, "test"))
    assert [await asked(person) for person in (swept, alerted, idle)] == [1, 0, 0]
    await spend_all(alerted)
    await credit_jobs.deliver_alerts(JobContext(shop.till.platform, "test"))
    assert [await asked(person) for person in (swept, alerted, idle)] == [1, 1, 0]


async def look_ready(shop: Shop, person: Person) -> None:
    """Only that there is a card to charge."""
    async with shop.till.platform.database.transaction() as session:
        await session.execute(
            text("UPDATE credit_auto_topups SET payment_method_ready = true WHERE account_id = :id"),
            {"id": person.id},
        )


# --- races and the cap ------------------------------------------------------------------------------------------


async def test_twenty_who_notice_at_once_buy_once(shop: Shop) -> None:
    person = await low(shop)
    await asyncio.gather(*(look(shop, person.id) for _ in range(20)))
    assert await bought(shop, person.id) == SMALL_CREDITS
    assert len(await payments_of(shop, person)) == 1
    assert (await state(person))["spentThisMonth"] == SMALL_PRICE


async def test_the_cap_is_never_passed_and_the_month_is_utc(shop: Shop) -> None:
    person = await low(shop, threshold=100_000, monthlyCap=2 * SMALL_PRICE)
    shop.installation.stand_at(datetime(2031, 5, 31, 23, 50, tzinfo=UTC))
    for _ in range(4):
        await asyncio.gather(*(look(shop, person.id) for _ in range(5)))
    assert await bought(shop, person.id) == 2 * SMALL_CREDITS
    assert (await state(person))["spentThisMonth"] == 2 * SMALL_PRICE
    assert len(await notices(shop, person, "topup_cap_reached")) == 1, "once a month"
    shop.installation.stand_at(datetime(2031, 6, 1, 0, 0, 1, tzinfo=UTC))
    assert (await state(person))["spentThisMonth"] == 0
    for _ in range(3):
        await look(shop, person.id)
    assert await bought(shop, person.id) == 4 * SMALL_CREDITS
    assert len(await notices(shop, person, "topup_cap_reached")) == 2
    assert sum(one.amount_received for one in await payments_of(shop, person)) == 4 * SMALL_PRICE


async def test_another_price_between_two_purchases_cannot_pass_the_cap(shop: Shop) -> None:
    platform = shop.till.platform
    person = await low(shop, threshold=100_000, monthlyCap=2 * SMALL_PRICE)
    await look(shop, person.id)
    async with platform.database.transaction() as session:
        await set_pack_price(session, platform, "SMALL", SMALL_PRICE + 1)
    platform.part(Catalogue).forget()
    try:
        await look(shop, person.id)
        assert [one["amount"] for one in await top_ups(person)] == [SMALL_PRICE], (
            "the second would cost more than is left"
        )
        await wants(person, threshold=100_000, monthlyCap=2 * SMALL_PRICE + 1)
        await look(shop, person.id)
        assert [one["amount"] for one in await top_ups(person)] == [SMALL_PRICE + 1, SMALL_PRICE]
        versions = [one.metadata["packVersion"] for one in await payments_of(shop, person)]
        assert int(versions[0]) == int(versions[1]) + 1
    finally:
        async with platform.database.transaction() as session:
            await set_pack_price(session, platform, "SMALL", SMALL_PRICE)
        platform.part(Catalogue).forget()


# --- crashes, lost answers, events in any order -----------------------------------------------------------------


async def test_a_charge_whose_answer_was_lost_is_granted_by_the_sweep_once(shop: Shop) -> None:
    person = await low(shop)
    await shop.till.stripe.fail(
        pathPrefix="/v1/payment_intents", method="POST", status=500, actThenFail=True, times=9
    )
    await look(shop, person.id)
    assert [one["status"] for one in await top_ups(person)] == ["PENDING"]
    assert (await state(person))["spentThisMonth"] == SMALL_PRICE, "what is on its way counts"
    await look(shop, person.id)
    await shop.till.stripe.heal()
    await look(shop, person.id)
    assert (await bought(shop, person.id), len(await payments_of(shop, person))) == (0, 1), "nobody charges again"
    for _ in range(2):
        await sweep_flows(shop, seconds=90)
    assert await bought(shop, person.id) == SMALL_CREDITS
    assert [one["status"] for one in await top_ups(person)] == ["SUCCEEDED"]
    assert len(await notices(shop, person, "topup_bought")) == 1


async def test_a_charge_that_never_arrived_lets_its_reservation_go(shop: Shop) -> None:
    person = await low(shop, monthlyCap=SMALL_PRICE)
    await shop.till.stripe.fail(pathPrefix="/v1/payment_intents", method="POST", status=500, times=9)
    await look(shop, person.id)
    assert (await state(person))["spentThisMonth"] == SMALL_PRICE
    await shop.till.stripe.heal()
    await sweep_flows(shop, seconds=90)
    assert ((await state(person))["spentThisMonth"], (await state(person))["failures"]) == (0, 0)
    assert [one["status"] for one in await top_ups(person)] == ["CANCELED"]
    await look(shop, person.id)
    assert (await bought(shop, person.id), len(await payments_of(shop, person))) == (SMALL_CREDITS, 1)


async def test_the_event_comes_before_the_flow_settles(shop: Shop) -> None:
    """Stripe tells of the payment while its answer is still lost, twice; the sweep comes last."""
    person = await low(shop)
    await shop.till.stripe.fail(
        pathPrefix="/v1/payment_intents", method="POST", status=500, actThenFail=True, times=9
    )
    await look(shop, person.id)
    await shop.till.stripe.heal()
    for _ in range(2):
        [told] = await hear_of(shop, str(person.id), *PAID)
        assert told["status"] == "HANDLED"
    assert await bought(shop, person.id) == SMALL_CREDITS
    await sweep_flows(shop, seconds=90)
    assert await bought(shop, person.id) == SMALL_CREDITS
    assert ((await state(person))["spentThisMonth"], len(await notices(shop, person, "topup_bought"))) == (
        SMALL_PRICE,
        1,
    )
    left = await shop.rows(
        "SELECT status FROM flows WHERE subject = :id AND kind = 'billing.auto_topup'", id=person.id
    )
    assert left == [("DONE",)]


async def test_flow_event_and_sweep_at_the_same_moment_grant_once(shop: Shop) -> None:
    person = await low(shop)
    await look(shop, person.id)
    [payment] = await payments_of(shop, person)
    platform = shop.till.platform

    async def apply() -> None:
        async with platform.database.transaction() as session:
            await auto_topup.apply(session, platform, UUID(payment.metadata["flow"]), payment)

    await shop.installation.execute("DELETE FROM invoices WHERE account_id = :id", id=person.id)
    await asyncio.gather(*(apply() for _ in range(8)))
    assert await bought(shop, person.id) == SMALL_CREDITS
    assert len(await bills(person)) == 1
    async with platform.database.transaction() as session:
        again = Purchase("USER", person.id, "SMALL", 1, payment.id, SMALL_PRICE, "USD", Till.PAYMENT)
        assert await grant_purchase(session, platform, again) == 0, "under its key for ever"


async def test_a_payment_that_was_given_up_and_came_after_all_is_granted_and_counts(shop: Shop) -> None:
    person = await low(shop)
    platform = shop.till.platform
    await look(shop, person.id)
    [payment] = await payments_of(shop, person)
    await shop.installation.execute(
        "UPDATE topup_payments SET status = 'CANCELED', is_counted = false WHERE account_id = :id", id=person.id
    )
    await shop.installation.execute(
        "UPDATE credit_auto_topups SET spent_minor = 0 WHERE account_id = :id", id=person.id
    )
    async with platform.database.transaction() as session:
        await auto_topup.apply(session, platform, UUID(payment.metadata["flow"]), payment)
    assert [one["status"] for one in await top_ups(person)] == ["SUCCEEDED"]
    assert (await state(person))["spentThisMonth"] == SMALL_PRICE, "money that was taken counts"
    assert await bought(shop, person.id) == SMALL_CREDITS


async def test_payments_of_others_are_left_alone_and_unknown_ones_held(shop: Shop) -> None:
    person = await shop.person()
    card = await add_card(shop, person)

    async def charge(metadata: dict[str, str]) -> dict[str, Any]:
        made = await payments.charge_off_session(
            shop.door,
            customer_id=await customer_of(shop, person),
            payment_method_id=card["stripePaymentMethodId"],
            amount=500,
            currency="USD",
            description="something else",
            metadata=metadata,
            key=new_key(),
        )
        [told] = await hear_of(shop, made.id, *PAID)
        return told

    told = await charge({"flow": str(uuid4())})
    assert (told["status"], told["outcome"]) == ("HANDLED", "ignored: the payment is no automatic top-up")
    for flow in (str(uuid4()), "no id"):
        told = await charge({"flow": flow, "pack": "SMALL", "packVersion": "1"})
        assert told["status"] == "HELD"
    assert await bought(shop, person.id) == 0


# --- declines ---------------------------------------------------------------------------------------------------


async def test_declines_wait_longer_and_the_fourth_disarms_until_a_new_card_comes(shop: Shop) -> None:
    person = await low(shop, number=FAILS_LATER)
    waits = [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)]
    for number, wait in enumerate(waits, 1):
        for _ in range(3):
            await look(shop, person.id)
        found = await state(person)
        assert (found["failures"], found["disarmedReason"], found["spentThisMonth"]) == (number, None, 0)
        until = datetime.fromisoformat(found["nextAttemptAt"])
        assert abs(until - shop.now - wait) < timedelta(minutes=1)
        shop.installation.stand_at(until + timedelta(seconds=1))
    await look(shop, person.id)
    found = await state(person)
    assert (found["armed"], found["failures"], found["disarmedReason"]) == (False, 4, "card_declined")
    assert len(await payments_of(shop, person)) == 4
    assert [one["status"] for one in await top_ups(person)] == ["FAILED"] * 4
    assert len(await notices(shop, person, "topup_declined")) == 4
    shop.installation.stand_at(shop.now + timedelta(days=30))
    await look(shop, person.id)
    assert len(await payments_of(shop, person)) == 4, "nothing is tried any more"
    await add_card(shop, person, number=FAILS_LATER)
    assert (await state(person))["armed"] is False, "the same card under another id is no new card"
    await add_card(shop, person, number=OTHER_CARD, setDefault=True)
    found = await state(person)
    assert (found["armed"], found["failures"]) == (True, 0)
    await look(shop, person.id)
    assert await bought(shop, person.id) == SMALL_CREDITS


async def test_a_decline_that_is_told_of_before_it_is_heard_of_counts_once(shop: Shop) -> None:
    person = await low(shop, number=FAILS_LATER)
    await shop.till.stripe.fail(
        pathPrefix="/v1/payment_intents", method="POST", status=500, actThenFail=True, times=9
    )
    await look(shop, person.id)
    await shop.till.stripe.heal()
    for _ in range(2):
        await hear_of(shop, str(person.id), *REFUSED)
    assert (await state(person))["failures"] == 1
    await sweep_flows(shop, seconds=90)
    assert ((await state(person))["failures"], (await state(person))["spentThisMonth"]) == (1, 0)
    assert len(await notices(shop, person, "topup_declined")) == 1


async def test_the_last_card_disarms_and_the_next_one_arms(shop: Shop) -> None:
    person = await low(shop, threshold=5)
    await look(shop, person.id)
    assert (await state(person))["armed"] is True, "the settings are younger than the card, and know of it"
    [card] = await cards(person)
    assert (await person.client.delete(f"{METHODS}/{card['id']}")).status_code == 204
    assert (await state(person))["disarmedReason"] == "NO_PAYMENT_METHOD"
    await add_card(shop, person)
    assert (await state(person))["armed"] is True
    customer_id = await customer_of(shop, person)
    [card] = await cards(person)
    await stripe_methods.detach(shop.door, card["stripePaymentMethodId"], key=new_key())
    await hear_of(shop, card["stripePaymentMethodId"], "payment_method.detached")
    assert (await state(person))["armed"] is False
    await stripe_methods.attach(shop.door, "pm_card_mastercard", customer_id, key=new_key())
    await hear_of(shop, customer_id, "payment_method.attached")
    assert (await state(person))["armed"] is True


# --- debts ------------------------------------------------------------------------------------------------------


async def test_nothing_is_bought_into_a_debt_and_a_lost_dispute_wants_a_new_card(shop: Shop) -> None:
    person = await low(shop)
    await look(shop, person.id)
    await spend_all(person)
    [payment] = await payments_of(shop, person)
    made = await dispute(shop, payment.id)
    await close_dispute(shop, made["id"], "lost")
    for _ in range(2):
        await tell(shop, "charge.dispute.closed", made["id"])
    assert await ledger(shop, person.id) == (0, SMALL_CREDITS)
    found = await state(person)
    assert (found["armed"], found["disarmedReason"]) == (False, "PAYMENT_DISPUTED")
    await add_card(shop, person, number=OTHER_CARD, setDefault=True)
    found = await state(person)
    assert (found["armed"], found["disarmedReason"]) == (False, "OWES_CREDITS")
    await tell(shop, "charge.dispute.closed", made["id"])
    assert (await state(person))["disarmedReason"] == "OWES_CREDITS", "lost once, however often it is told"
    for _ in range(3):
        await look(shop, person.id)
    assert [one.id for one in await payments_of(shop, person)] == [payment.id]
    async with shop.till.platform.database.transaction() as session:
        await topup_charges.look_at_low(session, shop.till.platform, among=[person.id])
    waiting = await shop.rows("SELECT 1 FROM pgqueuer WHERE dedupe_key = :key", key=f"topup:{person.id}")
    assert waiting == [], "the sweep has nobody look at it"

    await buy_pack(shop, person)
    assert await ledger(shop, person.id) == (MEDIUM - SMALL_CREDITS, 0)
    assert (await state(person))["armed"] is True, "nothing is owed any more"
    await spend_all(person)
    await look(shop, person.id)
    assert await ledger(shop, person.id) == (SMALL_CREDITS, 0)


# --- money back -------------------------------------------------------------------------------------------------


async def test_an_operator_gives_a_top_ups_money_back(shop: Shop) -> None:
    person = await low(shop)
    await look(shop, person.id)
    [top_up] = await top_ups(person)
    part = await refunded(shop, topUpId=top_up["id"], amount=SMALL_PRICE - 100)
    assert (part["status"], part["accountId"]) == ("SUCCEEDED", str(person.id))
    assert part["reason"] == "REQUESTED_BY_CUSTOMER", "as it was sent"
    taken = -(-SMALL_CREDITS * (SMALL_PRICE - 100) // SMALL_PRICE)
    assert await ledger(shop, person.id) == (10 + SMALL_CREDITS - taken, 0)
    [bill] = await bills(person)
    assert (bill["status"], bill["amountRefunded"], part["invoiceId"]) == ("PAID", SMALL_PRICE - 100, bill["id"])
    assert (await refunded(shop, invoiceId=bill["id"]))["amount"] == 100, "by its invoice as by itself"
    assert await ledger(shop, person.id) == (10, 0)
    [bill] = await bills(person)
    assert (bill["status"], bill["amountRefunded"], bill["amountPaid"]) == ("REFUNDED", SMALL_PRICE, SMALL_PRICE)
    refusals: tuple[tuple[dict[str, Any], tuple[int, str]], ...] = (
        ({"topUpId": top_up["id"]}, (409, "refund_exceeds_payment")),
        ({"topUpId": str(uuid4())}, (404, "not_found")),
        ({"topUpId": top_up["id"], "invoiceId": str(uuid4())}, (422, "validation_failed")),
        ({"topUpId": top_up["id"], "checkoutSessionId": "cs_test_1"}, (422, "validation_failed")),
    )
    for body, wanted in refusals:
        answer = await operate(shop, "POST", REFUNDS, **{"reason": "DUPLICATE", **body})
        assert (answer.status_code, answer.json()["code"]) == wanted, body


async def test_a_top_up_that_was_not_paid_cannot_be_given_back(shop: Shop) -> None:
    person = await low(shop, number=FAILS_LATER)
    await look(shop, person.id)
    [top_up] = await top_ups(person)
    answer = await operate(shop, "POST", REFUNDS, topUpId=top_up["id"], reason="DUPLICATE")
    assert (answer.status_code, answer.json()["code"]) == (409, "invoice_not_paid")


# --- the bank asks ----------------------------------------------------------------------------------------------


async def confirmation(person: Person, top_up_id: str) -> tuple[int, dict[str, Any]]:
    answer = await person.client.get(f"{TOP_UPS}/{top_up_id}/confirmation")
    return answer.status_code, answer.json()


async def test_the_buyer_confirms_what_their_bank_asks_about(shop: Shop) -> None:
    person = await low(shop, number=ASKS_ALWAYS)
    await look(shop, person.id)
    [shown] = await top_ups(person)
    assert (shown["status"], shown["failureCode"]) == ("ACTION_REQUIRED", "authentication_required")
    [notice] = await notices(shop, person, "topup_confirmation")
    assert notice["data"]["topUpId"] == shown["id"]
    [(link,)] = await shop.rows(
        "SELECT link FROM notifications WHERE user_id = :id AND type = 'billing.topup_confirmation'", id=person.id
    )
    assert link == f"/credits/top-ups/{shown['id']}"
    found = await state(person)
    assert (found["failures"], found["spentThisMonth"]) == (1, SMALL_PRICE), "it may still be paid"
    for _ in range(2):
        await look(shop, person.id)
        await hear_of(shop, str(person.id), *REFUSED)
    assert ((await state(person))["failures"], len(await payments_of(shop, person))) == (1, 1)
    status, body = await confirmation(person, shown["id"])
    assert status == 200, body
    how = body["confirmation"]
    confirmed = await shop.control(
        "PUT",
        f"/elements/{how['clientSecret']}",
        {"paymentMethod": how["stripePaymentMethodId"], "confirm": True},
    )
    assert confirmed["error"] is None, confirmed
    await hear_of(shop, str(person.id), "payment_intent.requires_action", *PAID)
    assert await bought(shop, person.id) == SMALL_CREDITS
    found = await state(person)
    assert (found["failures"], found["nextAttemptAt"], found["spentThisMonth"]) == (0, None, SMALL_PRICE)
    assert (await confirmation(person, shown["id"]))[1]["code"] == "nothing_to_confirm"


async def test_what_is_not_confirmed_in_time_is_called_off_and_tried_anew(shop: Shop) -> None:
    person = await low(shop, number=ASKS_ALWAYS)
    await look(shop, person.id)
    [first] = await payments_of(shop, person)
    sweep = JobContext(shop.till.platform, "test")
    await billing_jobs.call_off_topups(sweep)
    assert [one["status"] for one in await top_ups(person)] == ["ACTION_REQUIRED"], "there is time"
    shop.installation.stand_at(shop.now + timedelta(hours=1, seconds=5))
    await asyncio.gather(*(billing_jobs.call_off_topups(sweep) for _ in range(4)))
    assert (await payments.retrieve(shop.door, first.id)).status == "canceled"
    assert [one["status"] for one in await top_ups(person)] == ["CANCELED"]
    assert (await state(person))["spentThisMonth"] == 0
    await look(shop, person.id)
    assert [one["status"] for one in await top_ups(person)] == ["ACTION_REQUIRED", "CANCELED"]
    assert (await state(person))["failures"] == 2


async def test_one_that_cannot_be_called_off_keeps_none_of_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe does not know the first one's payment."""
    monkeypatch.setattr(billing_jobs, "TOPUPS_AT_A_TIME", 1)
    people = [await low(shop, number=ASKS_ALWAYS) for _ in range(2)]
    for person in people:
        await look(shop, person.id)
    async with shop.till.platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE topup_payments SET stripe_payment_intent_id = 'pi_unknown',"
                " act_by = act_by - interval '1 min' WHERE account_id = :id"
            ),
            {"id": people[0].id},
        )
    shop.installation.stand_at(shop.now + timedelta(hours=2))
    await billing_jobs.call_off_topups(JobContext(shop.till.platform, "test"))
    assert [one["status"] for one in await top_ups(people[0])] == ["ACTION_REQUIRED"]
    assert [one["status"] for one in await top_ups(people[1])] == ["CANCELED"]


async def test_one_who_confirms_at_the_last_moment_is_not_charged_twice(shop: Shop) -> None:
    """Paid at Stripe, not heard of here, when it is to be called off."""
    person = await low(shop, number=ASKS_ALWAYS)
    await look(shop, person.id)
    [shown] = await top_ups(person)
    how = (await confirmation(person, shown["id"]))[1]["confirmation"]
    await shop.control(
        "PUT",
        f"/elements/{how['clientSecret']}",
        {"paymentMethod": how["stripePaymentMethodId"], "confirm": True},
    )
    shop.installation.stand_at(shop.now + timedelta(hours=2))
    await billing_jobs.call_off_topups(JobContext(shop.till.platform, "test"))
    await look(shop, person.id)
    assert await bought(shop, person.id) == SMALL_CREDITS
    assert [one["status"] for one in await top_ups(person)] == ["SUCCEEDED"]
    assert len(await payments_of(shop, person)) == 1


async def test_a_calling_off_that_nobody_heard_of_is_settled_by_the_sweep(shop: Shop) -> None:
    person = await low(shop, number=ASKS_ALWAYS)
    await look(shop, person.id)
    [made] = await payments_of(shop, person)
    shop.installation.stand_at(shop.now + timedelta(hours=2))
    await shop.till.stripe.fail(
        pathPrefix=f"/v1/payment_intents/{made.id}/cancel", status=500, actThenFail=True, times=9
    )
    await billing_jobs.call_off_topups(JobContext(shop.till.platform, "test"))
    assert [one["status"] for one in await top_ups(person)] == ["ACTION_REQUIRED"]
    await shop.till.stripe.heal()
    await sweep_flows(shop, seconds=90)
    assert [one["status"] for one in await top_ups(person)] == ["CANCELED"]


# --- who may ----------------------------------------------------------------------------------------------------


async def test_who_may_see_purchases(shop: Shop) -> None:
    person = await low(shop)
    await look(shop, person.id)
    [shown] = await top_ups(person)
    stranger = await shop.person()
    for path in (f"{TOP_UPS}/{shown['id']}", f"{TOP_UPS}/{shown['id']}/confirmation", f"{TOP_UPS}/{uuid4()}"):
        assert (await stranger.client.get(path)).status_code == 404
    async with client_of(shop.till.app) as nobody:
        for path in (TOP_UPS, f"{TOP_UPS}/{shown['id']}", f"{TOP_UPS}/{shown['id']}/confirmation"):
            assert (await nobody.get(path)).status_code == 401
    first = (await person.client.get(TOP_UPS, params={"limit": 1})).json()
    assert (first["topUps"], first["nextCursor"]) == ([shown], None)
