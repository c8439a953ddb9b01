"""Queries of auto top-up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.models.topups import CreditAutoTopUp


async def settings_of(session: AsyncSession, account_id: UUID) -> CreditAutoTopUp | None:
    """As committed now: also what is read under the account's lock."""
    return await session.scalar(
        select(CreditAutoTopUp)
        .where(CreditAutoTopUp.account_id == account_id)
        .execution_options(populate_existing=True)
    )


async def armed(
    session: AsyncSession, now: datetime, *, after: UUID | None, limit: int, among: Sequence[UUID] | None = None
) -> Sequence[CreditAutoTopUp]:
    """Settings that may buy now if the account is low: a page by account."""
    statement = select(CreditAutoTopUp).where(
        CreditAutoTopUp.enabled,
        CreditAutoTopUp.payment_method_ready,
        CreditAutoTopUp.disarmed_reason.is_(None),
        or_(CreditAutoTopUp.next_attempt_at.is_(None), CreditAutoTopUp.next_attempt_at <= now),
    )
    if after is not None:
        statement = statement.where(CreditAutoTopUp.account_id > after)
    if among is not None:
        statement = statement.where(CreditAutoTopUp.account_id.in_(among))
    rows = await session.scalars(statement.order_by(CreditAutoTopUp.account_id).limit(limit))
    return rows.all()
