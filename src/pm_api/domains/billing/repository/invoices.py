"""Queries of invoices. Every read takes a scope; what stands at Stripe is written under the account's lock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, AdminScope, SystemScope, WorkspaceScope
from pm_api.domains.billing.enums import InvoiceStatus
from pm_api.domains.billing.models.invoices import Invoice, InvoiceLine
from pm_api.domains.billing.models.subscriptions import Subscription

PAID, OPEN = "paid", "open"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a list; times are half-open and of the moment an invoice was issued."""

    status: InvoiceStatus | None = None
    since: datetime | None = None
    until: datetime | None = None


def account_of(scope: AccountScope) -> UUID:
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


def _window(column: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    found = []
    if since is not None:
        found.append(column >= since)
    if until is not None:
        found.append(column < until)
    return found


async def invoices(
    session: AsyncSession, scope: AccountScope, wanted: Wanted, *, limit: int, before: tuple[datetime, UUID] | None
) -> Sequence[Invoice]:
    """A page, the last issued first."""
    conditions = [Invoice.account_id == account_of(scope), *_window(Invoice.issued_at, wanted.since, wanted.until)]
    if wanted.status is not None:
        conditions.append(Invoice.status == wanted.status)
    if before is not None:
        issued_at, invoice_id = before
        conditions.append(
            or_(Invoice.issued_at < issued_at, and_(Invoice.issued_at == issued_at, Invoice.id < invoice_id))
        )
    rows = await session.scalars(
        select(Invoice).where(*conditions).order_by(Invoice.issued_at.desc(), Invoice.id.desc()).limit(limit)
    )
    return rows.all()


async def invoice(session: AsyncSession, scope: AccountScope, invoice_id: UUID) -> Invoice | None:
    return await session.scalar(
        select(Invoice).where(Invoice.id == invoice_id, Invoice.account_id == account_of(scope))
    )


async def any_invoice(session: AsyncSession, _scope: AdminScope | SystemScope, invoice_id: UUID) -> Invoice | None:
    """Anybody's, as committed now."""
    return await session.scalar(
        select(Invoice).where(Invoice.id == invoice_id).execution_options(populate_existing=True)
    )


async def lines(session: AsyncSession, invoice_ids: Collection[UUID]) -> dict[UUID, list[InvoiceLine]]:
    """By invoice, in their order. Whose invoices they are was asked before."""
    rows = await session.scalars(
        select(InvoiceLine)
        .where(InvoiceLine.invoice_id.in_(invoice_ids))
        .order_by(InvoiceLine.invoice_id, InvoiceLine.position)
    )
    found: dict[UUID, list[InvoiceLine]] = {invoice_id: [] for invoice_id in invoice_ids}
    for row in rows:
        found[row.invoice_id].append(row)
    return found


async def our_subscriptions(
    session: AsyncSession, scope: AccountScope, stripe_subscription_ids: Sequence[str | None]
) -> dict[str, UUID]:
    """Our ids of subscriptions at Stripe."""
    wanted = {one for one in stripe_subscription_ids if one is not None}
    if not wanted:
        return {}
    rows = await session.execute(
        select(Subscription.stripe_subscription_id, Subscription.id).where(
            Subscription.account_id == account_of(scope), Subscription.stripe_subscription_id.in_(wanted)
        )
    )
    return {row[0]: row[1] for row in rows}


async def paid_of(session: AsyncSession, _scope: SystemScope, stripe_subscription_id: str) -> Sequence[Invoice]:
    """A subscription's paid invoices, the refunded ones too, in the order they were issued."""
    rows = await session.scalars(
        select(Invoice)
        .where(Invoice.stripe_subscription_id == stripe_subscription_id, Invoice.provider_status == PAID)
        .order_by(Invoice.issued_at, Invoice.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def of_payment(session: AsyncSession, _scope: SystemScope, payment_intent_id: str) -> Invoice | None:
    """The invoice that a payment paid."""
    return await session.scalar(
        select(Invoice)
        .where(Invoice.stripe_payment_intent_id == payment_intent_id)
        .order_by(Invoice.id)
        .limit(1)
        .execution_options(populate_existing=True)
    )


async def newest_unpaid(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> Invoice | None:
    """The last invoice of a subscription that could not be collected and is still open."""
    return await session.scalar(
        select(Invoice)
        .where(
            Invoice.account_id == account_id,
            Invoice.status == InvoiceStatus.FAILED,
            Invoice.stripe_subscription_id.is_not(None),
        )
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(1)
    )


async def by_stripe_id(session: AsyncSession, _scope: SystemScope, stripe_invoice_id: str) -> Invoice | None:
    """As committed now."""
    return await session.scalar(
        select(Invoice)
        .where(Invoice.stripe_invoice_id == stripe_invoice_id)
        .execution_options(populate_existing=True)
    )


async def ids_by_payment(session: AsyncSession, payment_intent_ids: Collection[str]) -> dict[str, UUID]:
    """The invoices that these payments paid."""
    rows = await session.execute(
        select(Invoice.stripe_payment_intent_id, Invoice.id).where(
            Invoice.stripe_payment_intent_id.in_(payment_intent_ids)
        )
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}


# --- writing ---------------------------------------------------------------------------------------------------


async def lock_by_stripe_id(session: AsyncSession, _scope: SystemScope, stripe_invoice_id: str) -> Invoice | None:
    """As committed now, held to the end of the transaction."""
    await session.execute(select(Invoice.id).where(Invoice.stripe_invoice_id == stripe_invoice_id).with_for_update())
    return await by_stripe_id(session, _scope, stripe_invoice_id)


async def lock_of_charge(session: AsyncSession, _scope: SystemScope, payment_intent_id: str) -> Invoice | None:
    """The invoice of an automatic charge, which Stripe made none of; held to the end of the transaction."""
    return await session.scalar(
        select(Invoice)
        .where(Invoice.stripe_payment_intent_id == payment_intent_id, Invoice.stripe_invoice_id.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def add_charge(
    session: AsyncSession, _scope: SystemScope, values: dict[str, Any], line: dict[str, Any]
) -> Invoice:
    """An automatic charge's, with its one line. Under the account's lock there is none beside it."""
    row = Invoice(**values)
    session.add(row)
    await session.flush()
    await session.execute(insert(InvoiceLine).values(**line))
    return row


async def insert_new(session: AsyncSession, _scope: SystemScope, values: dict[str, Any]) -> bool:
    """Whether the row is ours: another transaction may have made it at the same moment."""
    made = await session.scalar(
        insert(Invoice)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[Invoice.stripe_invoice_id])
        .returning(Invoice.id)
    )
    return made is not None


async def replace_lines(session: AsyncSession, invoice_id: UUID, rows: Sequence[dict[str, Any]]) -> None:
    await session.execute(delete(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id))
    if rows:
        await session.execute(insert(InvoiceLine).values(list(rows)))


# --- for the history -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """A period that an invoice was paid for, at one price."""

    price_id: str
    starts_at: datetime
    ends_at: datetime


async def billed_periods(
    session: AsyncSession, scope: AccountScope, *, ended_by: datetime, limit: int
) -> list[BilledPeriod]:
    """Past periods that a subscription was paid for, the last one first; what was prorated lies within one."""
    rows = await session.execute(
        select(InvoiceLine.price_id, InvoiceLine.period_start, InvoiceLine.period_end)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(
            InvoiceLine.account_id == account_of(scope),
            InvoiceLine.is_proration.is_(False),
            InvoiceLine.price_id.is_not(None),
            InvoiceLine.amount_minor >= 0,
            InvoiceLine.period_end <= ended_by,
            InvoiceLine.period_end > InvoiceLine.period_start,
            Invoice.provider_status == PAID,
            Invoice.stripe_subscription_id.is_not(None),
        )
        .group_by(InvoiceLine.price_id, InvoiceLine.period_start, InvoiceLine.period_end)
        .order_by(InvoiceLine.period_start.desc(), func.max(InvoiceLine.amount_minor))
        .limit(limit)
    )
    return [BilledPeriod(row[0], row[1], row[2]) for row in rows if row[0] is not None]


async def dearer_prices(
    session: AsyncSession, scope: AccountScope, *, ended_by: datetime, limit: int
) -> list[BilledPeriod]:
    """Prices that were paid for from within a past period on, the first one first: of plans that were gone up to."""
    rows = await session.execute(
        select(InvoiceLine.price_id, InvoiceLine.period_start, InvoiceLine.period_end)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(
            InvoiceLine.account_id == account_of(scope),
            InvoiceLine.is_proration.is_(True),
            InvoiceLine.price_id.is_not(None),
            InvoiceLine.amount_minor > 0,
            InvoiceLine.period_end <= ended_by,
            Invoice.provider_status == PAID,
            Invoice.stripe_subscription_id.is_not(None),
        )
        .order_by(InvoiceLine.period_start.desc(), InvoiceLine.amount_minor.desc())
        .limit(limit)
    )
    return [BilledPeriod(row[0], row[1], row[2]) for row in rows if row[0] is not None][::-1]


async def issued_within(
    session: AsyncSession, scope: AccountScope, since: datetime, until: datetime, limit: int
) -> Sequence[Invoice]:
    """Finished invoices, in the order they were issued; drafts and what was voided are not among them."""
    rows = await session.scalars(
        select(Invoice)
        .where(
            Invoice.account_id == account_of(scope),
            Invoice.issued_at >= since,
            Invoice.issued_at < until,
            Invoice.provider_status.not_in(("draft", "void")),
        )
        .order_by(Invoice.issued_at, Invoice.id)
        .limit(limit)
    )
    return rows.all()
