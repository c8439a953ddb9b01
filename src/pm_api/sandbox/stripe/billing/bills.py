"""The invoice of a subscription: put together for a look or for good, then issued."""

from collections.abc import Sequence
from dataclasses import dataclass

from pm_api.sandbox.stripe.billing.collection import card_on_file, collect
from pm_api.sandbox.stripe.billing.discounts import in_force, left_after_invoice
from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.billing.invoicing import compose, finalize, give_up, store_draft, void, waiting_entries
from pm_api.sandbox.stripe.billing.records import customer_of
from pm_api.sandbox.stripe.billing.standing import after_given_up, after_paid, subscription_behind
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.payments import Attempt
from pm_api.sandbox.stripe.world import Sandbox


@dataclass(frozen=True)
class Bill:
    """A composed invoice with its lines and what they came from; nothing of it is stored."""

    invoice: Json
    lines: list[Json]
    entries: tuple[Entry, ...]


def bill_for(
    sandbox: Sandbox,
    subscription: Json,
    entries: Sequence[Entry],
    *,
    reason: str,
    period: tuple[int, int],
    customer: Json | None = None,
    discounts: Sequence[Json] | None = None,
    waits: bool = False,
    auto_advance: bool = True,
    takes_waiting: bool = True,
    invoice_id: str | None = None,
) -> Bill:
    """What a subscription is to pay: waiting items first, then the entries, less the discounts in force.

    `customer` is for one who is not stored yet.
    """
    customer = customer or customer_of(sandbox, subscription["customer"])
    currency = subscription["currency"]
    waiting: list[Entry] = []
    if takes_waiting:
        waiting = waiting_entries(sandbox, customer["id"], subscription["id"], currency)
    every = (*waiting, *entries)
    invoice, lines = compose(
        sandbox,
        customer=customer,
        entries=every,
        currency=currency,
        reason=reason,
        period=period,
        subscription=subscription,
        discounts=in_force(sandbox.store, subscription, sandbox.now()) if discounts is None else discounts,
        invoice_id=invoice_id,
        auto_advance=auto_advance,
        waits=waits,
    )
    return Bill(invoice, lines, every)


def note_on(sandbox: Sandbox, subscription: Json, bill: Bill) -> None:
    """What the subscription says once the bill is its latest invoice; the caller keeps it."""
    used = [sandbox.store.find(discount_id, "discount") for discount_id in bill.invoice["discounts"]]
    subscription["latest_invoice"] = bill.invoice["id"]
    subscription["discounts"] = left_after_invoice(sandbox.store, subscription, [one for one in used if one])


def issue(sandbox: Sandbox, bill: Bill) -> Json:
    """Store the bill; finalize it unless it waits as a draft."""
    invoice = store_draft(sandbox, bill.invoice, bill.lines, bill.entries)
    if invoice["automatically_finalizes_at"] is None and invoice["auto_advance"]:
        finish(sandbox, invoice)
    return invoice


def finish(sandbox: Sandbox, invoice: Json) -> Json:
    """Finalize; where nothing is due, all that follows from being paid."""
    finalize(sandbox, invoice)
    if invoice["status"] == "paid":
        after_paid(sandbox, invoice, None)
    return invoice


def finish_and_collect(sandbox: Sandbox, invoice: Json) -> Attempt | None:
    """What happens to a draft by itself: finalized, then paid by the card on file; None when nothing was asked.

    While its subscription's collection is paused it is left, voided or given up instead.
    """
    subscription = subscription_behind(sandbox, invoice)
    pause = subscription["pause_collection"] if subscription else None
    finish(sandbox, invoice)
    if invoice["status"] != "open":
        return None
    if pause is not None:
        (void if pause["behavior"] == "void" else give_up)(sandbox, invoice)
        after_given_up(sandbox, invoice)
        return None
    return collect(sandbox, invoice, card_on_file(sandbox, invoice), automatic=True)
