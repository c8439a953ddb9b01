"""Invoices: Stripe's, mirrored forward only by `mirror`, and those of automatic charges, written once by `charged`.

The caller of either holds the account's lock (workspace or user). What was refunded of an invoice is the sum of the
refund rows of its payment, so that neither order nor number of the events can make it wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, prices, telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.invoice_rules import KNOWN_STATUSES, attempts_of, description_of, status_of
from pm_api.domains.billing.models.invoices import Invoice, InvoiceLine
from pm_api.domains.billing.repository import invoices as repository
from pm_api.domains.billing.repository import refunds as money_back
from pm_api.domains.billing.telling import money
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeInvoice, StripeInvoiceLine, StripePayment

SCOPE: Final = SystemScope("invoices follow Stripe")
TOLD_OTHERWISE: Final = frozenset({"subscription_cycle", "subscription_update", "subscription_threshold"})
"""Renewals and changes of plan are told with what they bring; everything else that was paid with its invoice."""


AUTOMATIC: Final = "automatic_charge"
"""Our word in the place of Stripe's, for why there is an invoice that Stripe did not make."""


class InvoiceMismatch(Exception):
    """Stripe's invoice cannot be one of this account's, or is in a state we do not know."""


class PaidTooLate(BaseModel):
    """Give back what was paid for a workspace when it was deleted already."""

    invoice_id: UUID


GIVE_BACK: Final = declare("billing.give_back_too_late", PaidTooLate)


@dataclass(frozen=True, slots=True)
class PaidLine:
    """One line of a paid invoice, as the rules of credits and plans need to know it."""

    stripe_line_id: str
    price_id: str | None
    is_proration: bool
    amount: int
    quantity: int | None
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class PaidInvoice:
    """An invoice that was paid; minor units. What was refunded of it since does not make it unpaid."""

    id: UUID
    stripe_invoice_id: str
    billing_reason: str
    currency: str
    total: int
    amount_paid: int
    amount_refunded: int
    issued_at: datetime
    paid_at: datetime | None
    period_start: datetime
    period_end: datetime
    lines: tuple[PaidLine, ...]
    number: str | None = None


async def mirror(
    session: AsyncSession, platform: Platform, owner: Account, found: StripeInvoice, fetched_at: datetime
) -> Invoice:
    """Write down an invoice as Stripe had it at `fetched_at` (wall time before it was asked), with all its lines; an
    older look changes nothing. Whoever paid something is told, once. Raises InvoiceMismatch.
    """
    if found.status not in KNOWN_STATUSES:
        raise InvoiceMismatch(f"invoice {found.id} is {found.status}")
    row = await repository.lock_by_stripe_id(session, SCOPE, found.id)
    if row is None:
        await repository.insert_new(session, SCOPE, _first_values(platform, owner, found, fetched_at))
        row = await repository.lock_by_stripe_id(session, SCOPE, found.id)
        assert row is not None, "an invoice is never deleted"
    if (row.account_kind, row.account_id) != owner:
        raise InvoiceMismatch(f"invoice {found.id} belongs to another account than {owner[0]} {owner[1]}")
    if fetched_at < row.synced_at:
        return row
    was_paid = row.version > 0 and row.provider_status == repository.PAID
    await _write(session, platform, row, found, fetched_at)
    if row.provider_status == repository.PAID and not was_paid:
        await _tell_paid(session, platform, owner, row)
        await _give_back_if_too_late(session, platform, owner, row)
    return row


async def charged(
    session: AsyncSession,
    platform: Platform,
    owner: Account,
    paid: StripePayment,
    description: str,
    *,
    looked_at: datetime,
) -> Invoice:
    """The invoice of an automatic charge that has succeeded: one for each payment, however often it is asked for.

    Stripe makes none of a payment without a page, so that it has neither a number nor a file.
    """
    known = await repository.lock_of_charge(session, SCOPE, paid.id)
    if known is not None:
        return known
    now, paid_at = platform.clock.now(), paid.paid_at or paid.created_at
    values = {
        "id": platform.randomness.uuid(),
        "account_kind": owner[0],
        "account_id": owner[1],
        "stripe_customer_id": paid.customer_id,
        "stripe_payment_intent_id": paid.id,
        "status": status_of(repository.PAID, attempts=1, paid_minor=paid.amount_received, refunded_minor=0),
        "provider_status": repository.PAID,
        "billing_reason": AUTOMATIC,
        "description": description,
        "currency": paid.currency,
        "subtotal_minor": paid.amount,
        "tax_minor": 0,
        "discount_minor": 0,
        "total_minor": paid.amount,
        "due_minor": paid.amount,
        "paid_minor": paid.amount_received,
        "attempts": 1,
        "period_start": paid_at,
        "period_end": paid_at,
        "issued_at": paid_at,
        "paid_at": paid_at,
        "synced_at": looked_at,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    line = {
        "invoice_id": values["id"],
        "position": 1,
        "account_id": owner[1],
        "stripe_line_id": paid.id,
        "description": description,
        "quantity": 1,
        "amount_minor": paid.amount,
        "currency": paid.currency,
        "is_proration": False,
        "period_start": paid_at,
        "period_end": paid_at,
    }
    row = await repository.add_charge(session, SCOPE, values, line)
    await refresh_refunded(session, platform, row)
    await _give_back_if_too_late(session, platform, owner, row)
    return row


async def refresh_refunded(session: AsyncSession, platform: Platform, invoice: Invoice) -> None:
    """Bring what was refunded, and with it the status, in line with the refund rows."""
    refunded = 0
    if invoice.stripe_payment_intent_id is not None:
        refunded = await money_back.given_back(session, invoice.stripe_payment_intent_id)
    status = status_of(
        invoice.provider_status,
        attempts=invoice.attempts,
        paid_minor=invoice.paid_minor,
        refunded_minor=refunded,
    )
    if (invoice.refunded_minor, invoice.status) != (refunded, status):
        invoice.refunded_minor, invoice.status = refunded, status
        invoice.version += 1
        invoice.updated_at = platform.clock.now()


async def paid_of(session: AsyncSession, stripe_subscription_id: str) -> list[PaidInvoice]:
    """The paid invoices of a subscription at Stripe, oldest first, each with its lines; the refunded ones too."""
    rows = await repository.paid_of(session, SCOPE, stripe_subscription_id)
    lines = await repository.lines(session, [row.id for row in rows])
    return [
        PaidInvoice(
            id=row.id,
            stripe_invoice_id=row.reference,
            billing_reason=row.billing_reason,
            currency=row.currency,
            total=row.total_minor,
            amount_paid=row.paid_minor,
            amount_refunded=row.refunded_minor,
            number=row.number,
            issued_at=row.issued_at,
            paid_at=row.paid_at,
            period_start=row.period_start,
            period_end=row.period_end,
            lines=tuple(_paid_line(line) for line in lines[row.id]),
        )
        for row in rows
    ]


def _paid_line(line: InvoiceLine) -> PaidLine:
    return PaidLine(
        stripe_line_id=line.stripe_line_id,
        price_id=line.price_id,
        is_proration=line.is_proration,
        amount=line.amount_minor,
        quantity=line.quantity,
        period_start=line.period_start,
        period_end=line.period_end,
    )


# --- writing ---------------------------------------------------------------------------------------------------


def _first_values(platform: Platform, owner: Account, found: StripeInvoice, fetched_at: datetime) -> dict[str, Any]:
    now = platform.clock.now()
    return {
        "id": platform.randomness.uuid(),
        "account_kind": owner[0],
        "account_id": owner[1],
        "stripe_invoice_id": found.id,
        "status": status_of("draft", attempts=0, paid_minor=0, refunded_minor=0),
        "refunded_minor": 0,
        "version": 0,
        "created_at": now,
        "updated_at": now,
        "synced_at": fetched_at,
        **_values(found),
        "provider_status": "draft",
    }


def _values(found: StripeInvoice) -> dict[str, Any]:
    """The row's columns that are Stripe's to say."""
    return {
        "stripe_customer_id": found.customer_id,
        "stripe_subscription_id": found.subscription_id,
        "stripe_payment_intent_id": found.payment_intent_id,
        "number": found.number,
        "provider_status": found.status,
        "billing_reason": found.billing_reason,
        "description": description_of(found.lines),
        "currency": found.currency,
        "subtotal_minor": found.subtotal,
        "tax_minor": found.tax,
        "discount_minor": found.discount,
        "total_minor": found.total,
        "due_minor": found.amount_due,
        "paid_minor": found.amount_paid,
        "attempts": attempts_of(found),
        "next_attempt_at": found.next_payment_attempt,
        "due_at": found.due_date,
        "period_start": found.period_start,
        "period_end": found.period_end,
        "issued_at": found.created_at,
        "paid_at": found.paid_at,
        "hosted_url": found.hosted_url,
    }


async def _write(
    session: AsyncSession, platform: Platform, row: Invoice, found: StripeInvoice, fetched_at: datetime
) -> None:
    values = _values(found)
    if values["stripe_payment_intent_id"] is None:
        # Not every look says how it was paid, and what paid it stays what paid it.
        values["stripe_payment_intent_id"] = row.stripe_payment_intent_id
    changed = row.version == 0 or any(getattr(row, name) != value for name, value in values.items())
    for name, value in values.items():
        setattr(row, name, value)
    row.synced_at = fetched_at
    if await _write_lines(session, row, found.lines) or changed:
        row.version += 1
        row.updated_at = platform.clock.now()
    await refresh_refunded(session, platform, row)
    await session.flush()


async def _write_lines(session: AsyncSession, row: Invoice, lines: Sequence[StripeInvoiceLine]) -> bool:
    """Whether they were others before."""
    wanted = [
        {
            "invoice_id": row.id,
            "position": position,
            "account_id": row.account_id,
            "stripe_line_id": line.id,
            "description": line.description,
            "quantity": line.quantity,
            "amount_minor": line.amount,
            "currency": line.currency,
            "price_id": line.price_id,
            "product_id": line.product_id,
            "is_proration": line.is_proration,
            "period_start": line.period_start,
            "period_end": line.period_end,
        }
        for position, line in enumerate(lines, start=1)
    ]
    known = (await repository.lines(session, [row.id]))[row.id]
    wanted_names = [column.key for column in InvoiceLine.__mapper__.columns]
    if [{name: getattr(line, name) for name in wanted_names} for line in known] == wanted:
        return False
    for line in known:
        session.expunge(line)
    await repository.replace_lines(session, row.id, wanted)
    return True


async def _tell_paid(session: AsyncSession, platform: Platform, owner: Account, row: Invoice) -> None:
    if row.paid_minor <= 0 or row.billing_reason in TOLD_OTHERWISE:
        return
    shown = money(row.paid_minor, row.currency)
    credits = await _credits_bought(session, row)
    brought = f" {credits} credits were bought." if credits else ""
    await telling.tell(
        session,
        platform,
        owner,
        type="billing.receipt",
        dedup_key=f"receipt:{row.reference}",
        title=f"Receipt: {shown}",
        body=f"{row.description}. {shown} were paid{f', invoice {row.number}' if row.number else ''}.{brought}",
        data={
            "invoiceId": str(row.id),
            "number": row.number,
            "amount": row.paid_minor,
            "currency": row.currency,
            **({"credits": credits} if credits else {}),
        },
    )


async def _give_back_if_too_late(session: AsyncSession, platform: Platform, owner: Account, row: Invoice) -> None:
    """Nobody is to pay for a workspace that is gone: a page may have been open, or a payment under way."""
    paid_at = row.paid_at or row.issued_at
    if row.paid_minor <= 0 or not await accounts.was_deleted_by(session, owner, paid_at):
        return
    shown = money(row.paid_minor, row.currency)
    await enqueue(session, GIVE_BACK, PaidTooLate(invoice_id=row.id), dedupe_key=f"give-back:{row.id}")
    await telling.tell_operators(
        session,
        platform,
        type="billing.paid_for_deleted",
        dedup_key=f"paid-for-deleted:{row.reference}",
        title=f"{shown} were paid for a workspace that had been deleted",
        body=f"{row.description}: {shown} were paid at {paid_at:%Y-%m-%d %H:%M:%S} UTC with {row.reference}. A job "
        "refunds it, unless the workspace is restored before. What cannot be refunded is in the next comparison.",
        data={
            "invoiceId": str(row.id),
            "accountId": str(owner[1]),
            "amount": row.paid_minor,
            "currency": row.currency,
        },
    )


async def _credits_bought(session: AsyncSession, row: Invoice) -> int:
    """By the packs and bundles that it sold."""
    lines = (await repository.lines(session, [row.id]))[row.id]
    found = [
        (await prices.offer_credits_of(session, line.price_id) or 0) * (line.quantity or 1)
        for line in lines
        if line.price_id is not None
    ]
    return sum(found)


def account_of(row: Invoice) -> Account:
    return AccountType(row.account_kind), row.account_id
