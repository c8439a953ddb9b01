"""Changes of a running subscription at the sandbox Stripe: prorated to the cent as previewed, or at period end."""

from collections.abc import AsyncIterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from pm_api.sandbox.stripe.billing.arithmetic import boundary, cycle_at, share
from tests.sandbox.stripe_setup import Setup, fresh_sandbox
from tests.sandbox.subscription_setup import (
    ASKS,
    DAY_S,
    FAILS_LATER,
    HOUR_S,
    START,
    Shop,
    moment,
    open_shop,
    period,
)

# The SDK's HTTPXClient hands its form body to httpx as `data`, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
PERIOD_S = moment(2026, 2, 28) - START


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


@pytest.fixture
async def shop(setup: Setup) -> Shop:
    return await open_shop(setup)


def exact(amount: int, left_s: int) -> int:
    """Rounded half away from zero, by another road than the sandbox's."""
    return int((Decimal(amount) * left_s / PERIOD_S).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def switch(subscription: Any, price: str, **more: Any) -> dict[str, Any]:
    return {"items": [{"id": subscription["items"].data[0].id, "price": price}], **more}


def told(invoice: Any) -> list[Any]:
    return [
        (
            line.amount,
            line.description,
            line.period.to_dict(),
            line.pricing.price_details.price,
            line.parent.subscription_item_details.proration,
        )
        for line in invoice.lines.data
    ]


async def preview(shop: Shop, subscription: Any, details: dict[str, Any]) -> Any:
    params = {"subscription": subscription.id, "subscription_details": details}
    return await shop.v1.invoices.create_preview_async(params)


# Upgrades


@pytest.mark.parametrize("mode", ["flexible", "classic"])
async def test_an_upgrade_costs_exactly_what_its_preview_said(shop: Shop, mode: str) -> None:
    made = await shop.subscribe(await shop.customer(), billing_mode={"type": mode})
    at = START + 11 * DAY_S + 12_345
    await shop.advance(at + 600)
    details = switch(made, shop.prices["premium"], proration_behavior="always_invoice", proration_date=at)
    quote = await preview(shop, made, details)
    left = moment(2026, 2, 28) - at
    assert [line.amount for line in quote.lines.data] == [-exact(9999, left), exact(19999, left)]
    assert (quote.billing_reason, quote.id[:12], quote.status) == ("upcoming", "upcoming_in_", "draft")
    assert (await shop.subscription(made.id))["items"].data[0].price.id == shop.prices["standard"]
    changed = await shop.v1.subscriptions.update_async(made.id, details | {"expand": ["latest_invoice"]})
    real = changed.latest_invoice
    assert told(real) == told(quote)
    assert (real.total, real.amount_due, real.subtotal) == (quote.total, quote.amount_due, quote.subtotal)
    assert (real.status, real.billing_reason) == ("paid", "subscription_update")
    assert (changed.status, period(changed)) == ("active", period(made))
    assert changed["items"].data[0].price.id == shop.prices["premium"]
    assert real.lines.data[0].description == "Unused time on Standard after 11 Feb 2026"
    credited = real.lines.data[0].parent.subscription_item_details.proration_details.credited_items
    assert (credited is not None) == (mode == "flexible")
    # A further change in the same period: flexible credits what was billed for the rest, classic the price.
    await shop.advance(at + DAY_S)
    back = await preview(shop, changed, switch(changed, shop.prices["standard"], proration_behavior="always_invoice"))
    left_then = left - DAY_S
    expected = share(exact(19999, left), left_then, left) if mode == "flexible" else exact(19999, left_then)
    assert back.lines.data[0].amount == -expected


async def test_events_of_an_upgrade(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    before = len(await shop.events())
    await shop.advance(START + DAY_S)
    details = switch(made, shop.prices["premium"], proration_behavior="always_invoice")
    await shop.v1.subscriptions.update_async(made.id, details, {"idempotency_key": "change-1"})
    await shop.v1.subscriptions.update_async(made.id, details, {"idempotency_key": "change-1"})
    events = (await shop.events())[before:]
    assert [event.type for event in events] == [
        "customer.subscription.updated",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    assert events[0].request.idempotency_key == "change-1"
    old = events[0].data.previous_attributes["items"]["data"][0]
    assert old["price"]["id"] == shop.prices["standard"]


async def test_prorations_wait_for_the_renewal_when_not_billed_at_once(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    await shop.advance(START + 14 * DAY_S)
    details = switch(made, shop.prices["premium"])
    quote = await preview(shop, made, details)
    assert [line.amount for line in quote.lines.data] == [-5000, 10000, 19999]
    changed = await shop.v1.subscriptions.update_async(made.id, details)
    assert changed.latest_invoice == made.latest_invoice.id
    waiting = await shop.v1.invoice_items.list_async({"customer": made.customer, "pending": True})
    assert sorted(item.amount for item in waiting.data) == [-5000, 10000]
    assert all(item.proration for item in waiting.data)
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    renewal = (await shop.subscription(made.id)).latest_invoice
    assert ([line.amount for line in renewal.lines.data], renewal.amount_paid) == ([-5000, 10000, 19999], 24999)
    assert (await shop.v1.invoice_items.list_async({"pending": True})).data == []
    nothing = await shop.v1.subscriptions.update_async(
        made.id, switch(changed, shop.prices["standard"], proration_behavior="none")
    )
    assert nothing["items"].data[0].price.id == shop.prices["standard"]
    assert (await shop.v1.invoice_items.list_async({"pending": True})).data == []


async def test_monthly_to_yearly_begins_a_new_period_at_once(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer(), "premium")
    at = START + 14 * DAY_S
    await shop.advance(at)
    details = switch(made, shop.prices["premium_yearly"], proration_behavior="always_invoice", proration_date=at)
    quote = await preview(shop, made, details)
    assert [line.amount for line in quote.lines.data] == [-10000, 199990]
    changed = await shop.v1.subscriptions.update_async(made.id, details | {"expand": ["latest_invoice"]})
    assert told(changed.latest_invoice) == told(quote)
    assert changed.latest_invoice.amount_paid == 189990
    assert (period(changed), changed.billing_cycle_anchor) == ((at, moment(2027, 2, 14)), at)


async def test_a_downgrade_at_once_leaves_a_balance_for_later_invoices(shop: Shop) -> None:
    customer = await shop.customer()
    made = await shop.subscribe(customer, "premium")
    await shop.advance(START + 7 * DAY_S)
    changed = await shop.v1.subscriptions.update_async(
        made.id,
        switch(made, shop.prices["standard"], proration_behavior="always_invoice", expand=["latest_invoice"]),
    )
    total = -exact(19999, 21 * DAY_S) + exact(9999, 21 * DAY_S)
    assert (changed.latest_invoice.total, changed.latest_invoice.status) == (total, "paid")
    assert (await shop.v1.customers.retrieve_async(customer)).balance == total
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    renewal = (await shop.subscription(made.id)).latest_invoice
    assert (renewal.total, renewal.amount_paid) == (9999, 9999 + total)


async def test_an_upgrade_whose_payment_fails(shop: Shop) -> None:
    customer = await shop.customer()
    made = await shop.subscribe(customer)
    await shop.card(FAILS_LATER, customer)
    await shop.advance(START + DAY_S)
    details = switch(made, shop.prices["premium"], proration_behavior="always_invoice")
    with pytest.raises(stripe.CardError):
        await shop.v1.subscriptions.update_async(made.id, details | {"payment_behavior": "error_if_incomplete"})
    assert len(await shop.invoices(made.id)) == 1
    held = await shop.v1.subscriptions.update_async(made.id, details | {"payment_behavior": "pending_if_incomplete"})
    assert (held.status, held["items"].data[0].price.id) == ("active", shop.prices["standard"])
    assert held.pending_update.expires_at == START + DAY_S + 23 * HOUR_S
    assert held.pending_update.subscription_items[0].price.id == shop.prices["premium"]
    await shop.advance(held.pending_update.expires_at)
    dropped = await shop.subscription(made.id)
    assert (dropped.pending_update, dropped.latest_invoice.status) == (None, "void")
    assert dropped["items"].data[0].price.id == shop.prices["standard"]
    await shop.card(ASKS, customer)
    held = await shop.v1.subscriptions.update_async(
        made.id,
        details | {"payment_behavior": "pending_if_incomplete", "expand": ["latest_invoice.confirmation_secret"]},
    )
    await shop.pay_by_hand(held.latest_invoice.confirmation_secret.client_secret, confirm=True)
    done = await shop.subscription(made.id)
    assert (done.pending_update, done["items"].data[0].price.id) == (None, shop.prices["premium"])
    assert "customer.subscription.pending_update_applied" in await shop.event_types()
    await shop.card(FAILS_LATER, customer)
    late = await shop.v1.subscriptions.update_async(
        made.id, switch(done, shop.prices["premium_yearly"], proration_behavior="always_invoice")
    )
    # The change holds, and its invoice is owed.
    assert (late.status, late["items"].data[0].price.id) == ("past_due", shop.prices["premium_yearly"])


async def test_an_upgrade_that_the_buyer_confirms_in_the_browser(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    await shop.advance(START + DAY_S)
    waiting = await shop.v1.subscriptions.update_async(
        made.id,
        switch(
            made,
            shop.prices["premium"],
            proration_behavior="always_invoice",
            payment_behavior="default_incomplete",
            expand=["latest_invoice.confirmation_secret"],
        ),
    )
    invoice = waiting.latest_invoice
    assert (waiting.status, invoice.status, invoice.attempt_count) == ("past_due", "open", 0)
    intent = await shop.v1.payment_intents.retrieve_async(
        invoice.confirmation_secret.client_secret.split("_secret")[0]
    )
    assert intent.status == "requires_confirmation"
    done = await shop.pay_by_hand(invoice.confirmation_secret.client_secret, paymentMethod=intent.payment_method)
    assert done["intent"]["status"] == "succeeded"
    assert (await shop.subscription(made.id)).status == "active"


async def test_more_seats_and_a_trial_are_no_reason_to_pay_twice(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    await shop.advance(START + 14 * DAY_S)
    item = made["items"].data[0].id
    details: Any = {"items": [{"id": item, "quantity": 3}], "proration_behavior": "always_invoice"}
    more = await shop.v1.subscriptions.update_async(made.id, details | {"expand": ["latest_invoice"]})
    assert more.latest_invoice.total == -5000 + 14999
    trial = await shop.subscribe(await shop.customer(), trial_period_days=14)
    moved = await shop.v1.subscriptions.update_async(
        trial.id, switch(trial, shop.prices["premium"], proration_behavior="always_invoice")
    )
    assert (moved.status, moved.latest_invoice) == ("trialing", trial.latest_invoice.id)


async def test_anchors_move_the_cycle(shop: Shop) -> None:
    anchor = START + 14 * DAY_S
    stub = await shop.subscribe(await shop.customer(), billing_cycle_anchor=anchor)
    # The cycle that ends there began on 14 January, 31 days before; 14 of them are billed.
    assert (stub.latest_invoice.total, period(stub)) == (share(9999, 14, 31), (START, anchor))
    free = await shop.subscribe(await shop.customer(), billing_cycle_anchor=anchor, proration_behavior="none")
    assert (free.status, free.latest_invoice.total) == ("active", 0)
    await shop.advance(anchor + HOUR_S)
    for one in (stub, free):
        turned = await shop.subscription(one.id)
        assert (period(turned), turned.latest_invoice.total) == ((anchor, moment(2026, 3, 14)), 9999)
    await shop.advance(anchor + 7 * DAY_S)
    restarted = await shop.v1.subscriptions.update_async(
        stub.id, {"billing_cycle_anchor": "now", "expand": ["latest_invoice"]}
    )
    assert period(restarted) == (anchor + 7 * DAY_S, moment(2026, 3, 21))
    assert [line.amount for line in restarted.latest_invoice.lines.data] == [-share(9999, 21, 28), 9999]
    leaving = await shop.v1.subscriptions.update_async(free.id, {"cancel_at": anchor + 10 * DAY_S})
    assert (leaving.cancel_at, leaving.cancel_at_period_end) == (anchor + 10 * DAY_S, False)
    await shop.advance(anchor + 10 * DAY_S)
    gone = await shop.subscription(free.id)
    assert (gone.status, gone.ended_at) == ("canceled", anchor + 10 * DAY_S)


async def test_a_phase_that_begins_within_a_period_is_prorated(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    schedules = shop.v1.subscription_schedules
    schedule = await schedules.create_async({"from_subscription": made.id})
    middle = START + 14 * DAY_S
    phases = [
        {"items": [{"price": shop.prices["standard"]}], "start_date": START, "end_date": middle},
        {
            "items": [{"price": shop.prices["premium"], "quantity": 2}],
            "proration_behavior": "always_invoice",
            "duration": {"interval": "month", "interval_count": 3},
        },
    ]
    await schedules.update_async(schedule.id, {"phases": phases, "end_behavior": "cancel"})
    await shop.advance(middle)
    larger = await shop.subscription(made.id)
    assert (larger.latest_invoice.total, larger["items"].data[0].quantity) == (-5000 + 19999, 2)
    await shop.advance(moment(2026, 5, 15))
    assert (await schedules.retrieve_async(schedule.id)).status == "completed"
    gone = await shop.subscription(made.id)
    assert (gone.status, gone.ended_at) == ("canceled", moment(2026, 5, 14))


# Previews of other things


async def test_previews_of_renewals_of_new_subscriptions_and_of_ends(shop: Shop) -> None:
    customer = await shop.customer()
    new = await shop.v1.invoices.create_preview_async(
        {"customer": customer, "subscription_details": {"items": [{"price": shop.prices["premium"]}]}}
    )
    assert (new.total, new.amount_due) == (19999, 19999)
    assert (await shop.v1.subscriptions.list_async({"status": "all"})).data == []
    made = await shop.subscribe(customer)
    upcoming = await preview(shop, made, {})
    assert (upcoming.total, upcoming.lines.data[0].period.start) == (9999, moment(2026, 2, 28))
    assert upcoming.next_payment_attempt == moment(2026, 2, 28) + HOUR_S
    await shop.advance(START + 14 * DAY_S)
    assert (await preview(shop, made, {"cancel_now": True})).total == -5000
    await shop.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as none:
        await preview(shop, made, {})
    assert (none.value.http_status, none.value.code) == (404, "invoice_upcoming_none")
    for wrong in ({"proration_date": START - 1}, {"items": [{"id": "si_gone", "price": shop.prices["premium"]}]}):
        with pytest.raises(stripe.InvalidRequestError):
            await preview(shop, made, wrong)


async def test_discounts_come_off_invoices_for_as_long_as_they_last(shop: Shop) -> None:
    once = await shop.v1.coupons.create_async({"percent_off": 25.5, "duration": "once"})
    code = await shop.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": once.id}, "code": "FALL25"}
    )
    made = await shop.subscribe(await shop.customer(), discounts=[{"promotion_code": code.id}])
    first = made.latest_invoice
    # 25.5 % of 99.99 is 2549.745 cents.
    assert (first.subtotal, first.total, first.total_discount_amounts[0].amount) == (9999, 7449, 2550)
    assert first.lines.data[0].discount_amounts[0].amount == 2550
    assert made.discounts == []
    assert (await shop.v1.promotion_codes.retrieve_async(code.id)).times_redeemed == 1
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    assert (await shop.subscription(made.id)).latest_invoice.total == 9999
    three = await shop.v1.coupons.create_async(
        {"amount_off": 1000, "currency": "usd", "duration": "repeating", "duration_in_months": 2}
    )
    other = await shop.subscribe(await shop.customer(), discounts=[{"coupon": three.id}])
    await shop.advance(moment(2026, 5, 29))
    assert [invoice.total for invoice in await shop.invoices(other.id)] == [8999, 8999, 9999, 9999]


# Schedules


async def test_a_downgrade_at_the_end_of_the_period_by_a_schedule(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer(), "premium")
    schedules = shop.v1.subscription_schedules
    schedule = await schedules.create_async({"from_subscription": made.id})
    assert (schedule.status, schedule.phases[0].items[0].price) == ("active", shop.prices["premium"])
    assert (await shop.subscription(made.id)).schedule == schedule.id
    phase = schedule.phases[0]
    kept = {"items": [{"price": shop.prices["premium"]}], "start_date": phase.start_date, "end_date": phase.end_date}
    after = {"items": [{"price": shop.prices["standard"]}], "proration_behavior": "none", "metadata": {"plan": "S"}}
    planned = await schedules.update_async(schedule.id, {"phases": [kept, after], "end_behavior": "release"})
    assert [(one.start_date, one.end_date) for one in planned.phases] == [
        (START, moment(2026, 2, 28)),
        (moment(2026, 2, 28), moment(2026, 3, 28)),
    ]
    assert (await shop.subscription(made.id))["items"].data[0].price.id == shop.prices["premium"]
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        await shop.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    await shop.advance(moment(2026, 2, 28) + HOUR_S)
    smaller = await shop.subscription(made.id)
    assert (smaller.latest_invoice.amount_paid, len(smaller.latest_invoice.lines.data)) == (9999, 1)
    assert smaller["items"].data[0].price.id == shop.prices["standard"]
    assert smaller.metadata.to_dict() == {"plan": "S"}
    await shop.advance(moment(2026, 3, 28))
    over = await schedules.retrieve_async(schedule.id)
    assert (over.status, over.released_subscription, over.subscription) == ("released", made.id, None)
    left = await shop.subscription(made.id)
    assert (left.schedule, left.status) == (None, "active")
    types = [event.type for event in await shop.events(("subscription_schedule.",))]
    assert types == [f"subscription_schedule.{name}" for name in ("created", "updated", "updated", "released")]


async def test_yearly_to_monthly_by_a_schedule_and_undone(shop: Shop) -> None:
    schedules = shop.v1.subscription_schedules
    made = await shop.subscribe(await shop.customer(), "premium_yearly")
    assert (made.latest_invoice.amount_paid, period(made)[1]) == (199990, moment(2027, 1, 31))
    schedule = await schedules.create_async({"from_subscription": made.id})
    phases = [
        {"items": [{"price": shop.prices["premium_yearly"]}], "end_date": moment(2027, 1, 31), "start_date": START},
        {"items": [{"price": shop.prices["premium"]}], "duration": {"interval": "month", "interval_count": 1}},
    ]
    await schedules.update_async(schedule.id, {"phases": phases})
    released = await schedules.release_async(schedule.id)
    assert released.status == "released"
    assert (await shop.subscription(made.id)).schedule is None
    again = await schedules.create_async({"from_subscription": made.id})
    await schedules.update_async(again.id, {"phases": phases})
    await shop.advance(moment(2027, 1, 31) + HOUR_S)
    monthly = await shop.subscription(made.id)
    assert (period(monthly), monthly.latest_invoice.amount_paid) == (
        (moment(2027, 1, 31), moment(2027, 2, 28)),
        19999,
    )
    ended = await schedules.cancel_async(again.id)
    assert (ended.status, (await shop.subscription(made.id)).status) == ("canceled", "canceled")


# The figures


@given(amount=st.integers(-(10**9), 10**9), whole=st.integers(1, 366 * DAY_S), data=st.data())
def test_shares_are_rounded_half_away_from_zero(amount: int, whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    wanted = (Decimal(amount) * part / whole).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    assert share(amount, part, whole) == int(wanted)
    assert share(-amount, part, whole) == -share(amount, part, whole)


@given(
    anchor=st.integers(moment(2000, 1, 1), moment(2060, 1, 1)),
    ahead=st.integers(-(10**9), 10**9),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(1, 12),
)
def test_every_moment_lies_in_one_cycle_counted_from_the_anchor(
    anchor: int, ahead: int, interval: str, count: int
) -> None:
    terms = {"interval": interval, "interval_count": count}
    start, end = cycle_at(anchor, terms, anchor + ahead)
    assert start <= anchor + ahead < end
    assert cycle_at(anchor, terms, start) == (start, end)
    assert cycle_at(anchor, terms, end)[0] == end
    assert cycle_at(anchor, terms, anchor) == (anchor, boundary(anchor, terms, 1))
