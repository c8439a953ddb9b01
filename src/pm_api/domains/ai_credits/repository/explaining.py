"""Reads for explaining one line of a book."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.domains.ai_credits.models.ledger import (
    CreditAllocation,
    CreditCap,
    CreditEntry,
    CreditHold,
    CreditPriceRule,
)
from pm_api.domains.ai_credits.repository.ledger import account_id_of


async def entry(
    session: AsyncSession, scope: CreditScope, entry_id: UUID, conditions: Sequence[ColumnElement[bool]]
) -> CreditEntry | None:
    return await session.scalar(
        select(CreditEntry).where(
            CreditEntry.id == entry_id, CreditEntry.account_id == account_id_of(scope), *conditions
        )
    )


async def reversals(session: AsyncSession, line: CreditEntry, limit: int) -> Sequence[CreditEntry]:
    """Lines that undo this one, or make good for it, in their order."""
    rows = await session.scalars(
        select(CreditEntry)
        .where(CreditEntry.account_id == line.account_id, CreditEntry.reverses_seq == line.seq)
        .order_by(CreditEntry.seq)
        .limit(limit)
    )
    return rows.all()


async def price_rule(session: AsyncSession, service: str, version: int) -> CreditPriceRule | None:
    return await session.get(CreditPriceRule, (service, version))


async def hold(session: AsyncSession, scope: CreditScope, hold_id: UUID) -> CreditHold | None:
    return await session.get(CreditHold, (account_id_of(scope), hold_id))


async def caps(session: AsyncSession, scope: CreditScope, subjects: Collection[str]) -> Sequence[CreditCap]:
    rows = await session.scalars(
        select(CreditCap)
        .where(CreditCap.account_id == account_id_of(scope), CreditCap.subject.in_(sorted(subjects)))
        .order_by(CreditCap.subject, CreditCap.cap_window)
    )
    return rows.all()


async def moved_between(
    session: AsyncSession, account_id: UUID, lot_ids: Collection[UUID], first_seq: int, last_seq: int
) -> dict[UUID, int]:
    """What lines `first_seq` to `last_seq` put into each lot, less what they took."""
    rows = await session.execute(
        select(CreditAllocation.grant_id, func.sum(CreditAllocation.amount))
        .where(
            CreditAllocation.account_id == account_id,
            CreditAllocation.entry_seq.between(first_seq, last_seq),
            CreditAllocation.grant_id.in_(sorted(lot_ids)),
        )
        .group_by(CreditAllocation.grant_id)
    )
    return {lot_id: int(amount) for lot_id, amount in rows}
