"""The life of a checkout session: opened, paid or refused on the hosted page, or expired. Paying once is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pm_api.sandbox.stripe.billing.discounts import give, store_given
from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.billing.invoicing import compose, finalize, store_draft
from pm_api.sandbox.stripe.cards import Card, asks_holder, mark_set_up
from pm_api.sandbox.stripe.checkout_totals import plan_of, set_totals
from pm_api.sandbox.stripe.objects.checkout import build_line_item, build_session, customer_details
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.customers import build_customer
from pm_api.sandbox.stripe.objects.payments import build_payment_intent
from pm_api.sandbox.stripe.payments import (
    ask_holder,
    declined_error,
    declines,
    refuse_intent,
    settle_intent,
    unconfirmed_error,
)
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.wallet import Typed, attach, make
from pm_api.sandbox.stripe.world import NO_REQUEST, Origin, Sandbox

EXPIRY_BATCH = 100


@dataclass(frozen=True)
class Line:
    """`price` is a stored price, `description` what the buyer reads."""

    price: Json
    quantity: int
    description: str


@dataclass(frozen=True)
class Payer:
    """What a person typed on the hosted page."""

    email: str
    name: str | None
    card_expires: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """The session afterwards, and either nothing more, a refusal to read, or a confirmation to give."""

    session: Json
    refusal: str | None = None
    needs_confirmation: bool = False


def open_session(
    sandbox: Sandbox,
    lines: Sequence[Line],
    *,
    created: int,
    expires_at: int,
    base_url: str,
    currency: str | None = None,
    plan: Json | None = None,
    **details: Any,
) -> Json:
    """Store an open session with its line items; `details` are those of `build_session`.

    `plan` is what it will make when it is complete, in the words of `plan_of`.
    """
    session_id = new_id("cs_test")
    session = build_session(
        session_id=session_id,
        created=created,
        expires_at=expires_at,
        currency=lines[0].price["currency"] if lines else currency,
        amount_total=None,
        url=f"{base_url}checkout/{session_id}",
        **details,
    )
    sandbox.store.save(session)
    for line in lines:
        item = build_line_item(price=line.price, quantity=line.quantity, description=line.description)
        sandbox.store.save(item, parent=session_id)
    if plan:
        sandbox.store.save(plan_of(sandbox, session) | plan)
    return set_totals(sandbox, session) if lines else session


def expire_due(sandbox: Sandbox) -> None:
    """Expire the open sessions whose time has come; called before sessions are looked at."""
    due, _ = sandbox.store.page(
        "checkout.session",
        conditions=[
            field_is("status", "open"),
            Condition("NOT frozen"),
            Condition("json_extract(body, '$.expires_at') <= ?", (sandbox.now(),)),
        ],
        limit=EXPIRY_BATCH,
    )
    for session in due:
        expire(sandbox, session)


def expire(sandbox: Sandbox, session: Json, *, origin: Origin = NO_REQUEST) -> Json:
    session.update(status="expired", url=None)
    sandbox.store.save(session)
    sandbox.publish("checkout.session.expired", session, origin=origin)
    return session


def complete(sandbox: Sandbox, session: Json, *, email: str | None, name: str | None, payment_status: str) -> Json:
    """Mark a session complete; tells nobody."""
    session.update(
        status="complete", payment_status=payment_status, url=None, customer_details=customer_details(email, name)
    )
    return sandbox.store.save(session)


def type_card(sandbox: Sandbox, payer: Payer, card: Card) -> Json:
    """The payment method that the page makes of a typed card; nobody's yet."""
    return make(sandbox, Typed(card, payer.card_expires, payer.email, payer.name))


def buyer_of(sandbox: Sandbox, session: Json, method: Json) -> Json:
    """The session's customer, made now when it has none."""
    known = sandbox.store.find(session["customer"] or "", "customer")
    if known is not None:
        return known
    billing = method["billing_details"]
    customer = build_customer(created=sandbox.now(), email=billing["email"], name=billing["name"])
    sandbox.store.save(customer)
    sandbox.publish("customer.created", customer)
    session["customer"] = customer["id"]
    return customer


def pay_once(sandbox: Sandbox, session: Json, method: Json) -> Outcome:
    """A session in payment mode is paid with a card: paid, refused, or waiting for the holder's confirmation."""
    if session["amount_total"] == 0:
        return _pay(sandbox, session, None, method)
    intent = _intent_of(sandbox, session)
    if declines(method):
        attempt = refuse_intent(sandbox, intent, declined_error(method))
        assert attempt.error is not None
        return Outcome(session, refusal=attempt.error["message"])
    intent["payment_method"] = method["id"]
    intent["last_payment_error"] = None
    if asks_holder(sandbox.store, method):
        ask_holder(sandbox, intent)
        return Outcome(session, needs_confirmation=True)
    return _pay(sandbox, session, intent, method)


def answer_payment(sandbox: Sandbox, session: Json, *, confirmed: bool) -> Outcome | None:
    """The holder's answer to the confirmation; None when nothing waits for one."""
    intent = sandbox.store.find(session["payment_intent"] or "", "payment_intent")
    if intent is None or intent["status"] != "requires_action":
        return None
    method = sandbox.store.find(intent["payment_method"], "payment_method")
    assert method is not None
    if confirmed:
        return _pay(sandbox, session, intent, method)
    error = unconfirmed_error(method)
    refuse_intent(sandbox, intent, error)
    return Outcome(session, refusal=error["message"])


def _pay(sandbox: Sandbox, session: Json, intent: Json | None, method: Json) -> Outcome:
    billing = method["billing_details"]
    if session["customer"] is None and session["customer_creation"] == "always":
        customer = buyer_of(sandbox, session, method)
        if intent is not None:
            intent["customer"] = customer["id"]
    given = _redeem(sandbox, session)
    if intent is not None:
        settle_intent(sandbox, intent, method)
        sandbox.publish("payment_intent.succeeded", intent)
        _keep_card(sandbox, intent, method)
    if session["invoice_creation"]["enabled"]:
        session["invoice"] = _invoice(sandbox, session, intent, given)["id"]
    paid = "paid" if intent is not None else "no_payment_required"
    complete(sandbox, session, email=billing["email"], name=billing["name"], payment_status=paid)
    sandbox.publish("checkout.session.completed", session)
    return Outcome(session)


def _keep_card(sandbox: Sandbox, intent: Json, method: Json) -> None:
    """A card that was to be kept for later stays with the customer."""
    customer = sandbox.store.find(intent["customer"] or "", "customer")
    if intent["setup_future_usage"] == "off_session":
        mark_set_up(sandbox.store, method)
    if intent["setup_future_usage"] is not None and customer is not None:
        attach(sandbox, method, customer)


def _redeem(sandbox: Sandbox, session: Json) -> list[Json]:
    """What the session took off is now used."""
    wishes = plan_of(sandbox, session)["discounts"]
    given = give(sandbox, wishes, customer_id=session["customer"] or "", subscription_id=None)
    redeemed = [discount | {"checkout_session": session["id"]} for discount in given]
    store_given(sandbox, redeemed)
    return redeemed


def _invoice(sandbox: Sandbox, session: Json, intent: Json | None, discounts: Sequence[Json]) -> Json:
    """An invoice for what has just been paid, itself paid; what was taken off stands on it."""
    customer = sandbox.store.find(session["customer"] or "", "customer")
    assert customer is not None
    data = session["invoice_creation"]["invoice_data"]
    now = sandbox.now()
    entries = [
        Entry(
            amount=item["amount_subtotal"],
            currency=item["currency"],
            description=item["description"],
            period=(now, now),
            quantity=item["quantity"],
            price=item["price"],
        )
        for item in sandbox.store.children(session["id"])
    ]
    invoice, lines = compose(
        sandbox,
        customer=customer | {"balance": 0},
        entries=entries,
        currency=session["currency"],
        reason="manual",
        period=(now, now),
        discounts=discounts,
        auto_advance=False,
        description=data["description"],
        metadata=data["metadata"],
    )
    store_draft(sandbox, invoice, lines, entries)
    return finalize(sandbox, invoice, paid_by=intent)


def _intent_of(sandbox: Sandbox, session: Json) -> Json:
    """A session gets its payment intent when somebody first tries to pay, and keeps it for further tries."""
    if session["payment_intent"] is not None:
        known = sandbox.store.find(session["payment_intent"], "payment_intent")
        if known is not None:
            known["amount"] = session["amount_total"]
            return known
    details = plan_of(sandbox, session)["intent"]
    usage = details.get("setup_future_usage")
    intent = build_payment_intent(
        created=sandbox.now(),
        amount=session["amount_total"],
        currency=session["currency"],
        customer_id=session["customer"],
        **{name: value for name, value in details.items() if name != "setup_future_usage"},
    )
    intent["setup_future_usage"] = usage
    session["payment_intent"] = intent["id"]
    sandbox.store.save(session)
    return sandbox.store.save(intent)
