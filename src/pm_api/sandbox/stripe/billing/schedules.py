"""Schedules: phases that follow each other over one subscription, as a downgrade at the end of a period."""

from collections.abc import Sequence
from copy import deepcopy

from pm_api.sandbox.stripe.billing.changes import ItemWish, Wish, planned_items, terms_of
from pm_api.sandbox.stripe.billing.records import amend, announce, items_of, keep, period_of
from pm_api.sandbox.stripe.billing.standing import UPDATED, close_schedule, end
from pm_api.sandbox.stripe.billing.updates import change_subscription
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.schedules import build_phase, build_phase_item, build_schedule
from pm_api.sandbox.stripe.objects.subscriptions import items_list
from pm_api.sandbox.stripe.world import Sandbox


def schedule_over(sandbox: Sandbox, subscription: Json, *, metadata: dict[str, str]) -> Json:
    """A schedule whose first phase is the subscription's current period."""
    start, last = period_of(subscription)
    items = [
        build_phase_item(price_id=item["price"]["id"], quantity=item["quantity"], metadata=item["metadata"])
        for item in items_of(subscription)
    ]
    phase = build_phase(start_date=start, end_date=last, items=items, currency=subscription["currency"])
    schedule = build_schedule(created=sandbox.now(), subscription=subscription, phase=phase, metadata=metadata)
    keep(sandbox, schedule)
    sandbox.publish("subscription_schedule.created", schedule)
    amend(sandbox, subscription, UPDATED, schedule=schedule["id"])
    return schedule


def follow(sandbox: Sandbox, schedule: Json, before: Json, *, proration_behavior: str) -> Json:
    """Phases were rewritten: keep them, and bring the subscription to the one that runs now."""
    now = sandbox.now()
    running = next((phase for phase in schedule["phases"] if phase["start_date"] <= now < phase["end_date"]), None)
    if running is not None:
        schedule["current_phase"] = {"end_date": running["end_date"], "start_date": running["start_date"]}
    announce(sandbox, before, schedule, "subscription_schedule.updated")
    subscription = sandbox.store.find(schedule["subscription"], "subscription")
    if running is not None and subscription is not None:
        _enter(sandbox, subscription, running, proration_behavior)
    return schedule


def release(sandbox: Sandbox, schedule: Json) -> Json:
    """The subscription goes on as it is, without a schedule."""
    subscription = sandbox.store.find(schedule["subscription"], "subscription")
    assert subscription is not None
    close_schedule(sandbox, subscription, "released")
    amend(sandbox, subscription, UPDATED, schedule=None)
    found = sandbox.store.find(schedule["id"], "subscription_schedule")
    assert found is not None
    return found


def schedule_due(sandbox: Sandbox, schedule: Json, _action: str) -> None:
    """A phase is over: the next one begins, or the schedule ends as it says."""
    subscription = sandbox.store.find(schedule["subscription"], "subscription")
    assert subscription is not None
    now = sandbox.now()
    upcoming = next((phase for phase in schedule["phases"] if phase["start_date"] >= now), None)
    if upcoming is not None:
        current = {"end_date": upcoming["end_date"], "start_date": upcoming["start_date"]}
        amend(sandbox, schedule, "subscription_schedule.updated", current_phase=current)
        _enter(sandbox, subscription, upcoming, upcoming["proration_behavior"])
    elif schedule["end_behavior"] == "cancel":
        close_schedule(sandbox, subscription, "completed")
        end(sandbox, subscription, reason="cancellation_requested")
    else:
        release(sandbox, schedule)


def _enter(sandbox: Sandbox, subscription: Json, phase: Json, proration_behavior: str) -> None:
    """Make the subscription what the phase says."""
    fields: Json = {"metadata": subscription["metadata"] | phase["metadata"]}
    for name in ("default_payment_method", "description"):
        if phase[name] is not None:
            fields[name] = phase[name]
    wishes = _item_wishes(sandbox, subscription, phase["items"])
    if sandbox.now() < period_of(subscription)[1]:
        wish = Wish(
            items=wishes,
            proration_behavior=proration_behavior,
            restart=phase["billing_cycle_anchor"] == "phase_start" and phase["start_date"] == sandbox.now(),
        )
        change_subscription(sandbox, subscription, wish, fields, payment_behavior="allow_incomplete")
        return
    # The period ends at this very moment: there is nothing to prorate, and the renewal bills the new items.
    before = deepcopy(subscription)
    items = planned_items(sandbox, subscription, wishes)
    old, new = items_of(subscription)[0]["price"]["recurring"], items[0]["price"]["recurring"]
    if terms_of(old) != terms_of(new) or phase["billing_cycle_anchor"] == "phase_start":
        fields["billing_cycle_anchor"] = sandbox.now()
    subscription.update(fields | {"items": items_list(subscription["id"], items)})
    announce(sandbox, before, subscription, UPDATED)


def _item_wishes(sandbox: Sandbox, subscription: Json, wanted: Sequence[Json]) -> list[ItemWish]:
    """Phase items onto subscription items in their order; what is left over goes."""
    present = items_of(subscription)
    wishes = []
    for position, item in enumerate(wanted):
        price = sandbox.store.find(item["price"], "price")
        known = present[position]["id"] if position < len(present) else None
        wishes.append(ItemWish(known, price, item["quantity"], item["metadata"]))
    return wishes + [ItemWish(item["id"], deleted=True) for item in present[len(wanted) :]]
