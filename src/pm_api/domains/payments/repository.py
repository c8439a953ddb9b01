"""Queries of the till."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.domains.payments.models import CheckoutSession


async def lock_checkout(session: AsyncSession, _scope: SystemScope, checkout_id: UUID) -> CheckoutSession | None:
    """A checkout, held to the end of the transaction."""
    return await session.scalar(select(CheckoutSession).where(CheckoutSession.id == checkout_id).with_for_update())
