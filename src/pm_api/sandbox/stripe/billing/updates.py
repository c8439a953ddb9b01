"""Changing a running subscription, ending it on request, and taking up a paused one again."""

from collections.abc import Sequence
from copy import deepcopy

from pm_api.sandbox.stripe.billing.arithmetic import boundary, cycle_at
from pm_api.sandbox.stripe.billing.beginnings import leave_to_buyer, refuse_unpaid
from pm_api.sandbox.stripe.billing.bills import Bill, bill_for, issue, note_on
from pm_api.sandbox.stripe.billing.changes import Change, Wish, adopt, let_wait, plan, unused
from pm_api.sandbox.stripe.billing.collection import card_on_file, collect
from pm_api.sandbox.stripe.billing.entries import period_entry
from pm_api.sandbox.stripe.billing.records import (
    FIRST_PAYMENT_WITHIN_S,
    amend,
    announce,
    items_of,
    keep,
    period_of,
    state_of,
)
from pm_api.sandbox.stripe.billing.standing import UPDATED, end
from pm_api.sandbox.stripe.errors import InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.world import Sandbox


def change_subscription(
    sandbox: Sandbox, subscription: Json, wish: Wish, fields: Json, *, payment_behavior: str
) -> Json:
    """Set plain fields, make the wished change, bill it when it is billed at once; returns it as it then stands."""
    change = plan(sandbox, subscription, wish)
    bill = immediate_bill(sandbox, subscription | fields, change)
    if bill is None or payment_behavior != "pending_if_incomplete" or not bill.invoice["amount_due"]:
        _change_now(sandbox, subscription, change, bill, fields, payment_behavior)
    else:
        _change_when_paid(sandbox, subscription, change, bill)
    return _fresh(sandbox, subscription)


def immediate_bill(
    sandbox: Sandbox,
    subscription: Json,
    change: Change,
    *,
    discounts: Sequence[Json] | None = None,
    invoice_id: str | None = None,
) -> Bill | None:
    """The invoice that the change brings at once, composed only: a preview of it and the real one are the same."""
    if not change.bills_now:
        return None
    return bill_for(
        sandbox,
        subscription,
        change.entries,
        reason="subscription_update",
        period=(period_of(subscription)[0], sandbox.now()),
        discounts=discounts,
        invoice_id=invoice_id,
    )


def cancel_subscription(
    sandbox: Sandbox, subscription: Json, *, invoice_now: bool, prorate: bool, details: Json
) -> Json:
    """End it now. Unused time is credited only on request, and billed at once only on request."""
    credits = unused(sandbox, subscription) if prorate else ()
    bill = None
    if invoice_now:
        bill = bill_for(
            sandbox,
            subscription,
            credits,
            reason="subscription_update",
            period=(period_of(subscription)[0], sandbox.now()),
        )
        if bill.entries:
            note_on(sandbox, subscription, bill)
    elif credits:
        let_wait(sandbox, subscription, credits)
    end(sandbox, subscription, reason="cancellation_requested", **details)
    if bill is not None and bill.entries:
        invoice = issue(sandbox, bill)
        if invoice["status"] == "open":
            collect(sandbox, invoice, card_on_file(sandbox, invoice), automatic=True)
    return _fresh(sandbox, subscription)


def resume_subscription(sandbox: Sandbox, subscription: Json, *, restart: bool) -> Json:
    """Take up a paused subscription: it is active once the invoice for its new period is paid."""
    if subscription["status"] != "paused":
        raise InvalidRequest(
            f"Only paused subscriptions can be resumed. This subscription has a status of {subscription['status']}."
        )
    now = sandbox.now()
    items = deepcopy(items_of(subscription))
    terms = items[0]["price"]["recurring"]
    anchor = now if restart else subscription["billing_cycle_anchor"]
    last = boundary(now, terms, 1) if restart else cycle_at(anchor, terms, now)[1]
    for item in items:
        item.update(current_period_start=now, current_period_end=last)
    before = deepcopy(subscription)
    entries = [period_entry(sandbox.store, item) for item in items]
    bill = bill_for(sandbox, subscription, entries, reason="subscription_update", period=(now, now))
    adopt(sandbox, subscription, Change(items, (), bills_now=True, fields={"billing_cycle_anchor": anchor}))
    note_on(sandbox, subscription, bill)
    announce(sandbox, before, subscription, UPDATED)
    invoice = issue(sandbox, bill)
    if invoice["status"] == "open":
        collect(sandbox, invoice, card_on_file(sandbox, invoice), automatic=False)
    return _fresh(sandbox, subscription)


def _change_now(
    sandbox: Sandbox, subscription: Json, change: Change, bill: Bill | None, fields: Json, payment_behavior: str
) -> None:
    before = deepcopy(subscription)
    subscription.update(fields)
    adopt(sandbox, subscription, change)
    if bill is not None:
        note_on(sandbox, subscription, bill)
    announce(sandbox, before, subscription, UPDATED)
    if bill is None:
        return
    invoice = issue(sandbox, bill)
    if invoice["status"] != "open":
        return
    card = card_on_file(sandbox, invoice)
    if payment_behavior == "default_incomplete":
        leave_to_buyer(sandbox, invoice, card)
        amend(sandbox, _fresh(sandbox, subscription), UPDATED, status="past_due")
        return
    attempt = collect(sandbox, invoice, card, automatic=False)
    if payment_behavior == "error_if_incomplete":
        refuse_unpaid(attempt)


def _change_when_paid(sandbox: Sandbox, subscription: Json, change: Change, bill: Bill) -> None:
    """The change waits beside the subscription until its invoice is paid, at most for 23 hours."""
    state = state_of(sandbox.store, subscription["id"])
    waiting = {"invoice": bill.invoice["id"], "items": change.items, "fields": change.fields}
    sandbox.store.save(state | {"waiting": waiting})
    note_on(sandbox, subscription, bill)
    keep(sandbox, subscription)
    invoice = issue(sandbox, bill)
    collect(sandbox, invoice, card_on_file(sandbox, invoice), automatic=False)
    fresh = _fresh(sandbox, subscription)
    if state_of(sandbox.store, subscription["id"])["waiting"] is None:
        return
    amend(
        sandbox,
        fresh,
        UPDATED,
        pending_update={
            "billing_cycle_anchor": change.fields.get("billing_cycle_anchor"),
            "cancel_at_period_end": None,
            "discount": None,
            "discounts": None,
            "expires_at": sandbox.now() + FIRST_PAYMENT_WITHIN_S,
            "metadata": None,
            "subscription_items": change.items,
            "trial_end": None,
            "trial_from_plan": None,
        },
    )


def _fresh(sandbox: Sandbox, subscription: Json) -> Json:
    found = sandbox.store.find(subscription["id"], "subscription")
    assert found is not None
    return found
