"""Subscriptions, schedules and invoices: through the sandbox, over real HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pm_api.integrations.stripe import (
    CardDeclined,
    PercentOff,
    StripeCustomer,
    StripeObjectMissing,
    StripePrice,
    StripeRefused,
    StripeSubscription,
    invoices,
    payment_methods,
    payments,
    promotions,
    schedules,
    subscriptions,
)
from tests.integrations.stripe_doors import DECLINES_LATER, Shop, new_key, open_shop, this_second

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def subscribed(shop: Shop, price: StripePrice | None = None, **more: Any) -> StripeSubscription:
    """An active one, of a customer whose card pays."""
    buyer: StripeCustomer = await shop.customer()
    made = await subscriptions.create(
        shop.door,
        customer_id=buyer.id,
        price_id=(price or shop.monthly).id,
        payment_method_id=buyer.default_payment_method_id,
        metadata={"accountId": "w1"},
        key=new_key(),
        **more,
    )
    if made.client_secret is not None:
        entry = {"paymentMethod": buyer.default_payment_method_id}
        await shop.control("PUT", f"/elements/{made.client_secret}", entry)
    return await subscriptions.retrieve(shop.door, made.id)


# --- the life of a subscription ---------------------------------------------------------------------------------


async def test_it_waits_for_its_first_payment(shop: Shop) -> None:
    buyer = await shop.customer()
    before = this_second()
    made = await subscriptions.create(
        shop.door,
        customer_id=buyer.id,
        price_id=shop.monthly.id,
        metadata={"accountId": "w1"},
        key=new_key(),
    )
    assert (made.status, made.customer_id, made.metadata) == ("incomplete", buyer.id, {"accountId": "w1"})
    assert (made.price_id, made.product_id) == (shop.monthly.id, shop.monthly.product_id)
    assert (made.quantity, made.amount, made.currency) == (1, 9999, "USD")
    assert (made.interval, made.interval_count) == ("month", 1)
    assert before <= made.created_at <= this_second()
    assert made.period_start == made.created_at
    assert 28 * DAY <= made.period_end - made.period_start <= 31 * DAY
    assert made.client_secret is not None
    assert made.client_secret.startswith("pi_")
    assert made.setup_client_secret is None
    # A second visit finds the same secret.
    assert await subscriptions.retrieve(shop.door, made.id) == made

    await shop.control("PUT", f"/elements/{made.client_secret}", {"paymentMethod": buyer.default_payment_method_id})
    paid = await subscriptions.retrieve(shop.door, made.id)
    assert (paid.status, paid.latest_invoice_id) == ("active", made.latest_invoice_id)
    assert paid.default_payment_method_id == buyer.default_payment_method_id


async def test_a_trial_starts_at_once(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    made = await subscriptions.create(
        shop.door, customer_id=buyer.id, price_id=shop.monthly.id, metadata={}, trial_days=14, key=new_key()
    )
    assert made.status == "trialing"
    assert made.trial_start is not None
    assert made.trial_end is not None
    assert made.trial_end - made.trial_start == 14 * DAY
    assert made.client_secret is None


async def test_all_of_a_customer_are_listed(shop: Shop) -> None:
    made = await subscribed(shop)
    await subscriptions.cancel_now(shop.door, made.id, key=new_key())
    again = await subscriptions.create(
        shop.door, customer_id=made.customer_id, price_id=shop.yearly.id, metadata={}, key=new_key()
    )
    found = await subscriptions.list_of_customer(shop.door, made.customer_id)
    assert found.is_complete
    assert {one.id: one.status for one in found.items} == {made.id: "canceled", again.id: "incomplete"}
    [yearly] = [one for one in found.items if one.id == again.id]
    assert (yearly.interval, yearly.amount, yearly.client_secret) == ("year", 99990, None)
    window = await subscriptions.list_created(
        shop.door, since=made.created_at, until=again.created_at + timedelta(seconds=1)
    )
    assert {made.id, again.id} <= {one.id for one in window.items}
    nobody = await subscriptions.list_created(shop.door, since=this_second() + DAY)
    assert (nobody.items, nobody.is_complete) == ((), True)


async def test_a_promotion_code_is_given(shop: Shop) -> None:
    coupon = await promotions.create_coupon(
        shop.door, off=PercentOff(Decimal(50)), duration=3, name="Half", metadata={}, key=new_key()
    )
    code = await promotions.create_code(shop.door, coupon_id=coupon.id, code="HALF3", metadata={}, key=new_key())
    made = await subscribed(shop, promotion_code_id=code.id)
    [discount] = made.discounts
    assert (discount.coupon_id, discount.promotion_code_id) == (coupon.id, code.id)
    assert discount.ends_at is not None
    assert made.amount == 9999
    assert made.latest_invoice_id is not None
    invoice = await invoices.retrieve(shop.door, made.latest_invoice_id)
    assert (invoice.subtotal, invoice.discount, invoice.total) == (9999, 5000, 4999)


async def test_cancelling_at_the_end_and_thinking_again(shop: Shop) -> None:
    made = await subscribed(shop)
    leaving = await subscriptions.cancel_at_period_end(shop.door, made.id, key=new_key())
    assert (leaving.status, leaving.cancel_at_period_end) == ("active", True)
    assert leaving.cancel_at == made.period_end
    assert leaving.canceled_at is not None
    staying = await subscriptions.resume(shop.door, made.id, key=new_key())
    assert (staying.cancel_at_period_end, staying.cancel_at, staying.canceled_at) == (False, None, None)


async def test_cancelling_now_and_once_more(shop: Shop) -> None:
    made = await subscribed(shop)
    over = await subscriptions.cancel_now(shop.door, made.id, prorate=True, key=new_key())
    assert over.status == "canceled"
    assert over.ended_at is not None
    assert (await subscriptions.cancel_now(shop.door, made.id, key=new_key())).ended_at == over.ended_at


async def test_it_is_paid_with_another_card(shop: Shop) -> None:
    made = await subscribed(shop)
    other = await shop.card(made.customer_id, "pm_card_mastercard")
    changed = await subscriptions.set_default_payment_method(shop.door, made.id, other.id, key=new_key())
    assert changed.default_payment_method_id == other.id


# --- changes of plan --------------------------------------------------------------------------------------------


async def test_an_upgrade_costs_what_was_quoted(shop: Shop) -> None:
    made = await subscribed(shop)
    moment = made.period_start + timedelta(seconds=1)
    quote = await invoices.preview_change(shop.door, made.id, made.item_id, shop.dearer.id, prorate_at=moment)
    assert quote.total > 0
    assert sum(line.amount for line in quote.lines if line.is_proration) > 0
    assert quote.subscription_id == made.id
    changed = await subscriptions.change_price(
        shop.door, made.id, made.item_id, shop.dearer.id, prorate_at=moment, key=new_key()
    )
    assert (changed.price_id, changed.amount, changed.has_pending_update) == (shop.dearer.id, 19999, False)
    assert changed.latest_invoice_id is not None
    assert changed.latest_invoice_id != made.latest_invoice_id
    invoice = await invoices.retrieve(shop.door, changed.latest_invoice_id)
    assert (invoice.total, invoice.status, invoice.billing_reason) == (
        quote.total,
        "paid",
        "subscription_update",
    )
    assert {line.price_id for line in invoice.lines} == {shop.monthly.id, shop.dearer.id}
    assert all(line.is_proration for line in invoice.lines)


async def test_an_upgrade_that_is_not_paid_waits_or_does_not_happen(shop: Shop) -> None:
    made = await subscribed(shop)
    bad = await shop.card(made.customer_id, DECLINES_LATER)
    await subscriptions.set_default_payment_method(shop.door, made.id, bad.id, key=new_key())
    moment = made.period_start + timedelta(seconds=1)
    with pytest.raises(CardDeclined):
        await subscriptions.change_price(
            shop.door,
            made.id,
            made.item_id,
            shop.dearer.id,
            prorate_at=moment,
            payment_behavior="error_if_incomplete",
            key=new_key(),
        )
    same = await subscriptions.retrieve(shop.door, made.id)
    assert (same.price_id, same.has_pending_update) == (shop.monthly.id, False)
    waits = await subscriptions.change_price(
        shop.door, made.id, made.item_id, shop.dearer.id, prorate_at=moment, key=new_key()
    )
    assert (waits.price_id, waits.status, waits.has_pending_update) == (shop.monthly.id, "active", True)
    assert waits.client_secret is not None


async def test_a_change_that_costs_nothing(shop: Shop) -> None:
    made = await subscribed(shop)
    changed = await subscriptions.change_price(
        shop.door, made.id, made.item_id, shop.dearer.id, prorate_at=None, key=new_key()
    )
    assert (changed.price_id, changed.latest_invoice_id) == (shop.dearer.id, made.latest_invoice_id)


@pytest.mark.parametrize("interval", ["month", "year"])
async def test_a_downgrade_waits_for_the_end_of_the_period(interval: str) -> None:
    """Its own sandbox: time is moved."""
    async with open_shop() as shop:
        made = await subscribed(shop, shop.dearer if interval == "month" else shop.yearly)
        planned = await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=new_key())
        assert (planned.price_id, planned.status) == (made.price_id, "active")
        assert (planned.upcoming_price_id, planned.upcoming_at) == (shop.monthly.id, made.period_end)
        assert planned.latest_invoice_id == made.latest_invoice_id
        with pytest.raises(StripeRefused):
            await subscriptions.cancel_at_period_end(shop.door, made.id, key=new_key())

        ahead = made.period_end - this_second()
        await shop.control("POST", "/clock", {"to": (this_second() + ahead + timedelta(hours=2)).isoformat()})
        changed = await subscriptions.retrieve(shop.door, made.id)
        assert (changed.price_id, changed.interval) == (shop.monthly.id, "month")
        assert changed.period_start == made.period_end
        assert changed.latest_invoice_id is not None
        invoice = await invoices.retrieve(shop.door, changed.latest_invoice_id)
        assert [(line.price_id, line.amount) for line in invoice.lines] == [(shop.monthly.id, 9999)]
        # A further change while the schedule has not let go yet: it waits for the end of the new period.
        again = await schedules.schedule_change(shop.door, made.id, shop.yearly.id, key=new_key())
        assert (again.upcoming_price_id, again.upcoming_at) == (shop.yearly.id, changed.period_end)
        assert again.schedule_id is not None
        await schedules.undo_change(shop.door, made.id, again.schedule_id, key=new_key())
        assert (await subscriptions.retrieve(shop.door, made.id)).price_id == shop.monthly.id


async def test_a_schedule_lets_go_after_a_day() -> None:
    async with open_shop() as shop:
        made = await subscribed(shop, shop.dearer)
        await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=new_key())
        await shop.control("POST", "/clock", {"to": (made.period_end + 2 * DAY).isoformat()})
        free = await subscriptions.retrieve(shop.door, made.id)
        assert (free.schedule_id, free.upcoming_price_id, free.price_id) == (None, None, shop.monthly.id)
        assert (free.period_start, free.status) == (made.period_end, "active")


async def test_a_downgrade_keeps_trial_and_discount(shop: Shop) -> None:
    coupon = await promotions.create_coupon(
        shop.door, off=PercentOff(Decimal(10)), duration="forever", name="Tenth", metadata={}, key=new_key()
    )
    code = await promotions.create_code(shop.door, coupon_id=coupon.id, code="TENTH", metadata={}, key=new_key())
    made = await subscribed(shop, shop.dearer, trial_days=14, promotion_code_id=code.id)
    planned = await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=new_key())
    assert (planned.status, planned.trial_end, planned.upcoming_at) == ("trialing", made.trial_end, made.trial_end)
    assert [one.coupon_id for one in planned.discounts] == [coupon.id]


async def test_a_downgrade_is_replaced_and_undone(shop: Shop) -> None:
    made = await subscribed(shop, shop.dearer)
    first = await schedules.schedule_change(shop.door, made.id, shop.yearly.id, key=new_key())
    second = await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=new_key())
    assert second.schedule_id == first.schedule_id
    assert second.upcoming_price_id == shop.monthly.id
    assert second.schedule_id is not None
    undone = await schedules.undo_change(shop.door, made.id, second.schedule_id, key=new_key())
    assert (undone.schedule_id, undone.upcoming_price_id, undone.upcoming_at) == (None, None, None)
    assert (undone.price_id, undone.status) == (shop.dearer.id, "active")
    with pytest.raises(StripeRefused):
        await schedules.undo_change(shop.door, made.id, second.schedule_id, key=new_key())


async def test_a_downgrade_that_was_cut_off_is_finished(shop: Shop) -> None:
    """The first write happened, the second did not: the same call again goes on from there."""
    made, key = await subscribed(shop, shop.dearer), new_key()
    await shop.stripe.fail(status=400, times=1, method="POST", pathPrefix="/v1/subscription_schedules/")
    with pytest.raises(StripeRefused):
        await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=key)
    await shop.stripe.heal()
    half = await subscriptions.retrieve(shop.door, made.id)
    assert half.schedule_id is not None
    assert half.upcoming_price_id is None
    done = await schedules.schedule_change(shop.door, made.id, shop.monthly.id, key=new_key())
    assert (done.schedule_id, done.upcoming_price_id) == (half.schedule_id, shop.monthly.id)


# --- invoices ---------------------------------------------------------------------------------------------------


async def test_an_invoice_tells_how_it_was_paid(shop: Shop) -> None:
    made = await subscribed(shop)
    assert made.latest_invoice_id is not None
    invoice = await invoices.retrieve(shop.door, made.latest_invoice_id)
    assert (invoice.customer_id, invoice.subscription_id) == (made.customer_id, made.id)
    assert (invoice.status, invoice.billing_reason, invoice.currency) == ("paid", "subscription_create", "USD")
    assert (invoice.subtotal, invoice.tax, invoice.discount, invoice.total) == (9999, 0, 0, 9999)
    assert (invoice.amount_due, invoice.amount_paid, invoice.amount_remaining) == (9999, 9999, 0)
    assert invoice.attempted
    assert invoice.number
    assert invoice.finalized_at is not None
    assert invoice.paid_at is not None
    assert invoice.subscription_metadata == {"accountId": "w1"}
    [line] = invoice.lines
    assert (line.price_id, line.product_id, line.amount) == (shop.monthly.id, shop.monthly.product_id, 9999)
    assert (line.quantity, line.is_proration, line.subscription_id) == (1, False, made.id)
    assert (line.period_start, line.period_end) == (made.period_start, made.period_end)
    assert invoice.payment_intent_id is not None
    assert invoice.charge_id is not None
    charge = await payments.retrieve_charge(shop.door, invoice.charge_id)
    assert (charge.payment_intent_id, charge.amount) == (invoice.payment_intent_id, 9999)
    assert await invoices.pdf_url(shop.door, invoice.id) == invoice.pdf_url
    assert invoice.pdf_url is not None


async def test_invoices_are_listed_by_owner_and_window(shop: Shop) -> None:
    made = await subscribed(shop)
    windows: list[dict[str, Any]] = [
        {"customer_id": made.customer_id},
        {"subscription_id": made.id},
        {"customer_id": made.customer_id, "since": made.created_at},
        {"customer_id": made.customer_id, "until": made.created_at + DAY},
        {"customer_id": made.customer_id, "since": made.created_at, "until": made.created_at + DAY},
    ]
    for window in windows:
        found = await invoices.list_all(shop.door, **window)
        assert [one.id for one in found.items] == [made.latest_invoice_id]
        assert found.is_complete
        assert found.items[0].payment_intent_id is not None
    others: list[dict[str, Any]] = [{"until": made.created_at}, {"since": made.created_at + DAY}]
    for window in others:
        assert (await invoices.list_all(shop.door, customer_id=made.customer_id, **window)).items == ()


async def test_what_a_new_subscription_would_cost(shop: Shop) -> None:
    buyer = await shop.customer()
    quote = await invoices.preview_new(shop.door, customer_id=buyer.id, price_id=shop.yearly.id)
    assert (quote.total, quote.currency) == (99990, "USD")
    free = await invoices.preview_new(
        shop.door, customer_id=buyer.id, price_id=shop.yearly.id, trial_end=this_second() + 14 * DAY
    )
    assert free.total == 0
    assert (await invoices.list_all(shop.door, customer_id=buyer.id)).items == ()


async def test_what_the_next_period_costs(shop: Shop) -> None:
    made = await subscribed(shop)
    renewal = await invoices.preview_renewal(shop.door, made.id)
    assert (renewal.total, renewal.subscription_id) == (9999, made.id)
    await subscriptions.cancel_now(shop.door, made.id, key=new_key())
    with pytest.raises(StripeObjectMissing):
        await invoices.preview_renewal(shop.door, made.id)


async def test_an_open_invoice_is_paid_later(shop: Shop) -> None:
    buyer = await shop.customer(card=None)
    made = await subscriptions.create(
        shop.door, customer_id=buyer.id, price_id=shop.monthly.id, metadata={}, key=new_key()
    )
    assert made.latest_invoice_id is not None
    waiting = await invoices.retrieve(shop.door, made.latest_invoice_id)
    assert (waiting.status, waiting.client_secret) == ("open", made.client_secret)
    bad = await shop.card(buyer.id, DECLINES_LATER)
    with pytest.raises(CardDeclined):
        await invoices.pay(shop.door, waiting.id, payment_method_id=bad.id, key=new_key())
    failed = await invoices.retrieve(shop.door, waiting.id)
    assert (failed.status, failed.attempted, failed.paid_at) == ("open", True, None)
    good = await shop.card(buyer.id)
    paid = await invoices.pay(shop.door, waiting.id, payment_method_id=good.id, key=new_key())
    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    assert paid.charge_id is not None
    with pytest.raises(StripeRefused):
        await invoices.pay(shop.door, waiting.id, key=new_key())
    assert (await payment_methods.retrieve(shop.door, good.id)).customer_id == buyer.id
