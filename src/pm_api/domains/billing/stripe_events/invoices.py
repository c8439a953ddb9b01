"""Invoices, whatever became of them. Those of a subscription bring all of it up to date."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, invoices, pictures, subscriptions, telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.invoices import InvoiceMismatch
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.pictures import InvoicePicture, SubscriptionPicture
from pm_api.domains.billing.repository import invoices as repository
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.domains.billing.telling import money
from pm_api.domains.payments import customers
from pm_api.integrations.stripe import StripeDoor, StripeInvoice

Picture = SubscriptionPicture | InvoicePicture


async def fetch_invoice(door: StripeDoor, invoice_id: str) -> Picture:
    return await pictures.fetch_by_invoice(door, invoice_id)


async def fetch_asking(door: StripeDoor, invoice_id: str) -> tuple[str, Picture]:
    """The same, with the one that asks."""
    return invoice_id, await pictures.fetch_by_invoice(door, invoice_id)


async def apply_invoice(session: AsyncSession, platform: Platform, picture: Picture) -> str:
    """Write down an invoice and all that comes of it; returns what was done. Raises EventNotUnderstood."""
    if isinstance(picture, SubscriptionPicture):
        return await subscriptions.apply_picture(session, platform, picture)
    found = picture.invoice
    owner = await _owner(session, found)
    try:
        await accounts.lock(session, owner, gone_too=True)
        row = await invoices.mirror(session, platform, owner, found, picture.fetched_at)
    except NotFound:
        raise EventNotUnderstood(f"there is no {owner[0].lower()} {owner[1]}") from None
    except InvoiceMismatch as mismatch:
        raise EventNotUnderstood(str(mismatch)) from mismatch
    return f"invoice {found.id} is {row.status}"


async def apply_asking(session: AsyncSession, platform: Platform, fetched: tuple[str, Picture]) -> str:
    """The bank asks the payer to confirm a payment: they are told where, while it is still open."""
    invoice_id, picture = fetched
    outcome = await apply_invoice(session, platform, picture)
    row = await repository.lock_by_stripe_id(session, invoices.SCOPE, invoice_id)
    if row is not None and row.provider_status == repository.OPEN:
        await _tell_asking(session, platform, row)
        return f"{outcome}; the payer was asked to confirm it"
    return outcome


async def _tell_asking(session: AsyncSession, platform: Platform, row: Invoice) -> None:
    shown = money(row.due_minor, row.currency)
    await telling.tell(
        session,
        platform,
        invoices.account_of(row),
        type="billing.payment_action_required",
        dedup_key=f"invoice-action:{row.reference}:{row.attempts}",
        title=f"Please confirm a payment of {shown}",
        body=f"{row.description}. Your bank asks for a confirmation before it pays {shown}.",
        data={
            "invoiceId": str(row.id),
            "amount": row.due_minor,
            "currency": row.currency,
            "hostedUrl": row.hosted_url,
            **({"action": "Confirm the payment"} if row.hosted_url else {}),
        },
    )


async def _owner(session: AsyncSession, found: StripeInvoice) -> Account:
    known = await repository.by_stripe_id(session, invoices.SCOPE, found.id)
    if known is not None:
        return invoices.account_of(known)
    owner = await customers.owner_of(session, found.customer_id) if found.customer_id else None
    owner = owner or accounts.from_metadata(dict(found.metadata))
    if owner is None:
        raise EventNotUnderstood(f"nobody here is customer {found.customer_id}, and {found.id} names no account")
    return owner


_INVOICE: Final = Handler(fetch_invoice, apply_invoice)

HANDLERS: Final[dict[str, Handler]] = {
    "invoice.created": _INVOICE,
    "invoice.finalized": _INVOICE,
    "invoice.updated": _INVOICE,
    "invoice.paid": _INVOICE,
    "invoice.payment_succeeded": _INVOICE,
    "invoice.payment_failed": _INVOICE,
    "invoice.payment_action_required": Handler(fetch_asking, apply_asking),
    "invoice.voided": _INVOICE,
    "invoice.marked_uncollectible": _INVOICE,
}
