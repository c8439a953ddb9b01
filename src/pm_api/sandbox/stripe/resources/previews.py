"""/v1/invoices/create_preview"""

from pm_api.sandbox.stripe.billing.beginnings import Beginning, prepare
from pm_api.sandbox.stripe.billing.bills import Bill
from pm_api.sandbox.stripe.billing.changes import Wish
from pm_api.sandbox.stripe.billing.discounts import give, read_discounts
from pm_api.sandbox.stripe.billing.previews import preview_cancellation, preview_change, preview_id
from pm_api.sandbox.stripe.billing.records import ENDED
from pm_api.sandbox.stripe.errors import InvalidRequest, MissingParameter, ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.invoices import lines_list
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.terms import (
    read_billing_mode,
    read_first_items,
    read_item_wishes,
    read_prorations,
    read_trial_end,
    timeline_of,
)
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, referenced

FIELDS = {"customer", "discounts", "preview_mode", "subscription", "subscription_details"}
CHANGE_FIELDS = {
    "billing_cycle_anchor",
    "cancel_now",
    "items",
    "proration_behavior",
    "proration_date",
    "trial_end",
}
NEW_FIELDS = {"billing_mode", "items", "proration_behavior", "trial_end"}


def create_preview(call: ApiCall) -> Json:
    """Of a change of `subscription`, of its next renewal, or of a subscription that does not exist yet."""
    params = call.params
    params.refuse_unknown(FIELDS)
    params.choice("preview_mode", ("next",))
    details = params.within("subscription_details") or Params({}, "subscription_details")
    subscription_id = params.text("subscription")
    bill = _of_new(call, details) if subscription_id is None else _of_known(call, details, subscription_id)
    invoice = bill.invoice | {"billing_reason": "upcoming", "lines": lines_list(bill.invoice["id"], bill.lines)}
    invoice["lines"]["data"] = bill.lines
    invoice["lines"]["has_more"] = False
    return invoice


def _of_known(call: ApiCall, details: Params, subscription_id: str) -> Bill:
    details.refuse_unknown(CHANGE_FIELDS)
    subscription = referenced(call.sandbox, "subscription", subscription_id, param="subscription")
    customer_id = call.params.text("customer")
    if customer_id is not None and customer_id != subscription["customer"]:
        raise InvalidRequest("The subscription does not belong to the customer.", param="customer")
    if subscription["status"] in ENDED:
        raise NoUpcoming(subscription["customer"])
    sandbox = timeline_of(call, subscription)
    if details.boolean("cancel_now"):
        return preview_cancellation(sandbox, subscription, prorate=read_prorations(details) != "none")
    wish = Wish(
        items=read_item_wishes(sandbox, details),
        proration_behavior=read_prorations(details),
        proration_date=details.integer("proration_date"),
        restart=details.choice("billing_cycle_anchor", ("now", "unchanged")) == "now",
        trial_end=read_trial_end(sandbox, details),
    )
    changes = bool(wish.items) or wish.restart or wish.trial_end is not None
    if subscription["cancel_at_period_end"] and not changes:
        raise NoUpcoming(subscription["customer"])
    discounts = None
    if "discounts" in call.params:
        wishes = read_discounts(sandbox, call.params, subscription["customer"])
        discounts = give(sandbox, wishes, customer_id=subscription["customer"], subscription_id=subscription["id"])
    return preview_change(sandbox, subscription, wish, discounts)


def _of_new(call: ApiCall, details: Params) -> Bill:
    details.refuse_unknown(NEW_FIELDS)
    customer_id = call.params.text("customer")
    if customer_id is None:
        raise MissingParameter("customer")
    customer = referenced(call.sandbox, "customer", customer_id, param="customer")
    sandbox = timeline_of(call, customer)
    wish = Beginning(
        customer=customer,
        items=read_first_items(sandbox, details),
        billing_mode=read_billing_mode(details),
        trial_end=read_trial_end(sandbox, details) or None,
        proration_behavior=read_prorations(details),
        discounts=read_discounts(sandbox, call.params, customer["id"]),
    )
    return prepare(sandbox, wish, invoice_id=preview_id()).bill


class NoUpcoming(ResourceMissing):
    """The subscription will never be billed again."""

    code = "invoice_upcoming_none"

    def __init__(self, customer_id: str) -> None:
        super().__init__("upcoming invoice for customer", customer_id, param="customer")
        self.message = f"No upcoming invoices for customer: {customer_id}"


ROUTES = (ApiRoute("POST", "/v1/invoices/create_preview", create_preview),)
