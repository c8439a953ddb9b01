"""/v1/setup_intents and /v1/setup_attempts"""

from copy import deepcopy

from pm_api.sandbox.stripe import intents, setups, wallet
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.setups import build_setup_intent
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.payment_methods import read_method
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    filtered_list,
    list_page,
    referenced,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

CONFIRM_FIELDS = {"payment_method", "payment_method_data", "return_url", "use_stripe_sdk"}
CREATE_FIELDS = {
    *CONFIRM_FIELDS,
    "allowed_payment_method_types",
    "automatic_payment_methods",
    "confirm",
    "customer",
    "description",
    "metadata",
    "usage",
}
CANCELLATION_REASONS = ("abandoned", "duplicate", "requested_by_customer")


def create_intent(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown({*CREATE_FIELDS, "payment_method_types"})
    confirm = params.boolean("confirm") is True
    if not confirm and "return_url" in params:
        raise InvalidParameter("You must set `confirm` to true when passing return_url.", param="return_url")
    customer_id = params.text("customer")
    if customer_id is not None:
        referenced(sandbox, "customer", customer_id, param="customer")
    sandbox = intents.timeline_of(sandbox, customer_id)
    method = given_method(sandbox, params, customer_id)
    if confirm and method is None:
        raise MissingParameter("payment_method")
    intent = build_setup_intent(
        created=sandbox.now(),
        customer_id=customer_id,
        payment_method=method["id"] if method else None,
        usage=params.choice("usage", ("off_session", "on_session")) or "off_session",
        description=params.text("description"),
        metadata=params.metadata(),
    )
    intent.update(read_methods(params))
    if confirm:
        refuse_without_return_url(intent, params)
    sandbox.store.save(intent)
    sandbox.publish("setup_intent.created", intent)
    if confirm and method is not None:
        return setups.confirm(sandbox, intent, method, return_url=params.url("return_url"))
    return intent


def confirm_intent(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(CONFIRM_FIELDS)
    intent = _intent(call)
    setups.refuse_unless_open(intent)
    method = given_method(sandbox, params, intent["customer"])
    if method is None:
        method = sandbox.store.find(intent["payment_method"] or "", "payment_method")
    if method is None:
        raise InvalidRequest(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with "
            "a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
        )
    refuse_without_return_url(intent, params)
    return setups.confirm(sandbox, intent, method, return_url=params.url("return_url"))


def update_intent(call: ApiCall) -> Json:
    """Tells nobody, as at Stripe."""
    params = call.params
    params.refuse_unknown(("customer", "description", "metadata", "payment_method"))
    intent = deepcopy(_intent(call))
    if "customer" in params or "payment_method" in params:
        setups.refuse_unless_open(intent)
    customer_id = params.text("customer")
    if customer_id is not None:
        referenced(call.sandbox, "customer", customer_id, param="customer")
        intent["customer"] = customer_id
    method = given_method(call.sandbox, params, intent["customer"])
    if method is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation", next_action=None)
    if "description" in params:
        intent["description"] = params.text("description")
    intent["metadata"] = params.metadata(intent["metadata"])
    return call.sandbox.store.save(intent)


def cancel_intent(call: ApiCall) -> Json:
    call.params.refuse_unknown(("cancellation_reason",))
    reason = call.params.choice("cancellation_reason", CANCELLATION_REASONS)
    return setups.cancel(call.sandbox.asked_by(call.origin), _intent(call), reason)


def list_attempts(call: ApiCall) -> Json:
    call.params.refuse_unknown({*PAGING, "created", "setup_intent"})
    call.params.required_text("setup_intent")
    conditions = [*by_text(call.params, "setup_intent"), *by_moment(call.params, "created")]
    return list_page(call, "setup_attempt", conditions)


def given_method(sandbox: Sandbox, params: Params, customer_id: str | None) -> Json | None:
    """The card that `payment_method` names or `payment_method_data` describes; None when neither is there."""
    identifier, described = params.text("payment_method"), params.within("payment_method_data")
    if identifier is not None and described is not None:
        raise InvalidParameter("You may only specify one of these parameters: payment_method, payment_method_data.")
    if described is not None:
        described.refuse_unknown(("type", "card"))
        return read_method(sandbox, described)
    return None if identifier is None else wallet.find_usable(sandbox, identifier, customer_id)


def read_methods(params: Params) -> Json:
    """`automatic_payment_methods` and `allowed_payment_method_types` of an intent. Cards are all there is here, so
    that either way the intent takes cards."""
    if "payment_method_types" in params:
        raise InvalidParameter(
            "payment_method_types is no longer supported. Use allowed_payment_method_types, or let the Dashboard's "
            "settings decide.",
            param="payment_method_types",
            code="payment_method_types_no_longer_supported",
        )
    allowed, automatic = params.texts("allowed_payment_method_types"), params.within("automatic_payment_methods")
    if allowed and automatic is not None:
        raise InvalidParameter(
            "You may only specify one of these parameters: allowed_payment_method_types, automatic_payment_methods."
        )
    if allowed:
        if "card" not in allowed:
            raise InvalidRequest(
                "None of the allowed payment method types can be used here.", param="allowed_payment_method_types"
            )
        return {"allowed_payment_method_types": allowed, "automatic_payment_methods": None}
    chosen: Json | None = {"allow_redirects": "always", "enabled": True}
    if automatic is not None:
        automatic.refuse_unknown(("allow_redirects", "enabled"))
        redirects = automatic.choice("allow_redirects", ("always", "never")) or "always"
        enabled = automatic.boolean("enabled") is True
        chosen = {"allow_redirects": redirects, "enabled": True} if enabled else None
    return {"allowed_payment_method_types": None, "automatic_payment_methods": chosen}


def refuse_without_return_url(intent: Json, params: Params) -> None:
    """Confirming on the server needs an address to return to, unless redirects were ruled out."""
    automatic = intent["automatic_payment_methods"]
    if automatic is not None and automatic["allow_redirects"] == "always" and params.url("return_url") is None:
        raise InvalidRequest(
            "This intent is configured to accept payment methods enabled in your Dashboard. Because some of these "
            "payment methods might redirect your customer off of your page, you must provide a `return_url`. If you "
            "don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
            "and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment "
            "Intents."
        )


def _intent(call: ApiCall) -> Json:
    return stored(call.sandbox, "setup_intent", call.values["id"], param="intent")


def retrieve_intent(call: ApiCall) -> Json:
    """With its `client_secret`, if one is sent along, which then must be its own."""
    call.params.refuse_unknown(("client_secret",))
    intent, secret = _intent(call), call.params.text("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise InvalidParameter("The client_secret provided does not match this SetupIntent.", param="client_secret")
    return intent


ROUTES = (
    ApiRoute("POST", "/v1/setup_intents", create_intent),
    ApiRoute(
        "GET",
        "/v1/setup_intents",
        filtered_list("setup_intent", {"created": by_moment, "customer": by_text, "payment_method": by_text}),
    ),
    ApiRoute("GET", "/v1/setup_intents/{id}", retrieve_intent),
    ApiRoute("POST", "/v1/setup_intents/{id}", update_intent),
    ApiRoute("POST", "/v1/setup_intents/{id}/confirm", confirm_intent),
    ApiRoute("POST", "/v1/setup_intents/{id}/cancel", cancel_intent),
    ApiRoute("GET", "/v1/setup_attempts", list_attempts),
)
