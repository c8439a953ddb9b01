"""Queries for accounts that end."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.domains.billing.models.payment_methods import PaymentMethod
from pm_api.domains.billing.models.refunds import Dispute


async def open_disputes(
    session: AsyncSession, _scope: SystemScope, account_ids: Collection[UUID]
) -> Sequence[tuple[UUID, UUID]]:
    """(dispute, account), oldest first."""
    rows = await session.execute(
        select(Dispute.id, Dispute.account_id)
        .where(Dispute.status == "OPEN", Dispute.account_id.in_(account_ids))
        .order_by(Dispute.id)
        .limit(100)
    )
    return [(row[0], row[1]) for row in rows]


async def ids(session: AsyncSession, _scope: SystemScope, account_ids: Collection[UUID]) -> list[str]:
    """Payment methods: once they are taken away, Stripe speaks of them without a customer."""
    rows = await session.scalars(
        select(PaymentMethod.stripe_payment_method_id).where(PaymentMethod.account_id.in_(account_ids))
    )
    return list(rows)
