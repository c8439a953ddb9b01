"""/v1/customers"""

from pm_api.sandbox.stripe.errors import ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json, empty_address
from pm_api.sandbox.stripe.objects.customers import build_customer, build_deleted_customer
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, by_moment, by_text, filtered_list, retrieve_one, stored

TEXTS = ("email", "name", "phone", "description")
FIELDS = {*TEXTS, "address", "shipping", "metadata", "preferred_locales", "tax_exempt"}


def create_customer(call: ApiCall) -> Json:
    call.params.refuse_unknown(FIELDS)
    customer = build_customer(created=call.sandbox.now())
    _apply(call.params, customer)
    call.sandbox.store.save(customer)
    call.sandbox.publish("customer.created", customer, origin=call.origin)
    return customer


def update_customer(call: ApiCall) -> Json:
    call.params.refuse_unknown(FIELDS)
    customer = _living(call)
    before = dict(customer)
    _apply(call.params, customer)
    previous = {name: before[name] for name in before if before[name] != customer[name]}
    if previous:
        call.sandbox.store.save(customer)
        call.sandbox.publish("customer.updated", customer, previous=previous, origin=call.origin)
    return customer


def delete_customer(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    customer = _living(call)
    deleted = call.sandbox.store.save(build_deleted_customer(customer["id"]))
    call.sandbox.publish("customer.deleted", customer, origin=call.origin)
    return deleted


def _living(call: ApiCall) -> Json:
    customer = stored(call.sandbox, "customer", call.values["id"])
    if customer.get("deleted"):
        raise ResourceMissing("customer", customer["id"])
    return customer


def _apply(params: Params, customer: Json) -> None:
    for name in TEXTS:
        if name in params:
            customer[name] = params.text(name)
    if "address" in params:
        customer["address"] = _address(params.within("address"))
    if "shipping" in params:
        customer["shipping"] = _shipping(params.within("shipping"))
    if "preferred_locales" in params:
        customer["preferred_locales"] = params.texts("preferred_locales")
    if "tax_exempt" in params:
        customer["tax_exempt"] = params.choice("tax_exempt", ("none", "exempt", "reverse")) or "none"
    customer["metadata"] = params.metadata(customer["metadata"])


def _address(params: Params | None) -> Json | None:
    if params is None:
        return None
    blank = empty_address()
    params.refuse_unknown(blank)
    return {name: params.text(name) for name in blank}


def _shipping(params: Params | None) -> Json | None:
    if params is None:
        return None
    params.refuse_unknown(("address", "name", "phone"))
    return {
        "address": _address(params.within("address")),
        "name": params.required_text("name"),
        "phone": params.text("phone"),
    }


ROUTES = (
    ApiRoute("POST", "/v1/customers", create_customer),
    ApiRoute("GET", "/v1/customers", filtered_list("customer", {"email": by_text, "created": by_moment})),
    ApiRoute("GET", "/v1/customers/{id}", retrieve_one("customer")),
    ApiRoute("POST", "/v1/customers/{id}", update_customer),
    ApiRoute("DELETE", "/v1/customers/{id}", delete_customer),
)
