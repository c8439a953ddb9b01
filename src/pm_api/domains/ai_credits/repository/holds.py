"""Reads of holds, and of the log of charged work. Holds are written by `store` alone."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.domains.ai_credits.enums import HoldStatus
from pm_api.domains.ai_credits.models.ledger import CreditHold
from pm_api.domains.ai_credits.models.usage_logs import AiUsageLog
from pm_api.domains.ai_credits.repository.ledger import DueAccount, account_id_of


async def hold(session: AsyncSession, scope: CreditScope, hold_id: UUID) -> CreditHold | None:
    return await session.get(CreditHold, (account_id_of(scope), hold_id))


async def holds(
    session: AsyncSession,
    scope: CreditScope,
    *,
    limit: int,
    before_id: UUID | None,
    status: HoldStatus | None,
    now: datetime,
    placed_by: UUID | None,
) -> Sequence[CreditHold]:
    """A page of an account's holds (of those one person placed, if named), newest first: their ids are in the order
    of their making.
    """
    statement = select(CreditHold).where(CreditHold.account_id == account_id_of(scope))
    if placed_by is not None:
        statement = statement.where(CreditHold.actor_user_id == placed_by)
    if status is not None:
        statement = statement.where(_is(status, now))
    if before_id is not None:
        statement = statement.where(CreditHold.id < before_id)
    return (await session.scalars(statement.order_by(CreditHold.id.desc()).limit(limit))).all()


def _is(status: HoldStatus, now: datetime) -> ColumnElement[bool]:
    """A hold whose time has passed has expired, whether or not a sweep has written it."""
    is_open = CreditHold.status == HoldStatus.OPEN
    if status is HoldStatus.OPEN:
        return and_(is_open, CreditHold.expires_at > now)
    if status is HoldStatus.EXPIRED:
        return or_(CreditHold.status == HoldStatus.EXPIRED, and_(is_open, CreditHold.expires_at <= now))
    return CreditHold.status == status


async def accounts_with_due_holds(
    session: AsyncSession, now: datetime, after: DueAccount | None, limit: int
) -> Sequence[DueAccount]:
    """In the order of their ids; the page after a place."""
    statement = select(CreditHold.account_id).where(
        CreditHold.status == HoldStatus.OPEN, CreditHold.expires_at <= now
    )
    if after is not None:
        statement = statement.where(CreditHold.account_id > after.account_id)
    rows = await session.scalars(statement.distinct().order_by(CreditHold.account_id).limit(limit))
    return [DueAccount(account_id) for account_id in rows]


def add_usage_log(session: AsyncSession, log: AiUsageLog) -> None:
    session.add(log)
