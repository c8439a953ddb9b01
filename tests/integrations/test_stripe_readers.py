"""Stripe's published samples, through the SDK's own parsing, into our nouns: nulls, gaps and news in every place."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import stripe
from stripe import billing_portal, checkout

from pm_api.integrations.stripe import StripeInvoice, StripeSubscription
from pm_api.integrations.stripe.checkouts import read_checkout
from pm_api.integrations.stripe.customers import read_customer
from pm_api.integrations.stripe.events import read_event
from pm_api.integrations.stripe.invoices import read_invoice, read_line, read_payment
from pm_api.integrations.stripe.payment_methods import read_payment_method, read_setup_intent
from pm_api.integrations.stripe.payments import read_charge
from pm_api.integrations.stripe.payments import read_payment as read_payment_intent
from pm_api.integrations.stripe.portal import read_configuration
from pm_api.integrations.stripe.prices import read_price, read_product
from pm_api.integrations.stripe.promotions import read_coupon, read_promotion_code
from pm_api.integrations.stripe.refunds import read_dispute, read_refund
from pm_api.integrations.stripe.schedules import planned_phases
from pm_api.integrations.stripe.subscriptions import read_subscription
from pm_api.integrations.stripe.webhook_endpoints import read_endpoint
from tests.support.stripe import Json, sample


@dataclass(frozen=True)
class Reader:
    """One of ours, with the class of the SDK and the sample that it reads."""

    sample: str
    theirs: type[stripe.StripeObject]
    read: Callable[[Any], Any]

    def of(self, body: Json) -> Any:
        return self.read(self.theirs.construct_from(copy.deepcopy(body), "sk_test_1"))


READERS = [
    Reader("billing_portal.configuration", billing_portal.Configuration, read_configuration),
    Reader("charge", stripe.Charge, read_charge),
    Reader("checkout.session", checkout.Session, read_checkout),
    Reader("coupon", stripe.Coupon, read_coupon),
    Reader("customer", stripe.Customer, read_customer),
    Reader("dispute", stripe.Dispute, read_dispute),
    Reader("event", stripe.Event, read_event),
    Reader("invoice", stripe.Invoice, read_invoice),
    Reader("invoice_payment", stripe.InvoicePayment, read_payment),
    Reader("line_item", stripe.InvoiceLineItem, read_line),
    Reader("payment_intent", stripe.PaymentIntent, read_payment_intent),
    Reader("payment_method", stripe.PaymentMethod, read_payment_method),
    Reader("price", stripe.Price, read_price),
    Reader("product", stripe.Product, read_product),
    Reader("promotion_code", stripe.PromotionCode, read_promotion_code),
    Reader("refund", stripe.Refund, read_refund),
    Reader("setup_intent", stripe.SetupIntent, read_setup_intent),
    Reader("subscription", stripe.Subscription, read_subscription),
    Reader("webhook_endpoint", stripe.WebhookEndpoint, read_endpoint),
]
BY_NAME = {reader.sample: reader for reader in READERS}
every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.sample))
# What lists hold, by the field they stand in.
LISTED: dict[str, type[stripe.StripeObject]] = {
    "items": stripe.SubscriptionItem,
    "lines": stripe.InvoiceLineItem,
    "payments": stripe.InvoicePayment,
}
INNER: dict[str, type[stripe.StripeObject]] = {"price": stripe.Price}
Path = tuple[str | int, ...]


def nullable(theirs: type[stripe.StripeObject], body: Any, prefix: Path = ()) -> Iterator[Path]:
    """The paths in a body that the SDK calls optional."""
    if not isinstance(body, dict):
        return
    inner = getattr(theirs, "_inner_class_types", {})
    for name, hint in theirs.__annotations__.items():
        if name in body and "Optional" in str(hint):
            yield (*prefix, name)
        value = body.get(name)
        if isinstance(value, dict) and value.get("object") == "list" and name in LISTED and value["data"]:
            yield from nullable(LISTED[name], value["data"][0], (*prefix, name, "data", 0))
        elif name in inner or name in INNER:
            yield from nullable(inner.get(name) or INNER[name], value, (*prefix, name))


def without(body: Json, path: Path) -> Json:
    """The same body with null there."""
    changed = copy.deepcopy(body)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = None
    return changed


def with_news(value: Any) -> Any:
    """Every object has a field that nobody knows yet."""
    if isinstance(value, dict):
        return {name: with_news(inner) for name, inner in value.items()} | {"brand_new": {"id": "new_1", "n": [1]}}
    return [with_news(one) for one in value] if isinstance(value, list) else value


def is_plain(value: Any) -> bool:
    """Nothing of the SDK is in it."""
    if is_dataclass(value):
        return all(is_plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple | frozenset):
        return all(is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(type(name) is str and type(text) is str for name, text in value.items())
    return value is None or type(value) in {str, int, bool, datetime, Decimal}


@every_reader
def test_the_sample_becomes_plain_values(reader: Reader) -> None:
    found = reader.of(sample(reader.sample))
    assert is_plain(found), found
    for field in fields(found):
        value = getattr(found, field.name)
        if isinstance(value, datetime):
            assert value.tzinfo is UTC
        if field.name.endswith("currency") and value is not None:
            assert value == value.upper()


@every_reader
def test_anything_that_may_be_null_is(reader: Reader) -> None:
    body = sample(reader.sample)
    paths = list(nullable(reader.theirs, body))
    for path in paths:
        assert is_plain(reader.of(without(body, path))), path
    # All of them at once, the innermost first.
    for path in sorted(paths, key=len, reverse=True):
        body = without(body, path)
    assert is_plain(reader.of(body))


@every_reader
def test_news_are_no_matter(reader: Reader) -> None:
    body = sample(reader.sample)
    if reader.sample == "event":  # what is inside an event is read by name, and may have any shape
        found, news = reader.of(body), reader.of(body | {"brand_new": 1})
        assert replace(news, body=found.body) == found
        return
    metadata = body.pop("metadata", None)
    news = with_news(body) | ({} if metadata is None else {"metadata": metadata})
    body |= {} if metadata is None else {"metadata": metadata}
    assert reader.of(news) == reader.of(body)


def test_the_walk_over_nullable_fields_reaches_what_is_nested() -> None:
    found = set(nullable(stripe.Subscription, sample("subscription")))
    assert ("trial_end",) in found
    assert ("items", "data", 0, "quantity") in found
    assert ("items", "data", 0, "price", "recurring") in found
    found = set(nullable(stripe.Invoice, sample("invoice")))
    assert ("status_transitions", "paid_at") in found
    assert ("lines", "data", 0, "parent", "subscription_item_details") in found


# --- expanded ---------------------------------------------------------------------------------------------------


def subscription(**changes: Any) -> StripeSubscription:
    found: StripeSubscription = BY_NAME["subscription"].of(sample("subscription") | changes)
    return found


def invoice(**changes: Any) -> StripeInvoice:
    found: StripeInvoice = BY_NAME["invoice"].of(sample("invoice") | changes)
    return found


def test_a_subscription_with_everything_expanded() -> None:
    schedule = sample("subscription_schedule")
    running, following = schedule["phases"][0], copy.deepcopy(schedule["phases"][0])
    running |= {"start_date": 1_700_000_000, "end_date": 1_702_000_000}
    following |= {"start_date": 1_702_000_000, "end_date": 1_704_000_000}
    following["items"][0]["price"] = "price_later"
    schedule |= {
        "status": "active",
        "phases": [running, following],
        "current_phase": {"start_date": 1_700_000_000, "end_date": 1_702_000_000},
    }
    discount = sample("discount") | {
        "source": {"type": "coupon", "coupon": sample("coupon")},
        "promotion_code": "promo_1",
        "end": None,
    }
    found = subscription(
        customer=sample("customer"),
        latest_invoice=sample("invoice")
        | {"confirmation_secret": {"client_secret": "pi_1_secret_2", "type": "payment_intent"}},
        pending_setup_intent=sample("setup_intent"),
        default_payment_method=sample("payment_method"),
        schedule=schedule,
        discounts=[discount, "di_unexpanded"],
        metadata={"accountId": "w1"},
        pending_update=None,
    )
    assert found.customer_id == sample("customer")["id"]
    assert (found.latest_invoice_id, found.client_secret) == (sample("invoice")["id"], "pi_1_secret_2")
    assert found.setup_client_secret == sample("setup_intent")["client_secret"]
    assert found.default_payment_method_id == sample("payment_method")["id"]
    assert (found.schedule_id, found.upcoming_price_id) == (schedule["id"], "price_later")
    assert found.upcoming_at == datetime.fromtimestamp(1_702_000_000, UTC)
    assert [(one.coupon_id, one.promotion_code_id, one.ends_at) for one in found.discounts] == [
        (sample("coupon")["id"], "promo_1", None),
        (None, None, None),
    ]
    assert (found.has_pending_update, found.metadata) == (False, {"accountId": "w1"})
    item = sample("subscription")["items"]["data"][0]
    assert (found.item_id, found.price_id, found.amount, found.currency) == (
        item["id"],
        item["price"]["id"],
        2000,
        "USD",
    )
    assert found.period_start == datetime.fromtimestamp(item["current_period_start"], UTC)


def test_a_planned_change_repeats_what_the_running_phase_has() -> None:
    """What is not repeated, Stripe takes away: a trial, a card, discounts, tax."""
    schedule = sample("subscription_schedule")
    running = copy.deepcopy(schedule["phases"][0])
    over = copy.deepcopy(running) | {"start_date": 1_600_000_000, "end_date": 1_700_000_000}
    running |= {
        "start_date": 1_700_000_000,
        "end_date": 1_700_086_400,
        "trial_end": 1_702_000_000,
        "default_payment_method": sample("payment_method"),
        "discounts": [
            {"coupon": None, "discount": "di_1", "promotion_code": None},
            {"coupon": "co_1", "discount": None, "promotion_code": None},
            {"coupon": None, "discount": None, "promotion_code": {"object": "promotion_code", "id": "promo_1"}},
            {"coupon": None, "discount": None, "promotion_code": None},
        ],
        "automatic_tax": {"enabled": True, "liability": None, "disabled_reason": None},
    }
    running["items"][0] |= {"price": sample("price"), "quantity": None}
    schedule |= {
        "phases": [over, running],
        "current_phase": {"start_date": 1_700_000_000, "end_date": 1_700_086_400},
    }
    found = stripe.SubscriptionSchedule.construct_from(schedule, "sk_test_1")
    handed_on = {
        "default_payment_method": sample("payment_method")["id"],
        "discounts": [{"discount": "di_1"}, {"coupon": "co_1"}, {"promotion_code": "promo_1"}],
        "automatic_tax": {"enabled": True},
    }
    assert planned_phases(found, 1_702_000_000, "price_later") == {
        "end_behavior": "release",
        "proration_behavior": "none",
        "phases": [
            handed_on
            | {
                "items": [{"price": sample("price")["id"], "quantity": 1}],
                "start_date": 1_700_000_000,
                "end_date": 1_702_000_000,
                "trial_end": 1_702_000_000,
            },
            handed_on
            | {
                "items": [{"price": "price_later", "quantity": 1}],
                "duration": {"interval": "day", "interval_count": 1},
                "proration_behavior": "none",
            },
        ],
    }


@pytest.mark.parametrize("secret", [None, "absent"])
def test_an_invoice_without_a_confirmation_secret(secret: str | None) -> None:
    """Null when it is paid, and not there at all when it was not asked for."""
    body = sample("invoice") | ({} if secret else {"confirmation_secret": None})
    assert subscription(latest_invoice=body).client_secret is None


@pytest.mark.parametrize(("unit_amount", "quantity", "amount"), [(500, 3, 1500), (500, None, 500), (None, 2, None)])
def test_what_a_period_costs(unit_amount: int | None, quantity: int | None, amount: int | None) -> None:
    items = sample("subscription")["items"]
    items["data"][0]["quantity"] = quantity
    items["data"][0]["price"]["unit_amount"] = unit_amount
    assert subscription(items=items).amount == amount


def line(**changes: Any) -> Json:
    return sample("line_item") | {
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_1", "product": "prod_1"},
            "unit_amount_decimal": "899.5",
        },
        **changes,
    }


def payment(status: str, **of: Any) -> Json:
    return sample("invoice_payment") | {"id": f"inpay_{status}", "status": status, "payment": of}


def test_an_invoice_with_lines_and_payments() -> None:
    of_item = {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": None,
            "subscription": "sub_1",
            "subscription_item": "si_1",
        },
    }
    intent = sample("payment_intent") | {"id": "pi_2", "latest_charge": "ch_2"}
    found = invoice(
        status=None,
        billing_reason=None,
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"metadata": {"accountId": "w1"}, "subscription": "sub_1"},
        },
        lines={
            "object": "list",
            "has_more": False,
            "url": "/v1/invoices/in_1/lines",
            "data": [line(), line(parent=of_item, amount=-300, quantity=None), line(parent=None, pricing=None)],
        },
        payments={
            "object": "list",
            "has_more": False,
            "url": "/v1/invoice_payments",
            "data": [
                payment("canceled", type="payment_intent", payment_intent="pi_1"),
                payment("paid", type="payment_intent", payment_intent=intent),
                payment("open", type="charge", charge="ch_3"),
            ],
        },
        total_taxes=[tax(190), tax(10)],
        total_discount_amounts=[{"amount": 50, "discount": "di_1"}],
    )
    assert (found.status, found.billing_reason) == ("unknown", "unknown")
    assert (found.subscription_id, found.subscription_metadata) == ("sub_1", {"accountId": "w1"})
    assert (found.tax, found.discount) == (200, 50)
    assert [(one.price_id, one.product_id, one.is_proration, one.subscription_id) for one in found.lines] == [
        ("price_1", "prod_1", True, "subscription"),
        ("price_1", "prod_1", False, "sub_1"),
        (None, None, False, None),
    ]
    assert [(one.amount, one.quantity) for one in found.lines] == [(1000, 1), (-300, None), (1000, 1)]
    assert [(one.payment_intent_id, one.charge_id) for one in found.payments] == [
        ("pi_1", None),
        ("pi_2", "ch_2"),
        (None, "ch_3"),
    ]
    assert (found.payment_intent_id, found.charge_id) == ("pi_2", "ch_2")


def tax(amount: int) -> Json:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": None,
        "taxability_reason": "standard_rated",
        "taxable_amount": 1000,
        "type": "tax_rate_details",
    }


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([], None), (["canceled"], None), (["canceled", "open"], "open"), (["open", "paid"], "paid")],
)
def test_which_payment_an_invoice_names(statuses: list[str], expected: str | None) -> None:
    data = [payment(status, type="payment_intent", payment_intent=f"pi_{status}") for status in statuses]
    found = invoice(payments={"object": "list", "has_more": False, "url": "/v1/invoice_payments", "data": data})
    assert found.payment_intent_id == (None if expected is None else f"pi_{expected}")


# --- other shapes -----------------------------------------------------------------------------------------------


def test_deleted_things() -> None:
    gone = BY_NAME["customer"].of(sample("deleted_customer"))
    assert (gone.id, gone.is_deleted, gone.metadata) == (sample("deleted_customer")["id"], True, {})
    price = BY_NAME["price"].of(sample("price") | {"product": sample("deleted_product")})
    assert (price.product_id, price.product) == (sample("deleted_product")["id"], None)
    code = BY_NAME["promotion_code"].of(
        sample("promotion_code") | {"promotion": {"type": "coupon", "coupon": sample("deleted_coupon")}}
    )
    assert (code.coupon_id, code.coupon) == (sample("deleted_coupon")["id"], None)


def test_a_payment_method_that_is_no_card() -> None:
    body = sample("payment_method") | {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}
    del body["card"]
    found = BY_NAME["payment_method"].of(body)
    assert (found.type, found.brand, found.last4, found.exp_month, found.fingerprint) == (
        "sepa_debit",
        None,
        None,
        None,
        None,
    )


def test_why_a_payment_failed() -> None:
    error = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
    found = BY_NAME["payment_intent"].of(sample("payment_intent") | {"last_payment_error": error})
    assert (found.error_code, found.decline_code) == ("card_declined", "insufficient_funds")


def test_a_percentage_is_exact() -> None:
    assert BY_NAME["coupon"].of(sample("coupon")).percent_off == Decimal("25.5")


def test_an_event_about_anything() -> None:
    event = sample("event")
    for about, object_id, subject in (
        ({"object": "customer", "id": "cus_1"}, "cus_1", "cus_1"),
        ({"object": "invoice", "id": "in_1", "customer": "cus_1"}, "in_1", "cus_1"),
        ({"object": "invoice", "id": "in_1", "customer": {"object": "customer", "id": "cus_2"}}, "in_1", "cus_2"),
        ({"object": "price", "id": "price_1"}, "price_1", "price_1"),
        ({"object": "balance", "livemode": False}, "", event["id"]),
    ):
        found = BY_NAME["event"].of(event | {"data": {"object": about}})
        assert (found.object_id, found.subject) == (object_id, subject)
        assert found.created_at == datetime.fromtimestamp(event["created"], UTC)


def test_a_setup_intent_of_nobody() -> None:
    found = BY_NAME["setup_intent"].of(sample("setup_intent"))
    assert (found.customer_id, found.payment_method_id, found.metadata) == (None, None, {})
