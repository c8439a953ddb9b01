"""Queries of auto top-up."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.models.topups import CreditAutoTopUp


async def settings_of(session: AsyncSession, account_id: UUID) -> CreditAutoTopUp | None:
    """As committed now: also what is read under the account's lock."""
    return await session.scalar(
        select(CreditAutoTopUp)
        .where(CreditAutoTopUp.account_id == account_id)
        .execution_options(populate_existing=True)
    )
