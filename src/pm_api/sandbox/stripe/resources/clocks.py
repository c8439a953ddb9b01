"""/v1/test_helpers/test_clocks and /v1/webhook_endpoints"""

import secrets
from copy import deepcopy

from pm_api.sandbox.stripe.billing.arithmetic import boundary
from pm_api.sandbox.stripe.billing.clockwork import advance_clock, delete_clock
from pm_api.sandbox.stripe.billing.records import ENDED, items_of
from pm_api.sandbox.stripe.errors import InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.clocks import build_test_clock, build_webhook_endpoint
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, by_moment, filtered_list, retrieve_one, stored
from pm_api.sandbox.stripe.world import Sandbox

CLOCK = "test_helpers.test_clock"
FREELY_S = 2 * 366 * 24 * 60 * 60
ENDPOINT_FIELDS = {"description", "enabled_events", "metadata", "url"}


def create_clock(call: ApiCall) -> Json:
    call.params.refuse_unknown(("frozen_time", "name"))
    clock = build_test_clock(
        created=call.sandbox.now(),
        frozen_time=call.params.required_integer("frozen_time"),
        name=call.params.text("name", limit=300),
    )
    call.sandbox.store.save(clock)
    call.sandbox.publish("test_helpers.test_clock.created", clock, origin=call.origin)
    return clock


def advance(call: ApiCall) -> Json:
    call.params.refuse_unknown(("frozen_time",))
    clock = stored(call.sandbox, CLOCK, call.values["id"])
    until = call.params.required_integer("frozen_time")
    if until <= clock["frozen_time"]:
        raise InvalidRequest(
            "The frozen time for a test clock must be in the future of its current frozen time.", param="frozen_time"
        )
    if until > furthest(call.sandbox, clock):
        raise InvalidRequest(
            "Cannot advance more than two intervals in the future from the shortest subscription in this test clock.",
            param="frozen_time",
        )
    return advance_clock(call.sandbox.asked_by(call.origin), clock, until)


def furthest(sandbox: Sandbox, clock: Json) -> int:
    """How far one advance may go: two intervals of the shortest subscription, two years without any."""
    here = clock["frozen_time"]
    living = sandbox.store.all("subscription", [field_is("test_clock", clock["id"])])
    ends = [
        boundary(here, item["price"]["recurring"], 2)
        for subscription in living
        if subscription["status"] not in ENDED
        for item in items_of(subscription)
    ]
    return min(ends, default=here + FREELY_S)


def delete(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    clock = stored(call.sandbox, CLOCK, call.values["id"])
    return delete_clock(call.sandbox.asked_by(call.origin), clock)


def create_endpoint(call: ApiCall) -> Json:
    """The signing secret is shown this once. Deliveries go where the sandbox was started to send them."""
    params = call.params
    params.refuse_unknown({*ENDPOINT_FIELDS, "api_version"})
    url, events = params.url("url"), params.texts("enabled_events", limit=500)
    if url is None or not events:
        raise MissingParameter("url" if url is None else "enabled_events")
    endpoint = build_webhook_endpoint(
        created=call.sandbox.now(),
        url=url,
        enabled_events=events,
        description=params.text("description"),
        metadata=params.metadata(),
    )
    endpoint["api_version"] = params.text("api_version")
    call.sandbox.store.save(endpoint)
    return endpoint | {"secret": f"whsec_{secrets.token_hex(16)}"}


def update_endpoint(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*ENDPOINT_FIELDS, "disabled"})
    endpoint = deepcopy(stored(call.sandbox, "webhook_endpoint", call.values["id"]))
    url = params.url("url")
    if url is not None:
        endpoint["url"] = url
    if "enabled_events" in params:
        endpoint["enabled_events"] = params.texts("enabled_events", limit=500)
    if "description" in params:
        endpoint["description"] = params.text("description")
    if "disabled" in params:
        endpoint["status"] = "disabled" if params.boolean("disabled") else "enabled"
    endpoint["metadata"] = params.metadata(endpoint["metadata"])
    return call.sandbox.store.save(endpoint)


def delete_endpoint(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    endpoint = stored(call.sandbox, "webhook_endpoint", call.values["id"])
    call.sandbox.store.remove(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


ROUTES = (
    ApiRoute("POST", "/v1/test_helpers/test_clocks", create_clock),
    ApiRoute("GET", "/v1/test_helpers/test_clocks", filtered_list(CLOCK, {"created": by_moment})),
    ApiRoute("GET", "/v1/test_helpers/test_clocks/{id}", retrieve_one(CLOCK)),
    ApiRoute("POST", "/v1/test_helpers/test_clocks/{id}/advance", advance),
    ApiRoute("DELETE", "/v1/test_helpers/test_clocks/{id}", delete),
    ApiRoute("POST", "/v1/webhook_endpoints", create_endpoint),
    ApiRoute("GET", "/v1/webhook_endpoints", filtered_list("webhook_endpoint", {})),
    ApiRoute("GET", "/v1/webhook_endpoints/{id}", retrieve_one("webhook_endpoint")),
    ApiRoute("POST", "/v1/webhook_endpoints/{id}", update_endpoint),
    ApiRoute("DELETE", "/v1/webhook_endpoints/{id}", delete_endpoint),
)
