"""Invoices as people see them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, prices
from pm_api.domains.billing.enums import InvoiceStatus
from pm_api.domains.billing.models.invoices import Invoice, InvoiceLine
from pm_api.domains.billing.repository import invoices as repository
from pm_api.domains.billing.repository.invoices import Wanted
from pm_api.domains.billing.schemas.invoices import (
    InvoiceLineRead,
    InvoiceRead,
    InvoicesAnswer,
    InvoiceWithLines,
)
from pm_api.entitlements.enums import AccountType, Plan

LISTED: Final = "invoices"
PAYABLE: Final = frozenset({"open"})


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest, wanted: Wanted
) -> InvoicesAnswer:
    """A page of an account's invoices, the last issued first."""
    filters = {
        "account": accounts.of_scope(scope)[1],
        "status": wanted.status,
        "from": wanted.since,
        "to": wanted.until,
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    before = (datetime.fromisoformat(key[0]), UUID(key[1])) if key else None
    rows = await repository.invoices(session, scope, wanted, limit=page.limit + 1, before=before)
    shown = rows[: page.limit]
    following = (shown[-1].issued_at, shown[-1].id) if len(rows) > page.limit else None
    ours = await repository.our_subscriptions(session, scope, [row.stripe_subscription_id for row in shown])
    return InvoicesAnswer(
        invoices=[_read(row, ours) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def get(session: AsyncSession, scope: AccountScope, invoice_id: UUID) -> InvoiceWithLines:
    """One of the account's, line by line; raises NotFound."""
    row = await repository.invoice(session, scope, invoice_id)
    if row is None:
        raise NotFound
    ours = await repository.our_subscriptions(session, scope, [row.stripe_subscription_id])
    lines = (await repository.lines(session, [row.id]))[row.id]
    plans: dict[str, Plan] = {}
    for price_id in {line.price_id for line in lines if line.price_id is not None}:
        price = await prices.plan_of(session, price_id)
        if price is not None:
            plans[price_id] = price.plan
    return InvoiceWithLines(
        **dict(_read(row, ours)), lines=[_read_line(line, plans.get(line.price_id or "")) for line in lines]
    )


async def row_of(session: AsyncSession, scope: AccountScope, invoice_id: UUID) -> Invoice:
    """Raises NotFound."""
    row = await repository.invoice(session, scope, invoice_id)
    if row is None:
        raise NotFound
    return row


def _read(row: Invoice, our_subscriptions: Mapping[str, UUID]) -> InvoiceRead:
    has_file = row.provider_status != "draft" and row.stripe_invoice_id is not None
    return InvoiceRead(
        id=row.id,
        user_id=row.account_id if row.account_kind == AccountType.USER else None,
        workspace_id=row.account_id if row.account_kind == AccountType.WORKSPACE else None,
        subscription_id=our_subscriptions.get(row.stripe_subscription_id or ""),
        stripe_invoice_id=row.stripe_invoice_id,
        stripe_payment_intent_id=row.stripe_payment_intent_id,
        number=row.number,
        status=InvoiceStatus(row.status),
        amount=row.total_minor,
        subtotal=row.subtotal_minor,
        tax=row.tax_minor,
        discount=row.discount_minor,
        amount_due=row.due_minor,
        amount_paid=row.paid_minor,
        amount_refunded=row.refunded_minor,
        currency=row.currency,
        description=row.description,
        billing_reason=row.billing_reason,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        period_start=row.period_start,
        period_end=row.period_end,
        issued_at=row.issued_at,
        due_date=row.due_at,
        paid_at=row.paid_at,
        hosted_url=row.hosted_url if row.provider_status in PAYABLE else None,
        download_url=f"/api/billing/invoices/{row.id}/pdf" if has_file else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _read_line(line: InvoiceLine, plan: Plan | None) -> InvoiceLineRead:
    return InvoiceLineRead(
        description=line.description,
        quantity=line.quantity,
        amount=line.amount_minor,
        currency=line.currency,
        price_id=line.price_id,
        plan=plan,
        is_proration=line.is_proration,
        period_start=line.period_start,
        period_end=line.period_end,
    )
