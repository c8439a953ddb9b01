"""The file of an invoice, from Stripe to the caller; no session is open while it flows."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.billing import invoice_reading
from pm_api.domains.billing.errors import InvoiceHasNoFile, InvoiceNotFinal
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing
from pm_api.integrations.stripe.files import StripeFile, open_invoice_pdf


@dataclass(frozen=True, slots=True)
class OpenFile:
    """`pieces` must be read to the end or closed: they hold the line to Stripe."""

    name: str
    size: int | None
    pieces: AsyncIterator[bytes]


async def open_pdf(platform: Platform, scope: AccountScope, invoice_id: UUID) -> OpenFile:
    """An invoice's file, already begun. Raises NotFound, InvoiceHasNoFile, InvoiceNotFinal,
    PaymentProviderUnavailable.
    """
    async with platform.database.reading() as session:
        row = await invoice_reading.row_of(session, scope, invoice_id)
    if row.provider_status == "draft":
        raise InvoiceNotFinal
    if row.stripe_invoice_id is None:
        raise InvoiceHasNoFile
    async with AsyncExitStack() as stack:
        try:
            opened = open_invoice_pdf(platform.part(StripeDoor), row.stripe_invoice_id)
            found = await stack.enter_async_context(opened)
        except StripeObjectMissing:
            raise InvoiceNotFinal("Stripe has no file of this invoice.") from None
        if found is None:
            raise InvoiceNotFinal
        name = re.sub(r"[^A-Za-z0-9-]", "-", row.number or str(row.id))
        return OpenFile(f"invoice-{name}.pdf", found.size, _flowing(stack.pop_all(), found))


async def _flowing(line: AsyncExitStack, found: StripeFile) -> AsyncIterator[bytes]:
    async with line:
        async for piece in found.pieces:
            yield piece
