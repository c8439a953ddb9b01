"""/v1/subscriptions"""

from copy import deepcopy
from typing import Any

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.billing.beginnings import Beginning, begin
from pm_api.sandbox.stripe.billing.changes import Wish
from pm_api.sandbox.stripe.billing.discounts import give, read_discounts, store_given
from pm_api.sandbox.stripe.billing.records import ENDED, amend, period_of
from pm_api.sandbox.stripe.billing.standing import UPDATED
from pm_api.sandbox.stripe.billing.updates import (
    cancel_subscription,
    change_subscription,
    resume_subscription,
)
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.terms import (
    read_billing_mode,
    read_cancellation_details,
    read_first_items,
    read_item_wishes,
    read_missing_card,
    read_payment_settings,
    read_prorations,
    read_trial_end,
    timeline_of,
)
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
from pm_api.sandbox.stripe.world import Sandbox

PAYMENT_BEHAVIOURS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
PAUSES = ("keep_as_draft", "mark_uncollectible", "void")
SHARED_FIELDS = {
    "cancel_at",
    "cancel_at_period_end",
    "collection_method",
    "default_payment_method",
    "description",
    "discounts",
    "items",
    "metadata",
    "off_session",
    "payment_behavior",
    "payment_settings",
    "proration_behavior",
    "trial_end",
    "trial_settings",
    "billing_cycle_anchor",
}
CREATE_FIELDS = {*SHARED_FIELDS, "billing_mode", "currency", "customer", "trial_period_days"}
UPDATE_FIELDS = {*SHARED_FIELDS, "cancellation_details", "pause_collection", "proration_date"}
# What Stripe lets wait for a payment; anything else beside it is refused.
PENDING_FIELDS = {
    "billing_cycle_anchor",
    "items",
    "off_session",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
}
STATUSES = (
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)


def create_subscription(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(CREATE_FIELDS)
    params.choice("collection_method", ("charge_automatically",))
    customer = referenced(call.sandbox, "customer", params.required_text("customer"), param="customer")
    sandbox = timeline_of(call, customer)
    card_id = params.text("default_payment_method")
    if card_id is not None:
        wallet.own(sandbox, customer["id"], card_id, param="default_payment_method")
    items = read_first_items(sandbox, params)
    if "currency" in params and params.text("currency") != items[0][0]["currency"]:
        raise InvalidRequest("The prices of the items are in another currency.", param="currency")
    behaviour = params.choice("payment_behavior", PAYMENT_BEHAVIOURS) or "allow_incomplete"
    if behaviour == "pending_if_incomplete":
        raise InvalidParameter("pending_if_incomplete is only for updates.", param="payment_behavior")
    return begin(
        sandbox,
        Beginning(
            customer=customer,
            items=items,
            billing_mode=read_billing_mode(params),
            trial_end=read_trial_end(sandbox, params) or None,
            billing_cycle_anchor=_anchor_ahead(sandbox, params),
            proration_behavior=read_prorations(params),
            payment_behavior=behaviour,
            default_payment_method=card_id,
            discounts=read_discounts(sandbox, params, customer["id"]),
            fields={
                "cancel_at": params.integer("cancel_at"),
                "cancel_at_period_end": params.boolean("cancel_at_period_end") is True,
                "description": params.text("description", limit=500),
                "metadata": params.metadata(),
                "missing_payment_method": read_missing_card(params),
                "save_default_payment_method": read_payment_settings(params),
            },
        ),
    )


def update_subscription(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(UPDATE_FIELDS)
    params.choice("collection_method", ("charge_automatically",))
    subscription = _subscription(call)
    sandbox = timeline_of(call, subscription)
    if subscription["status"] in ENDED:
        return _update_ended(sandbox, subscription, params)
    fields = _plain_fields(sandbox, subscription, params)
    anchor = params.choice("billing_cycle_anchor", ("now", "unchanged"))
    wish = Wish(
        items=read_item_wishes(sandbox, params),
        proration_behavior=read_prorations(params),
        proration_date=params.integer("proration_date"),
        restart=anchor == "now",
        trial_end=read_trial_end(sandbox, params),
    )
    behaviour = params.choice("payment_behavior", PAYMENT_BEHAVIOURS) or "allow_incomplete"
    if behaviour == "pending_if_incomplete":
        params.refuse_unknown(PENDING_FIELDS)
    if subscription["pending_update"] is not None and (wish.items or wish.restart):
        raise InvalidRequest("This subscription has a pending update; void its invoice to make another change.")
    if subscription["status"] == "incomplete" and (wish.items or wish.restart):
        raise InvalidRequest("This subscription is incomplete: its first invoice must be paid before it is changed.")
    return change_subscription(sandbox, subscription, wish, fields, payment_behavior=behaviour)


def cancel(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(("cancellation_details", "invoice_now", "prorate"))
    subscription = _subscription(call)
    if subscription["status"] in ENDED:
        raise InvalidRequest(f"No such subscription: '{subscription['id']}'", param="id", code="resource_missing")
    return cancel_subscription(
        timeline_of(call, subscription),
        subscription,
        invoice_now=params.boolean("invoice_now") is True,
        prorate=params.boolean("prorate") is True,
        details=read_cancellation_details(params),
    )


def resume(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(("billing_cycle_anchor", "payment_behavior"))
    params.choice("payment_behavior", ("resume_on_payment_success",))
    anchor = params.choice("billing_cycle_anchor", ("now", "unchanged")) or "now"
    subscription = _subscription(call)
    return resume_subscription(timeline_of(call, subscription), subscription, restart=anchor == "now")


def list_subscriptions(call: ApiCall) -> Json:
    """Without a status the canceled ones are left out, as at Stripe."""
    params = call.params
    params.refuse_unknown({*PAGING, "collection_method", "created", "customer", "price", "status", "test_clock"})
    conditions = [
        *by_text(params, "collection_method"),
        *by_moment(params, "created"),
        *by_text(params, "customer"),
        *by_text(params, "test_clock"),
        *_with_status(params.choice("status", STATUSES)),
    ]
    price_id = params.text("price")
    if price_id is not None:
        held = "EXISTS (SELECT 1 FROM json_each(body, '$.items.data') WHERE json_extract(value, '$.price.id') = ?)"
        conditions.append(Condition(held, (price_id,)))
    return list_page(call, "subscription", conditions)


def list_items(call: ApiCall) -> Json:
    call.params.refuse_unknown({*PAGING, "subscription"})
    identifier = call.params.required_text("subscription")
    subscription = referenced(call.sandbox, "subscription", identifier, param="subscription")
    return slice_page(call, subscription["items"]["data"], "subscription_item")


def _subscription(call: ApiCall) -> Json:
    return stored(call.sandbox, "subscription", call.values["id"])


def _update_ended(sandbox: Sandbox, subscription: Json, params: Params) -> Json:
    if set(params.values) - {"metadata", "cancellation_details", "expand"}:
        raise InvalidRequest("A canceled subscription can only update its cancellation_details and metadata.")
    details = subscription["cancellation_details"] | read_cancellation_details(params)
    metadata = params.metadata(subscription["metadata"])
    return amend(sandbox, subscription, UPDATED, metadata=metadata, cancellation_details=details)


def _plain_fields(sandbox: Sandbox, subscription: Json, params: Params) -> Json:
    """Fields that change without being billed."""
    fields: Json = {"metadata": params.metadata(subscription["metadata"])}
    if "description" in params:
        fields["description"] = params.text("description", limit=500)
    if "default_payment_method" in params:
        card_id = params.text("default_payment_method")
        if card_id is not None:
            wallet.own(sandbox, subscription["customer"], card_id, param="default_payment_method")
        fields["default_payment_method"] = card_id
    if "discounts" in params:
        wishes = read_discounts(sandbox, params, subscription["customer"])
        given = give(sandbox, wishes, customer_id=subscription["customer"], subscription_id=subscription["id"])
        store_given(sandbox, given)
        fields["discounts"] = [discount["id"] for discount in given]
    if "payment_settings" in params:
        kept = read_payment_settings(params)
        fields["payment_settings"] = subscription["payment_settings"] | {"save_default_payment_method": kept}
    if "trial_settings" in params:
        fields["trial_settings"] = {"end_behavior": {"missing_payment_method": read_missing_card(params)}}
    if "pause_collection" in params:
        fields["pause_collection"] = _pause(params.within("pause_collection"))
    return fields | _cancellation(sandbox, subscription, params)


def _cancellation(sandbox: Sandbox, subscription: Json, params: Params) -> Json:
    """Ending at the end of the period or at a moment, and taking that back."""
    fields: Json = {}
    if "cancel_at_period_end" in params:
        fields["cancel_at_period_end"] = params.boolean("cancel_at_period_end") is True
        fields["cancel_at"] = period_of(subscription)[1] if fields["cancel_at_period_end"] else None
    elif "cancel_at" in params:
        fields["cancel_at"] = _cancel_at(subscription, params)
        fields["cancel_at_period_end"] = False
    details: dict[str, Any] = {**deepcopy(subscription["cancellation_details"]), **read_cancellation_details(params)}
    if fields:
        if subscription["schedule"] is not None:
            raise InvalidRequest(
                f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and "
                "updating any cancelation behavior directly is not allowed. Please update the schedule instead."
            )
        ends = fields["cancel_at"] is not None
        details["reason"] = "cancellation_requested" if ends else None
        fields["canceled_at"] = (subscription["canceled_at"] or sandbox.now()) if ends else None
    return fields | {"cancellation_details": details}


def _cancel_at(subscription: Json, params: Params) -> int | None:
    if params.text("cancel_at") in {"min_period_end", "max_period_end"}:
        return period_of(subscription)[1]
    return params.integer("cancel_at")


def _pause(params: Params | None) -> Json | None:
    if params is None:
        return None
    params.refuse_unknown(("behavior", "resumes_at"))
    behaviour = params.choice("behavior", PAUSES)
    if behaviour is None:
        raise MissingParameter(params.name_of("behavior"))
    return {"behavior": behaviour, "resumes_at": params.integer("resumes_at")}


def _anchor_ahead(sandbox: Sandbox, params: Params) -> int | None:
    anchor = params.integer("billing_cycle_anchor")
    if anchor is not None and anchor <= sandbox.now():
        raise InvalidRequest("Invalid timestamp: must be in the future.", param="billing_cycle_anchor")
    return anchor


def _with_status(status: str | None) -> list[Condition]:
    if status == "all":
        return []
    if status == "ended":
        return [Condition("json_extract(body, '$.status') IN ('canceled', 'incomplete_expired')")]
    if status is None:
        return [Condition("json_extract(body, '$.status') NOT IN ('canceled', 'incomplete_expired')")]
    return [field_is("status", status)]


ROUTES = (
    ApiRoute("POST", "/v1/subscriptions", create_subscription),
    ApiRoute("GET", "/v1/subscriptions", list_subscriptions),
    ApiRoute("GET", "/v1/subscriptions/{id}", retrieve_one("subscription")),
    ApiRoute("POST", "/v1/subscriptions/{id}", update_subscription),
    ApiRoute("DELETE", "/v1/subscriptions/{id}", cancel),
    ApiRoute("POST", "/v1/subscriptions/{id}/resume", resume),
    ApiRoute("GET", "/v1/subscription_items", list_items),
)
