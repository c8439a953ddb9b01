"""/v1/refunds, /v1/disputes and /v1/balance_transactions"""

from copy import deepcopy

from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.refunds import close_dispute, refund, refunds_of
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    PAGING,
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    filtered_list,
    referenced,
    retrieve_one,
    slice_page,
    stored,
)

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create_refund(call: ApiCall) -> Json:
    params, sandbox = call.params, call.sandbox.asked_by(call.origin)
    params.refuse_unknown(("amount", "charge", "metadata", "payment_intent", "reason"))
    amount = params.integer("amount")
    if amount is not None and amount < 1:
        raise InvalidParameter("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    return refund(
        sandbox,
        _charge(call),
        amount=amount,
        reason=params.choice("reason", REASONS),
        metadata=params.metadata(),
    )


def update_refund(call: ApiCall) -> Json:
    call.params.refuse_unknown(("metadata",))
    made = stored(call.sandbox, "refund", call.values["id"])
    before = deepcopy(made)
    made["metadata"] = call.params.metadata(made["metadata"])
    sandbox = call.sandbox.asked_by(call.origin)
    for event_type in ("refund.updated", "charge.refund.updated"):
        told(sandbox, before, made, event_type)
    return made


def list_refunds_of_charge(call: ApiCall) -> Json:
    call.params.refuse_unknown(PAGING)
    charge = stored(call.sandbox, "charge", call.values["id"])
    return slice_page(call, refunds_of(call.sandbox, charge), "refund")


def update_dispute(call: ApiCall) -> Json:
    """Its metadata. Evidence is not modelled: a control route says how the dispute ends."""
    call.params.refuse_unknown(("metadata",))
    dispute = stored(call.sandbox, "dispute", call.values["id"])
    before = deepcopy(dispute)
    dispute["metadata"] = call.params.metadata(dispute["metadata"])
    return told(call.sandbox.asked_by(call.origin), before, dispute, "charge.dispute.updated")


def accept_dispute(call: ApiCall) -> Json:
    """The merchant gives in: the dispute is lost."""
    call.params.refuse_unknown(())
    dispute = stored(call.sandbox, "dispute", call.values["id"])
    return close_dispute(call.sandbox.asked_by(call.origin), dispute, won=False)


def _charge(call: ApiCall) -> Json:
    charge_id, intent_id = call.params.text("charge"), call.params.text("payment_intent")
    if charge_id is not None and intent_id is not None:
        raise InvalidParameter("You may only specify one of these parameters: charge, payment_intent.")
    if charge_id is not None:
        return referenced(call.sandbox, "charge", charge_id, param="charge")
    if intent_id is None:
        raise MissingParameter("charge")
    intent = referenced(call.sandbox, "payment_intent", intent_id, param="payment_intent")
    charge = call.sandbox.store.find(intent["latest_charge"] or "", "charge")
    if charge is None or intent["status"] != "succeeded":
        raise InvalidRequest(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return charge


DISPUTE_FILTERS = {"charge": by_text, "created": by_moment, "payment_intent": by_text}
TRANSACTION_FILTERS = {"created": by_moment, "currency": by_text, "source": by_text, "type": by_text}

ROUTES = (
    ApiRoute("POST", "/v1/refunds", create_refund),
    ApiRoute("GET", "/v1/refunds", filtered_list("refund", DISPUTE_FILTERS)),
    ApiRoute("GET", "/v1/refunds/{id}", retrieve_one("refund")),
    ApiRoute("POST", "/v1/refunds/{id}", update_refund),
    ApiRoute("GET", "/v1/charges/{id}/refunds", list_refunds_of_charge),
    ApiRoute("GET", "/v1/disputes", filtered_list("dispute", DISPUTE_FILTERS)),
    ApiRoute("GET", "/v1/disputes/{id}", retrieve_one("dispute")),
    ApiRoute("POST", "/v1/disputes/{id}", update_dispute),
    ApiRoute("POST", "/v1/disputes/{id}/close", accept_dispute),
    ApiRoute("GET", "/v1/balance_transactions", filtered_list("balance_transaction", TRANSACTION_FILTERS)),
    ApiRoute("GET", "/v1/balance_transactions/{id}", retrieve_one("balance_transaction")),
)
