"""Refunds, disputes, coupons and promotion codes of the sandbox Stripe, driven by the official SDK."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import Setup, fresh_sandbox
from tests.sandbox.test_stripe_checkout import missing_keys

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


async def paid_intent(setup: Setup, amount: int = 2500, **more: Any) -> stripe.PaymentIntent:
    params: Any = {
        "amount": amount,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types": ["card"],
        "confirm": True,
        **more,
    }
    return await setup.client.v1.payment_intents.create_async(params)


# Refunds


async def test_a_payment_goes_back_in_parts(setup: Setup) -> None:
    refunds = setup.client.v1.refunds
    intent = await paid_intent(setup)
    charge_id = str(intent.latest_charge)
    part: Any = {
        "payment_intent": intent.id,
        "amount": 1000,
        "reason": "requested_by_customer",
        "metadata": {"refund": "r1"},
    }
    first = await refunds.create_async(part, {"idempotency_key": "r1"})
    assert (await refunds.create_async(part, {"idempotency_key": "r1"})).id == first.id
    assert (first.amount, first.charge, first.status, first.reason) == (
        1000,
        charge_id,
        "succeeded",
        "requested_by_customer",
    )
    charge = await setup.client.v1.charges.retrieve_async(charge_id)
    assert (charge.amount_refunded, charge.refunded) == (1000, False)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        await refunds.create_async({"charge": charge_id, "amount": 1501})
    rest = await refunds.create_async({"charge": charge_id})
    assert rest.amount == 1500
    charge = await setup.client.v1.charges.retrieve_async(charge_id)
    assert charge.refunds is not None
    assert (charge.amount_refunded, charge.refunded) == (2500, True)
    assert [one.id for one in charge.refunds.data] == [rest.id, first.id]
    with pytest.raises(stripe.InvalidRequestError) as again:
        await refunds.create_async({"charge": charge_id})
    assert again.value.code == "charge_already_refunded"
    assert [one.id for one in (await refunds.list_async({"payment_intent": intent.id, "limit": 1})).data] == [rest.id]
    assert [one.id for one in (await refunds.list_async({"charge": charge_id})).data] == [rest.id, first.id]
    changed = await refunds.update_async(first.id, {"metadata": {"why": "late"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"refund": "r1", "why": "late"}
    told = (await setup.client.v1.events.list_async({"type": "charge.refunded"})).data
    assert [event.data.object["amount_refunded"] for event in told] == [2500, 1000]
    assert [
        event.data.previous_attributes["amount_refunded"] for event in told if event.data.previous_attributes
    ] == [
        1000,
        0,
    ]
    assert (await setup.types())[:6] == [
        "charge.refund.updated",
        "refund.updated",
        "charge.refunded",
        "refund.created",
        "charge.refunded",
        "refund.created",
    ]
    booked = await refunds.retrieve_async(first.id, {"expand": ["balance_transaction"]})
    assert isinstance(booked.balance_transaction, stripe.BalanceTransaction)
    assert (booked.balance_transaction.net, booked.balance_transaction.source) == (-1000, first.id)


async def test_a_refund_that_fails_is_taken_back(setup: Setup) -> None:
    intent = await paid_intent(setup)
    made = await setup.client.v1.refunds.create_async({"payment_intent": intent.id})
    await setup.control("POST", f"/refunds/{made.id}/fail")
    failed = await setup.client.v1.refunds.retrieve_async(made.id)
    charge = await setup.client.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (failed.status, charge.amount_refunded, charge.refunded) == ("failed", 0, False)
    assert (await setup.types())[:4] == ["charge.updated", "refund.failed", "charge.refund.updated", "refund.updated"]
    assert (await setup.http.post(f"/_sandbox/refunds/{made.id}/fail")).status_code == 409
    assert (await setup.client.v1.refunds.create_async({"payment_intent": intent.id})).amount == 2500


async def test_what_cannot_be_refunded(setup: Setup) -> None:
    unpaid = await setup.client.v1.payment_intents.create_async({"amount": 900, "currency": "usd"})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"payment_intent": unpaid.id}, "does not have a successful charge"),
        ({"payment_intent": "pi_gone"}, "No such payment_intent"),
        ({}, "Missing required param"),
        ({"charge": "ch_1", "payment_intent": "pi_1"}, "only specify one"),
        ({"charge": "ch_gone", "amount": 0}, "positive"),
        ({"charge": "ch_gone", "reverse_transfer": True}, "unknown parameter"),
    ]
    for params, words in cases:
        with pytest.raises(stripe.InvalidRequestError, match=words):
            await setup.client.v1.refunds.create_async(params)  # type: ignore[arg-type]


# Disputes


async def test_a_dispute_takes_the_money_and_is_won_or_lost(setup: Setup) -> None:
    disputes = setup.client.v1.disputes
    intent = await paid_intent(setup)
    made = await setup.control(
        "POST", "/disputes", {"paymentIntent": intent.id, "amountMinor": 2000, "reason": "product_not_received"}
    )
    dispute = await disputes.retrieve_async(made["id"], {"expand": ["charge"]})
    assert isinstance(dispute.charge, stripe.Charge)
    assert (dispute.amount, dispute.status, dispute.reason, dispute.charge.disputed) == (
        2000,
        "needs_response",
        "product_not_received",
        True,
    )
    assert [(one.amount, one.fee) for one in dispute.balance_transactions] == [(-2000, 1500)]
    assert (await setup.types())[:2] == ["charge.dispute.funds_withdrawn", "charge.dispute.created"]
    with pytest.raises(stripe.InvalidRequestError) as held:
        await setup.client.v1.refunds.create_async({"payment_intent": intent.id})
    assert held.value.code == "charge_disputed"
    assert (await setup.http.post("/_sandbox/disputes", json={"charge": dispute.charge.id})).status_code == 409
    won = await setup.control("POST", f"/disputes/{dispute.id}/close", {"outcome": "won"})
    assert (won["status"], [one["amount"] for one in won["balance_transactions"]]) == ("won", [-2000, 2000])
    assert (await setup.types())[:2] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    again = await setup.http.post(f"/_sandbox/disputes/{dispute.id}/close", json={"outcome": "lost"})
    assert again.status_code == 409
    second = await setup.control("POST", "/disputes", {"paymentIntent": intent.id})
    lost = await setup.control("POST", f"/disputes/{second['id']}/close", {"outcome": "lost"})
    assert (lost["status"], len(lost["balance_transactions"])) == ("lost", 1)
    assert (await setup.types())[0] == "charge.dispute.closed"
    listed = await disputes.list_async({"payment_intent": intent.id})
    assert [one.status for one in listed.data] == ["lost", "won"]


async def test_a_dispute_is_accepted_through_the_api_and_an_inquiry_only_asks(setup: Setup) -> None:
    intent = await paid_intent(setup)
    asked = await setup.control("POST", "/disputes", {"charge": intent.latest_charge, "inquiry": True})
    assert (asked["status"], asked["balance_transactions"], asked["is_charge_refundable"]) == (
        "warning_needs_response",
        [],
        True,
    )
    assert (await setup.types())[0] == "charge.dispute.created"
    closed = await setup.control("POST", f"/disputes/{asked['id']}/close", {"outcome": "won"})
    assert closed["status"] == "warning_closed"
    made = await setup.control("POST", "/disputes", {"charge": intent.latest_charge})
    noted = await setup.client.v1.disputes.update_async(made["id"], {"metadata": {"case": "7"}})
    assert noted.metadata.to_dict() == {"case": "7"}
    assert (await setup.client.v1.disputes.close_async(made["id"])).status == "lost"
    for body, status in (({}, 422), ({"charge": "ch_gone"}, 404), ({"charge": "x", "reason": "mood"}, 422)):
        assert (await setup.http.post("/_sandbox/disputes", json=body)).status_code == status


# Coupons and promotion codes


async def test_coupons_live_and_end(setup: Setup) -> None:
    coupons = setup.client.v1.coupons
    soon = int(setup.clock().timestamp()) + 100
    percent = await coupons.create_async({"percent_off": 12.5, "duration": "repeating", "duration_in_months": 3})
    fixed = await coupons.create_async(
        {"id": "REFERRAL-10", "amount_off": 1000, "currency": "USD", "duration": "forever", "redeem_by": soon}
    )
    assert (percent.percent_off, percent.duration_in_months, percent.valid, len(percent.id)) == (12.5, 3, True, 8)
    assert (fixed.id, fixed.amount_off, fixed.currency, fixed.percent_off) == ("REFERRAL-10", 1000, "usd", None)
    assert (await coupons.update_async(fixed.id, {"name": "Ten off"})).name == "Ten off"
    assert [one.id for one in (await coupons.list_async()).data] == [fixed.id, percent.id]
    with pytest.raises(stripe.InvalidRequestError) as taken:
        await coupons.create_async({"id": "REFERRAL-10", "percent_off": 5})
    assert taken.value.code == "resource_already_exists"
    wrong: list[dict[str, Any]] = [
        {},
        {"percent_off": 101},
        {"percent_off": 5, "amount_off": 5, "currency": "usd"},
        {"amount_off": 5},
        {"percent_off": 5, "duration": "repeating"},
        {"percent_off": 5, "duration_in_months": 2},
        {"percent_off": 5, "redeem_by": soon - 1000},
        {"percent_off": 5, "applies_to": {"products": ["prod_1"]}},
    ]
    for params in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            await coupons.create_async(params)  # type: ignore[arg-type]
    setup.clock.moment += timedelta(seconds=200)
    assert (await coupons.retrieve_async(fixed.id)).valid is False
    assert (await coupons.delete_async(percent.id)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        await coupons.retrieve_async(percent.id)
    assert (await setup.types()) == ["coupon.deleted", "coupon.updated", "coupon.created", "coupon.created"]


async def test_promotion_codes_are_found_by_what_people_type(setup: Setup) -> None:
    codes = setup.client.v1.promotion_codes
    coupon = await setup.client.v1.coupons.create_async({"percent_off": 20, "max_redemptions": 10})
    soon = int(setup.clock().timestamp()) + 100
    made = await codes.create_async(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": "Fall-20",
            "expires_at": soon,
            "max_redemptions": 5,
            "restrictions": {"first_time_transaction": True},
            "metadata": {"campaign": "fall"},
            "expand": ["promotion.coupon"],
        }
    )
    assert isinstance(made.promotion.coupon, stripe.Coupon)
    assert (made.code, made.active, made.restrictions.first_time_transaction) == ("Fall-20", True, True)
    assert [one.id for one in (await codes.list_async({"code": "FALL-20", "active": True})).data] == [made.id]
    assert (await codes.list_async({"code": "fall"})).data == []
    assert [one.id for one in (await codes.list_async({"coupon": coupon.id})).data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "fall-20"})
    off = await codes.update_async(made.id, {"active": False})
    assert off.active is False
    free = await codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "fall-20"})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await codes.update_async(made.id, {"active": True})
    await codes.update_async(free.id, {"active": False})
    assert (await codes.update_async(made.id, {"active": True})).active is True
    setup.clock.moment += timedelta(seconds=200)
    assert (await codes.retrieve_async(made.id)).active is False
    with pytest.raises(stripe.InvalidRequestError, match="expired or used up"):
        await codes.update_async(made.id, {"active": True})
    wrong: list[dict[str, Any]] = [
        {},
        {"promotion": {"type": "coupon", "coupon": "gone"}},
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "no spaces"},
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "max_redemptions": 11},
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "restrictions": {"minimum_amount": 5}},
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "customer": "cus_gone"},
    ]
    for params in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            await codes.create_async(params)  # type: ignore[arg-type]
    assert (await setup.types())[:2] == ["promotion_code.updated", "promotion_code.updated"]


async def test_a_promotion_code_is_redeemed_by_a_first_subscription(setup: Setup) -> None:
    client = setup.client.v1
    coupon = await client.coupons.create_async({"percent_off": 50, "duration": "once"})
    code = await client.promotion_codes.create_async(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "max_redemptions": 1,
            "restrictions": {"first_time_transaction": True},
        }
    )
    price = await client.prices.create_async(
        {"currency": "usd", "unit_amount": 9999, "recurring": {"interval": "month"}, "product_data": {"name": "Team"}}
    )

    async def subscribe(customer: str, promotion_code: str = code.id) -> stripe.Subscription:
        params: Any = {
            "customer": customer,
            "items": [{"price": price.id}],
            "billing_mode": {"type": "flexible"},
            "discounts": [{"promotion_code": promotion_code}],
            "expand": ["latest_invoice"],
        }
        return await client.subscriptions.create_async(params)

    def with_card() -> Any:
        return {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }

    known, fresh = [await client.customers.create_async(with_card()) for _ in range(2)]
    await paid_intent(setup, customer=known.id)
    personal = await client.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "customer": known.id}
    )
    with pytest.raises(stripe.InvalidRequestError, match="prior transactions"):
        await subscribe(known.id)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be used by this customer"):
        await subscribe(fresh.id, personal.id)
    made = await subscribe(fresh.id)
    assert isinstance(made.latest_invoice, stripe.Invoice)
    assert (made.latest_invoice.total, made.latest_invoice.status) == (4999, "paid")
    used = await client.promotion_codes.retrieve_async(code.id)
    assert (used.times_redeemed, used.active) == (1, False)
    assert (await client.coupons.retrieve_async(coupon.id)).times_redeemed == 1
    await client.coupons.delete_async(coupon.id)
    with pytest.raises(stripe.InvalidRequestError):
        await subscribe(fresh.id)


# Shapes


@pytest.mark.skipif(not SAMPLES.exists(), reason="Stripe's published samples are not beside the repository")
async def test_answers_have_every_key_of_the_published_samples(setup: Setup) -> None:
    samples, client = json.loads(SAMPLES.read_text())["resources"], setup.client.v1
    customer = await client.customers.create_async({"payment_method": "pm_card_visa"})
    balance = await client.customers.balance_transactions.create_async(customer.id, {"amount": -5, "currency": "usd"})
    intent = await paid_intent(setup)
    refund = await client.refunds.create_async({"payment_intent": intent.id, "amount": 5})
    dispute = await setup.control("POST", "/disputes", {"paymentIntent": intent.id})
    wish: Any = {
        "customer": customer.id,
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types": ["card"],
        "confirm": True,
        "expand": ["latest_attempt"],
    }
    setup_intent = await client.setup_intents.create_async(wish)
    coupon = await client.coupons.create_async({"percent_off": 5})
    code = await client.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}})
    answers = {
        "balance_transaction": dispute["balance_transactions"][0],
        "charge": await client.charges.retrieve_async(str(intent.latest_charge)),
        "coupon": coupon,
        "customer": customer,
        "customer_balance_transaction": balance,
        "deleted_coupon": await client.coupons.delete_async(coupon.id),
        "deleted_customer": await client.customers.delete_async(customer.id),
        "dispute": dispute,
        "payment_intent": intent,
        "payment_method": await client.payment_methods.retrieve_async("pm_card_visa"),
        "promotion_code": code,
        "refund": refund,
        "setup_attempt": setup_intent.latest_attempt,
        "setup_intent": setup_intent,
    }
    for name, answer in answers.items():
        given = answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer
        assert missing_keys(samples[name], given) == [], name
