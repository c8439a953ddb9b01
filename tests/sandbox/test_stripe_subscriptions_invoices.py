"""Invoices, clocks, checkout in every mode, pages and shapes of the sandbox Stripe's billing."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_setup import (
    CANCEL_URL,
    SUCCESS_URL,
    MovableClock,
    Receiver,
    Setup,
    eventually,
    fresh_sandbox,
    running,
)
from tests.sandbox.subscription_setup import (
    ASKS,
    DAY_S,
    DECLINES,
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
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with fresh_sandbox() as one:
        yield one


@pytest.fixture
async def shop(setup: Setup) -> Shop:
    return await open_shop(setup)


# Invoices


async def test_an_invoice_by_hand_is_opened_paid_and_printed(shop: Shop) -> None:
    customer = await shop.customer()
    invoices = shop.v1.invoices
    item = await shop.v1.invoice_items.create_async(
        {"customer": customer, "amount": 4200, "currency": "usd", "description": "Consulting (one day)"}
    )
    draft = await invoices.create_async({"customer": customer, "pending_invoice_items_behavior": "include"})
    assert (draft.status, draft.total, draft.invoice_pdf) == ("draft", 4200, None)
    assert (await shop.v1.invoice_items.retrieve_async(item.id)).invoice == draft.id
    opened = await invoices.finalize_invoice_async(draft.id)
    assert (opened.status, opened.amount_due, opened.attempt_count) == ("open", 4200, 0)
    with pytest.raises(stripe.InvalidRequestError, match="already finalized"):
        await invoices.finalize_invoice_async(draft.id)
    page = await shop.setup.http.get(opened.hosted_invoice_url)
    for shown in (opened.number, "Consulting (one day)", "42.00 USD", "/_sandbox/elements/pi_"):
        assert shown in page.text
    printed = await shop.setup.http.get(opened.invoice_pdf)
    assert (printed.headers["Content-Type"], printed.content[:5]) == ("application/pdf", b"%PDF-")
    check_pdf(printed.content)
    assert b"(Consulting \\(one day\\)    42.00 USD) Tj" in printed.content
    paid = await invoices.pay_async(draft.id)
    assert (paid.status, paid.amount_paid) == ("paid", 4200)
    payments = await shop.v1.invoice_payments.list_async({"invoice": draft.id})
    assert [(one.status, one.amount_paid) for one in payments.data] == [("paid", 4200)]
    lines = await invoices.line_items.list_async(draft.id)
    assert lines.data[0].parent.invoice_item_details.invoice_item == item.id
    assert "draft" not in {one.status for one in (await invoices.list_async({"customer": customer})).data}
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        await invoices.pay_async(draft.id)


def check_pdf(document: bytes) -> None:
    """The cross-reference table leads to every object, as a strict reader wants it."""
    assert document.rstrip().endswith(b"%%EOF")
    table = int(document.rsplit(b"startxref\n", 1)[1].split(b"\n", 1)[0])
    lines = document[table:].split(b"\n")
    assert lines[0] == b"xref"
    count = int(lines[1].split()[1])
    for number in range(1, count):
        entry = lines[2 + number]
        assert len(entry) == 19
        assert document[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    stream = document.split(b"stream\n", 1)[1].split(b"\nendstream")[0]
    assert b"/Length %d " % len(stream) in document


async def test_invoices_are_voided_and_given_up(shop: Shop) -> None:
    customer = await shop.customer(FAILS_LATER)
    made = await shop.subscribe(customer)
    voided = await shop.v1.invoices.void_invoice_async(made.latest_invoice.id)
    assert (voided.status, voided.amount_remaining) == ("void", 0)
    assert (await shop.subscription(made.id)).status == "incomplete_expired"
    await shop.card(PAYS, customer)
    again = await shop.subscribe(customer)
    await shop.card(FAILS_LATER, customer)
    await shop.advance(moment(2026, 3, 1))
    late = await shop.subscription(again.id)
    assert late.status == "past_due"
    lost = await shop.v1.invoices.mark_uncollectible_async(late.latest_invoice.id)
    assert lost.status == "uncollectible"
    assert (await shop.subscription(again.id)).status == "active"
    paid = await shop.v1.invoices.pay_async(lost.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid) == ("paid", 9999)
    with pytest.raises(stripe.InvalidRequestError, match="only void open"):
        await shop.v1.invoices.void_invoice_async(lost.id)
    await shop.advance(moment(2026, 4, 1))
    later = await shop.subscription(again.id)
    assert later.status == "past_due"
    await shop.advance(moment(2026, 4, 4))
    # A void invoice does not count: the one before it, which was paid, decides.
    await shop.v1.invoices.void_invoice_async(later.latest_invoice.id)
    assert (await shop.subscription(again.id)).status == "active"


async def test_balance_used_by_a_voided_invoice_comes_back(shop: Shop) -> None:
    customer = await shop.customer(FAILS_LATER)
    await shop.v1.customers.update_async(customer, {"balance": -3000})
    made = await shop.subscribe(customer)
    assert (made.latest_invoice.amount_due, made.latest_invoice.total) == (6999, 9999)
    assert (await shop.v1.customers.retrieve_async(customer)).balance == 0
    await shop.v1.invoices.void_invoice_async(made.latest_invoice.id)
    assert (await shop.v1.customers.retrieve_async(customer)).balance == -3000


# Clocks


async def test_clocks_advance_so_far_and_go_with_all_that_lived_in_them(shop: Shop) -> None:
    clocks = shop.v1.test_helpers.test_clocks
    made = await shop.subscribe(await shop.customer())
    for wrong in (START, START - 1, START + 80 * DAY_S):
        with pytest.raises(stripe.InvalidRequestError):
            await clocks.advance_async(shop.clock, {"frozen_time": wrong})
    types = [event.type for event in await shop.events(("test_helpers.",))]
    await shop.advance(START + 1)
    assert [event.type for event in await shop.events(("test_helpers.",))] == [
        *types,
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.ready",
    ]
    assert [clock.id for clock in (await clocks.list_async()).data] == [shop.clock]
    assert (await clocks.delete_async(shop.clock)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        await shop.v1.subscriptions.retrieve_async(made.id)
    assert (await shop.v1.customers.list_async()).data == []


async def test_the_world_has_a_time_of_its_own_that_moves_on(setup: Setup) -> None:
    shop = await open_shop(setup)
    customer = await shop.v1.customers.create_async({"email": "ada@example.com"})
    await shop.card(PAYS, customer.id)
    made = await shop.subscribe(customer.id, billing_mode={"type": "classic"})
    began, ends = period(made)
    setup.clock.moment += timedelta(seconds=ends - began)
    # Nobody asks: the renewal comes by itself, and the endpoint is told.
    await eventually(lambda: setup.receiver.types().count("invoice.created"), lambda count: count == 2)
    assert (await shop.subscription(made.id)).latest_invoice.status == "draft"
    moved = await setup.control("POST", "/clock", {"advanceS": HOUR_S})
    assert moved["offsetS"] == HOUR_S
    renewed = await shop.subscription(made.id)
    assert (renewed.latest_invoice.status, renewed.latest_invoice.created) == ("paid", ends)
    paid = (await shop.events(("invoice.paid",)))[-1]
    # What is made up for happened when it was due.
    assert ends + HOUR_S <= paid.created <= ends + HOUR_S + 1
    back = await setup.control("POST", "/clock", {"to": "2020-01-01T00:00:00Z"})
    assert back["offsetS"] == HOUR_S
    page = await setup.http.get("/clocks")
    assert ("The world" in page.text, shop.clock in page.text) == (True, True)
    await setup.http.post("/clocks/world/advance/month")
    assert len(await shop.invoices(made.id)) == 3
    assert (await setup.http.post(f"/clocks/{shop.clock}/advance/day")).status_code == 303
    clock = await shop.v1.test_helpers.test_clocks.retrieve_async(shop.clock)
    assert clock.frozen_time == START + DAY_S


async def test_what_became_due_while_the_sandbox_was_off_is_made_up_for(tmp_path: Path) -> None:
    store_path, clock = str(tmp_path / "stripe.sqlite"), MovableClock()
    async with running(store_path, Receiver(), clock, None) as before:
        shop = await open_shop(before)
        customer = await shop.v1.customers.create_async({})
        await shop.card(PAYS, customer.id)
        made = await shop.subscribe(customer.id)
    clock.moment += timedelta(days=70)
    async with running(store_path, Receiver(), clock, None) as after:
        shop.setup = after
        paid = [invoice.status for invoice in await shop.invoices(made.id)]
        assert paid == ["paid", "paid", "paid"]
        moments = [event.created for event in await shop.events()]
        assert moments == sorted(moments)


async def test_the_world_is_steered_by_one_wish_at_a_time(setup: Setup) -> None:
    for wrong in ({}, {"advanceS": 1, "offsetS": 1}, {"advanceS": -1}, {"to": "2026-01-01T00:00:00"}, {"by": 1}):
        assert (await setup.http.post("/_sandbox/clock", json=wrong)).status_code == 422
    assert (await setup.control("POST", "/clock", {"offsetS": 86400}))["offsetS"] == 86400
    later = (setup.clock() + timedelta(days=2)).isoformat()
    assert abs((await setup.control("POST", "/clock", {"to": later}))["offsetS"] - 2 * DAY_S) <= 1
    for unknown in ({"lastStep": "forget"}, {"retryDays": [0]}):
        assert (await setup.http.put("/_sandbox/collection", json=unknown)).status_code == 422
    assert await setup.control("GET", "/collection") == {"retryDays": [3, 5, 7], "lastStep": "cancel"}
    for path in ("/clocks/world/advance/year", "/clocks/clock_gone/advance/day"):
        assert (await setup.http.post(path)).status_code == 404


# Checkout


async def open_checkout(shop: Shop, **more: Any) -> Any:
    params = {
        "mode": "subscription",
        "line_items": [{"price": shop.prices["standard"], "quantity": 1}],
        "client_reference_id": "checkout-1",
        "metadata": {"plan": "standard"},
        "success_url": SUCCESS_URL,
        "cancel_url": CANCEL_URL,
        **more,
    }
    return await shop.v1.checkout.sessions.create_async(params)


async def test_a_subscription_is_bought_on_the_hosted_page(shop: Shop) -> None:
    customer = await shop.customer(None)
    session = await open_checkout(
        shop,
        customer=customer,
        subscription_data={"metadata": {"accountId": "u1"}, "billing_mode": {"type": "flexible"}},
    )
    assert (session.mode, session.amount_total, session.subscription, session.invoice) == (
        "subscription",
        9999,
        None,
        None,
    )
    assert "Subscribe: 99.99 USD today" in (await shop.setup.http.get(session.url)).text
    assert (await shop.setup.submit(session, DECLINES)).status_code == 402
    assert (await shop.setup.submit(session, FAILS_LATER)).status_code == 402
    assert (await shop.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await shop.setup.submit(session, PAYS)).status_code == 303
    done = await shop.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["subscription", "invoice"]})
    assert (done.status, done.payment_status, done.payment_intent) == ("complete", "paid", None)
    assert (done.subscription.status, done.subscription.metadata.to_dict()) == ("active", {"accountId": "u1"})
    assert (done.subscription.billing_mode.type, done.invoice.status) == ("flexible", "paid")
    assert done.invoice.id == done.subscription.latest_invoice
    method = await shop.v1.payment_methods.retrieve_async(done.subscription.default_payment_method)
    assert method.customer == customer
    types = [event.type for event in (await shop.v1.events.list_async({"limit": 100})).data]
    assert types[0] == "checkout.session.completed"
    assert types.index("customer.subscription.created") > types.index("invoice.paid")


async def test_checkout_with_a_trial_a_code_and_a_card_that_asks(shop: Shop) -> None:
    coupon = await shop.v1.coupons.create_async({"percent_off": 50, "duration": "once"})
    await shop.v1.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
    session = await open_checkout(shop, allow_promotion_codes=True)
    apply = f"/checkout/{session.id}/promotion-code"
    assert "This code is invalid" in (await shop.setup.http.post(apply, data={"code": "NONE"})).text
    assert "Subscribe: 49.99 USD today" in (await shop.setup.http.post(apply, data={"code": "half"})).text
    assert "Your bank asks" in (await shop.setup.submit(session, ASKS)).text
    confirm = f"/checkout/{session.id}/confirm"
    assert (await shop.setup.http.post(confirm, data={"answer": "refuse"})).status_code == 402
    await shop.setup.submit(session, ASKS)
    assert (await shop.setup.http.post(confirm, data={"answer": "confirm"})).status_code == 303
    done = await shop.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["invoice", "customer"]})
    assert (done.amount_subtotal, done.amount_total, done.total_details.amount_discount) == (9999, 4999, 5000)
    assert (done.invoice.total, done.customer.email) == (4999, "ada@example.com")
    trial = await open_checkout(shop, subscription_data={"trial_period_days": 14})
    assert trial.amount_total == 0
    await shop.setup.submit(trial, PAYS)
    done = await shop.v1.checkout.sessions.retrieve_async(trial.id, {"expand": ["subscription"]})
    assert (done.payment_status, done.subscription.status) == ("no_payment_required", "trialing")


async def test_checkout_that_saves_a_card_and_one_that_makes_an_invoice(shop: Shop) -> None:
    customer = (await shop.v1.customers.create_async({"email": "ada@example.com"})).id
    saving = await shop.v1.checkout.sessions.create_async(
        {"mode": "setup", "currency": "usd", "customer": customer, "success_url": SUCCESS_URL}
    )
    assert (saving.amount_total, saving.payment_status) == (None, "no_payment_required")
    assert (await shop.setup.submit(saving, DECLINES)).status_code == 402
    assert "may be kept" in (await shop.setup.submit(saving, ASKS)).text
    await shop.setup.http.post(f"/checkout/{saving.id}/confirm", data={"answer": "confirm"})
    done = await shop.v1.checkout.sessions.retrieve_async(saving.id, {"expand": ["setup_intent"]})
    assert (done.status, done.setup_intent.status) == ("complete", "succeeded")
    method = await shop.v1.payment_methods.retrieve_async(done.setup_intent.payment_method)
    assert method.customer == customer
    session = await shop.setup.new_session(
        invoice_creation={"enabled": True, "invoice_data": {"metadata": {"pack": "p1"}}}
    )
    await shop.setup.submit(session, PAYS)
    bought: Any = await shop.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["invoice.payments"]})
    invoice = bought.invoice
    assert (invoice.status, invoice.total, invoice.amount_paid, invoice.billing_reason) == (
        "paid",
        1998,
        1998,
        "manual",
    )
    assert (invoice.metadata.to_dict(), invoice.parent) == ({"pack": "p1"}, None)
    assert invoice.payments.data[0].payment.payment_intent == bought.payment_intent
    assert invoice.customer == bought.customer is not None
    for wrong in (
        {"mode": "setup"},
        {"mode": "subscription", "payment_intent_data": {"description": "x"}},
        {"mode": "subscription", "subscription_data": {"trial_days": 3}},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await open_checkout(shop, **wrong)


# Endpoints, pages, refusals, shapes


async def test_webhook_endpoints_and_catalogue_can_be_set_up_twice(shop: Shop) -> None:
    endpoints = shop.v1.webhook_endpoints
    made = await endpoints.create_async({"url": "http://localhost:8000/hook", "enabled_events": ["*"]})
    assert made.secret.startswith("whsec_")
    changed = await endpoints.update_async(made.id, {"enabled_events": ["invoice.paid"], "disabled": True})
    assert (changed.status, changed.enabled_events, "secret" in changed) == ("disabled", ["invoice.paid"], False)
    assert [one.url for one in (await endpoints.list_async()).data] == ["http://localhost:8000/hook"]
    old = await shop.v1.prices.retrieve_async(shop.prices["standard"])
    new = await shop.v1.prices.create_async(
        {
            "product": old.product,
            "currency": "usd",
            "unit_amount": 10999,
            "recurring": {"interval": "month"},
            "lookup_key": "standard",
            "transfer_lookup_key": True,
        }
    )
    await shop.v1.prices.update_async(old.id, {"active": False, "metadata": {"replacedBy": new.id}})
    page = await shop.v1.prices.list_async({"lookup_keys": ["standard"], "active": True})
    assert [price.id for price in page.data] == [new.id]
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await shop.subscribe(await shop.customer(), "standard")
    renamed = await shop.v1.products.update_async(old.product, {"name": "Team", "default_price": new.id})
    assert (renamed.name, renamed.default_price) == ("Team", new.id)


async def test_what_is_not_modelled_is_refused(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    customer, price = made.customer, shop.prices["premium"]
    for call, params in (
        (
            shop.v1.subscriptions.create_async,
            {"customer": customer, "items": [{"price": price}], "backdate_start_date": 1},
        ),
        (shop.v1.subscriptions.create_async, {"customer": customer}),
        (shop.v1.subscriptions.create_async, {"customer": "cus_gone", "items": [{"price": price}]}),
        (shop.v1.subscriptions.create_async, {"customer": customer, "items": [{"price": price}, {"price": price}]}),
        (shop.v1.subscription_schedules.create_async, {"customer": customer}),
        (shop.v1.invoices.create_async, {"customer": customer, "days_until_due": 3}),
        (shop.v1.invoices.create_preview_async, {"customer": customer, "schedule": "sub_sched_1"}),
        (shop.v1.subscriptions.list_async, {"status": "gone"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await call(params)
        assert refused.value.http_status == 400
    assert len((await shop.v1.subscriptions.list_async({})).data) == 1


async def test_lists_are_paged_and_filtered(shop: Shop) -> None:
    customer = await shop.customer()
    ids = [(await shop.subscribe(customer)).id for _ in range(3)][::-1]
    premium = await shop.subscribe(await shop.customer(), "premium")
    first = await shop.v1.subscriptions.list_async({"limit": 2, "customer": customer})
    assert ([one.id for one in first.data], first.has_more) == (ids[:2], True)
    assert [one.id async for one in first.auto_paging_iter()] == ids
    held = await shop.v1.subscriptions.list_async({"price": shop.prices["premium"]})
    assert [one.id for one in held.data] == [premium.id]
    await shop.v1.subscriptions.cancel_async(ids[0])
    canceled = await shop.v1.subscriptions.list_async({"status": "canceled"})
    assert [one.id for one in canceled.data] == [ids[0]]
    open_invoices = await shop.v1.invoices.list_async({"status": "open"})
    assert open_invoices.data == []


async def test_pages_of_billing_can_be_looked_at(shop: Shop) -> None:
    made = await shop.subscribe(await shop.customer())
    for path, shown in (
        ("/", "Clocks"),
        ("/customers", "ada@example.com"),
        ("/subscriptions", made.id),
        ("/invoices", made.latest_invoice.number),
        (f"/invoices/{made.latest_invoice.id}", "1 × Standard (at $99.99 / month)"),
    ):
        page = await shop.setup.http.get(path)
        assert (page.status_code, shown in page.text) == (200, True), path
    for path in ("/invoices/in_gone", "/invoices/in_gone/pdf"):
        assert (await shop.setup.http.get(path)).status_code == 404


def missing_keys(sample: Any, answer: Any, path: str = "") -> list[str]:
    """Paths of the sample that the answer lacks; where either side has no structure there is nothing to compare."""
    if isinstance(sample, list) and isinstance(answer, list) and sample and answer:
        return missing_keys(sample[0], answer[0], f"{path}0.")
    if not isinstance(sample, dict) or not isinstance(answer, dict):
        return []
    missing = [f"{path}{name}" for name in sample if name not in answer]
    shared = [name for name in sample if name in answer and name != "metadata"]
    return missing + [
        entry for name in shared for entry in missing_keys(sample[name], answer[name], f"{path}{name}.")
    ]


@pytest.mark.skipif(not SAMPLES.exists(), reason="Stripe's published samples are not beside the repository")
async def test_billing_objects_have_every_key_of_the_published_samples(shop: Shop) -> None:
    samples = json.loads(SAMPLES.read_text())["resources"]
    customer = await shop.customer()
    coupon = await shop.v1.coupons.create_async({"percent_off": 10, "duration": "forever"})
    made = await shop.subscribe(customer, discounts=[{"coupon": coupon.id}])
    await shop.v1.customers.update_async(customer, {"balance": -1})
    await shop.subscribe(customer)
    schedule = await shop.v1.subscription_schedules.create_async({"from_subscription": made.id})
    full = await shop.v1.subscriptions.retrieve_async(made.id, {"expand": ["discounts"]})
    item = await shop.v1.invoice_items.create_async({"customer": customer, "amount": 5, "currency": "usd"})
    transactions = await shop.v1.customers.balance_transactions.list_async(customer)
    clocks = shop.v1.test_helpers.test_clocks
    invoice = made.latest_invoice
    answers = {
        "subscription": full,
        "subscription_item": full["items"].data[0],
        "plan": full["items"].data[0].plan,
        "discount": full.discounts[0],
        "subscription_schedule": schedule,
        "invoice": invoice,
        "line_item": invoice.lines.data[0],
        "invoice_payment": invoice.payments.data[0],
        "invoiceitem": item,
        "customer_balance_transaction": transactions.data[0],
        "test_helpers.test_clock": await clocks.retrieve_async(shop.clock),
        "webhook_endpoint": await shop.v1.webhook_endpoints.create_async(
            {"url": "http://localhost/", "enabled_events": ["*"]}
        ),
    }
    for name, answer in answers.items():
        assert missing_keys(samples[name], answer.to_dict()) == [], name
