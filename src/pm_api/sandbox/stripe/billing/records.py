"""Keeping billing objects: saved with their timers, changed with an event that says what was there before."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pm_api.sandbox.stripe.billing.arithmetic import DAY_S, HOUR_S
from pm_api.sandbox.stripe.errors import ReferenceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Store, Timer
from pm_api.sandbox.stripe.world import Sandbox

FIRST_PAYMENT_WITHIN_S = 23 * HOUR_S
TRIAL_NOTICE_S = 3 * DAY_S
# What is due at one moment happens in this order: a new phase comes before the renewal that bills it.
RANKS = {
    "phase": 0,
    "pending_update": 1,
    "resume_collection": 2,
    "cancel": 3,
    "expire": 4,
    "trial_notice": 5,
    "period": 6,
    "finalize": 7,
    "collect": 8,
}
RUNNING = frozenset(("trialing", "active", "past_due", "unpaid"))
ENDED = frozenset(("canceled", "incomplete_expired"))


def differences(before: Json, after: Json) -> Json:
    """What stood in `before` wherever `after` says otherwise: Stripe's `previous_attributes`."""
    changed: Json = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changed[name] = differences(old, new) if both and old is not None and new is not None else deepcopy(old)
    return changed


def keep(sandbox: Sandbox, body: Json, *, parent: str | None = None) -> Json:
    """Save it, with the timers that follow from its state."""
    sandbox.store.save(body, parent=parent)
    sandbox.store.set_timers(body["id"], body.get("test_clock"), _timers(sandbox, body))
    return body


def amend(sandbox: Sandbox, body: Json, event_type: str | None = None, /, **changes: Any) -> Json:
    """Set fields in place, keep the object, and tell when something is different now."""
    before = deepcopy(body)
    body.update(changes)
    return announce(sandbox, before, body, event_type)


def announce(sandbox: Sandbox, before: Json, body: Json, event_type: str | None) -> Json:
    """Keep a body that was changed since `before`, and tell when something is different now."""
    previous = differences(before, body)
    keep(sandbox, body)
    if previous and event_type is not None:
        updated = event_type.endswith("updated")
        sandbox.publish(event_type, body, previous=previous if updated else None)
    return body


def state_of(store: Store, subscription_id: str) -> Json:
    """What the engine remembers beside a subscription: what each item was last billed, notices given, waiting
    changes. No API shows it."""
    found = store.find(f"{subscription_id}.state")
    return found or {
        "id": f"{subscription_id}.state",
        "object": "sandbox.subscription_state",
        "bases": {},
        "trial_notice_for": None,
        "waiting": None,
    }


def customer_of(sandbox: Sandbox, customer_id: str, *, param: str = "customer") -> Json:
    """A customer that was not deleted."""
    found = sandbox.store.find(customer_id, "customer")
    if found is None or found.get("deleted"):
        raise ReferenceMissing("customer", customer_id, param=param)
    return found


def on_timeline(sandbox: Sandbox, test_clock: str | None) -> Sandbox:
    """The sandbox at the moment where objects of this test clock (None: of the world) stand."""
    clock = sandbox.store.find(test_clock, "test_helpers.test_clock") if test_clock else None
    return sandbox if clock is None else sandbox.at(clock["frozen_time"])


def items_of(subscription: Json) -> list[Json]:
    items: list[Json] = subscription["items"]["data"]
    return items


def period_of(subscription: Json) -> tuple[int, int]:
    """All items of a subscription share one period here."""
    first = items_of(subscription)[0]
    return first["current_period_start"], first["current_period_end"]


def _timers(sandbox: Sandbox, body: Json) -> Sequence[Timer]:
    """What was due before it was thought of is due now: nothing happens in the past."""
    moments = {
        "subscription": _subscription_moments,
        "invoice": _invoice_moments,
        "subscription_schedule": _schedule_moments,
    }[body["object"]](sandbox.store, body)
    now = sandbox.now()
    return [
        Timer(body["id"], action, max(moment, now), RANKS[action])
        for action, moment in moments.items()
        if moment is not None
    ]


def _subscription_moments(store: Store, subscription: Json) -> dict[str, int | None]:
    status = subscription["status"]
    if status in ENDED:
        return {}
    moments: dict[str, int | None] = {}
    if not subscription["cancel_at_period_end"]:
        moments["cancel"] = subscription["cancel_at"]
    if status == "incomplete":
        moments["expire"] = subscription["created"] + FIRST_PAYMENT_WITHIN_S
    if status in RUNNING:
        moments["period"] = period_of(subscription)[1]
    if status == "trialing" and state_of(store, subscription["id"])["trial_notice_for"] != subscription["trial_end"]:
        moments["trial_notice"] = subscription["trial_end"] - TRIAL_NOTICE_S
    if subscription["pause_collection"] is not None:
        moments["resume_collection"] = subscription["pause_collection"]["resumes_at"]
    if subscription["pending_update"] is not None:
        moments["pending_update"] = subscription["pending_update"]["expires_at"]
    return moments


def _invoice_moments(_store: Store, invoice: Json) -> dict[str, int | None]:
    if invoice["status"] == "draft" and invoice["auto_advance"]:
        return {"finalize": invoice["automatically_finalizes_at"]}
    if invoice["status"] == "open":
        return {"collect": invoice["next_payment_attempt"]}
    return {}


def _schedule_moments(_store: Store, schedule: Json) -> dict[str, int | None]:
    phase = schedule["current_phase"]
    return {"phase": phase["end_date"]} if schedule["status"] == "active" and phase is not None else {}
