"""Queries of what accounts take up: the counters, and the same added up anew from the rows they count."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import Charge
from pm_api.domains.storage.models import StorageUsage

COLUMN_OF: Final = {charge: charge.value.lower() for charge in Charge}
"""Which counter a charge is kept in."""


async def open_account(session: AsyncSession, account_id: UUID, account_kind: str, now: datetime) -> None:
    """An account's counters, all at nothing, unless it has some."""
    await session.execute(
        insert(StorageUsage)
        .values(
            account_id=account_id, account_kind=account_kind, last_calculated_at=now, created_at=now, updated_at=now
        )
        .on_conflict_do_nothing(index_elements=[StorageUsage.account_id])
    )


async def lock(session: AsyncSession, account_id: UUID) -> bool:
    """Hold an account's counters; whether it has any."""
    found = await session.scalar(
        select(StorageUsage.account_id).where(StorageUsage.account_id == account_id).with_for_update()
    )
    return found is not None


async def of_account(session: AsyncSession, account_id: UUID) -> StorageUsage | None:
    """As committed now, or as this transaction has left it."""
    return await session.scalar(
        select(StorageUsage).where(StorageUsage.account_id == account_id).execution_options(populate_existing=True)
    )


async def of_accounts(session: AsyncSession, account_ids: Collection[UUID]) -> Sequence[StorageUsage]:
    """The counters of those that have any."""
    found = await session.scalars(
        select(StorageUsage)
        .where(StorageUsage.account_id.in_(account_ids))
        .order_by(StorageUsage.account_id)
        .execution_options(populate_existing=True)
    )
    return found.all()


async def taken_up(session: AsyncSession, account_ids: Collection[UUID]) -> int:
    """Used and reserved bytes of some accounts together."""
    if not account_ids:
        return 0
    found: int | None = await session.scalar(
        select(func.sum(StorageUsage.total_used + StorageUsage.reserved)).where(
            StorageUsage.account_id.in_(account_ids)
        )
    )
    return int(found or 0)


async def reserve(
    session: AsyncSession, account_id: UUID, size_bytes: int, *, beside: int, limit: int | None, now: datetime
) -> bool:
    """Reserve if it fits: one statement, so that the row it looks at is the row it changes. `beside` is what the
    other accounts of the budget take up. Whether it fitted.
    """
    statement = (
        update(StorageUsage)
        .where(StorageUsage.account_id == account_id)
        .values(reserved=StorageUsage.reserved + size_bytes, version=StorageUsage.version + 1, updated_at=now)
        .returning(StorageUsage.account_id)
        .execution_options(synchronize_session=False)
    )
    if limit is not None:
        everything = StorageUsage.total_used + StorageUsage.reserved + beside + size_bytes
        statement = statement.where(everything <= limit)
    return await session.scalar(statement) is not None


async def change(
    session: AsyncSession, account_id: UUID, deltas: Mapping[Charge, int], *, reserved: int = 0, now: datetime
) -> None:
    """Add to the counters, and take from them what is below nothing."""
    values = {COLUMN_OF[charge]: getattr(StorageUsage, COLUMN_OF[charge]) + delta for charge, delta in deltas.items()}
    await session.execute(
        update(StorageUsage)
        .where(StorageUsage.account_id == account_id)
        .values(
            **values,
            total_used=StorageUsage.total_used + sum(deltas.values()),
            reserved=StorageUsage.reserved + reserved,
            version=StorageUsage.version + 1,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )
