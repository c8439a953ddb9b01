"""How much of a pool is one member's. A pool's account has its workspace's id."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.models.corrections import CreditRefundRequest
from pm_api.domains.ai_credits.models.ledger import CreditCap, CreditHold
from pm_api.domains.ai_credits.models.pools import CreditPoolRequest


async def _count(session: AsyncSession, statement: Select[int]) -> int:
    return await session.scalar(statement) or 0


async def count_caps(session: AsyncSession, account_id: UUID, subject: str) -> int:
    return await _count(
        session,
        select(func.count())
        .select_from(CreditCap)
        .where(CreditCap.account_id == account_id, CreditCap.subject == subject),
    )


async def count_holds(session: AsyncSession, account_id: UUID, user_id: UUID, now: datetime) -> int:
    """Open ones that have not run out."""
    return await _count(
        session,
        select(func.count())
        .select_from(CreditHold)
        .where(
            CreditHold.account_id == account_id,
            CreditHold.actor_user_id == user_id,
            CreditHold.status == "OPEN",
            CreditHold.expires_at > now,
        ),
    )


async def count_pool_requests(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    return await _count(
        session,
        select(func.count())
        .select_from(CreditPoolRequest)
        .where(
            CreditPoolRequest.workspace_id == workspace_id,
            CreditPoolRequest.user_id == user_id,
            CreditPoolRequest.status == "OPEN",
        ),
    )


async def count_refund_requests(session: AsyncSession, account_id: UUID, user_id: UUID) -> int:
    return await _count(
        session,
        select(func.count())
        .select_from(CreditRefundRequest)
        .where(
            CreditRefundRequest.account_id == account_id,
            CreditRefundRequest.requested_by == user_id,
            CreditRefundRequest.status == "PENDING",
        ),
    )
