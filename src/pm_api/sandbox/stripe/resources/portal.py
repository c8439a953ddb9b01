"""/v1/billing_portal/configurations and /v1/billing_portal/sessions"""

from collections.abc import Callable
from copy import deepcopy

from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.portal import build_configuration, build_flow, build_portal_session
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    ApiCall,
    ApiRoute,
    by_boolean,
    filtered_list,
    referenced,
    retrieve_one,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

CONFIGURATION = "billing_portal.configuration"
FIELDS = {"business_profile", "default_return_url", "features", "login_page", "metadata", "name"}
PRORATIONS = ("always_invoice", "create_prorations", "none")
CUSTOMER_UPDATES = ("address", "email", "name", "phone", "shipping", "tax_id")
REASONS = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
AFTER = ("hosted_confirmation", "portal_homepage", "redirect")


def create_configuration(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(FIELDS)
    if params.within("features") is None:
        raise MissingParameter("features")
    configuration = build_configuration(created=sandbox.now())
    _apply(sandbox, params, configuration)
    sandbox.store.save(configuration)
    sandbox.publish("billing_portal.configuration.created", configuration)
    return configuration


def update_configuration(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown({*FIELDS, "active"})
    configuration = stored(sandbox, CONFIGURATION, call.values["id"], param="configuration")
    before = deepcopy(configuration)
    active = params.boolean("active")
    if active is False and configuration["is_default"]:
        raise InvalidRequest("You cannot deactivate the default configuration.", param="active")
    if active is not None:
        configuration["active"] = active
    _apply(sandbox, params, configuration)
    if configuration != before:
        configuration["updated"] = sandbox.now()
    return told(sandbox, before, configuration, "billing_portal.configuration.updated")


def create_session(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(("configuration", "customer", "flow_data", "locale", "return_url"))
    customer = referenced(sandbox, "customer", params.required_text("customer"), param="customer")
    configuration = _configuration(call)
    session = build_portal_session(
        created=sandbox.now(),
        configuration_id=configuration["id"],
        customer_id=customer["id"],
        base_url=call.base_url,
        return_url=params.url("return_url") or configuration["default_return_url"],
        locale=params.text("locale"),
        flow=_flow(call, configuration, customer),
    )
    sandbox.store.save(session)
    sandbox.publish("billing_portal.session.created", session)
    return session


def _configuration(call: ApiCall) -> Json:
    identifier = call.params.text("configuration")
    if identifier is None:
        defaults = call.sandbox.store.all(CONFIGURATION, [field_is("is_default", True)])
        if not defaults:
            raise InvalidRequest(
                "No configuration provided and your test mode default configuration has not been created. Provide a "
                "configuration or create your default by saving your customer portal settings in test mode at "
                "https://dashboard.stripe.com/test/settings/billing/portal."
            )
        return defaults[0]
    configuration = referenced(call.sandbox, CONFIGURATION, identifier, param="configuration")
    if not configuration["active"]:
        raise InvalidRequest(f"The configuration {identifier} is not active.", param="configuration")
    return configuration


def _flow(call: ApiCall, configuration: Json, customer: Json) -> Json | None:
    params = call.params.within("flow_data")
    if params is None:
        return None
    params.refuse_unknown(("after_completion", "subscription_cancel", "type"))
    kind = params.choice("type", ("payment_method_update", "subscription_cancel"))
    if kind is None:
        raise MissingParameter(params.name_of("type"))
    if not configuration["features"][kind]["enabled"]:
        raise InvalidRequest(
            f"This flow needs the feature {kind}, which the configuration does not have.",
            param=params.name_of("type"),
        )
    subscription_id = None
    if kind == "subscription_cancel":
        inner = params.within("subscription_cancel")
        if inner is None:
            raise MissingParameter(params.name_of("subscription_cancel"))
        inner.refuse_unknown(("subscription",))
        name = inner.name_of("subscription")
        found = referenced(call.sandbox, "subscription", inner.required_text("subscription"), param=name)
        if found["customer"] != customer["id"]:
            raise InvalidRequest("The subscription does not belong to this customer.", param=name)
        if found["cancel_at"] is not None or found["status"] == "canceled":
            raise InvalidRequest("The subscription is already set to be canceled.", param=name)
        subscription_id = str(found["id"])
    return build_flow(kind, subscription_id=subscription_id, after_completion=_after(params))


def _after(flow: Params) -> Json | None:
    params = flow.within("after_completion")
    if params is None:
        return None
    params.refuse_unknown(("hosted_confirmation", "redirect", "type"))
    kind = params.choice("type", AFTER)
    if kind is None:
        raise MissingParameter(params.name_of("type"))
    redirect, confirmation = params.within("redirect"), params.within("hosted_confirmation")
    address = redirect.url("return_url") if redirect is not None else None
    if kind == "redirect" and address is None:
        raise MissingParameter(params.name_of("redirect"))
    message = confirmation.text("custom_message", limit=500) if confirmation is not None else None
    return {
        "hosted_confirmation": {"custom_message": message} if kind == "hosted_confirmation" else None,
        "redirect": {"return_url": address} if kind == "redirect" else None,
        "type": kind,
    }


def _apply(sandbox: Sandbox, params: Params, configuration: Json) -> None:
    if "default_return_url" in params:
        configuration["default_return_url"] = params.url("default_return_url")
    if "name" in params:
        configuration["name"] = params.text("name", limit=200)
    configuration["metadata"] = params.metadata(configuration["metadata"])
    profile = params.within("business_profile")
    if profile is not None:
        profile.refuse_unknown(("headline", "privacy_policy_url", "terms_of_service_url"))
        shown = configuration["business_profile"]
        if "headline" in profile:
            shown["headline"] = profile.text("headline", limit=60)
        for name in ("privacy_policy_url", "terms_of_service_url"):
            if name in profile:
                shown[name] = profile.url(name)
    login = params.within("login_page")
    if login is not None:
        login.refuse_unknown(("enabled",))
        if login.boolean("enabled"):
            raise InvalidParameter("A login page is not modelled in this sandbox.", param="login_page[enabled]")
    features = params.within("features")
    if features is not None:
        features.refuse_unknown(READERS)
        for name, read in READERS.items():
            given = features.within(name)
            if given is not None:
                read(sandbox, given, configuration["features"][name])


def _enable(params: Params, feature: Json) -> None:
    enabled = params.boolean("enabled")
    if enabled is not None:
        feature["enabled"] = enabled


def _choose(params: Params, feature: Json, name: str, options: tuple[str, ...]) -> None:
    chosen = params.choice(name, options)
    if chosen is not None:
        feature[name] = chosen


def _choose_some(params: Params, feature: Json, name: str, options: tuple[str, ...]) -> None:
    if name not in params:
        return
    chosen = params.texts(name)
    if set(chosen) - set(options):
        raise InvalidParameter(
            f"Invalid {params.name_of(name)}: must be among {', '.join(options)}", param=params.name_of(name)
        )
    feature[name] = chosen


def _read_customer_update(_sandbox: Sandbox, params: Params, feature: Json) -> None:
    params.refuse_unknown(("allowed_updates", "enabled"))
    _enable(params, feature)
    _choose_some(params, feature, "allowed_updates", CUSTOMER_UPDATES)


def _read_switch(_sandbox: Sandbox, params: Params, feature: Json) -> None:
    params.refuse_unknown(("enabled",))
    _enable(params, feature)


def _read_cancel(_sandbox: Sandbox, params: Params, feature: Json) -> None:
    params.refuse_unknown(("cancellation_reason", "enabled", "mode", "proration_behavior"))
    _enable(params, feature)
    _choose(params, feature, "mode", ("at_period_end", "immediately"))
    _choose(params, feature, "proration_behavior", PRORATIONS)
    reason = params.within("cancellation_reason")
    if reason is not None:
        reason.refuse_unknown(("enabled", "options"))
        _enable(reason, feature["cancellation_reason"])
        _choose_some(reason, feature["cancellation_reason"], "options", REASONS)


def _read_update(sandbox: Sandbox, params: Params, feature: Json) -> None:
    """Kept as it is told; the sandbox's portal does not offer to change plans."""
    params.refuse_unknown(
        (
            "billing_cycle_anchor",
            "default_allowed_updates",
            "enabled",
            "products",
            "proration_behavior",
            "schedule_at_period_end",
            "trial_update_behavior",
        )
    )
    _enable(params, feature)
    _choose(params, feature, "billing_cycle_anchor", ("now", "unchanged"))
    _choose_some(params, feature, "default_allowed_updates", ("price", "promotion_code", "quantity"))
    _choose(params, feature, "proration_behavior", PRORATIONS)
    _choose(params, feature, "trial_update_behavior", ("continue_trial", "end_trial"))
    if "products" in params:
        feature["products"] = [_product(sandbox, entry) for entry in params.entries("products", limit=10)]
    ahead = params.within("schedule_at_period_end")
    if ahead is not None:
        ahead.refuse_unknown(("conditions",))
        feature["schedule_at_period_end"] = {"conditions": [_condition(one) for one in ahead.entries("conditions")]}


def _condition(params: Params) -> Json:
    params.refuse_unknown(("type",))
    return {"type": params.choice("type", ("decreasing_item_amount", "shortening_interval"))}


def _product(sandbox: Sandbox, params: Params) -> Json:
    params.refuse_unknown(("prices", "product"))
    product = referenced(sandbox, "product", params.required_text("product"), param=params.name_of("product"))
    prices = params.texts("prices")
    for price_id in prices:
        price = referenced(sandbox, "price", price_id, param=params.name_of("prices"))
        if price["product"] != product["id"]:
            raise InvalidRequest(
                f"The price {price_id} does not belong to the product {product['id']}.",
                param=params.name_of("prices"),
            )
    return {
        "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 0},
        "prices": prices,
        "product": product["id"],
    }


READERS: dict[str, Callable[[Sandbox, Params, Json], None]] = {
    "customer_update": _read_customer_update,
    "invoice_history": _read_switch,
    "payment_method_update": _read_switch,
    "subscription_cancel": _read_cancel,
    "subscription_update": _read_update,
}

ROUTES = (
    ApiRoute("POST", "/v1/billing_portal/configurations", create_configuration),
    ApiRoute(
        "GET",
        "/v1/billing_portal/configurations",
        filtered_list(CONFIGURATION, {"active": by_boolean, "is_default": by_boolean}),
    ),
    ApiRoute("GET", "/v1/billing_portal/configurations/{id}", retrieve_one(CONFIGURATION, param="configuration")),
    ApiRoute("POST", "/v1/billing_portal/configurations/{id}", update_configuration),
    ApiRoute("POST", "/v1/billing_portal/sessions", create_session),
)
