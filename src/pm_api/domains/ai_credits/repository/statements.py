"""Reads of statements and of the history's export: stretches of one book, in one direction or the other."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.models.ledger import CreditEntry, CreditGrant


async def first_line_since(session: AsyncSession, account_id: UUID, last_seq: int, moment: datetime) -> int:
    """The first line not older than `moment`, or the one after the last. A book never runs backwards, so it is found
    by halving: some twenty reads by primary key, however long the book is.
    """
    low, high = 1, last_seq + 1
    while low < high:
        middle = (low + high) // 2
        written_at = await session.scalar(
            select(CreditEntry.created_at).where(CreditEntry.account_id == account_id, CreditEntry.seq == middle)
        )
        if written_at is not None and written_at >= moment:
            high = middle
        else:
            low = middle + 1
    return low


async def line(session: AsyncSession, account_id: UUID, seq: int) -> CreditEntry | None:
    return await session.scalar(
        select(CreditEntry).where(CreditEntry.account_id == account_id, CreditEntry.seq == seq)
    )


async def lots(session: AsyncSession, account_id: UUID, lot_ids: Collection[UUID]) -> Sequence[CreditGrant]:
    """Lots by id, empty or not."""
    if not lot_ids:
        return []
    rows = await session.scalars(
        select(CreditGrant).where(CreditGrant.account_id == account_id, CreditGrant.id.in_(sorted(lot_ids)))
    )
    return rows.all()
