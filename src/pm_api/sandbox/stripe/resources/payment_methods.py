"""/v1/payment_methods, and a customer's own"""

import re
from copy import deepcopy

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.cards import find_card
from pm_api.sandbox.stripe.errors import (
    ApiError,
    InvalidRequest,
    MissingParameter,
    ResourceMissing,
)
from pm_api.sandbox.stripe.objects.common import Json, empty_address
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wallet import TOKENS, Typed
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_text,
    filtered_list,
    list_page,
    referenced,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

REDISPLAY = ("always", "limited", "unspecified")
CREATE_FIELDS = {"allow_redisplay", "billing_details", "card", "metadata", "type"}
UPDATE_FIELDS = {"allow_redisplay", "billing_details", "card", "metadata"}


class CardWrong(ApiError):
    """A number, date or code that no bank need be asked about; nothing has happened."""

    status = 402
    error_type = "card_error"


def create_method(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(CREATE_FIELDS)
    method = read_method(call.sandbox, params)
    _apply(params, method)
    return call.sandbox.store.save(method)


def read_method(sandbox: Sandbox, params: Params) -> Json:
    """A new payment method from `type` and `card[…]`, as `payment_method_data` has them too."""
    if params.choice("type", ("card",)) is None:
        raise MissingParameter(params.name_of("type"))
    card = params.within("card")
    if card is None:
        raise MissingParameter(params.name_of("card"))
    return wallet.make(sandbox, _typed(sandbox, card))


def retrieve_method(call: ApiCall) -> Json:
    """A test id such as `pm_card_visa` answers a new payment method, as at Stripe."""
    call.params.refuse_unknown(())
    return _method(call)


def update_method(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(UPDATE_FIELDS)
    method = _method(call)
    if method["customer"] is None:
        raise InvalidRequest("You must save this PaymentMethod to a customer before you can update it.")
    before = deepcopy(method)
    card = params.within("card")
    if card is not None:
        card.refuse_unknown(("exp_month", "exp_year"))
        month, year = card.integer("exp_month"), card.integer("exp_year")
        method["card"].update(
            exp_month=method["card"]["exp_month"] if month is None else month,
            exp_year=method["card"]["exp_year"] if year is None else year,
        )
        _refuse_expiry(call.sandbox, method["card"]["exp_month"], method["card"]["exp_year"])
    _apply(params, method)
    return told(call.sandbox.asked_by(call.origin), before, method, "payment_method.updated")


def attach_method(call: ApiCall) -> Json:
    call.params.refuse_unknown(("customer",))
    customer = referenced(call.sandbox, "customer", call.params.required_text("customer"), param="customer")
    return wallet.attach(call.sandbox.asked_by(call.origin), _method(call), customer)


def detach_method(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    return wallet.detach(call.sandbox.asked_by(call.origin), _method(call))


def list_methods(call: ApiCall) -> Json:
    customer_id = call.params.text("customer")
    if customer_id is not None:
        referenced(call.sandbox, "customer", customer_id, param="customer")
    filters = {"allow_redisplay": by_text, "customer": by_text, "type": by_text}
    return filtered_list("payment_method", filters)(call)


def list_own_methods(call: ApiCall) -> Json:
    call.params.refuse_unknown({*PAGING, "allow_redisplay", "type"})
    customer = _customer(call)
    conditions = [
        field_is("customer", customer["id"]),
        *by_text(call.params, "allow_redisplay"),
        *by_text(call.params, "type"),
    ]
    return list_page(call, "payment_method", conditions)


def retrieve_own_method(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    customer = _customer(call)
    method = call.sandbox.store.find(call.values["method"], "payment_method")
    if method is None or method["customer"] != customer["id"]:
        raise ResourceMissing("payment_method", call.values["method"], param="payment_method")
    return method


def _customer(call: ApiCall) -> Json:
    customer = stored(call.sandbox, "customer", call.values["id"], param="customer")
    if customer.get("deleted"):
        raise ResourceMissing("customer", customer["id"], param="customer")
    return customer


def _method(call: ApiCall) -> Json:
    identifier = call.values["id"]
    if identifier in TOKENS:
        return wallet.find(call.sandbox, identifier)
    return stored(call.sandbox, "payment_method", identifier, param="payment_method")


def _typed(sandbox: Sandbox, card: Params) -> Typed:
    card.refuse_unknown(("number", "exp_month", "exp_year", "cvc", "token"))
    token = card.text("token")
    if token is not None:
        stood_for = TOKENS.get(token.replace("tok_", "pm_card_", 1))
        if stood_for is None:
            raise InvalidRequest(f"No such token: '{token}'", param=card.name_of("token"), code="resource_missing")
        return Typed(stood_for, (12, sandbox.clock().year + wallet.YEARS_VALID))
    known = find_card(card.required_text("number", limit=40))
    if known is None:
        raise CardWrong("Your card number is incorrect.", param=card.name_of("number"), code="incorrect_number")
    month, year = card.required_integer("exp_month"), card.required_integer("exp_year")
    year = 2000 + year if year < 100 else year
    _refuse_expiry(sandbox, month, year)
    if not re.fullmatch(r"[0-9]{3,4}", card.text("cvc") or "123"):
        raise CardWrong("Your card's security code is invalid.", param=card.name_of("cvc"), code="invalid_cvc")
    return Typed(known, (month, year))


def _refuse_expiry(sandbox: Sandbox, month: int, year: int) -> None:
    today = sandbox.clock()
    if not 1 <= month <= 12:
        raise CardWrong("Your card's expiration month is invalid.", param="exp_month", code="invalid_expiry_month")
    if (year, month) < (today.year, today.month) or year > today.year + 50:
        raise CardWrong("Your card's expiration year is invalid.", param="exp_year", code="invalid_expiry_year")


def _apply(params: Params, method: Json) -> None:
    if "allow_redisplay" in params:
        method["allow_redisplay"] = params.choice("allow_redisplay", REDISPLAY) or "unspecified"
    details = params.within("billing_details")
    if details is not None:
        details.refuse_unknown(("address", "email", "name", "phone"))
        for name in ("email", "name", "phone"):
            if name in details:
                method["billing_details"][name] = details.text(name)
        if "address" in details:
            method["billing_details"]["address"] = _address(details)
    method["metadata"] = params.metadata(method["metadata"])


def _address(details: Params) -> Json:
    blank, given = empty_address(), details.within("address")
    if given is None:
        return blank
    given.refuse_unknown(blank)
    return {name: given.text(name) for name in blank}


ROUTES = (
    ApiRoute("POST", "/v1/payment_methods", create_method),
    ApiRoute("GET", "/v1/payment_methods", list_methods),
    ApiRoute("GET", "/v1/payment_methods/{id}", retrieve_method),
    ApiRoute("POST", "/v1/payment_methods/{id}", update_method),
    ApiRoute("POST", "/v1/payment_methods/{id}/attach", attach_method),
    ApiRoute("POST", "/v1/payment_methods/{id}/detach", detach_method),
    ApiRoute("GET", "/v1/customers/{id}/payment_methods", list_own_methods),
    ApiRoute("GET", "/v1/customers/{id}/payment_methods/{method}", retrieve_own_method),
)
