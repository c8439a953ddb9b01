"""Idempotency keys when their time is over."""

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.idempotency import KEPT
from pm_api.core.platform import Platform
from pm_api.core.tables import IdempotencyKey


async def delete_expired_keys(session: AsyncSession, platform: Platform, limit: int = 5000) -> int:
    """Forget keys older than 48 hours; returns how many."""
    columns = (IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key)
    old = select(*columns).where(IdempotencyKey.created_at < platform.clock.now() - KEPT).limit(limit)
    gone = await session.scalars(
        delete(IdempotencyKey).where(tuple_(*columns).in_(old)).returning(IdempotencyKey.key)
    )
    return len(gone.all())
