"""Reads that prove a book: sums made by the database from the raw rows of one account."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.book import LotFacts
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus
from pm_api.domains.ai_credits.models.ledger import (
    CreditAllocation,
    CreditEntry,
    CreditGrant,
    CreditHold,
    CreditHoldLot,
    CreditUsageDay,
)


class DaySum(NamedTuple):
    """A row of credit_usage_days: its key, and what it says."""

    key: tuple[UUID, date, str, UUID]
    figures: tuple[int, int, int]


def lot_facts(lot: CreditGrant) -> LotFacts:
    """What never changes in a lot, as the line that made it was hashed with."""
    return (
        lot.kind,
        lot.amount,
        lot.service,
        lot.effective_at,
        lot.expires_at,
        lot.cost_minor,
        lot.cost_currency,
        lot.source_type,
        lot.source_ref,
    )


async def day_sums(session: AsyncSession, account_id: UUID) -> list[DaySum]:
    """Every day sum of an account: (spent, spends, refunded) by day, service and person."""
    rows = await session.execute(
        select(
            CreditUsageDay.account_id,
            CreditUsageDay.day,
            CreditUsageDay.service,
            CreditUsageDay.actor_user_id,
            CreditUsageDay.credits,
            CreditUsageDay.entries,
            CreditUsageDay.refunded,
        ).where(CreditUsageDay.account_id == account_id)
    )
    return [DaySum((row[0], row[1], row[2], row[3]), (row[4], row[5], row[6])) for row in rows]


async def lines(session: AsyncSession, account_id: UUID, seqs: Collection[int]) -> Sequence[CreditEntry]:
    """Lines by their numbers, in their order."""
    if not seqs:
        return []
    rows = await session.scalars(
        select(CreditEntry)
        .where(CreditEntry.account_id == account_id, CreditEntry.seq.in_(sorted(seqs)))
        .order_by(CreditEntry.seq)
    )
    return rows.all()


async def overdone_reversals(session: AsyncSession, account_id: UUID, limit: int) -> list[int]:
    """Lines to which more was given back, lot by lot, than they took."""
    given = (
        select(
            CreditEntry.reverses_seq.label("seq"),
            CreditAllocation.grant_id,
            func.sum(CreditAllocation.amount).label("amount"),
        )
        .join(
            CreditAllocation,
            and_(
                CreditAllocation.account_id == CreditEntry.account_id, CreditAllocation.entry_seq == CreditEntry.seq
            ),
        )
        .where(
            CreditEntry.account_id == account_id,
            CreditEntry.reverses_seq > 0,
            CreditEntry.type.in_((EntryType.REVERSAL, EntryType.TRANSFER_IN)),
        )
        .group_by(CreditEntry.reverses_seq, CreditAllocation.grant_id)
        .subquery()
    )
    rows = await session.scalars(
        select(given.c.seq)
        .outerjoin(
            CreditAllocation,
            and_(
                CreditAllocation.account_id == account_id,
                CreditAllocation.entry_seq == given.c.seq,
                CreditAllocation.grant_id == given.c.grant_id,
            ),
        )
        .where(given.c.amount > -func.coalesce(CreditAllocation.amount, 0))
        .distinct()
        .limit(limit)
    )
    return list(rows)


async def held_by_lot(session: AsyncSession, account_id: UUID) -> dict[UUID, int]:
    """What open holds rest on, by lot."""
    rows = await session.execute(
        select(CreditHoldLot.grant_id, func.sum(CreditHoldLot.amount))
        .join(CreditHold, _of_its_hold())
        .where(CreditHoldLot.account_id == account_id, CreditHold.status == HoldStatus.OPEN)
        .group_by(CreditHoldLot.grant_id)
    )
    return {lot_id: int(amount) for lot_id, amount in rows}


async def count_open_holds(session: AsyncSession, account_id: UUID) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(CreditHold)
            .where(CreditHold.account_id == account_id, CreditHold.status == HoldStatus.OPEN)
        )
    ) or 0


async def broken_holds(session: AsyncSession, account_id: UUID, limit: int) -> list[UUID]:
    """Holds whose parts are not what is left of them (of a resolved one nothing is), or whose captures are not what
    their lines spent.
    """
    parts = (
        select(CreditHoldLot.hold_id, func.sum(CreditHoldLot.amount).label("amount"))
        .where(CreditHoldLot.account_id == account_id)
        .group_by(CreditHoldLot.hold_id)
        .subquery()
    )
    used = (
        select(CreditEntry.hold_id, func.sum(CreditEntry.amount).label("amount"))
        .where(CreditEntry.account_id == account_id, CreditEntry.hold_id.is_not(None))
        .group_by(CreditEntry.hold_id)
        .subquery()
    )
    left = case((CreditHold.status == HoldStatus.OPEN, CreditHold.amount - CreditHold.captured), else_=0)
    rows = await session.scalars(
        select(CreditHold.id)
        .outerjoin(parts, parts.c.hold_id == CreditHold.id)
        .outerjoin(used, used.c.hold_id == CreditHold.id)
        .where(
            CreditHold.account_id == account_id,
            or_(func.coalesce(parts.c.amount, 0) != left, func.coalesce(used.c.amount, 0) != -CreditHold.captured),
        )
        .order_by(CreditHold.id)
        .limit(limit)
    )
    return list(rows)


async def lines_of_unknown_holds(session: AsyncSession, account_id: UUID, limit: int) -> list[int]:
    rows = await session.scalars(
        select(CreditEntry.seq)
        .outerjoin(
            CreditHold, and_(CreditHold.account_id == CreditEntry.account_id, CreditHold.id == CreditEntry.hold_id)
        )
        .where(CreditEntry.account_id == account_id, CreditEntry.hold_id.is_not(None), CreditHold.id.is_(None))
        .order_by(CreditEntry.seq)
        .limit(limit)
    )
    return list(rows)


def _of_its_hold() -> ColumnElement[bool]:
    return and_(CreditHold.account_id == CreditHoldLot.account_id, CreditHold.id == CreditHoldLot.hold_id)
