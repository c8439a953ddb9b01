"""The life of a setup intent: a card is shown to its bank, perhaps to its holder, and kept for later."""

from pm_api.sandbox.stripe.billing.standing import after_setup
from pm_api.sandbox.stripe.cards import CardBehaviour, asks_holder, card_behind, mark_set_up
from pm_api.sandbox.stripe.errors import CardRefused, InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.setups import build_setup_attempt
from pm_api.sandbox.stripe.payments import card_error, declined_error
from pm_api.sandbox.stripe.wallet import attach
from pm_api.sandbox.stripe.world import Sandbox

CAN_BE_CONFIRMED = frozenset(("requires_payment_method", "requires_confirmation", "requires_action"))
UNCONFIRMED = "The latest attempt to set up the payment method has failed because authentication failed."


class SetupRefused(CardRefused):
    """A card that its bank, or its holder, did not let be set up; the attempt itself has happened."""

    def __init__(self, error: Json, *, setup_intent: Json) -> None:
        super().__init__(error)
        self._setup_intent = setup_intent

    def body(self) -> Json:
        body = super().body()
        body["error"]["setup_intent"] = self._setup_intent
        return body


def confirm(sandbox: Sandbox, intent: Json, method: Json, *, return_url: str | None = None) -> Json:
    """Set the card up: the intent succeeds, or asks the holder. Raises `SetupRefused`."""
    refuse_unless_open(intent)
    intent.update(payment_method=method["id"], last_setup_error=None)
    if card_behind(method).behaviour is CardBehaviour.DECLINES:
        return refuse(sandbox, intent, method, declined_error(method))
    if asks_holder(sandbox.store, method):
        intent.update(status="requires_action", next_action=_next_action(sandbox, intent, return_url))
        sandbox.store.save(intent)
        sandbox.publish("setup_intent.requires_action", intent)
        return intent
    return _succeed(sandbox, intent, method)


def answer(sandbox: Sandbox, intent: Json, *, agreed: bool) -> Json:
    """The holder's answer to an intent that asked for it. Raises `SetupRefused` when they did not agree."""
    if intent["status"] != "requires_action":
        raise InvalidRequest(f"This SetupIntent waits for nobody: its status is {intent['status']}.")
    method = sandbox.store.find(intent["payment_method"], "payment_method")
    assert method is not None
    if agreed:
        return _succeed(sandbox, intent, method)
    error = card_error("setup_intent_authentication_failure", UNCONFIRMED, method)
    return refuse(sandbox, intent, method, error)


def refuse(sandbox: Sandbox, intent: Json, method: Json, error: Json) -> Json:
    """The intent needs another card; always raises `SetupRefused`."""
    attempt = _attempted(sandbox, intent, method, "failed", error)
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=error,
        latest_attempt=attempt["id"],
    )
    sandbox.store.save(intent)
    sandbox.publish("setup_intent.setup_failed", intent)
    raise SetupRefused(error, setup_intent=intent)


def cancel(sandbox: Sandbox, intent: Json, reason: str | None) -> Json:
    refuse_unless_open(intent)
    intent.update(status="canceled", cancellation_reason=reason, next_action=None)
    sandbox.store.save(intent)
    sandbox.publish("setup_intent.canceled", intent)
    return intent


def refuse_unless_open(intent: Json) -> None:
    if intent["status"] not in CAN_BE_CONFIRMED:
        raise InvalidRequest(
            f"You cannot use this SetupIntent because it has a status of {intent['status']}. Only a SetupIntent with "
            "one of the following statuses may be used: requires_payment_method, requires_confirmation, "
            "requires_action.",
            code="setup_intent_unexpected_state",
        )


def _succeed(sandbox: Sandbox, intent: Json, method: Json) -> Json:
    customer = sandbox.store.find(intent["customer"] or "", "customer")
    if customer is not None:
        attach(sandbox, method, customer)
    if intent["usage"] == "off_session":
        mark_set_up(sandbox.store, method)
    attempt = _attempted(sandbox, intent, method, "succeeded", None)
    intent.update(status="succeeded", next_action=None, last_setup_error=None, latest_attempt=attempt["id"])
    sandbox.store.save(intent)
    sandbox.publish("setup_intent.succeeded", intent)
    after_setup(sandbox, intent)
    return intent


def _attempted(sandbox: Sandbox, intent: Json, method: Json, status: str, error: Json | None) -> Json:
    return sandbox.store.save(
        build_setup_attempt(created=sandbox.now(), intent=intent, payment_method=method, status=status, error=error)
    )


def _next_action(sandbox: Sandbox, intent: Json, return_url: str | None) -> Json:
    """As Stripe: with a return address the bank is a page to go to, else the browser's library shows it."""
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    address = sandbox.link(f"_sandbox/elements/{intent['client_secret']}")
    return {"redirect_to_url": {"return_url": return_url, "url": address}, "type": "redirect_to_url"}
