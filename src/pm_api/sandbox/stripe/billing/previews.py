"""The next invoice, or that of a change, as it would be: the same plan and the same bill, not stored."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from pm_api.sandbox.stripe.billing.bills import Bill, bill_for
from pm_api.sandbox.stripe.billing.changes import Wish, plan, unused
from pm_api.sandbox.stripe.billing.entries import period_entry
from pm_api.sandbox.stripe.billing.lifecycle import next_period_items
from pm_api.sandbox.stripe.billing.records import period_of
from pm_api.sandbox.stripe.billing.updates import immediate_bill
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.subscriptions import items_list
from pm_api.sandbox.stripe.world import Sandbox


def preview_id() -> str:
    return new_id("upcoming_in")


def preview_change(sandbox: Sandbox, subscription: Json, wish: Wish, discounts: Sequence[Json] | None = None) -> Bill:
    """The invoice that the change would bring at once, else the next renewal with what would wait for it.

    `discounts` are looked at in place of the subscription's own.
    """
    change = plan(sandbox, subscription, wish)
    identifier = preview_id()
    bill = immediate_bill(sandbox, subscription, change, discounts=discounts, invoice_id=identifier)
    if bill is not None:
        return bill
    changed = deepcopy(subscription) | change.fields
    changed["items"] = items_list(changed["id"], change.items)
    end = period_of(changed)[1]
    entries = [*change.entries]
    if not changed["cancel_at_period_end"]:
        entries += [period_entry(sandbox.store, item) for item in next_period_items(changed)]
    bill = bill_for(
        sandbox.at(end),
        changed,
        entries,
        reason="upcoming",
        period=period_of(changed),
        discounts=discounts,
        invoice_id=identifier,
    )
    return replace(bill, invoice=bill.invoice | {"next_payment_attempt": end + 60 * 60})


def preview_cancellation(sandbox: Sandbox, subscription: Json, *, prorate: bool) -> Bill:
    """The last invoice, were the subscription ended now and billed at once."""
    return bill_for(
        sandbox,
        subscription,
        unused(sandbox, subscription) if prorate else (),
        reason="upcoming",
        period=(period_of(subscription)[0], sandbox.now()),
        invoice_id=preview_id(),
    )
