"""Queries of leads."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import HoldStatus
from pm_api.domains.ai_credits.models.leads import Lead
from pm_api.domains.ai_credits.models.ledger import CreditGrant, CreditHold


async def queue_up(session: AsyncSession, address_digest: bytes) -> None:
    """One at a time for a network address, until this transaction ends: so that each counts those before it."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(address_digest.hex(), 0))))


async def count_of_address(session: AsyncSession, address_digest: bytes, since: datetime) -> int:
    found = select(func.count()).where(Lead.address_digest == address_digest, Lead.created_at > since)
    return (await session.scalar(found)) or 0


async def is_busier(session: AsyncSession, since: datetime, most: int) -> bool:
    """Whether as many leads as may came since a moment; looks at no more rows than that."""
    recent = select(Lead.id).where(Lead.created_at > since).limit(most).subquery()
    return ((await session.scalar(select(func.count()).select_from(recent))) or 0) >= most


async def convert(session: AsyncSession, lead_id: UUID, user_id: UUID, now: datetime) -> datetime | None:
    """Make a lead this user, once and in time; returns when its credits run out, None when it cannot be."""
    return await session.scalar(
        update(Lead)
        .where(Lead.id == lead_id, Lead.converted_at.is_(None), Lead.expires_at > now)
        .values(converted_at=now, user_id=user_id)
        .returning(Lead.expires_at)
    )


async def converted_to(session: AsyncSession, lead_id: UUID) -> UUID | None:
    """The user a lead has become; asked under its account's lock."""
    return await session.scalar(select(Lead.user_id).where(Lead.id == lead_id))


async def lots(session: AsyncSession, lead_id: UUID, lot_ids: Sequence[UUID]) -> Sequence[CreditGrant]:
    """Lots of a lead, by id."""
    rows = await session.scalars(
        select(CreditGrant)
        .where(CreditGrant.account_id == lead_id, CreditGrant.id.in_(lot_ids))
        .order_by(CreditGrant.id)
    )
    return rows.all()


async def open_holds(session: AsyncSession, lead_id: UUID) -> Sequence[UUID]:
    rows = await session.scalars(
        select(CreditHold.id)
        .where(CreditHold.account_id == lead_id, CreditHold.status == HoldStatus.OPEN)
        .order_by(CreditHold.id)
    )
    return rows.all()
