"""/v1/charges and /v1/balance"""

from copy import deepcopy

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.wire import (
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    filtered_list,
    retrieve_one,
    stored,
)


def retrieve_balance(call: ApiCall) -> Json:
    """All zero: nothing is ever paid out here. It answers whether the key and the address are right."""
    call.params.refuse_unknown(())
    nothing = {"amount": 0, "currency": "usd", "source_types": {"card": 0}}
    return {
        "object": "balance",
        "available": [dict(nothing)],
        "connect_reserved": [{"amount": 0, "currency": "usd"}],
        "livemode": False,
        "pending": [dict(nothing)],
    }


def update_charge(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(("description", "metadata", "receipt_email"))
    charge = stored(call.sandbox, "charge", call.values["id"])
    before = deepcopy(charge)
    for name in ("description", "receipt_email"):
        if name in params:
            charge[name] = params.text(name)
    charge["metadata"] = params.metadata(charge["metadata"])
    return told(call.sandbox.asked_by(call.origin), before, charge, "charge.updated")


ROUTES = (
    ApiRoute("GET", "/v1/balance", retrieve_balance),
    ApiRoute(
        "GET",
        "/v1/charges",
        filtered_list("charge", {"created": by_moment, "customer": by_text, "payment_intent": by_text}),
    ),
    ApiRoute("GET", "/v1/charges/{id}", retrieve_one("charge")),
    ApiRoute("POST", "/v1/charges/{id}", update_charge),
)
