"""/v1/invoices, /v1/invoiceitems and /v1/invoice_payments"""

from copy import deepcopy

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.billing.beginnings import refuse_unpaid
from pm_api.sandbox.stripe.billing.bills import finish, finish_and_collect
from pm_api.sandbox.stripe.billing.collection import card_on_file, collect, pay_outside
from pm_api.sandbox.stripe.billing.invoicing import (
    compose,
    give_up,
    store_draft,
    void,
    waiting_entries,
)
from pm_api.sandbox.stripe.billing.records import announce
from pm_api.sandbox.stripe.billing.standing import after_given_up
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.invoices import build_invoice_item, price_details
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.payments import NO_CARD_ERROR
from pm_api.sandbox.stripe.resources.catalogue import read_currency
from pm_api.sandbox.stripe.resources.terms import read_quantity, timeline_of
from pm_api.sandbox.stripe.store import Condition, field_is
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    list_page,
    referenced,
    retrieve_one,
    slice_page,
    stored,
)

INVOICE_STATUSES = ("draft", "open", "paid", "uncollectible", "void")
CREATE_FIELDS = {
    "auto_advance",
    "collection_method",
    "currency",
    "customer",
    "default_payment_method",
    "description",
    "metadata",
    "pending_invoice_items_behavior",
    "subscription",
}
UPDATE_FIELDS = {"auto_advance", "default_payment_method", "description", "metadata"}
ITEM_FIELDS = {
    "amount",
    "currency",
    "customer",
    "description",
    "discountable",
    "invoice",
    "metadata",
    "pricing",
    "quantity",
    "subscription",
}


def create_invoice(call: ApiCall) -> Json:
    """By hand: a draft with the customer's waiting items; with `auto_advance` it goes on by itself in an hour."""
    params = call.params
    params.refuse_unknown(CREATE_FIELDS)
    params.choice("collection_method", ("charge_automatically",))
    customer = referenced(call.sandbox, "customer", params.required_text("customer"), param="customer")
    sandbox = timeline_of(call, customer)
    subscription = None
    subscription_id = params.text("subscription")
    if subscription_id is not None:
        subscription = referenced(sandbox, "subscription", subscription_id, param="subscription")
    currency = customer["currency"] or "usd"
    if "currency" in params:
        currency = read_currency(params)
    elif subscription is not None:
        currency = subscription["currency"]
    includes = params.choice("pending_invoice_items_behavior", ("exclude", "include")) == "include"
    entries = []
    if includes or subscription is not None:
        entries = waiting_entries(sandbox, customer["id"], subscription_id, currency)
    invoice, lines = compose(
        sandbox,
        customer=customer,
        entries=entries,
        currency=currency,
        reason="manual",
        period=(sandbox.now(), sandbox.now()),
        subscription=subscription,
        auto_advance=params.boolean("auto_advance") is True,
        waits=True,
        default_payment_method=_own_card(call, params, customer["id"]),
        description=params.text("description"),
        metadata=params.metadata(),
    )
    return store_draft(sandbox, invoice, lines, entries)


def update_invoice(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(UPDATE_FIELDS)
    invoice = _invoice(call)
    sandbox = timeline_of(call, invoice)
    before = deepcopy(invoice)
    if "auto_advance" in params:
        invoice["auto_advance"] = params.boolean("auto_advance") is True
        if invoice["status"] == "draft":
            later = sandbox.now() + 60 * 60 if invoice["auto_advance"] else None
            invoice["automatically_finalizes_at"] = later
    if "default_payment_method" in params:
        invoice["default_payment_method"] = _own_card(call, params, invoice["customer"])
    if "description" in params:
        invoice["description"] = params.text("description")
    invoice["metadata"] = params.metadata(invoice["metadata"])
    return announce(sandbox, before, invoice, "invoice.updated")


def delete_invoice(call: ApiCall) -> Json:
    """A draft that was made by hand; its items wait again."""
    call.params.refuse_unknown(())
    invoice = _invoice(call)
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise InvalidRequest("You can only delete draft invoices that were created by hand.")
    for item in call.sandbox.store.all("invoiceitem", [field_is("invoice", invoice["id"])]):
        call.sandbox.store.save(item | {"invoice": None})
    call.sandbox.store.remove(invoice["id"])
    call.sandbox.publish("invoice.deleted", invoice, origin=call.origin)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


def finalize_invoice(call: ApiCall) -> Json:
    """By hand it is only opened; with `auto_advance` its card on file is asked at once."""
    call.params.refuse_unknown(("auto_advance",))
    invoice = _invoice(call)
    sandbox = timeline_of(call, invoice)
    wanted = call.params.boolean("auto_advance")
    if wanted is not None:
        invoice["auto_advance"] = wanted
    if invoice["auto_advance"] and invoice["status"] == "draft":
        finish_and_collect(sandbox, invoice)
    else:
        finish(sandbox, invoice)
    return _invoice(call)


def pay_invoice(call: ApiCall) -> Json:
    """Answers 402 when the card refuses; the attempt has then happened all the same."""
    params = call.params
    params.refuse_unknown(("off_session", "paid_out_of_band", "payment_method"))
    invoice = _invoice(call)
    sandbox = timeline_of(call, invoice)
    if invoice["status"] == "draft":
        finish(sandbox, invoice)
    elif invoice["status"] in {"paid", "void"}:
        raise InvalidRequest(f"Invoice is already {invoice['status']}.", code="invoice_not_editable")
    if invoice["status"] == "paid":
        return _invoice(call)
    if params.boolean("paid_out_of_band"):
        return pay_outside(sandbox, invoice)
    chosen = params.text("payment_method")
    if chosen is not None:
        card: Json | None = wallet.find_usable(sandbox, chosen, invoice["customer"])
    else:
        card = card_on_file(sandbox, invoice)
    if card is None:
        raise InvalidRequest(str(NO_CARD_ERROR["message"]), code="invoice_payment_intent_requires_action")
    refuse_unpaid(collect(sandbox, invoice, card, automatic=False), keeps_effects=True)
    return _invoice(call)


def void_invoice(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    invoice = _invoice(call)
    sandbox = timeline_of(call, invoice)
    void(sandbox, invoice)
    after_given_up(sandbox, invoice)
    return _invoice(call)


def mark_uncollectible(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    invoice = _invoice(call)
    sandbox = timeline_of(call, invoice)
    give_up(sandbox, invoice)
    after_given_up(sandbox, invoice)
    return _invoice(call)


def list_invoices(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PAGING, "collection_method", "created", "customer", "status", "subscription"})
    conditions = [
        *by_text(params, "collection_method"),
        *by_moment(params, "created"),
        *by_text(params, "customer"),
    ]
    status, subscription_id = params.choice("status", INVOICE_STATUSES), params.text("subscription")
    if status is not None:
        conditions.append(field_is("status", status))
    if subscription_id is not None:
        conditions.append(field_is("parent.subscription_details.subscription", subscription_id))
    return list_page(call, "invoice", conditions)


def list_lines(call: ApiCall) -> Json:
    call.params.refuse_unknown(PAGING)
    return slice_page(call, call.sandbox.store.children(_invoice(call)["id"], "line_item"), "line_item")


def create_item(call: ApiCall) -> Json:
    """Waits for the next invoice of its customer, or joins the draft that `invoice` names."""
    params = call.params
    params.refuse_unknown(ITEM_FIELDS)
    customer = referenced(call.sandbox, "customer", params.required_text("customer"), param="customer")
    sandbox = timeline_of(call, customer)
    if "invoice" in params:
        raise InvalidParameter("Items join an invoice as it is created; make the item first.", param="invoice")
    pricing, quantity = params.within("pricing"), read_quantity(params) or 1
    price = None
    if pricing is not None:
        pricing.refuse_unknown(("price",))
        price = referenced(sandbox, "price", pricing.required_text("price"), param="pricing[price]")
    elif "amount" not in params:
        raise MissingParameter("amount")
    currency = price["currency"] if price else (read_currency(params) if "currency" in params else "usd")
    now = sandbox.now()
    item = build_invoice_item(
        created=now,
        customer=customer,
        amount=price["unit_amount"] * quantity if price else params.required_integer("amount"),
        currency=currency,
        description=params.text("description"),
        period=(now, now),
        quantity=quantity,
        pricing=price_details(price) if price else None,
        subscription_id=params.text("subscription"),
        discountable=params.boolean("discountable") is not False,
        metadata=params.metadata(),
    )
    sandbox.store.save(item, parent=customer["id"])
    sandbox.publish("invoiceitem.created", item)
    return item


def list_items(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PAGING, "created", "customer", "invoice", "pending"})
    conditions = [*by_moment(params, "created"), *by_text(params, "customer"), *by_text(params, "invoice")]
    pending = params.boolean("pending")
    if pending is not None:
        conditions.append(Condition(f"json_extract(body, '$.invoice') IS {'' if pending else 'NOT '}NULL"))
    return list_page(call, "invoiceitem", conditions)


def delete_item(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    item = stored(call.sandbox, "invoiceitem", call.values["id"])
    if item["invoice"] is not None:
        raise InvalidRequest("You can only delete invoice items that are not attached to an invoice.")
    call.sandbox.store.remove(item["id"])
    call.sandbox.publish("invoiceitem.deleted", item, origin=call.origin)
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


def list_payments(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PAGING, "created", "invoice", "payment", "status"})
    conditions = [
        *by_moment(params, "created"),
        *by_text(params, "invoice"),
        *by_text(params, "status"),
    ]
    payment = params.within("payment")
    if payment is not None:
        payment.refuse_unknown(("payment_intent", "type"))
        intent_id = payment.text("payment_intent")
        if intent_id is not None:
            conditions.append(field_is("payment.payment_intent", intent_id))
    return list_page(call, "invoice_payment", conditions)


def _invoice(call: ApiCall) -> Json:
    return stored(call.sandbox, "invoice", call.values["id"], param="invoice")


def _own_card(call: ApiCall, params: Params, customer_id: str) -> str | None:
    card_id = params.text("default_payment_method")
    if card_id is not None:
        wallet.own(call.sandbox, customer_id, card_id, param="default_payment_method")
    return card_id


ROUTES = (
    ApiRoute("POST", "/v1/invoices", create_invoice),
    ApiRoute("GET", "/v1/invoices", list_invoices),
    ApiRoute("GET", "/v1/invoices/{id}", retrieve_one("invoice", param="invoice")),
    ApiRoute("POST", "/v1/invoices/{id}", update_invoice),
    ApiRoute("DELETE", "/v1/invoices/{id}", delete_invoice),
    ApiRoute("GET", "/v1/invoices/{id}/lines", list_lines),
    ApiRoute("POST", "/v1/invoices/{id}/finalize", finalize_invoice),
    ApiRoute("POST", "/v1/invoices/{id}/pay", pay_invoice),
    ApiRoute("POST", "/v1/invoices/{id}/void", void_invoice),
    ApiRoute("POST", "/v1/invoices/{id}/mark_uncollectible", mark_uncollectible),
    ApiRoute("POST", "/v1/invoiceitems", create_item),
    ApiRoute("GET", "/v1/invoiceitems", list_items),
    ApiRoute("GET", "/v1/invoiceitems/{id}", retrieve_one("invoiceitem")),
    ApiRoute("DELETE", "/v1/invoiceitems/{id}", delete_item),
    ApiRoute("GET", "/v1/invoice_payments", list_payments),
    ApiRoute("GET", "/v1/invoice_payments/{id}", retrieve_one("invoice_payment")),
)
