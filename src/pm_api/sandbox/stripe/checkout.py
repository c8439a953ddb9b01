"""The life of a checkout session: opened, paid or refused on the hosted page, or expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pm_api.sandbox.stripe.cards import Card, CardBehaviour
from pm_api.sandbox.stripe.objects.checkout import build_line_item, build_session, customer_details
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.customers import build_customer
from pm_api.sandbox.stripe.objects.payments import build_card, build_charge, build_payment_intent
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.world import NO_REQUEST, Origin, Sandbox

EXPIRY_BATCH = 100


@dataclass(frozen=True)
class Line:
    """`price` is a stored one-time price, `description` what the buyer reads."""

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
    expires_at: int,
    base_url: str,
    intent_data: Json | None = None,
    **details: Any,
) -> Json:
    """Store an open session with its line items; `details` are those of `build_session`."""
    items = [
        build_line_item(price=line.price, quantity=line.quantity, description=line.description) for line in lines
    ]
    session_id = new_id("cs_test")
    session = build_session(
        session_id=session_id,
        created=sandbox.now(),
        expires_at=expires_at,
        currency=lines[0].price["currency"],
        amount_total=sum(item["amount_total"] for item in items),
        url=f"{base_url}checkout/{session_id}",
        **details,
    )
    sandbox.store.save(session)
    for item in items:
        sandbox.store.save(item, parent=session_id)
    if intent_data:
        # The session does not carry what its payment intent will be made of; it is kept beside it until then.
        sandbox.store.save({"id": f"{session_id}.intent_data", "object": "sandbox.intent_data", "data": intent_data})
    return session


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


def submit_card(sandbox: Sandbox, session: Json, payer: Payer, card: Card) -> Outcome:
    """Pay an open session with a card: paid, refused, or waiting for the holder's confirmation."""
    intent = _intent_of(sandbox, session)
    payment_method = sandbox.store.save(
        build_card(
            created=sandbox.now(),
            last4=card.last4,
            fingerprint=card.fingerprint,
            expires=payer.card_expires,
            email=payer.email,
            name=payer.name,
        )
    )
    if card.behaviour is CardBehaviour.DECLINES:
        error = _card_error("card_declined", "Your card was declined.", payment_method, "generic_decline")
        return _refuse(sandbox, session, intent, error)
    intent["payment_method"] = payment_method["id"]
    intent["last_payment_error"] = None
    if card.behaviour is CardBehaviour.ASKS:
        intent.update(
            status="requires_action",
            next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
        )
        sandbox.store.save(intent)
        sandbox.publish("payment_intent.requires_action", intent)
        return Outcome(session, needs_confirmation=True)
    return _pay(sandbox, session, intent, payment_method)


def confirm_card(sandbox: Sandbox, session: Json, *, confirmed: bool) -> Outcome | None:
    """The holder's answer to the confirmation; None when nothing waits for one."""
    intent = sandbox.store.find(session["payment_intent"] or "", "payment_intent")
    if intent is None or intent["status"] != "requires_action":
        return None
    payment_method = sandbox.store.find(intent["payment_method"], "payment_method")
    assert payment_method is not None
    if confirmed:
        return _pay(sandbox, session, intent, payment_method)
    error = _card_error(
        "payment_intent_authentication_failure",
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
        payment_method,
    )
    return _refuse(sandbox, session, intent, error)


def complete(sandbox: Sandbox, session: Json, *, email: str | None, name: str | None, payment_status: str) -> Json:
    """Mark a session complete; tells nobody."""
    session.update(
        status="complete", payment_status=payment_status, url=None, customer_details=customer_details(email, name)
    )
    return sandbox.store.save(session)


def settle_intent(sandbox: Sandbox, intent: Json, payment_method: Json) -> Json:
    """Take the money: the intent succeeds with a charge; tells nobody."""
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        payment_method=payment_method["id"],
        next_action=None,
        last_payment_error=None,
    )
    charge = build_charge(created=sandbox.now(), intent=intent, payment_method=payment_method)
    intent["latest_charge"] = sandbox.store.save(charge)["id"]
    return sandbox.store.save(intent)


def _pay(sandbox: Sandbox, session: Json, intent: Json, payment_method: Json) -> Outcome:
    billing = payment_method["billing_details"]
    if session["customer"] is None and session["customer_creation"] == "always":
        customer = build_customer(created=sandbox.now(), email=billing["email"], name=billing["name"])
        sandbox.store.save(customer)
        sandbox.publish("customer.created", customer)
        session["customer"] = intent["customer"] = customer["id"]
    settle_intent(sandbox, intent, payment_method)
    sandbox.publish("payment_intent.succeeded", intent)
    complete(sandbox, session, email=billing["email"], name=billing["name"], payment_status="paid")
    sandbox.publish("checkout.session.completed", session)
    return Outcome(session)


def _refuse(sandbox: Sandbox, session: Json, intent: Json, error: Json) -> Outcome:
    if error["code"] == "card_declined":
        charge = build_charge(
            created=sandbox.now(), intent=intent, payment_method=error["payment_method"], declined=error
        )
        intent["latest_charge"] = error["charge"] = sandbox.store.save(charge)["id"]
    intent.update(status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error)
    sandbox.store.save(intent)
    sandbox.publish("payment_intent.payment_failed", intent)
    return Outcome(session, refusal=error["message"])


def _card_error(code: str, message: str, payment_method: Json, decline_code: str | None = None) -> Json:
    return {
        "code": code,
        "decline_code": decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": message,
        "payment_method": payment_method,
        "type": "card_error",
    }


def _intent_of(sandbox: Sandbox, session: Json) -> Json:
    """A session gets its payment intent when somebody first tries to pay, and keeps it for further tries."""
    if session["payment_intent"] is not None:
        known = sandbox.store.find(session["payment_intent"], "payment_intent")
        if known is not None:
            return known
    beside = sandbox.store.find(f"{session['id']}.intent_data") or {"data": {}}
    intent = build_payment_intent(
        created=sandbox.now(),
        amount=session["amount_total"],
        currency=session["currency"],
        customer_id=session["customer"],
        **beside["data"],
    )
    session["payment_intent"] = intent["id"]
    sandbox.store.save(session)
    return sandbox.store.save(intent)
