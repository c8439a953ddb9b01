"""Invoices: what was asked for, line by line, and how it was paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import stripe
from stripe.params import InvoiceCreatePreviewParams, InvoiceListParams, InvoicePayParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.subscriptions import BILLING_MODE
from pm_api.integrations.stripe.values import (
    BEGINNING,
    FOREVER,
    LIST_LIMIT,
    UNKNOWN,
    StripeList,
    everything,
    id_of,
    known_id_of,
    moment,
    moment_of,
    page_size,
    seconds,
    texts,
    upper,
)

LINES_LIMIT: Final = 500
_PAYMENT_INTENTS: Final = "payments.data.payment.payment_intent"


@dataclass(frozen=True, slots=True)
class StripeInvoiceLine:
    """One line; `amount` is before tax, negative for what is credited."""

    id: str
    description: str | None
    quantity: int | None
    amount: int
    currency: str
    price_id: str | None
    product_id: str | None
    subscription_id: str | None
    is_proration: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class StripeInvoicePayment:
    """One way in which an invoice was, or is to be, paid. In lists the charge of a payment intent is not known."""

    id: str
    status: str
    amount_requested: int
    amount_paid: int | None
    payment_intent_id: str | None
    charge_id: str | None
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice as Stripe has it now. `tax` and `discount` are sums; both are already in `total`."""

    id: str
    number: str | None
    customer_id: str | None
    subscription_id: str | None
    status: str
    billing_reason: str
    currency: str
    subtotal: int
    tax: int
    discount: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    attempted: bool
    attempt_count: int
    next_payment_attempt: datetime | None
    due_date: datetime | None
    period_start: datetime
    period_end: datetime
    created_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    hosted_url: str | None
    pdf_url: str | None
    client_secret: str | None
    payments: tuple[StripeInvoicePayment, ...]
    lines: tuple[StripeInvoiceLine, ...]
    metadata: Mapping[str, str]
    subscription_metadata: Mapping[str, str]

    @property
    def payment(self) -> StripeInvoicePayment | None:
        """The one that paid it; before that, the newest that may."""
        paid = [one for one in self.payments if one.status == "paid"]
        open_ones = [one for one in self.payments if one.status != "canceled"]
        return next(iter(paid or open_ones), None)

    @property
    def payment_intent_id(self) -> str | None:
        return self.payment.payment_intent_id if self.payment else None

    @property
    def charge_id(self) -> str | None:
        return self.payment.charge_id if self.payment else None


async def retrieve(door: StripeDoor, invoice_id: str) -> StripeInvoice:
    """An invoice as it is now, with all its lines and payments."""
    async with calling(invoice_id):
        found = await door.client.v1.invoices.retrieve_async(
            invoice_id, {"expand": [_PAYMENT_INTENTS, "confirmation_secret"]}
        )
        return await _whole(door, found)


async def find_id_of_payment(door: StripeDoor, payment_intent_id: str) -> str | None:
    """The invoice that a payment is for; None when it is for none."""
    async with calling(payment_intent_id):
        found = await door.client.v1.invoice_payments.list_async(
            {"payment": {"type": "payment_intent", "payment_intent": payment_intent_id}, "limit": 1}
        )
    return known_id_of(found.data[0].invoice) if found.data else None


async def list_all(
    door: StripeDoor,
    *,
    customer_id: str | None = None,
    subscription_id: str | None = None,
    since: datetime = BEGINNING,
    until: datetime = FOREVER,
    limit: int = LIST_LIMIT,
) -> StripeList[StripeInvoice]:
    """Invoices, newest first, created in the window [since, until). Of each only the first ten lines."""
    params: InvoiceListParams = {
        "created": {"gte": seconds(since), "lt": seconds(until)},
        "limit": page_size(limit),
        "expand": ["data.payments"],
    }
    if customer_id is not None:
        params["customer"] = customer_id
    if subscription_id is not None:
        params["subscription"] = subscription_id
    async with calling("invoices"):
        return await everything(await door.client.v1.invoices.list_async(params), read_invoice, limit)


async def preview_change(
    door: StripeDoor, subscription_id: str, item_id: str, price_id: str, *, prorate_at: datetime
) -> StripeInvoice:
    """What `subscriptions.change_price` with the same moment would invoice. Nothing is kept of it."""
    return await _preview(
        door,
        {
            "subscription": subscription_id,
            "subscription_details": {
                "items": [{"id": item_id, "price": price_id}],
                "proration_behavior": "always_invoice",
                "proration_date": seconds(prorate_at),
            },
        },
        subscription_id,
    )


async def preview_new(
    door: StripeDoor,
    *,
    customer_id: str,
    price_id: str,
    trial_end: datetime | None = None,
    promotion_code_id: str | None = None,
) -> StripeInvoice:
    """What a new subscription would invoice first."""
    params: InvoiceCreatePreviewParams = {
        "customer": customer_id,
        "subscription_details": {"items": [{"price": price_id}], "billing_mode": {"type": BILLING_MODE}},
    }
    if trial_end is not None:
        params["subscription_details"]["trial_end"] = seconds(trial_end)
    if promotion_code_id is not None:
        params["discounts"] = [{"promotion_code": promotion_code_id}]
    return await _preview(door, params, customer_id)


async def preview_renewal(door: StripeDoor, subscription_id: str) -> StripeInvoice:
    """What the subscription's next period costs; raises StripeObjectMissing when there will be none."""
    return await _preview(door, {"subscription": subscription_id}, subscription_id)


async def pay(
    door: StripeDoor, invoice_id: str, *, payment_method_id: str | None = None, off_session: bool = False, key: str
) -> StripeInvoice:
    """Try again to collect an open invoice; raises CardDeclined, or StripeRefused when it is not open."""
    params: InvoicePayParams = {"off_session": off_session, "expand": [_PAYMENT_INTENTS]}
    if payment_method_id is not None:
        params["payment_method"] = payment_method_id
    async with calling(invoice_id):
        return await _whole(door, await door.client.v1.invoices.pay_async(invoice_id, params, keyed(key)))


async def void(door: StripeDoor, invoice_id: str, *, key: str) -> None:
    """Nobody can pay it any more; raises StripeRefused when it is not open (paid meanwhile, or void already)."""
    async with calling(invoice_id):
        await door.client.v1.invoices.void_invoice_async(invoice_id, {}, keyed(key))


async def pdf_url(door: StripeDoor, invoice_id: str) -> str | None:
    """Where the PDF is just now: such an address is as good as a key and not for keeping. None for a draft."""
    async with calling(invoice_id):
        return (await door.client.v1.invoices.retrieve_async(invoice_id)).invoice_pdf


def read_invoice(found: stripe.Invoice, lines: tuple[StripeInvoiceLine, ...] | None = None) -> StripeInvoice:
    transitions, parent = found.status_transitions, found.parent
    details = parent.subscription_details if parent and "subscription_details" in parent else None
    # Not there at all unless they were asked for.
    payments = found.payments if "payments" in found else None
    secret = found.confirmation_secret if "confirmation_secret" in found else None
    return StripeInvoice(
        id=found.id,
        number=found.number,
        customer_id=id_of(found.customer),
        subscription_id=id_of(details.subscription) if details else None,
        status=found.status or UNKNOWN,
        billing_reason=found.billing_reason or UNKNOWN,
        currency=upper(found.currency),
        subtotal=found.subtotal,
        tax=sum(tax.amount for tax in found.total_taxes or ()),
        discount=sum(discount.amount for discount in found.total_discount_amounts or ()),
        total=found.total,
        amount_due=found.amount_due,
        amount_paid=found.amount_paid,
        amount_remaining=found.amount_remaining,
        attempted=found.attempted,
        attempt_count=found.attempt_count,
        next_payment_attempt=moment_of(found.next_payment_attempt),
        due_date=moment_of(found.due_date),
        period_start=moment(found.period_start),
        period_end=moment(found.period_end),
        created_at=moment(found.created),
        finalized_at=moment_of(transitions.finalized_at),
        paid_at=moment_of(transitions.paid_at),
        voided_at=moment_of(transitions.voided_at),
        hosted_url=found.hosted_invoice_url,
        pdf_url=found.invoice_pdf,
        client_secret=secret.client_secret if secret else None,
        payments=tuple(read_payment(one) for one in payments.data) if payments else (),
        lines=tuple(read_line(one) for one in found.lines.data) if lines is None else lines,
        metadata=texts(found.metadata),
        subscription_metadata=texts(details.metadata) if details else {},
    )


def read_line(found: stripe.InvoiceLineItem) -> StripeInvoiceLine:
    parent, pricing = found.parent, found.pricing
    details = pricing.price_details if pricing and "price_details" in pricing else None
    item = parent.subscription_item_details if parent and "subscription_item_details" in parent else None
    single = parent.invoice_item_details if parent and "invoice_item_details" in parent else None
    return StripeInvoiceLine(
        id=found.id,
        description=found.description,
        quantity=found.quantity,
        amount=found.amount,
        currency=upper(found.currency),
        price_id=id_of(details.price) if details else None,
        product_id=details.product if details else None,
        subscription_id=(item.subscription if item else None) or (single.subscription if single else None),
        is_proration=bool((item and item.proration) or (single and single.proration)),
        period_start=moment(found.period.start),
        period_end=moment(found.period.end),
    )


def read_payment(found: stripe.InvoicePayment) -> StripeInvoicePayment:
    payment = found.payment
    intent = payment.payment_intent if "payment_intent" in payment else None
    charge = payment.charge if "charge" in payment else None
    if charge is None and isinstance(intent, stripe.PaymentIntent):
        charge = intent.latest_charge
    return StripeInvoicePayment(
        id=found.id,
        status=found.status,
        amount_requested=found.amount_requested,
        amount_paid=found.amount_paid,
        payment_intent_id=id_of(intent),
        charge_id=id_of(charge),
        paid_at=moment_of(found.status_transitions.paid_at),
    )


async def _preview(door: StripeDoor, params: InvoiceCreatePreviewParams, what: str) -> StripeInvoice:
    async with calling(what):
        found = await door.client.v1.invoices.create_preview_async(params)
        return await _whole(door, found)


async def _whole(door: StripeDoor, found: stripe.Invoice) -> StripeInvoice:
    """With the lines that Stripe did not put into the invoice itself."""
    if not found.lines.has_more:
        return read_invoice(found)
    first = await door.client.v1.invoices.line_items.list_async(found.id, {"limit": page_size(LINES_LIMIT)})
    return read_invoice(found, (await everything(first, read_line, LINES_LIMIT)).items)
