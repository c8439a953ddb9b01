"""/v1/customers and their balance"""

from collections.abc import Mapping
from copy import deepcopy

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.billing.invoicing import stop_collecting
from pm_api.sandbox.stripe.billing.records import ENDED, on_timeline
from pm_api.sandbox.stripe.billing.standing import end
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json, empty_address
from pm_api.sandbox.stripe.objects.customers import (
    build_balance_adjustment,
    build_customer,
    build_deleted_customer,
)
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.catalogue import read_currency
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    filtered_list,
    list_page,
    referenced,
    retrieve_one,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone")
FIELDS = {
    *TEXTS,
    "address",
    "balance",
    "invoice_prefix",
    "invoice_settings",
    "metadata",
    "next_invoice_sequence",
    "preferred_locales",
    "shipping",
    "tax_exempt",
}
CREATE_FIELDS = {*FIELDS, "payment_method", "test_clock"}
TRANSACTION = "customer_balance_transaction"
DEFAULT_CURRENCY = "usd"


def create_customer(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(CREATE_FIELDS)
    clock = params.text("test_clock")
    if clock is not None:
        referenced(sandbox, "test_helpers.test_clock", clock, param="test_clock")
        sandbox = on_timeline(sandbox, clock)
    customer = build_customer(created=sandbox.now())
    customer["test_clock"] = clock
    sandbox.store.save(customer)
    method_id = params.text("payment_method")
    method = wallet.find(sandbox, method_id) if method_id is not None else None
    names = (
        {method_id: method["id"], method["id"]: method["id"]} if method_id is not None and method is not None else {}
    )
    _apply(sandbox, params, customer, attaching=names)
    sandbox.store.save(customer)
    sandbox.publish("customer.created", customer)
    if method is not None:
        wallet.attach(sandbox, method, customer)
    return customer


def update_customer(call: ApiCall) -> Json:
    call.params.refuse_unknown(FIELDS)
    customer = _living(call)
    sandbox = on_timeline(call.sandbox.asked_by(call.origin), customer["test_clock"])
    before = deepcopy(customer)
    _apply(sandbox, call.params, customer)
    return told(sandbox, before, customer, "customer.updated")


def delete_customer(call: ApiCall) -> Json:
    """Subscriptions end at once, cards are taken away, and the customer is gone for good."""
    call.params.refuse_unknown(())
    customer = _living(call)
    return delete(on_timeline(call.sandbox.asked_by(call.origin), customer["test_clock"]), customer)


def delete(sandbox: Sandbox, customer: Json) -> Json:
    for subscription in sandbox.store.all("subscription", [field_is("customer", customer["id"])]):
        if subscription["status"] not in ENDED:
            end(sandbox, subscription, reason="cancellation_requested")
    for invoice in sandbox.store.all("invoice", [field_is("customer", customer["id"])]):
        if invoice["status"] in {"draft", "open"}:
            stop_collecting(sandbox, invoice)
    deleted = sandbox.store.save(build_deleted_customer(customer["id"]))
    for method in wallet.cards_of(sandbox, customer["id"]):
        wallet.detach(sandbox, method)
    sandbox.publish("customer.deleted", customer)
    return deleted


def adjust_balance(call: ApiCall) -> Json:
    """Credit is negative: the next invoices take it."""
    params = call.params
    params.refuse_unknown(("amount", "currency", "description", "metadata"))
    customer = _living(call)
    sandbox = on_timeline(call.sandbox.asked_by(call.origin), customer["test_clock"])
    amount, currency = params.required_integer("amount"), read_currency(params)
    if amount == 0:
        raise InvalidParameter("The amount of a balance transaction cannot be zero.", param="amount")
    if customer["currency"] not in (None, currency):
        raise InvalidRequest(
            f"The currency of this customer is {customer['currency']}, and its balance cannot be in {currency}.",
            param="currency",
        )
    before = deepcopy(customer)
    customer.update(balance=customer["balance"] + amount, currency=currency)
    transaction = _book(sandbox, customer, amount, params.text("description", limit=350), params.metadata())
    told(sandbox, before, customer, "customer.updated")
    return transaction


def list_balance(call: ApiCall) -> Json:
    call.params.refuse_unknown({*PAGING, "created", "invoice"})
    customer = stored(call.sandbox, "customer", call.values["id"])
    conditions = [
        field_is("customer", customer["id"]),
        *by_moment(call.params, "created"),
        *by_text(call.params, "invoice"),
    ]
    return list_page(call, TRANSACTION, conditions)


def retrieve_balance(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    transaction = stored(call.sandbox, TRANSACTION, call.values["transaction"], param="transaction")
    if transaction["customer"] != call.values["id"]:
        raise ResourceMissing(TRANSACTION, transaction["id"], param="transaction")
    return transaction


def _living(call: ApiCall) -> Json:
    customer = stored(call.sandbox, "customer", call.values["id"])
    if customer.get("deleted"):
        raise ResourceMissing("customer", customer["id"])
    return customer


def _apply(sandbox: Sandbox, params: Params, customer: Json, *, attaching: Mapping[str, str] | None = None) -> None:
    """`attaching`: the id of the card that comes with a new customer, by each name it may be called here."""
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
    if "invoice_prefix" in params:
        customer["invoice_prefix"] = params.required_text("invoice_prefix", limit=12)
    if "next_invoice_sequence" in params:
        customer["next_invoice_sequence"] = params.required_integer("next_invoice_sequence")
    customer["metadata"] = params.metadata(customer["metadata"])
    _apply_invoice_settings(sandbox, params.within("invoice_settings"), customer, attaching or {})
    balance = params.integer("balance")
    if balance is not None and balance != customer["balance"]:
        change = balance - customer["balance"]
        customer.update(balance=balance, currency=customer["currency"] or DEFAULT_CURRENCY)
        _book(sandbox, customer, change, None, {})


def _apply_invoice_settings(
    sandbox: Sandbox, params: Params | None, customer: Json, attaching: Mapping[str, str]
) -> None:
    if params is None:
        return
    params.refuse_unknown(("default_payment_method", "footer"))
    settings = customer["invoice_settings"]
    if "footer" in params:
        settings["footer"] = params.text("footer")
    if "default_payment_method" not in params:
        return
    method_id = params.text("default_payment_method")
    if method_id is None:
        settings["default_payment_method"] = None
    elif method_id in attaching:
        settings["default_payment_method"] = attaching[method_id]
    else:
        own = wallet.own(sandbox, customer["id"], method_id, param=params.name_of("default_payment_method"))
        settings["default_payment_method"] = own["id"]


def _book(sandbox: Sandbox, customer: Json, amount: int, description: str | None, metadata: dict[str, str]) -> Json:
    return sandbox.store.save(
        build_balance_adjustment(
            created=sandbox.now(),
            customer=customer,
            amount=amount,
            description=description,
            metadata=metadata,
        )
    )


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
    ApiRoute(
        "GET",
        "/v1/customers",
        filtered_list("customer", {"email": by_text, "created": by_moment, "test_clock": by_text}),
    ),
    ApiRoute("GET", "/v1/customers/{id}", retrieve_one("customer")),
    ApiRoute("POST", "/v1/customers/{id}", update_customer),
    ApiRoute("DELETE", "/v1/customers/{id}", delete_customer),
    ApiRoute("POST", "/v1/customers/{id}/balance_transactions", adjust_balance),
    ApiRoute("GET", "/v1/customers/{id}/balance_transactions", list_balance),
    ApiRoute("GET", "/v1/customers/{id}/balance_transactions/{transaction}", retrieve_balance),
)
