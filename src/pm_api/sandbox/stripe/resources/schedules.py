"""/v1/subscription_schedules"""

from copy import deepcopy

from pm_api.sandbox.stripe import wallet
from pm_api.sandbox.stripe.billing.arithmetic import boundary
from pm_api.sandbox.stripe.billing.changes import check_prices
from pm_api.sandbox.stripe.billing.records import ENDED
from pm_api.sandbox.stripe.billing.schedules import follow, release, schedule_over
from pm_api.sandbox.stripe.billing.updates import cancel_subscription
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.schedules import build_phase, build_phase_item
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.resources.terms import (
    PRORATIONS,
    read_price,
    read_prorations,
    read_quantity,
    timeline_of,
)
from pm_api.sandbox.stripe.wire import (
    ApiCall,
    ApiRoute,
    by_moment,
    by_text,
    filtered_list,
    referenced,
    retrieve_one,
    stored,
)
from pm_api.sandbox.stripe.world import Sandbox

PHASES_LIMIT = 10
PHASE_FIELDS = {
    "billing_cycle_anchor",
    "currency",
    "default_payment_method",
    "description",
    "duration",
    "end_date",
    "items",
    "metadata",
    "proration_behavior",
    "start_date",
}


def create_schedule(call: ApiCall) -> Json:
    """Over a running subscription only; its current period becomes the first phase."""
    params = call.params
    params.refuse_unknown(("end_behavior", "from_subscription", "metadata"))
    identifier = params.required_text("from_subscription")
    subscription = referenced(call.sandbox, "subscription", identifier, param="from_subscription")
    if params.text("end_behavior") is not None:
        raise InvalidRequest("You cannot set `end_behavior` if `from_subscription` is set.", param="end_behavior")
    if subscription["status"] in ENDED:
        raise InvalidRequest(
            f"You cannot migrate a subscription that is already canceled to a subscription schedule: {identifier}"
        )
    if subscription["schedule"] is not None:
        raise InvalidRequest(
            f"You cannot migrate a subscription that is already attached to a schedule: {subscription['schedule']}"
        )
    return schedule_over(timeline_of(call, subscription), subscription, metadata=params.metadata())


def update_schedule(call: ApiCall) -> Json:
    params = call.params
    params.refuse_unknown(("end_behavior", "metadata", "phases", "proration_behavior"))
    schedule = _running(call)
    sandbox = timeline_of(call, schedule)
    before = deepcopy(schedule)
    schedule["end_behavior"] = params.choice("end_behavior", ("cancel", "release")) or schedule["end_behavior"]
    schedule["metadata"] = params.metadata(schedule["metadata"])
    if "phases" in params:
        schedule["phases"] = _phases(sandbox, schedule, params)
    return follow(sandbox, schedule, before, proration_behavior=read_prorations(params))


def release_schedule(call: ApiCall) -> Json:
    call.params.refuse_unknown(("preserve_cancel_date",))
    schedule = _running(call)
    return release(timeline_of(call, schedule), schedule)


def cancel_schedule(call: ApiCall) -> Json:
    """Ends the subscription with it, at once."""
    params = call.params
    params.refuse_unknown(("invoice_now", "prorate"))
    schedule = _running(call)
    subscription = referenced(call.sandbox, "subscription", schedule["subscription"], param="id")
    cancel_subscription(
        timeline_of(call, schedule),
        subscription,
        invoice_now=params.boolean("invoice_now") is not False,
        prorate=params.boolean("prorate") is not False,
        details={},
    )
    return stored(call.sandbox, "subscription_schedule", schedule["id"])


def _running(call: ApiCall) -> Json:
    schedule = stored(call.sandbox, "subscription_schedule", call.values["id"])
    if schedule["status"] not in {"active", "not_started"}:
        raise InvalidRequest(
            f"This subscription schedule is {schedule['status']} and can no longer be changed.", param="id"
        )
    return schedule


def _phases(sandbox: Sandbox, schedule: Json, params: Params) -> list[Json]:
    """All phases anew, as Stripe wants them: the one that runs keeps its start."""
    entries = params.entries("phases", limit=PHASES_LIMIT)
    if not entries:
        raise MissingParameter("phases")
    phases: list[Json] = []
    for entry in entries:
        start = phases[-1]["end_date"] if phases else schedule["phases"][0]["start_date"]
        phases.append(_phase(sandbox, schedule, entry, start))
    if phases[-1]["end_date"] <= sandbox.now():
        raise InvalidRequest("The subscription schedule must end in the future.", param="phases")
    return phases


def _phase(sandbox: Sandbox, schedule: Json, params: Params, start: int) -> Json:
    params.refuse_unknown(PHASE_FIELDS)
    given = _moment(sandbox, params, "start_date")
    if given is not None and given != start:
        known = {phase["start_date"] for phase in schedule["phases"]}
        if start not in known or given not in known:
            raise InvalidRequest(
                "The start_date of a phase must be the end_date of the one before it, and the current phase keeps "
                "its own.",
                param=params.name_of("start_date"),
            )
        start = given
    entries = params.entries("items", limit=20)
    if not entries:
        raise MissingParameter(params.name_of("items"))
    prices, items = [], []
    for entry in entries:
        entry.refuse_unknown(("metadata", "price", "quantity"))
        price = read_price(sandbox, entry)
        if price is None:
            raise MissingParameter(entry.name_of("price"))
        prices.append(price)
        items.append(
            build_phase_item(price_id=price["id"], quantity=read_quantity(entry) or 1, metadata=entry.metadata())
        )
    currency = schedule["phases"][0]["currency"]
    check_prices(prices, currency)
    end = _end(sandbox, params, start, prices[0]["recurring"])
    if end <= start:
        raise InvalidRequest("A phase must end after it starts.", param=params.name_of("end_date"))
    card_id = params.text("default_payment_method")
    if card_id is not None:
        wallet.own(sandbox, schedule["customer"], card_id, param=params.name_of("default_payment_method"))
    return build_phase(
        start_date=start,
        end_date=end,
        items=items,
        currency=currency,
        proration_behavior=params.choice("proration_behavior", PRORATIONS) or "create_prorations",
        billing_cycle_anchor=params.choice("billing_cycle_anchor", ("automatic", "phase_start")),
        description=params.text("description"),
        metadata=params.metadata(),
        default_payment_method=card_id,
    )


def _end(sandbox: Sandbox, params: Params, start: int, terms: Json) -> int:
    """Its `end_date`, or `duration` after its start, or one period of its prices."""
    duration, end = params.within("duration"), _moment(sandbox, params, "end_date")
    if duration is not None and end is not None:
        raise InvalidParameter("You may only specify one of these parameters: duration, end_date.")
    if end is not None:
        return end
    if duration is None:
        return boundary(start, terms, 1)
    duration.refuse_unknown(("interval", "interval_count"))
    interval = duration.choice("interval", ("day", "week", "month", "year"))
    if interval is None:
        raise MissingParameter(duration.name_of("interval"))
    return boundary(start, {"interval": interval, "interval_count": duration.integer("interval_count") or 1}, 1)


def _moment(sandbox: Sandbox, params: Params, name: str) -> int | None:
    return sandbox.now() if params.text(name) == "now" else params.integer(name)


ROUTES = (
    ApiRoute("POST", "/v1/subscription_schedules", create_schedule),
    ApiRoute(
        "GET",
        "/v1/subscription_schedules",
        filtered_list("subscription_schedule", {"created": by_moment, "customer": by_text}),
    ),
    ApiRoute("GET", "/v1/subscription_schedules/{id}", retrieve_one("subscription_schedule")),
    ApiRoute("POST", "/v1/subscription_schedules/{id}", update_schedule),
    ApiRoute("POST", "/v1/subscription_schedules/{id}/release", release_schedule),
    ApiRoute("POST", "/v1/subscription_schedules/{id}/cancel", cancel_schedule),
)
