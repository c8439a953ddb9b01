"""/v1/events"""

from pm_api.sandbox.stripe.errors import InvalidParameter, ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import Condition, delivered
from pm_api.sandbox.stripe.wire import PAGING, ApiCall, ApiRoute, by_any_of, by_moment, list_page, stored

KEPT_FOR_S = 30 * 24 * 60 * 60
TYPES_LIMIT = 20


def list_events(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown({*PAGING, "type", "types", "created", "delivery_success"})
    conditions = [
        Condition("created >= ?", (_oldest(call),)),
        *_of_type(params),
        *by_moment(params, "created"),
    ]
    succeeded = params.boolean("delivery_success")
    if succeeded is not None:
        conditions.append(delivered(succeeded))
    page = list_page(call, "event", conditions)
    page["data"] = [call.sandbox.shown_event(event) for event in page["data"]]
    return page


def retrieve_event(call: ApiCall) -> Json:
    call.params.refuse_unknown(())
    event = stored(call.sandbox, "event", call.values["id"])
    if event["created"] < _oldest(call):
        raise ResourceMissing("event", event["id"])
    return call.sandbox.shown_event(event)


def _oldest(call: ApiCall) -> int:
    """Stripe's API forgets events after 30 days."""
    return call.sandbox.now() - KEPT_FOR_S


def _of_type(params: Params) -> list[Condition]:
    wanted = params.text("type")
    if wanted is None:
        if len(params.texts("types")) > TYPES_LIMIT:
            raise InvalidParameter(f"You can pass at most {TYPES_LIMIT} types.", param="types")
        return by_any_of("type")(params, "types")
    if "types" in params:
        raise InvalidParameter("You may only specify one of these parameters: type, types.")
    # GLOB would also read `?` and `[`, which are no wildcards at Stripe.
    pattern = wanted.replace("[", "[[]").replace("?", "[?]")
    return [Condition("json_extract(body, '$.type') GLOB ?", (pattern,))]


ROUTES = (
    ApiRoute("GET", "/v1/events", list_events),
    ApiRoute("GET", "/v1/events/{id}", retrieve_event),
)
