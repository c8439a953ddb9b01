"""/v1/checkout/sessions"""

from pm_api.sandbox.stripe.billing.changes import check_prices
from pm_api.sandbox.stripe.billing.discounts import read_discounts
from pm_api.sandbox.stripe.checkout import Line, expire, expire_due, open_session
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.catalogue import build_price
from pm_api.sandbox.stripe.objects.checkout import build_invoice_creation, usual_collection
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.setups import build_setup_intent
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.catalogue import (
    TAX_BEHAVIOURS,
    read_currency,
    read_product,
    read_recurring,
    read_unit_amount,
)
from pm_api.sandbox.stripe.resources.terms import read_billing_mode, read_missing_card, read_price, read_trial_end
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_fields_of,
    by_moment,
    by_text,
    filtered_list,
    referenced,
    slice_page,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

LIFETIME_S = 24 * 60 * 60
SHORTEST_LIFETIME_S = 30 * 60
FIELDS = {
    "allow_promotion_codes",
    "cancel_url",
    "client_reference_id",
    "currency",
    "customer",
    "customer_creation",
    "customer_email",
    "discounts",
    "expires_at",
    "invoice_creation",
    "line_items",
    "locale",
    "metadata",
    "mode",
    "payment_intent_data",
    "payment_method_collection",
    "allowed_payment_method_types",
    "setup_intent_data",
    "submit_type",
    "subscription_data",
    "success_url",
    "ui_mode",
}
MODE_FIELDS = {
    "payment": {"line_items", "discounts", "allow_promotion_codes", "invoice_creation", "payment_intent_data"},
    "subscription": {"line_items", "discounts", "allow_promotion_codes", "subscription_data"},
    "setup": {"currency", "setup_intent_data"},
}
SUBSCRIPTION_FIELDS = {
    "billing_mode",
    "description",
    "metadata",
    "proration_behavior",
    "trial_end",
    "trial_period_days",
    "trial_settings",
}
LIST_FILTERS = {
    "created": by_moment,
    "customer": by_text,
    "customer_details": by_fields_of(("email",)),
    "payment_intent": by_text,
    "status": by_text,
    "subscription": by_text,
}


def create_session(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(FIELDS)
    mode = _mode(params)
    if params.text("success_url") is None:
        raise MissingParameter("success_url")
    customer_id, email = params.text("customer"), params.text("customer_email")
    if customer_id is not None and email is not None:
        raise InvalidParameter("You may only specify one of these parameters: customer, customer_email.")
    if customer_id is not None:
        referenced(call.sandbox, "customer", customer_id, param="customer")
    created = call.sandbox.now()
    expires_at = _expires_at(call, created)
    plan = _plan(call, mode, customer_id)
    lines = [] if mode == "setup" else _lines(call, mode)
    sandbox = call.sandbox.asked_by(call.origin)
    return open_session(
        sandbox,
        lines,
        created=created,
        expires_at=expires_at,
        base_url=call.base_url,
        currency=read_currency(params) if mode == "setup" and "currency" in params else None,
        plan=plan,
        mode=mode,
        success_url=params.url("success_url"),
        cancel_url=params.url("cancel_url"),
        client_reference_id=params.text("client_reference_id", limit=200),
        customer_id=customer_id,
        customer_email=email,
        customer_creation=_customer_creation(params, mode, customer_id),
        metadata=params.metadata(),
        locale=params.text("locale"),
        submit_type=params.choice("submit_type", ("auto", "book", "donate", "pay")),
        allow_promotion_codes=params.boolean("allow_promotion_codes"),
        invoice_creation=_invoice_creation(params.within("invoice_creation")),
        payment_method_collection=params.choice("payment_method_collection", (usual_collection(mode),)),
        setup_intent=_setup_intent(sandbox, params, customer_id) if mode == "setup" else None,
    )


def list_sessions(call: ApiCall) -> Json:
    expire_due(call.sandbox)
    return filtered_list("checkout.session", LIST_FILTERS)(call)


def retrieve_session(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    return _session(call)


def list_line_items(call: ApiCall) -> Json:
    call.params.refuse_unknown(PAGING)
    session = _session(call)
    return slice_page(call, call.sandbox.store.children(session["id"]), "item")


def expire_session(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    session = _session(call)
    if session.get("status") != "open":
        raise InvalidRequest(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f"status of {session.get('status')}."
        )
    return expire(call.sandbox, session, origin=call.origin)


def _session(call: ApiCall) -> Json:
    expire_due(call.sandbox)
    return stored(call.sandbox, "checkout.session", call.values["id"], param="session")


def _mode(params: Params) -> str:
    """What the page does. Refuses what belongs to another mode: at Stripe, too, it would do nothing."""
    mode = params.choice("mode", tuple(MODE_FIELDS))
    if mode is None:
        raise MissingParameter("mode")
    params.choice("ui_mode", ("hosted_page",))
    if set(params.texts("allowed_payment_method_types")) - {"card"}:
        name = "allowed_payment_method_types"
        raise InvalidParameter(f"Invalid {name}: must be card", param=name)
    for other, fields in MODE_FIELDS.items():
        for name in fields:
            if other != mode and name in params and name not in MODE_FIELDS[mode]:
                raise InvalidParameter(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if "discounts" in params and "allow_promotion_codes" in params:
        raise InvalidParameter("You may only specify one of these parameters: allow_promotion_codes, discounts.")
    return mode


def _plan(call: ApiCall, mode: str, customer_id: str | None) -> Json:
    """What the session will make, and what it takes off."""
    sandbox, params = call.sandbox, call.params
    plan: Json = {"discounts": read_discounts(sandbox, params, customer_id)}
    if mode == "payment":
        plan["intent"] = _intent_data(params.within("payment_intent_data")) or {}
    if mode != "subscription":
        return plan
    data = params.within("subscription_data") or Params({}, "subscription_data")
    data.refuse_unknown(SUBSCRIPTION_FIELDS)
    read_trial_end(sandbox, data)
    fields = {
        "description": data.text("description", limit=500),
        "metadata": data.metadata(),
        "missing_payment_method": read_missing_card(data),
    }
    return plan | {
        "subscription": fields,
        "trial_days": data.integer("trial_period_days"),
        "trial_end": data.integer("trial_end"),
        "billing_mode": read_billing_mode(data),
        "proration_behavior": data.choice("proration_behavior", ("create_prorations", "none")) or "create_prorations",
    }


def _customer_creation(params: Params, mode: str, customer_id: str | None) -> str | None:
    """An invoice belongs to somebody, so that a session that makes one makes its customer."""
    if customer_id is not None or mode == "subscription":
        return None
    invoicing = params.within("invoice_creation")
    if invoicing is not None and invoicing.boolean("enabled"):
        return "always"
    return params.choice("customer_creation", ("always", "if_required"))


def _invoice_creation(params: Params | None) -> Json | None:
    if params is None:
        return None
    params.refuse_unknown(("enabled", "invoice_data"))
    data = params.within("invoice_data") or Params({}, params.name_of("invoice_data"))
    data.refuse_unknown(("description", "metadata"))
    return build_invoice_creation(
        enabled=params.boolean("enabled") is True, description=data.text("description"), metadata=data.metadata()
    )


def _setup_intent(sandbox: Sandbox, params: Params, customer_id: str | None) -> str:
    data = params.within("setup_intent_data") or Params({}, "setup_intent_data")
    data.refuse_unknown(("description", "metadata"))
    intent = build_setup_intent(
        created=sandbox.now(),
        customer_id=customer_id,
        description=data.text("description"),
        metadata=data.metadata(),
    )
    sandbox.store.save(intent)
    sandbox.publish("setup_intent.created", intent)
    return str(intent["id"])


def _expires_at(call: ApiCall, now: int) -> int:
    expires_at = call.params.integer("expires_at")
    if expires_at is None:
        return now + LIFETIME_S
    if not now + SHORTEST_LIFETIME_S <= expires_at <= now + LIFETIME_S:
        raise InvalidParameter(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session "
            "creation.",
            param="expires_at",
        )
    return expires_at


def _intent_data(params: Params | None) -> Json | None:
    if params is None:
        return None
    params.refuse_unknown(("description", "metadata", "setup_future_usage"))
    return {
        "description": params.text("description"),
        "metadata": params.metadata(),
        "setup_future_usage": params.choice("setup_future_usage", ("off_session", "on_session")),
    }


def _lines(call: ApiCall, mode: str) -> list[Line]:
    entries = call.params.entries("line_items")
    if not entries:
        raise MissingParameter("line_items")
    lines = [_line(call, entry, mode) for entry in entries]
    if len({line.price["currency"] for line in lines}) > 1:
        raise InvalidRequest("All line items must have the same currency.", param="line_items")
    if mode == "subscription":
        check_prices([line.price for line in lines], lines[0].price["currency"])
    return lines


def _line(call: ApiCall, params: Params, mode: str) -> Line:
    params.refuse_unknown(("price", "price_data", "quantity"))
    if params.text("price") is not None and params.within("price_data") is not None:
        raise InvalidParameter("You may only specify one of these parameters: price, price_data.")
    quantity = params.required_integer("quantity")
    if quantity < 1:
        raise InvalidParameter("This value must be greater than or equal to 1.", param=params.name_of("quantity"))
    inline = params.within("price_data")
    price = read_price(call.sandbox, params) if inline is None else _inline_price(call, inline)
    if price is None:
        raise MissingParameter(params.name_of("price"))
    if mode == "payment" and price["type"] != "one_time":
        raise InvalidRequest(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
            "use only one-time prices.",
            param="line_items",
        )
    if mode == "subscription" and price["type"] != "recurring":
        raise InvalidRequest(
            "You must provide recurring prices only: this sandbox does not mix them with one-time ones.",
            param="line_items",
        )
    product = referenced(call.sandbox, "product", price["product"], param=params.name_of("price"))
    return Line(price=price, quantity=quantity, description=product["name"])


def _inline_price(call: ApiCall, params: Params) -> Json:
    """Made for this session alone: Stripe keeps such a price inactive, so nothing else can use it."""
    params.refuse_unknown(("currency", "product", "product_data", "recurring", "tax_behavior", "unit_amount"))
    price = build_price(
        created=call.sandbox.now(),
        currency=read_currency(params),
        unit_amount=read_unit_amount(params),
        product_id=read_product(call, params),
        recurring=read_recurring(params.within("recurring")),
        active=False,
        tax_behavior=params.choice("tax_behavior", TAX_BEHAVIOURS) or "unspecified",
    )
    call.sandbox.publish("price.created", call.sandbox.store.save(price), origin=call.origin)
    return price


ROUTES = (
    ApiRoute("POST", "/v1/checkout/sessions", create_session),
    ApiRoute("GET", "/v1/checkout/sessions", list_sessions),
    ApiRoute("GET", "/v1/checkout/sessions/{id}", retrieve_session),
    ApiRoute("GET", "/v1/checkout/sessions/{id}/line_items", list_line_items),
    ApiRoute("POST", "/v1/checkout/sessions/{id}/expire", expire_session),
)
