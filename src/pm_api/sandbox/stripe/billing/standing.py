"""What a payment, a failure or an end means for the subscription."""

from copy import deepcopy
from typing import Any

from pm_api.sandbox.stripe.billing.changes import Change, adopt
from pm_api.sandbox.stripe.billing.invoicing import invoices_of, stop_collecting, subscription_id_of, void
from pm_api.sandbox.stripe.billing.records import ENDED, amend, announce, differences, state_of
from pm_api.sandbox.stripe.billing.settings import collection_rules
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.world import Sandbox

UPDATED = "customer.subscription.updated"


def subscription_behind(sandbox: Sandbox, invoice: Json) -> Json | None:
    return sandbox.store.find(subscription_id_of(invoice) or "", "subscription")


def after_paid(sandbox: Sandbox, invoice: Json, intent: Json | None) -> None:
    """The subscription comes (back) to life, a waiting change is made, and the card may become its own."""
    set_delinquent(sandbox, invoice["customer"], False)
    subscription = subscription_behind(sandbox, invoice)
    if subscription is None or subscription["status"] in ENDED:
        return
    before = deepcopy(subscription)
    keeps_card = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    if keeps_card and intent is not None and intent["payment_method"] is not None:
        subscription["default_payment_method"] = intent["payment_method"]
    applied = _make_waiting_change(sandbox, subscription, invoice)
    was = subscription["status"]
    revived = was == "incomplete" or (was in {"past_due", "unpaid"} and is_newest(sandbox, invoice, subscription))
    resumed = was == "paused" and invoice["id"] == subscription["latest_invoice"]
    if revived or resumed:
        subscription["status"] = "active"
    if resumed:
        subscription["status_details"] = None
    if applied:
        sandbox.publish("customer.subscription.pending_update_applied", subscription)
    announce(sandbox, before, subscription, UPDATED)
    if resumed:
        sandbox.publish("customer.subscription.resumed", subscription)


def after_setup(sandbox: Sandbox, intent: Json) -> None:
    """The card that a subscription asked for is set up: nothing is pending, and it may become its own."""
    link = sandbox.store.find(f"{intent['id']}.subscription") or {"subscription": ""}
    subscription = sandbox.store.find(link["subscription"], "subscription")
    if subscription is None or subscription["status"] in ENDED:
        return
    changes: Json = {"pending_setup_intent": None}
    if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = intent["payment_method"]
    amend(sandbox, subscription, UPDATED, **changes)


def after_failed(sandbox: Sandbox, invoice: Json, *, automatic: bool) -> None:
    """When it is tried again, and what the subscription is meanwhile; after the last try, the account's rule."""
    first = invoice["billing_reason"] == "subscription_create"
    rules = collection_rules(sandbox.store)
    subscription = subscription_behind(sandbox, invoice)
    waiting = subscription is not None and waits_for(sandbox, subscription, invoice)
    retries = not first and not waiting and invoice["auto_advance"]
    if retries and (automatic or invoice["attempt_count"] == 1):
        upcoming = rules.next_attempt(invoice["attempt_count"], sandbox.now())
        amend(sandbox, invoice, next_payment_attempt=upcoming)
    sandbox.publish("invoice.payment_failed", invoice)
    set_delinquent(sandbox, invoice["customer"], True)
    if first or waiting or subscription is None or subscription["status"] in ENDED | {"incomplete", "paused"}:
        return
    if subscription["status"] in {"active", "trialing"}:
        amend(sandbox, subscription, UPDATED, status="past_due")
    if invoice["next_payment_attempt"] is None and invoice["auto_advance"] and automatic:
        if rules.last_step == "cancel":
            end(sandbox, subscription, reason="payment_failed")
        elif rules.last_step == "unpaid":
            amend(sandbox, subscription, UPDATED, status="unpaid")


def after_given_up(sandbox: Sandbox, invoice: Json) -> None:
    """A void or uncollectible invoice no longer holds its subscription back; a first one ends it."""
    subscription = subscription_behind(sandbox, invoice)
    if subscription is None:
        return
    if subscription["status"] == "incomplete" and invoice["status"] == "void":
        expire(sandbox, subscription)
    elif waits_for(sandbox, subscription, invoice):
        drop_waiting_change(sandbox, subscription)
    elif subscription["status"] in {"past_due", "unpaid"} and not _still_owes(sandbox, subscription):
        amend(sandbox, subscription, UPDATED, status="active")


def end(sandbox: Sandbox, subscription: Json, *, reason: str, **details: Any) -> Json:
    """Canceled from now on, for good: its schedule too, and nothing is collected by itself any more."""
    now = sandbox.now()
    close_schedule(sandbox, subscription, "canceled")
    subscription.update(
        status="canceled",
        canceled_at=subscription["canceled_at"] or now,
        ended_at=now,
        pending_update=None,
        schedule=None,
        cancellation_details=subscription["cancellation_details"] | {"reason": reason} | details,
    )
    announce(sandbox, {}, subscription, None)
    for invoice in invoices_of(sandbox, subscription["id"]):
        if invoice["status"] in {"draft", "open"} and invoice["auto_advance"]:
            stop_collecting(sandbox, invoice)
    sandbox.publish("customer.subscription.deleted", subscription)
    return subscription


def expire(sandbox: Sandbox, subscription: Json) -> None:
    """The first payment never came."""
    now = sandbox.now()
    amend(sandbox, subscription, UPDATED, status="incomplete_expired", ended_at=now)
    for invoice in invoices_of(sandbox, subscription["id"]):
        if invoice["status"] == "open":
            void(sandbox, invoice)


def close_schedule(sandbox: Sandbox, subscription: Json, status: str) -> None:
    """End the schedule over a subscription, if there is one: canceled, released or completed."""
    schedule = sandbox.store.find(subscription["schedule"] or "", "subscription_schedule")
    if schedule is None or schedule["status"] not in {"active", "not_started"}:
        return
    now = sandbox.now()
    changes: Json = {"status": status, "current_phase": None}
    if status == "released":
        changes |= {"released_at": now, "released_subscription": subscription["id"], "subscription": None}
    else:
        changes |= {f"{status}_at": now}
    amend(sandbox, schedule, f"subscription_schedule.{status}", **changes)


def waits_for(sandbox: Sandbox, subscription: Json, invoice: Json) -> bool:
    """Whether a change of the subscription waits for this invoice to be paid."""
    waiting = state_of(sandbox.store, subscription["id"])["waiting"]
    return waiting is not None and waiting["invoice"] == invoice["id"]


def drop_waiting_change(sandbox: Sandbox, subscription: Json) -> None:
    state = state_of(sandbox.store, subscription["id"])
    sandbox.store.save(state | {"waiting": None})
    amend(sandbox, subscription, UPDATED, pending_update=None)
    sandbox.publish("customer.subscription.pending_update_expired", subscription)


def is_newest(sandbox: Sandbox, invoice: Json, subscription: Json) -> bool:
    """Whether this invoice decides what the subscription is: no later one counts."""
    deciding = _deciding_invoice(sandbox, subscription)
    return deciding is None or deciding["id"] == invoice["id"]


def _deciding_invoice(sandbox: Sandbox, subscription: Json) -> Json | None:
    """The newest finalized invoice; void ones do not count. https://docs.stripe.com/billing/subscriptions/overview"""
    counting = [
        one
        for one in invoices_of(sandbox, subscription["id"])
        if one["status_transitions"]["finalized_at"] is not None and one["status"] != "void"
    ]
    return counting[-1] if counting else None


def _still_owes(sandbox: Sandbox, subscription: Json) -> bool:
    deciding = _deciding_invoice(sandbox, subscription)
    return deciding is not None and deciding["status"] == "open"


def set_delinquent(sandbox: Sandbox, customer_id: str, delinquent: bool) -> None:
    """A customer is delinquent while an invoice of theirs stays unpaid after an attempt."""
    customer = sandbox.store.find(customer_id, "customer")
    if customer is None or customer.get("deleted"):
        return
    if customer["delinquent"] == delinquent:
        return
    if not delinquent:
        unpaid = sandbox.store.all("invoice", [field_is("customer", customer_id), field_is("status", "open")])
        delinquent = any(one["attempted"] for one in unpaid)
    if customer["delinquent"] != delinquent:
        before = dict(customer)
        customer["delinquent"] = delinquent
        sandbox.store.save(customer)
        sandbox.publish("customer.updated", customer, previous=differences(before, customer))


def _make_waiting_change(sandbox: Sandbox, subscription: Json, invoice: Json) -> bool:
    if not waits_for(sandbox, subscription, invoice):
        return False
    state = state_of(sandbox.store, subscription["id"])
    waiting = state["waiting"]
    sandbox.store.save(state | {"waiting": None})
    adopt(sandbox, subscription, Change(waiting["items"], (), bills_now=True, fields=waiting["fields"]))
    subscription["pending_update"] = None
    return True
