"""A payment intent and the card behind it: asked, charged, declined, canceled. Knows nothing of what it is for."""

from dataclasses import dataclass
from enum import Enum

from pm_api.sandbox.stripe.cards import CardBehaviour, asks_holder, card_behind, mark_set_up
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.payments import build_charge
from pm_api.sandbox.stripe.world import Sandbox

NO_CARD_ERROR = {
    "code": "payment_intent_payment_attempt_failed",
    "decline_code": None,
    "doc_url": "https://stripe.com/docs/error-codes/payment-intent-payment-attempt-failed",
    "message": "There is no default payment method to pay with.",
    "payment_method": None,
    "type": "invalid_request_error",
}
DECLINES_PAYMENTS = frozenset((CardBehaviour.DECLINES, CardBehaviour.FAILS_LATER))


class Outcome(Enum):
    PAID = "paid"
    ASKED = "asked"
    REFUSED = "refused"


@dataclass(frozen=True)
class Attempt:
    """What came of asking a card; `error` is the card's, when it refused."""

    outcome: Outcome
    intent: Json
    error: Json | None = None


def card_error(code: str, message: str, payment_method: Json, decline_code: str | None = None) -> Json:
    return {
        "code": code,
        "decline_code": decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": message,
        "payment_method": payment_method,
        "type": "card_error",
    }


def declined_error(payment_method: Json) -> Json:
    reason = card_behind(payment_method).decline_code
    lacking = " It has insufficient funds." if reason == "insufficient_funds" else ""
    return card_error("card_declined", f"Your card was declined.{lacking}", payment_method, reason)


def unconfirmed_error(payment_method: Json) -> Json:
    return card_error(
        "payment_intent_authentication_failure",
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
        payment_method,
    )


def declines(payment_method: Json) -> bool:
    return card_behind(payment_method).behaviour in DECLINES_PAYMENTS


def charge_card(sandbox: Sandbox, intent: Json, payment_method: Json | None, *, confirmed: bool = False) -> Attempt:
    """Ask the card for the intent's amount and keep what came of it, with the events of intent and charge.

    `confirmed` says that the holder has just agreed.
    """
    if payment_method is None:
        return refuse_intent(sandbox, intent, dict(NO_CARD_ERROR))
    if declines(payment_method):
        return refuse_intent(sandbox, intent, declined_error(payment_method))
    if not confirmed and asks_holder(sandbox.store, payment_method):
        intent.update(payment_method=payment_method["id"], last_payment_error=None)
        return ask_holder(sandbox, intent)
    if confirmed and intent["setup_future_usage"] == "off_session":
        mark_set_up(sandbox.store, payment_method)
    settle_intent(sandbox, intent, payment_method)
    charge = sandbox.store.find(intent["latest_charge"], "charge")
    assert charge is not None
    sandbox.publish("charge.succeeded", charge)
    sandbox.publish("payment_intent.succeeded", intent)
    return Attempt(Outcome.PAID, intent)


def ask_holder(sandbox: Sandbox, intent: Json) -> Attempt:
    """The intent waits for the holder of the card it carries."""
    intent.update(
        status="requires_action",
        next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
    )
    sandbox.store.save(intent)
    sandbox.publish("payment_intent.requires_action", intent)
    return Attempt(Outcome.ASKED, intent)


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


def refuse_intent(sandbox: Sandbox, intent: Json, error: Json) -> Attempt:
    """The intent needs another card; a decline leaves a failed charge."""
    charge = None
    if error["code"] == "card_declined":
        charge = build_charge(
            created=sandbox.now(), intent=intent, payment_method=error["payment_method"], declined=error
        )
        intent["latest_charge"] = error["charge"] = sandbox.store.save(charge)["id"]
    intent.update(status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error)
    sandbox.store.save(intent)
    if charge is not None:
        sandbox.publish("charge.failed", charge)
    sandbox.publish("payment_intent.payment_failed", intent)
    return Attempt(Outcome.REFUSED, intent, error)


def cancel_intent(sandbox: Sandbox, intent_id: str, *, reason: str | None = None) -> None:
    """An intent that has not succeeded never will."""
    intent = sandbox.store.find(intent_id, "payment_intent")
    if intent is None or intent["status"] in {"succeeded", "canceled"}:
        return
    intent.update(status="canceled", canceled_at=sandbox.now(), cancellation_reason=reason, next_action=None)
    sandbox.store.save(intent)
    sandbox.publish("payment_intent.canceled", intent)
