"""/v1/payment_intents: a single payment by a card on file, as an automatic top-up makes it, or by the buyer"""

from pm_api.sandbox.stripe import intents
from pm_api.sandbox.stripe.billing.invoicing import invoice_of_intent
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.payments import build_payment_intent
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.catalogue import read_currency
from pm_api.sandbox.stripe.resources.setup_intents import (
    given_method,
    read_methods,
    refuse_without_return_url,
)
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, by_moment, by_text, filtered_list, referenced, stored
from pm_api.sandbox.stripe.world import Sandbox

LARGEST_AMOUNT = 99_999_999
# What a card may be charged at least. https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
SMALLEST_AMOUNTS = {"eur": 50, "gbp": 30, "jpy": 50, "usd": 50}
CONFIRM_FIELDS = {
    "error_on_requires_action",
    "off_session",
    "payment_method",
    "payment_method_data",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "use_stripe_sdk",
}
CREATE_FIELDS = {
    *CONFIRM_FIELDS,
    "allowed_payment_method_types",
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "currency",
    "customer",
    "description",
    "metadata",
    "statement_descriptor_suffix",
}
UPDATE_FIELDS = {
    "amount",
    "customer",
    "description",
    "metadata",
    "payment_method",
    "receipt_email",
    "setup_future_usage",
}
ALWAYS_CHANGEABLE = {"description", "expand", "metadata", "receipt_email"}
ONLY_WITH_CONFIRM = ("error_on_requires_action", "off_session", "return_url", "use_stripe_sdk")
CANCELLATION_REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
FUTURE_USAGES = ("off_session", "on_session")


def create_intent(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*CREATE_FIELDS, "payment_method_types"})
    confirms = params.boolean("confirm") is True
    for name in ONLY_WITH_CONFIRM:
        if name in params and not confirms:
            raise InvalidParameter(f"You must set `confirm` to true when passing {name}.", param=name)
    currency = read_currency(params)
    amount = _amount(params, currency)
    customer_id = params.text("customer")
    if customer_id is not None:
        referenced(call.sandbox, "customer", customer_id, param="customer")
    sandbox = intents.timeline_of(call.sandbox.asked_by(call.origin), customer_id)
    method = given_method(sandbox, params, customer_id)
    if confirms and method is None:
        raise MissingParameter("payment_method")
    intent = build_payment_intent(
        created=sandbox.now(),
        amount=amount,
        currency=currency,
        customer_id=customer_id,
        description=params.text("description"),
        metadata=params.metadata(),
    )
    intent.update(
        **read_methods(params),
        capture_method=params.choice("capture_method", ("automatic", "automatic_async")) or "automatic_async",
        statement_descriptor_suffix=params.text("statement_descriptor_suffix", limit=22),
    )
    _set_method(intent, method)
    _apply(params, intent)
    plan = _plan(params, intent) if confirms else None
    sandbox.store.save(intent)
    sandbox.publish("payment_intent.created", intent)
    if plan is None or method is None:
        return intent
    return intents.confirm(sandbox, intent, method, plan)


def confirm_intent(call: ApiCall) -> Json:
    """Answers 402 when the card refuses; the attempt has then happened all the same."""
    params = call.params
    params.refuse_unknown(CONFIRM_FIELDS)
    intent = _intent(call)
    intents.refuse_unless_open(intent)
    sandbox = _timeline(call, intent)
    method = given_method(sandbox, params, intent["customer"])
    if method is None:
        method = sandbox.store.find(intent["payment_method"] or "", "payment_method")
    if method is None:
        raise InvalidRequest(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    _apply(params, intent)
    return intents.confirm(sandbox, intent, method, _plan(params, intent))


def update_intent(call: ApiCall) -> Json:
    """Tells nobody, as at Stripe."""
    params = call.params
    params.refuse_unknown(UPDATE_FIELDS)
    intent = _intent(call)
    if set(params.values) - ALWAYS_CHANGEABLE:
        intents.refuse_unless_open(intent)
    if "amount" in params:
        if invoice_of_intent(call.sandbox, intent["id"]) is not None:
            raise InvalidRequest("The amount of an invoice's PaymentIntent cannot be changed.", param="amount")
        intent["amount"] = _amount(params, intent["currency"])
    customer_id = params.text("customer")
    if customer_id is not None:
        intent["customer"] = referenced(call.sandbox, "customer", customer_id, param="customer")["id"]
    _set_method(intent, given_method(call.sandbox, params, intent["customer"]))
    _apply(params, intent)
    if "description" in params:
        intent["description"] = params.text("description")
    intent["metadata"] = params.metadata(intent["metadata"])
    return call.sandbox.store.save(intent)


def cancel(call: ApiCall) -> Json:
    call.params.refuse_unknown(("cancellation_reason",))
    intent = _intent(call)
    if invoice_of_intent(call.sandbox, intent["id"]) is not None:
        raise InvalidRequest(
            "You cannot cancel a PaymentIntent of an invoice; void the invoice instead.",
            code="payment_intent_unexpected_state",
        )
    reason = call.params.choice("cancellation_reason", CANCELLATION_REASONS)
    return intents.cancel(_timeline(call, intent), intent, reason)


def retrieve_intent(call: ApiCall) -> Json:
    """With its `client_secret`, if one is sent along, which then must be its own."""
    call.params.refuse_unknown(("client_secret",))
    intent, secret = _intent(call), call.params.text("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise InvalidParameter(
            "The client_secret provided does not match the client_secret associated with the PaymentIntent.",
            param="client_secret",
        )
    return intent


def _intent(call: ApiCall) -> Json:
    return stored(call.sandbox, "payment_intent", call.values["id"], param="intent")


def _timeline(call: ApiCall, intent: Json) -> Sandbox:
    return intents.timeline_of(call.sandbox.asked_by(call.origin), intent["customer"])


def _set_method(intent: Json, method: Json | None) -> None:
    if method is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation", next_action=None)


def _apply(params: Params, intent: Json) -> None:
    """What may be said at any time before the payment."""
    if "receipt_email" in params:
        intent["receipt_email"] = params.text("receipt_email")
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = params.choice("setup_future_usage", FUTURE_USAGES)


def _plan(params: Params, intent: Json) -> intents.Plan:
    off_session = params.boolean("off_session") is True
    if not off_session:
        refuse_without_return_url(intent, params)
    elif "setup_future_usage" in params:
        raise InvalidParameter(
            "You cannot use off_session with setup_future_usage: the card has been set up already.",
            param="off_session",
        )
    return intents.Plan(
        off_session=off_session,
        error_on_requires_action=params.boolean("error_on_requires_action") is True,
        return_url=params.url("return_url"),
    )


def _amount(params: Params, currency: str) -> int:
    amount, smallest = params.required_integer("amount"), SMALLEST_AMOUNTS.get(currency, 1)
    if amount < smallest:
        raise InvalidRequest(
            f"Amount must be at least {smallest} in the smallest unit of {currency}.",
            param="amount",
            code="amount_too_small",
        )
    if amount > LARGEST_AMOUNT:
        raise InvalidRequest(
            f"Amount must be no more than {LARGEST_AMOUNT} in the smallest unit of {currency}.",
            param="amount",
            code="amount_too_large",
        )
    return amount


ROUTES = (
    ApiRoute("POST", "/v1/payment_intents", create_intent),
    ApiRoute(
        "GET", "/v1/payment_intents", filtered_list("payment_intent", {"created": by_moment, "customer": by_text})
    ),
    ApiRoute("GET", "/v1/payment_intents/{id}", retrieve_intent),
    ApiRoute("POST", "/v1/payment_intents/{id}", update_intent),
    ApiRoute("POST", "/v1/payment_intents/{id}/confirm", confirm_intent),
    ApiRoute("POST", "/v1/payment_intents/{id}/cancel", cancel),
)
