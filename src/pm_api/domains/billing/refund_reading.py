"""Refunds and disputes as an operator sees them."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AdminScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.billing.enums import DisputeStatus, PaymentRefundStatus
from pm_api.domains.billing.models.refunds import Dispute, Refund
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository import refunds as repository
from pm_api.domains.billing.schemas.refunds import (
    DisputeRead,
    DisputesAnswer,
    PaymentRefundRead,
    PaymentRefundsAnswer,
)
from pm_api.entitlements.enums import AccountType

REFUNDS: Final = "payment_refunds"
DISPUTES: Final = "disputes"


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: AdminScope,
    page: PageRequest,
    *,
    account_id: UUID | None,
    status: PaymentRefundStatus | None,
) -> PaymentRefundsAnswer:
    """A page of everybody's refunds, newest first."""
    key = platform.cursors.decode(page.cursor, of=REFUNDS, account=account_id, status=status)
    rows = await repository.listed(
        session,
        scope,
        limit=page.limit + 1,
        before=UUID(key[0]) if key else None,
        account_id=account_id,
        status=status,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    paid = await invoice_rows.ids_by_payment(session, [row.stripe_payment_intent_id for row in shown])
    return PaymentRefundsAnswer(
        refunds=[_read(row, paid) for row in shown],
        next_cursor=platform.cursors.encode(following, of=REFUNDS, account=account_id, status=status),
    )


async def get(session: AsyncSession, scope: AdminScope, refund_id: UUID) -> PaymentRefundRead:
    """Raises NotFound."""
    row = await repository.refund(session, scope, refund_id)
    if row is None:
        raise NotFound
    return await read(session, row)


async def read(session: AsyncSession, row: Refund) -> PaymentRefundRead:
    return _read(row, await invoice_rows.ids_by_payment(session, [row.stripe_payment_intent_id]))


async def list_disputes(
    session: AsyncSession,
    platform: Platform,
    scope: AdminScope,
    page: PageRequest,
    *,
    status: DisputeStatus | None,
) -> DisputesAnswer:
    """A page of everybody's disputes, newest first."""
    key = platform.cursors.decode(page.cursor, of=DISPUTES, status=status)
    rows = await repository.disputes(
        session, scope, limit=page.limit + 1, before=UUID(key[0]) if key else None, status=status
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return DisputesAnswer(
        disputes=[_read_dispute(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=DISPUTES, status=status),
    )


def _read(row: Refund, invoice_ids: Mapping[str, UUID]) -> PaymentRefundRead:
    return PaymentRefundRead(
        id=row.id,
        account_type=AccountType(row.account_kind),
        account_id=row.account_id,
        invoice_id=invoice_ids.get(row.stripe_payment_intent_id),
        stripe_refund_id=row.stripe_refund_id,
        amount=row.amount_minor,
        currency=row.currency,
        status=PaymentRefundStatus(row.status),
        reason=row.reason.upper() if row.reason else None,
        failure_reason=row.failure_reason,
        requested_by=row.requested_by,
        issued_at=row.issued_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _read_dispute(row: Dispute) -> DisputeRead:
    return DisputeRead(
        id=row.id,
        account_type=AccountType(row.account_kind),
        account_id=row.account_id,
        stripe_dispute_id=row.stripe_dispute_id,
        amount=row.amount_minor,
        currency=row.currency,
        status=DisputeStatus(row.status),
        provider_status=row.provider_status,
        reason=row.reason,
        issued_at=row.issued_at,
        updated_at=row.updated_at,
        version=row.version,
    )
