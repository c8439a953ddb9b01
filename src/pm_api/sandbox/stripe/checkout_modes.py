"""The hosted page's submit button in each mode: pay once, subscribe, or save a card."""

from dataclasses import replace

from pm_api.sandbox.stripe import setups
from pm_api.sandbox.stripe.billing.beginnings import begin
from pm_api.sandbox.stripe.billing.discounts import check_discount, promotion_code_named
from pm_api.sandbox.stripe.cards import Card, CardBehaviour, asks_holder, card_behind, mark_set_up
from pm_api.sandbox.stripe.checkout import (
    Outcome,
    Payer,
    answer_payment,
    buyer_of,
    complete,
    pay_once,
    type_card,
)
from pm_api.sandbox.stripe.checkout_totals import beginning_of, home_of, plan_of, set_totals
from pm_api.sandbox.stripe.errors import ApiError, CardRefused, InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.payments import declined_error, declines, unconfirmed_error
from pm_api.sandbox.stripe.wallet import attach
from pm_api.sandbox.stripe.world import Sandbox


def submit_card(sandbox: Sandbox, session: Json, payer: Payer, card: Card) -> Outcome:
    """Carry an open session through with a typed card, as far as it goes without its holder."""
    method = type_card(sandbox, payer, card)
    if session["mode"] == "payment":
        return pay_once(sandbox, session, method)
    if session["mode"] == "setup":
        return _save_card(sandbox, session, method)
    return _subscribe(sandbox, session, method)


def confirm_card(sandbox: Sandbox, session: Json, *, confirmed: bool) -> Outcome | None:
    """The holder's answer to the confirmation; None when nothing waits for one."""
    if session["mode"] == "payment":
        return answer_payment(sandbox, session, confirmed=confirmed)
    if session["mode"] == "setup":
        return _answer_setup(sandbox, session, confirmed=confirmed)
    plan = plan_of(sandbox, session)
    method = sandbox.store.find(plan["payment_method"] or "", "payment_method")
    if method is None:
        return None
    sandbox.store.save(plan | {"payment_method": None})
    if not confirmed:
        return Outcome(session, refusal=unconfirmed_error(method)["message"])
    return _begin(sandbox, session, method, confirmed=True)


def enter_promotion_code(sandbox: Sandbox, session: Json, typed: str) -> Json:
    """A code that the person typed, in place of what was there before. Raises `ApiError` with words for them."""
    code = promotion_code_named(sandbox, typed)
    if code is None:
        raise InvalidRequest("This code is invalid.")
    wish = {"coupon": None, "promotion_code": code["id"], "discount": None}
    check_discount(sandbox, wish, session["customer"], param="promotion_code")
    sandbox.store.save(plan_of(sandbox, session) | {"discounts": [wish]})
    return set_totals(sandbox, session)


def _subscribe(sandbox: Sandbox, session: Json, method: Json) -> Outcome:
    """At Stripe, too, there is neither subscription nor invoice before the session is complete."""
    never = card_behind(method).behaviour is CardBehaviour.DECLINES
    if never or (session["amount_total"] and declines(method)):
        return Outcome(session, refusal=declined_error(method)["message"])
    if asks_holder(sandbox.store, method):
        sandbox.store.save(plan_of(sandbox, session) | {"payment_method": method["id"]})
        return Outcome(session, needs_confirmation=True)
    return _begin(sandbox, session, method, confirmed=False)


def _begin(sandbox: Sandbox, session: Json, method: Json, *, confirmed: bool) -> Outcome:
    customer = buyer_of(sandbox, session, method)
    here = home_of(sandbox, session)
    attach(here, method, customer)
    if confirmed:
        mark_set_up(sandbox.store, method)
    wish = replace(beginning_of(here, session, customer), default_payment_method=method["id"])
    subscription = begin(here, wish, confirmed=confirmed)
    invoice = sandbox.store.find(subscription["latest_invoice"], "invoice")
    assert invoice is not None
    session.update(subscription=subscription["id"], invoice=invoice["id"])
    paid = "paid" if invoice["total"] > 0 else "no_payment_required"
    billing = method["billing_details"]
    complete(sandbox, session, email=billing["email"], name=billing["name"], payment_status=paid)
    sandbox.publish("checkout.session.completed", session)
    return Outcome(session)


def _save_card(sandbox: Sandbox, session: Json, method: Json) -> Outcome:
    intent = sandbox.store.find(session["setup_intent"], "setup_intent")
    assert intent is not None
    if session["customer"] is None and session["customer_creation"] == "always":
        intent["customer"] = buyer_of(sandbox, session, method)["id"]
    try:
        intent = setups.confirm(sandbox, intent, method)
    except CardRefused as error:
        return _refused(error, session)
    if intent["status"] == "requires_action":
        return Outcome(session, needs_confirmation=True)
    return _card_saved(sandbox, session, method)


def _answer_setup(sandbox: Sandbox, session: Json, *, confirmed: bool) -> Outcome | None:
    intent = sandbox.store.find(session["setup_intent"], "setup_intent")
    if intent is None or intent["status"] != "requires_action":
        return None
    method = sandbox.store.find(intent["payment_method"], "payment_method")
    assert method is not None
    try:
        setups.answer(sandbox, intent, agreed=confirmed)
    except CardRefused as error:
        return _refused(error, session)
    return _card_saved(sandbox, session, method)


def _card_saved(sandbox: Sandbox, session: Json, method: Json) -> Outcome:
    billing = method["billing_details"]
    complete(sandbox, session, email=billing["email"], name=billing["name"], payment_status="no_payment_required")
    sandbox.publish("checkout.session.completed", session)
    return Outcome(session)


def _refused(error: ApiError, session: Json) -> Outcome:
    """The failed attempt stays, so the refusal is handed on and not raised."""
    return Outcome(session, refusal=error.message)
