"""The invoice's own life: composed, drafted, finalized, paid, voided, given up. Getting it paid is `collection`."""

from collections.abc import Sequence

from pm_api.sandbox.stripe.billing.arithmetic import HOUR_S
from pm_api.sandbox.stripe.billing.bases import remember_basis
from pm_api.sandbox.stripe.billing.discounts import taken_off
from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.billing.records import amend, customer_of, differences, keep
from pm_api.sandbox.stripe.errors import InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.invoices import (
    build_balance_transaction,
    build_invoice,
    build_invoice_payment,
    build_line,
    invoice_item_parent,
    price_details,
    subscription_parent,
)
from pm_api.sandbox.stripe.objects.payments import build_payment_intent
from pm_api.sandbox.stripe.payments import cancel_intent
from pm_api.sandbox.stripe.world import Sandbox

DRAFT_FOR_S = HOUR_S
INTENT_DESCRIPTIONS = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}


def compose(
    sandbox: Sandbox,
    *,
    customer: Json,
    entries: Sequence[Entry],
    currency: str,
    reason: str,
    period: tuple[int, int],
    subscription: Json | None = None,
    discounts: Sequence[Json] = (),
    invoice_id: str | None = None,
    auto_advance: bool = True,
    waits: bool = False,
    default_payment_method: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> tuple[Json, list[Json]]:
    """An invoice and its lines as they would be; nothing is stored. With `waits` it stays a draft for an hour."""
    identifier = invoice_id or new_id("in")
    off = taken_off(sandbox.store, entries, discounts)
    lines = [_line(identifier, entry, amounts) for entry, amounts in zip(entries, off, strict=True)]
    totals: dict[str, int] = {}
    for amounts in off:
        for one in amounts:
            totals[one["discount"]] = totals.get(one["discount"], 0) + one["amount"]
    invoice = build_invoice(
        invoice_id=identifier,
        created=sandbox.now(),
        customer=customer,
        currency=currency,
        billing_reason=reason,
        lines=lines,
        period=period,
        subscription=subscription,
        auto_advance=auto_advance,
        automatically_finalizes_at=sandbox.now() + DRAFT_FOR_S if waits and auto_advance else None,
        default_payment_method=default_payment_method,
        description=description,
        discounts=[one["id"] for one in discounts],
        discount_amounts=[{"amount": amount, "discount": name} for name, amount in totals.items()],
        metadata=metadata,
    )
    return invoice, lines


def store_draft(sandbox: Sandbox, invoice: Json, lines: Sequence[Json], entries: Sequence[Entry]) -> Json:
    """Keep a composed invoice: its lines become its own, waiting items are used up, bases are remembered."""
    for line in lines:
        sandbox.store.save(line, parent=invoice["id"])
    for entry in entries:
        if entry.invoice_item is not None:
            sandbox.store.save(entry.invoice_item | {"invoice": invoice["id"]})
    _remember_bases(sandbox, invoice, lines, entries)
    keep(sandbox, invoice, parent=subscription_id_of(invoice))
    sandbox.publish("invoice.created", invoice)
    return invoice


def waiting_entries(sandbox: Sandbox, customer_id: str, subscription_id: str | None, currency: str) -> list[Entry]:
    """Stored invoice items that the next invoice takes: those of this subscription, and those of none."""
    wanted = [
        item
        for item in sandbox.store.children(customer_id, "invoiceitem")
        if item["invoice"] is None
        and item["currency"] == currency
        and _subscription_of(item) in {None, subscription_id}
    ]
    return [_waiting_entry(sandbox, item) for item in wanted]


def finalize(sandbox: Sandbox, invoice: Json, *, paid_by: Json | None = None) -> Json:
    """A draft becomes open with a number; balance is used or filled; nothing due means paid.

    `paid_by` is an intent that has paid it already, on a checkout page, where the balance plays no part.
    """
    if invoice["status"] != "draft":
        raise InvalidRequest("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    customer = customer_of(sandbox, invoice["customer"])
    starting = 0 if paid_by is not None else customer["balance"]
    owed = invoice["total"] + starting
    ending, due = min(0, owed), max(0, owed)
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer.update(next_invoice_sequence=customer["next_invoice_sequence"] + 1, currency=invoice["currency"])
    sandbox.store.save(customer)
    if paid_by is None:
        set_balance(sandbox, customer, ending, invoice, reason="applied_to_invoice")
    now = sandbox.now()
    invoice.update(
        status="open",
        number=number,
        amount_due=due,
        amount_remaining=due,
        starting_balance=starting,
        ending_balance=ending,
        automatically_finalizes_at=None,
        effective_at=now,
        hosted_invoice_url=sandbox.link(f"invoices/{invoice['id']}"),
        invoice_pdf=sandbox.link(f"invoices/{invoice['id']}/pdf"),
        status_transitions=invoice["status_transitions"] | {"finalized_at": now},
    )
    keep(sandbox, invoice)
    sandbox.publish("invoice.finalized", invoice)
    if due == 0:
        return mark_paid(sandbox, invoice, amount=0)
    if paid_by is not None:
        payment = attach_payment(sandbox, invoice, paid_by)
        transitions = payment["status_transitions"] | {"paid_at": now}
        payment.update(status="paid", amount_paid=due, status_transitions=transitions)
        sandbox.store.save(payment)
        return mark_paid(sandbox, invoice, amount=due)
    _open_intent(sandbox, invoice, customer)
    return invoice


def mark_paid(sandbox: Sandbox, invoice: Json, *, amount: int) -> Json:
    """Nothing remains of it. What that means for a subscription is `standing`."""
    invoice.update(
        status="paid",
        amount_paid=amount,
        amount_remaining=0,
        attempted=True,
        next_payment_attempt=None,
        auto_advance=False,
        status_transitions=invoice["status_transitions"] | {"paid_at": sandbox.now()},
    )
    keep(sandbox, invoice)
    sandbox.publish("invoice.paid", invoice)
    sandbox.publish("invoice.payment_succeeded", invoice)
    return invoice


def void(sandbox: Sandbox, invoice: Json) -> Json:
    """As if it had never been: its balance goes back, its intent is canceled."""
    if invoice["status"] not in {"open", "uncollectible"}:
        raise InvalidRequest(
            f"You can only void open or uncollectible invoices. This invoice has a status of {invoice['status']}."
        )
    used = invoice["ending_balance"] - invoice["starting_balance"]
    customer = customer_of(sandbox, invoice["customer"])
    set_balance(sandbox, customer, customer["balance"] - used, invoice, reason="unapplied_from_invoice")
    invoice.update(
        status="void",
        amount_remaining=0,
        next_payment_attempt=None,
        auto_advance=False,
        status_transitions=invoice["status_transitions"] | {"voided_at": sandbox.now()},
    )
    keep(sandbox, invoice)
    payment = payment_of(sandbox, invoice)
    if payment is not None:
        transitions = payment["status_transitions"] | {"canceled_at": sandbox.now()}
        sandbox.store.save(payment | {"status": "canceled", "status_transitions": transitions})
        cancel_intent(sandbox, payment["payment"]["payment_intent"], reason="void_invoice")
    sandbox.publish("invoice.voided", invoice)
    return invoice


def give_up(sandbox: Sandbox, invoice: Json) -> Json:
    """Marked uncollectible: it may still be paid."""
    if invoice["status"] != "open":
        raise InvalidRequest(
            f"You can only mark open invoices uncollectible. This invoice has a status of {invoice['status']}."
        )
    transitions = invoice["status_transitions"] | {"marked_uncollectible_at": sandbox.now()}
    invoice.update(
        status="uncollectible", next_payment_attempt=None, auto_advance=False, status_transitions=transitions
    )
    keep(sandbox, invoice)
    sandbox.publish("invoice.marked_uncollectible", invoice)
    return invoice


def stop_collecting(sandbox: Sandbox, invoice: Json) -> None:
    """It stays as it is, and nothing is tried by itself any more."""
    stopped = {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}
    amend(sandbox, invoice, "invoice.updated", **stopped)


def set_balance(sandbox: Sandbox, customer: Json, balance: int, invoice: Json, *, reason: str) -> None:
    """The customer's balance, with the transaction that explains it; negative is credit."""
    before = dict(customer)
    change = balance - customer["balance"]
    if change == 0:
        return
    customer["balance"] = balance
    sandbox.store.save(customer)
    sandbox.store.save(
        build_balance_transaction(
            created=sandbox.now(),
            customer_id=customer["id"],
            currency=invoice["currency"],
            amount=change,
            ending_balance=balance,
            reason=reason,
            invoice_id=invoice["id"],
        )
    )
    sandbox.publish("customer.updated", customer, previous=differences(before, customer))


def payment_of(sandbox: Sandbox, invoice: Json) -> Json | None:
    """The invoice's payment that is not canceled."""
    found = sandbox.store.children(invoice["id"], "invoice_payment")
    return next((payment for payment in reversed(found) if payment["status"] != "canceled"), None)


def intent_of(sandbox: Sandbox, invoice: Json) -> Json | None:
    payment = payment_of(sandbox, invoice)
    return None if payment is None else sandbox.store.find(payment["payment"]["payment_intent"], "payment_intent")


def invoice_of_intent(sandbox: Sandbox, intent_id: str) -> Json | None:
    """The invoice that a payment intent pays; at Stripe, too, only invoice payments know."""
    link = sandbox.store.find(f"{intent_id}.invoice")
    return None if link is None else sandbox.store.find(link["invoice"], "invoice")


def subscription_id_of(invoice: Json) -> str | None:
    return invoice["parent"]["subscription_details"]["subscription"] if invoice["parent"] else None


def invoices_of(sandbox: Sandbox, subscription_id: str) -> list[Json]:
    """All of a subscription, oldest first."""
    return sandbox.store.children(subscription_id, "invoice")


def attach_payment(sandbox: Sandbox, invoice: Json, intent: Json) -> Json:
    link = {"id": f"{intent['id']}.invoice", "object": "sandbox.invoice_link", "invoice": invoice["id"]}
    sandbox.store.save(link)
    payment = build_invoice_payment(created=sandbox.now(), invoice=invoice, payment_intent=intent["id"])
    return sandbox.store.save(payment, parent=invoice["id"])


def _open_intent(sandbox: Sandbox, invoice: Json, customer: Json) -> None:
    intent = build_payment_intent(
        created=sandbox.now(),
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer_id=customer["id"],
        description=INTENT_DESCRIPTIONS.get(invoice["billing_reason"], invoice["description"]),
    )
    if invoice["parent"] is not None:
        intent["setup_future_usage"] = "off_session"
    sandbox.store.save(intent)
    attach_payment(sandbox, invoice, intent)
    sandbox.publish("payment_intent.created", intent)


def _line(invoice_id: str, entry: Entry, amounts: list[Json]) -> Json:
    item = entry.invoice_item
    parent: Json | None = None
    if entry.item is not None and entry.subscription is not None:
        parent = subscription_parent(
            entry.subscription,
            entry.item,
            proration=entry.proration,
            invoice_item=item["id"] if item else None,
            credited=entry.credited,
        )
    elif item is not None:
        parent = invoice_item_parent(item["id"], entry.subscription)
    return build_line(
        line_id=new_id("il"),
        invoice_id=invoice_id,
        amount=entry.amount,
        currency=entry.currency,
        description=entry.description,
        period=entry.period,
        quantity=entry.quantity,
        parent=parent,
        pricing=price_details(entry.price) if entry.price else None,
        subscription_id=entry.subscription,
        discountable=entry.discountable,
        discount_amounts=amounts,
        metadata=entry.metadata,
    )


def _waiting_entry(sandbox: Sandbox, item: Json) -> Entry:
    price = None
    if item["pricing"] is not None:
        price = sandbox.store.find(item["pricing"]["price_details"]["price"], "price")
    parent = item["parent"]
    return Entry(
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"],
        period=(item["period"]["start"], item["period"]["end"]),
        quantity=item["quantity"],
        price=price,
        item=parent["subscription_details"]["subscription_item"] if parent else None,
        subscription=_subscription_of(item),
        proration=item["proration"],
        discountable=item["discountable"],
        invoice_item=item,
        metadata=item["metadata"],
    )


def _subscription_of(item: Json) -> str | None:
    return item["parent"]["subscription_details"]["subscription"] if item["parent"] else None


def _remember_bases(sandbox: Sandbox, invoice: Json, lines: Sequence[Json], entries: Sequence[Entry]) -> None:
    """What each subscription item was last billed, after discounts: flexible billing credits from this."""
    for line, entry in zip(lines, entries, strict=True):
        if entry.item is None or entry.subscription is None or entry.amount < 0:
            continue
        net = line["amount"] - sum(one["amount"] for one in line["discount_amounts"])
        remember_basis(sandbox.store, entry, net, invoice=invoice["id"], line=line["id"])
