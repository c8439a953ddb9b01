"""What an invoice is called, and what it is for: pure."""

from collections.abc import Sequence
from typing import Final

from pm_api.domains.billing.enums import InvoiceStatus
from pm_api.integrations.stripe import StripeInvoice, StripeInvoiceLine

KNOWN_STATUSES: Final = frozenset({"draft", "open", "paid", "void", "uncollectible"})
FOR_NOTHING: Final = "Invoice"


def status_of(provider_status: str, *, attempts: int, paid_minor: int, refunded_minor: int) -> InvoiceStatus:
    """Page 30: draft and open PENDING; open after a failed attempt FAILED; paid PAID, and REFUNDED once all of what
    was paid went back.
    """
    if provider_status == "paid":
        return InvoiceStatus.REFUNDED if 0 < paid_minor <= refunded_minor else InvoiceStatus.PAID
    if provider_status == "void":
        return InvoiceStatus.VOID
    if provider_status == "uncollectible":
        return InvoiceStatus.UNCOLLECTIBLE
    return InvoiceStatus.FAILED if provider_status == "open" and attempts else InvoiceStatus.PENDING


def attempts_of(found: StripeInvoice) -> int:
    """Stripe counts the attempts of its own schedule; one by hand alone it only mentions."""
    return max(found.attempt_count, 1 if found.attempted else 0)


def description_of(lines: Sequence[StripeInvoiceLine]) -> str:
    """The largest line says what an invoice is for."""
    told = [line for line in lines if line.description]
    largest = max(told, key=lambda line: line.amount, default=None)
    return (largest.description or FOR_NOTHING) if largest else FOR_NOTHING
