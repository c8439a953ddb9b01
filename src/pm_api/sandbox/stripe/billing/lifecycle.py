"""What the calendar brings to a subscription: trial notices and ends, renewals, ends that were ordered before."""

from copy import deepcopy

from pm_api.sandbox.stripe.billing.arithmetic import cycle_at
from pm_api.sandbox.stripe.billing.beginnings import give_trial_notice
from pm_api.sandbox.stripe.billing.bills import bill_for, finish_and_collect, issue, note_on
from pm_api.sandbox.stripe.billing.collection import card_for, card_on_file, collect
from pm_api.sandbox.stripe.billing.entries import period_entry
from pm_api.sandbox.stripe.billing.invoicing import void
from pm_api.sandbox.stripe.billing.records import amend, announce, items_of, period_of, state_of
from pm_api.sandbox.stripe.billing.standing import UPDATED, drop_waiting_change, end, expire
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.subscriptions import items_list
from pm_api.sandbox.stripe.world import Sandbox


def subscription_due(sandbox: Sandbox, subscription: Json, action: str) -> None:
    """Carry out what has become due for a subscription at this very moment."""
    match action:
        case "period":
            _turn_period(sandbox, subscription)
        case "trial_notice":
            give_trial_notice(sandbox, subscription)
        case "expire":
            expire(sandbox, subscription)
        case "cancel":
            end(sandbox, subscription, reason="cancellation_requested")
        case "resume_collection":
            # Drafts that were kept stay drafts, as at Stripe: whoever wants them paid finalizes them.
            amend(sandbox, subscription, UPDATED, pause_collection=None)
        case "pending_update":
            _expire_waiting_change(sandbox, subscription)


def invoice_due(sandbox: Sandbox, invoice: Json, action: str) -> None:
    """A draft's hour is over, or the next try has come."""
    if action == "finalize":
        finish_and_collect(sandbox, invoice)
    else:
        collect(sandbox, invoice, card_on_file(sandbox, invoice), automatic=True)


def next_period_items(subscription: Json) -> list[Json]:
    """Copies of the items in the period after the current one."""
    start = period_of(subscription)[1]
    items = deepcopy(items_of(subscription))
    last = cycle_at(subscription["billing_cycle_anchor"], items[0]["price"]["recurring"], start)[1]
    for item in items:
        item.update(current_period_start=start, current_period_end=last)
    return items


def _turn_period(sandbox: Sandbox, subscription: Json) -> None:
    if subscription["cancel_at_period_end"]:
        end(sandbox, subscription, reason="cancellation_requested")
        return
    before = deepcopy(subscription)
    if subscription["status"] == "trialing":
        if not _may_leave_trial(sandbox, subscription):
            return
        subscription["status"] = "active"
    passed = period_of(subscription)
    items = next_period_items(subscription)
    subscription["items"] = items_list(subscription["id"], items)
    pause = subscription["pause_collection"]
    kept_as_draft = pause is not None and pause["behavior"] == "keep_as_draft"
    bill = bill_for(
        sandbox,
        subscription,
        [period_entry(sandbox.store, item) for item in items],
        reason="subscription_cycle",
        period=passed,
        waits=True,
        auto_advance=subscription["status"] != "unpaid" and not kept_as_draft,
    )
    note_on(sandbox, subscription, bill)
    announce(sandbox, before, subscription, UPDATED)
    issue(sandbox, bill)


def _may_leave_trial(sandbox: Sandbox, subscription: Json) -> bool:
    """A trial without a card ends as its settings say: billed all the same, canceled or paused."""
    card = card_for(sandbox, subscription["default_payment_method"], customer_id=subscription["customer"])
    wanted = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if card is not None or wanted == "create_invoice":
        return True
    if wanted == "cancel":
        end(sandbox, subscription, reason="cancellation_requested")
        return False
    details = {
        "paused": {
            "subscription": {"type": "trial_end_without_payment_method"},
            "transitioned_at": sandbox.now(),
            "type": "subscription",
        }
    }
    amend(sandbox, subscription, UPDATED, status="paused", status_details=details)
    sandbox.publish("customer.subscription.paused", subscription)
    return False


def _expire_waiting_change(sandbox: Sandbox, subscription: Json) -> None:
    waiting = state_of(sandbox.store, subscription["id"])["waiting"]
    invoice = sandbox.store.find(waiting["invoice"], "invoice") if waiting else None
    drop_waiting_change(sandbox, subscription)
    if invoice is not None and invoice["status"] == "open":
        void(sandbox, invoice)
