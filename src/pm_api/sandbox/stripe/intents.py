"""Confirming a payment intent: by the server with or without the card's holder at hand, or by the holder."""

from dataclasses import dataclass

from pm_api.sandbox.stripe.billing import collection
from pm_api.sandbox.stripe.billing.records import on_timeline
from pm_api.sandbox.stripe.cards import asks_holder
from pm_api.sandbox.stripe.errors import CardRefused, InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.payments import (
    Attempt,
    Outcome,
    cancel_intent,
    card_error,
    declines,
    refuse_intent,
)
from pm_api.sandbox.stripe.wallet import attach, use_up
from pm_api.sandbox.stripe.world import Sandbox

CAN_BE_CONFIRMED = frozenset(("requires_payment_method", "requires_confirmation", "requires_action"))
ABSENT_HOLDER = "Your card was declined. This transaction requires authentication."


@dataclass(frozen=True)
class Plan:
    """How it is confirmed. `off_session`: the holder is not there to be asked, and a card that asks is refused;
    so it is with `error_on_requires_action`."""

    off_session: bool = False
    error_on_requires_action: bool = False
    return_url: str | None = None


def timeline_of(sandbox: Sandbox, customer_id: str | None) -> Sandbox:
    """The moment in which a customer lives: the world's, or that of their test clock."""
    customer = sandbox.store.find(customer_id or "", "customer") or {}
    return on_timeline(sandbox, customer.get("test_clock"))


def confirm(sandbox: Sandbox, intent: Json, method: Json, plan: Plan) -> Json:
    """Charge the card: the intent succeeds, or asks the holder. Raises `CardRefused`, which keeps the attempt."""
    refuse_unless_open(intent)
    intent["payment_method"] = method["id"]
    asks = asks_holder(sandbox.store, method) and not declines(method)
    if asks and (plan.off_session or plan.error_on_requires_action):
        error = card_error("authentication_required", ABSENT_HOLDER, method, "authentication_required")
        return _concluded(sandbox, refuse_intent(sandbox, intent, error), method)
    attempt = collection.confirm(sandbox, intent, method)
    if attempt.outcome is Outcome.ASKED and plan.return_url is not None:
        address = sandbox.link(f"_sandbox/elements/{intent['client_secret']}")
        redirect = {"return_url": plan.return_url, "url": address}
        attempt.intent["next_action"] = {"redirect_to_url": redirect, "type": "redirect_to_url"}
        sandbox.store.save(attempt.intent)
    return _concluded(sandbox, attempt, method)


def answer(sandbox: Sandbox, intent: Json, *, agreed: bool) -> Json:
    """The holder's answer to an intent that asked for it. Raises `CardRefused` when they did not agree."""
    method = sandbox.store.find(intent["payment_method"] or "", "payment_method")
    attempt = collection.answer(sandbox, intent, agreed=agreed)
    assert method is not None
    return _concluded(sandbox, attempt, method)


def cancel(sandbox: Sandbox, intent: Json, reason: str | None) -> Json:
    if intent["status"] not in CAN_BE_CONFIRMED:
        raise InvalidRequest(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "
            "requires_capture, requires_confirmation, requires_action, processing.",
            code="payment_intent_unexpected_state",
        )
    cancel_intent(sandbox, intent["id"], reason=reason)
    canceled = sandbox.store.find(intent["id"], "payment_intent")
    assert canceled is not None
    return canceled


def refuse_unless_open(intent: Json) -> None:
    if intent["status"] == "succeeded":
        raise InvalidRequest(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously "
            "confirmed.",
            code="payment_intent_unexpected_state",
        )
    if intent["status"] not in CAN_BE_CONFIRMED:
        raise InvalidRequest(
            f"This PaymentIntent could not be used because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be used: requires_payment_method, "
            "requires_confirmation, requires_action.",
            code="payment_intent_unexpected_state",
        )


def _concluded(sandbox: Sandbox, attempt: Attempt, method: Json) -> Json:
    if attempt.outcome is Outcome.REFUSED:
        assert attempt.error is not None
        raise CardRefused(attempt.error, payment_intent=attempt.intent)
    if attempt.outcome is Outcome.PAID:
        _keep_or_use_up(sandbox, attempt.intent, method["id"])
    return attempt.intent


def _keep_or_use_up(sandbox: Sandbox, intent: Json, method_id: str) -> None:
    """A card that paid and belongs to nobody is kept when that was asked for, and else spent."""
    method = sandbox.store.find(method_id, "payment_method")
    assert method is not None
    customer = sandbox.store.find(intent["customer"] or "", "customer")
    if method["customer"] is not None:
        return
    if customer is not None and intent["setup_future_usage"] is not None:
        attach(sandbox, method, customer)
    else:
        use_up(sandbox, method)
