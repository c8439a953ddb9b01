"""/v1/payment_intents, /v1/charges and /v1/payment_methods, as far as reading goes; and /v1/balance"""

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, by_moment, by_text, filtered_list, retrieve_one


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


ROUTES = (
    ApiRoute("GET", "/v1/balance", retrieve_balance),
    ApiRoute(
        "GET",
        "/v1/payment_intents",
        filtered_list("payment_intent", {"customer": by_text, "created": by_moment}),
    ),
    ApiRoute("GET", "/v1/payment_intents/{id}", retrieve_one("payment_intent", param="intent")),
    ApiRoute("GET", "/v1/charges/{id}", retrieve_one("charge")),
    ApiRoute("GET", "/v1/payment_methods/{id}", retrieve_one("payment_method")),
)
