"""A subscription's life at the sandbox Stripe, through the official SDK: first payment, renewals, failures, ends."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox
from tests.sandbox.subscription_setup import (
    ASKS,
    DAY_S,
    FAILS_LATER,
    HOUR_S,
    PAYS,
    START,
    Shop,
    moment,
    open_shop,
    period,
)

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


@pytest.fixture
async def shop(setup: Setup) -> Shop:
    return await open_shop(setup)


# The first payment


async def test_created_paid_and_renewed_by_the_clock(shop: Shop) -> None:
    customer = await shop.customer()
    made = await shop.subscribe(customer, metadata={"accountId": "u1"})
    assert (made.status, made.currency, made.billing_mode.type) == ("active", "usd", "flexible")
    assert period(made) == (START, moment(2026, 2, 28))
    first = made.latest_invoice
    assert (first.status, first.billing_reason, first.amount_paid) == ("paid", "subscription_create", 9999)
    assert first.parent.subscription_details.subscription == made.id
    assert first.parent.subscription_details.metadata.to_dict() == {"accountId": "u1"}
    line = first.lines.data[0]
    assert (line.amount, line.pricing.price_details.price) == (9999, shop.prices["standard"])
    assert line.parent.subscription_item_details.proration is False
    payment = first.payments.data[0]
    assert (payment.status, payment.amount_paid, payment.is_default) == ("paid", 9999, True)
    intent = await shop.v1.payment_intents.retrieve_async(payment.payment.payment_intent)
    assert (intent.status, intent.customer) == ("succeeded", customer)

    await shop.advance(moment(2026, 2, 28))
    draft = (await shop.invoices(made.id))[-1]
    assert (draft.status, draft.billing_reason, draft.number) == ("draft", "subscription_cycle", None)
    assert draft.automatically_finalizes_at == moment(2026, 2, 28) + HOUR_S
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    renewed = await shop.subscription(made.id)
    # Counted from the 31st, so March has its 31st again.
    assert (renewed.status, *period(renewed)) == ("active", moment(2026, 2, 28), moment(2026, 3, 31))
    assert (renewed.latest_invoice.status, renewed.latest_invoice.amount_paid) == ("paid", 9999)
    await shop.advance(moment(2026, 7, 1))
    numbers = [invoice.number for invoice in await shop.invoices(made.id)]
    assert [number.rpartition("-")[2] for number in numbers] == ["0001", "0002", "0003", "0004", "0005", "0006"]


async def test_events_come_in_order_with_what_was_before(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    assert await shop.event_types() == [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]
    created, *_, updated = await shop.events()
    assert created.data.object["status"] == "incomplete"
    assert updated.data.object["status"] == "active"
    assert updated.data.previous_attributes.to_dict() == {"status": "incomplete"}
    before = len(await shop.events())
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    cycle = (await shop.events())[before:]
    assert [event.type for event in cycle] == [
        "customer.subscription.updated",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    turned = cycle[0].data
    assert turned.object["id"] == made.id
    previous = turned.previous_attributes.to_dict()
    assert sorted(previous) == ["items", "latest_invoice"]
    assert previous["items"]["data"][0]["current_period_end"] == moment(2026, 2, 28)
    assert turned.object["items"]["data"][0]["current_period_end"] == moment(2026, 3, 31)
    assert [event.data.object["status"] for event in cycle[1:3]] == ["draft", "open"]


async def test_the_buyer_confirms_a_first_payment_in_the_browser(shop: Shop) -> None:
    customer = await shop.customer(None)
    made = await shop.subscribe(
        customer,
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
    )
    assert (made.status, made.latest_invoice.status) == ("incomplete", "open")
    secret = made.latest_invoice.confirmation_secret
    assert secret.type == "payment_intent"
    asked = await shop.pay_by_hand(secret.client_secret, cardNumber=ASKS)
    assert asked["intent"]["status"] == "requires_action"
    assert (await shop.subscription(made.id)).status == "incomplete"
    refused = await shop.pay_by_hand(secret.client_secret, confirm=False)
    assert refused["error"]["code"] == "payment_intent_authentication_failure"
    paid = await shop.pay_by_hand(secret.client_secret, cardNumber=ASKS, confirm=True)
    assert paid["intent"]["status"] == "succeeded"
    active = await shop.subscription(made.id)
    assert (active.status, active.latest_invoice.status) == ("active", "paid")
    # The card stays, and does not ask again when its holder is away.
    method = await shop.v1.payment_methods.retrieve_async(active.default_payment_method)
    assert method.customer == customer
    types = await shop.event_types()
    assert "invoice.payment_action_required" in types
    await shop.advance(moment(2026, 3, 1))
    renewed = await shop.subscription(made.id)
    assert (renewed.status, renewed.latest_invoice.amount_paid) == ("active", 9999)


async def test_a_first_payment_that_fails(shop: Shop) -> None:
    customer = await shop.customer(FAILS_LATER)
    with pytest.raises(stripe.CardError) as declined:
        await shop.subscribe(customer, payment_behavior="error_if_incomplete")
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert (await shop.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await shop.v1.invoices.list_async({})).data == []
    made = await shop.subscribe(customer)
    assert (made.status, made.latest_invoice.attempt_count) == ("incomplete", 1)
    await shop.advance(START + 23 * HOUR_S - 1)
    assert (await shop.subscription(made.id)).status == "incomplete"
    await shop.advance(START + 23 * HOUR_S)
    gone = await shop.subscription(made.id)
    assert (gone.status, gone.latest_invoice.status) == ("incomplete_expired", "void")
    types = await shop.event_types()
    assert types[-3:] == ["customer.subscription.updated", "payment_intent.canceled", "invoice.voided"]
    nobody = await shop.customer(None)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await shop.subscribe(nobody)


async def test_a_card_that_asks_leaves_the_subscription_incomplete_until_confirmed(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer(ASKS))
    intent_id = made.latest_invoice.payments.data[0].payment.payment_intent
    assert made.status == "incomplete"
    assert (await shop.v1.payment_intents.retrieve_async(intent_id)).status == "requires_action"
    secret = made.latest_invoice.confirmation_secret.client_secret
    await shop.pay_by_hand(secret, confirm=True)
    assert (await shop.subscription(made.id)).status == "active"


# Failed renewals


async def test_declined_past_due_paid_active(shop: Shop) -> None:
    customer = await shop.customer()
    made = await shop.subscribe(customer)
    await shop.card(FAILS_LATER, customer)
    due = moment(2026, 2, 28) + HOUR_S
    await shop.advance(due)
    late = await shop.subscription(made.id)
    invoice = late.latest_invoice
    assert (late.status, invoice.status, invoice.attempt_count) == ("past_due", "open", 1)
    assert invoice.next_payment_attempt == due + 3 * DAY_S
    assert (await shop.v1.customers.retrieve_async(customer)).delinquent is True
    events = await shop.events()
    failed, changed = events[-2:]
    assert (failed.type, changed.type) == ("invoice.payment_failed", "customer.subscription.updated")
    assert failed.data.object["next_payment_attempt"] == due + 3 * DAY_S
    assert changed.data.previous_attributes.to_dict() == {"status": "active"}
    await shop.advance(due + 3 * DAY_S)
    again = (await shop.subscription(made.id)).latest_invoice
    assert (again.attempt_count, again.next_payment_attempt) == (2, due + 8 * DAY_S)
    with pytest.raises(stripe.CardError):
        await shop.v1.invoices.pay_async(invoice.id)
    # A try by hand is no try of the account's own.
    tried = await shop.v1.invoices.retrieve_async(invoice.id)
    assert (tried.attempt_count, tried.next_payment_attempt) == (2, due + 8 * DAY_S)
    await shop.card(PAYS, customer)
    paid = await shop.v1.invoices.pay_async(invoice.id)
    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    assert (await shop.subscription(made.id)).status == "active"
    assert (await shop.v1.customers.retrieve_async(customer)).delinquent is False


@pytest.mark.parametrize(
    ("last_step", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")]
)
async def test_after_the_last_try(shop: Shop, last_step: str, status: str) -> None:
    await shop.setup.control("PUT", "/collection", {"retryDays": [3, 5], "lastStep": last_step})
    customer = await shop.customer()
    made = await shop.subscribe(customer)
    await shop.card(FAILS_LATER, customer)
    await shop.advance(moment(2026, 2, 28) + HOUR_S + 8 * DAY_S)
    left = await shop.subscription(made.id)
    assert (left.status, left.latest_invoice.attempt_count) == (status, 3)
    assert left.latest_invoice.next_payment_attempt is None
    if last_step == "cancel":
        assert left.cancellation_details.reason == "payment_failed"
        assert (await shop.event_types())[-1] == "customer.subscription.deleted"
        return
    await shop.advance(moment(2026, 4, 1))
    renewal = (await shop.subscription(made.id)).latest_invoice
    # An unpaid subscription still makes its invoices, and asks nobody to pay them.
    assert (renewal.status, renewal.auto_advance) == (("draft", False) if last_step == "unpaid" else ("open", True))


# Trials


async def test_a_trial_ends_in_a_payment(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer(), trial_period_days=14)
    ends = START + 14 * DAY_S
    assert (made.status, made.trial_start, made.trial_end, period(made)[1]) == ("trialing", START, ends, ends)
    assert (made.latest_invoice.status, made.latest_invoice.total) == ("paid", 0)
    await shop.advance(ends - 3 * DAY_S - 1)
    assert "customer.subscription.trial_will_end" not in await shop.event_types()
    await shop.advance(ends - 3 * DAY_S)
    assert (await shop.event_types())[-1] == "customer.subscription.trial_will_end"
    await shop.advance(ends + HOUR_S)
    paid = await shop.subscription(made.id)
    assert (paid.status, paid.latest_invoice.amount_paid) == ("active", 9999)
    assert period(paid) == (ends, moment(2026, 3, 14))
    turned = next(event for event in await shop.events() if event.type == "customer.subscription.updated")
    assert turned.data.previous_attributes["status"] == "trialing"
    assert (await shop.event_types()).count("customer.subscription.trial_will_end") == 1


async def test_a_trial_asks_for_a_card_in_the_browser(shop: Shop) -> None:
    customer = await shop.customer(None)
    made = await shop.subscribe(
        customer,
        trial_period_days=14,
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
        expand=["pending_setup_intent"],
    )
    assert (made.status, made.pending_setup_intent.status) == ("trialing", "requires_payment_method")
    secret = made.pending_setup_intent.client_secret
    done = await shop.pay_by_hand(secret, cardNumber=ASKS, confirm=True)
    assert done["intent"]["status"] == "succeeded"
    ready = await shop.subscription(made.id)
    assert (ready.pending_setup_intent, ready.default_payment_method) == (None, done["intent"]["payment_method"])
    await shop.advance(START + 14 * DAY_S + HOUR_S)
    assert (await shop.subscription(made.id)).latest_invoice.amount_paid == 9999
    await shop.card(PAYS, customer)
    second = await shop.subscribe(customer, trial_period_days=14, payment_behavior="default_incomplete")
    assert second.pending_setup_intent is None


async def test_trials_are_ended_early_and_lengthened(shop: Shop) -> None:
    first = await shop.subscribe(await shop.customer(), trial_end=START + 10 * DAY_S)
    longer = await shop.v1.subscriptions.update_async(first.id, {"trial_end": START + 20 * DAY_S})
    assert (longer.status, longer.trial_end, period(longer)[1]) == ("trialing", *[START + 20 * DAY_S] * 2)
    await shop.advance(START + 5 * DAY_S)
    ended = await shop.v1.subscriptions.update_async(first.id, {"trial_end": "now", "expand": ["latest_invoice"]})
    assert (ended.status, ended.latest_invoice.amount_paid) == ("active", 9999)
    assert period(ended)[0] == START + 5 * DAY_S


async def test_a_trial_without_a_card_ends_as_it_was_told_to(shop: Shop) -> None:
    ends: dict[str, Any] = {}
    for wanted in ("cancel", "pause", "create_invoice"):
        made = await shop.subscribe(
            await shop.customer(None),
            trial_period_days=2,
            trial_settings={"end_behavior": {"missing_payment_method": wanted}},
        )
        ends[wanted] = made.id
    await shop.advance(START + 2 * DAY_S + HOUR_S)
    left = {wanted: await shop.subscription(identifier) for wanted, identifier in ends.items()}
    assert {wanted: one.status for wanted, one in left.items()} == {
        "cancel": "canceled",
        "pause": "paused",
        "create_invoice": "past_due",
    }
    types = await shop.event_types()
    assert types.count("customer.subscription.paused") == 1
    paused = left["pause"]
    await shop.card(PAYS, paused.customer)
    await shop.advance(START + 9 * DAY_S)
    await shop.v1.subscriptions.update_async(paused.id, {"metadata": {"asked": "yes"}})
    resumed = await shop.v1.subscriptions.resume_async(paused.id, {"billing_cycle_anchor": "now"})
    assert (resumed.status, period(resumed)[0]) == ("active", START + 9 * DAY_S)
    assert (await shop.event_types())[-1] == "customer.subscription.resumed"


# Ends and pauses


async def test_canceled_at_the_end_of_the_period_and_taken_back(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    details = {"cancel_at_period_end": True, "cancellation_details": {"feedback": "too_expensive"}}
    leaving = await shop.v1.subscriptions.update_async(made.id, details)
    assert (leaving.status, leaving.cancel_at, leaving.canceled_at) == ("active", moment(2026, 2, 28), START)
    staying = await shop.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": False})
    assert (staying.cancel_at, staying.canceled_at) == (None, None)
    await shop.advance(moment(2026, 3, 2))
    await shop.v1.subscriptions.update_async(made.id, details)
    await shop.advance(moment(2026, 4, 1))
    gone = await shop.subscription(made.id)
    assert (gone.status, gone.ended_at, gone.canceled_at) == ("canceled", moment(2026, 3, 31), moment(2026, 3, 2))
    assert gone.cancellation_details.to_dict() == {
        "comment": None,
        "feedback": "too_expensive",
        "reason": "cancellation_requested",
    }
    assert len(await shop.invoices(made.id)) == 2
    assert (await shop.event_types())[-1] == "customer.subscription.deleted"
    assert (await shop.v1.subscriptions.list_async({"customer": made.customer})).data == []
    assert len((await shop.v1.subscriptions.list_async({"customer": made.customer, "status": "all"})).data) == 1
    with pytest.raises(stripe.InvalidRequestError):
        await shop.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": False})


async def test_canceled_now_with_the_unused_time_credited(shop: Shop) -> None:
    customer = await shop.customer()
    made = await shop.subscribe(customer)
    await shop.advance(START + 14 * DAY_S)
    gone = await shop.v1.subscriptions.cancel_async(
        made.id, {"prorate": True, "invoice_now": True, "expand": ["latest_invoice"]}
    )
    assert (gone.status, gone.ended_at) == ("canceled", START + 14 * DAY_S)
    # Half of 28 days, and a half cent away from zero.
    assert (gone.latest_invoice.total, gone.latest_invoice.amount_due) == (-5000, 0)
    assert gone.latest_invoice.status == "paid"
    assert (await shop.v1.customers.retrieve_async(customer)).balance == -5000
    page = await shop.v1.customers.balance_transactions.list_async(customer)
    assert [(one.amount, one.ending_balance, one.invoice) for one in page.data] == [
        (-5000, -5000, gone.latest_invoice.id)
    ]
    again = await shop.subscribe(customer)
    invoice = again.latest_invoice
    assert (invoice.total, invoice.starting_balance, invoice.ending_balance) == (9999, -5000, 0)
    assert (invoice.amount_due, invoice.amount_paid) == (4999, 4999)


async def test_collection_is_paused_and_goes_on(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    resumes = moment(2026, 3, 10)
    await shop.v1.subscriptions.update_async(
        made.id, {"pause_collection": {"behavior": "keep_as_draft", "resumes_at": resumes}}
    )
    await shop.advance(moment(2026, 3, 9))
    kept = await shop.subscription(made.id)
    assert (kept.status, kept.latest_invoice.status) == ("active", "draft")
    await shop.advance(resumes)
    after = await shop.subscription(made.id)
    assert (after.pause_collection, after.latest_invoice.status) == (None, "draft")
    advanced = {"auto_advance": True}
    assert (await shop.v1.invoices.finalize_invoice_async(after.latest_invoice.id, advanced)).status == "paid"
    await shop.v1.subscriptions.update_async(made.id, {"pause_collection": {"behavior": "void"}})
    await shop.advance(moment(2026, 4, 1))
    assert (await shop.subscription(made.id)).latest_invoice.status == "void"
