"""/v1/checkout/sessions"""

from pm_api.sandbox.stripe.checkout import Line, expire, expire_due, open_session
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.catalogue import build_price
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.catalogue import TAX_BEHAVIOURS, read_currency, read_product, read_unit_amount
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

LIFETIME_S = 24 * 60 * 60
SHORTEST_LIFETIME_S = 30 * 60
FIELDS = {
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_creation",
    "customer_email",
    "expires_at",
    "line_items",
    "locale",
    "metadata",
    "mode",
    "payment_intent_data",
    "payment_method_types",
    "submit_type",
    "success_url",
    "ui_mode",
}
LIST_FILTERS = {
    "created": by_moment,
    "customer": by_text,
    "customer_details": by_fields_of(("email",)),
    "payment_intent": by_text,
    "status": by_text,
}


def create_session(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(FIELDS)
    _refuse_other_kinds(params)
    if params.text("success_url") is None:
        raise MissingParameter("success_url")
    customer_id, email = params.text("customer"), params.text("customer_email")
    if customer_id is not None and email is not None:
        raise InvalidParameter("You may only specify one of these parameters: customer, customer_email.")
    if customer_id is not None:
        referenced(call.sandbox, "customer", customer_id, param="customer")
    expires_at = _expires_at(call)
    intent_data = params.within("payment_intent_data")
    return open_session(
        call.sandbox,
        _lines(call),
        expires_at=expires_at,
        base_url=call.base_url,
        intent_data=_intent_data(intent_data),
        success_url=params.url("success_url"),
        cancel_url=params.url("cancel_url"),
        client_reference_id=params.text("client_reference_id", limit=200),
        customer_id=customer_id,
        customer_email=email,
        customer_creation=None if customer_id else params.choice("customer_creation", ("always", "if_required")),
        metadata=params.metadata(),
        locale=params.text("locale"),
        submit_type=params.choice("submit_type", ("auto", "book", "donate", "pay")),
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


def _refuse_other_kinds(params: Params) -> None:
    """One payment by card on the hosted page is what this sandbox can carry through."""
    if params.text("mode") is None:
        raise MissingParameter("mode")
    params.choice("mode", ("payment",))
    params.choice("ui_mode", ("hosted_page",))
    if set(params.texts("payment_method_types")) - {"card"}:
        raise InvalidParameter("Invalid payment_method_types: must be card", param="payment_method_types")


def _expires_at(call: ApiCall) -> int:
    now = call.sandbox.now()
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
    params.refuse_unknown(("description", "metadata"))
    return {"description": params.text("description"), "metadata": params.metadata()}


def _lines(call: ApiCall) -> list[Line]:
    entries = call.params.entries("line_items")
    if not entries:
        raise MissingParameter("line_items")
    lines = [_line(call, entry) for entry in entries]
    if len({line.price["currency"] for line in lines}) > 1:
        raise InvalidRequest("All line items must have the same currency.", param="line_items")
    return lines


def _line(call: ApiCall, params: Params) -> Line:
    params.refuse_unknown(("price", "price_data", "quantity"))
    price_id, inline = params.text("price"), params.within("price_data")
    if price_id is not None and inline is not None:
        raise InvalidParameter("You may only specify one of these parameters: price, price_data.")
    quantity = params.required_integer("quantity")
    if quantity < 1:
        raise InvalidParameter("This value must be greater than or equal to 1.", param=params.name_of("quantity"))
    if price_id is not None:
        price = referenced(call.sandbox, "price", price_id, param=params.name_of("price"))
    elif inline is not None:
        price = _inline_price(call, inline)
    else:
        raise MissingParameter(params.name_of("price"))
    if price["type"] != "one_time":
        raise InvalidRequest(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
            "use only one-time prices.",
            param="line_items",
        )
    if price_id is not None and not price["active"]:
        raise InvalidRequest(
            f"The price specified is inactive. This field only accepts active prices: {price_id}",
            param=params.name_of("price"),
        )
    product = referenced(call.sandbox, "product", price["product"], param=params.name_of("price"))
    return Line(price=price, quantity=quantity, description=product["name"])


def _inline_price(call: ApiCall, params: Params) -> Json:
    """Made for this session alone: Stripe keeps such a price inactive, so nothing else can use it."""
    params.refuse_unknown(("currency", "product", "product_data", "tax_behavior", "unit_amount"))
    price = build_price(
        created=call.sandbox.now(),
        currency=read_currency(params),
        unit_amount=read_unit_amount(params),
        product_id=read_product(call, params),
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
