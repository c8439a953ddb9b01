"""Queries of contracts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, AdminScope, SystemScope, WorkspaceScope
from pm_api.domains.billing.models.contracts import Contract


async def latest(session: AsyncSession, _scope: AdminScope | SystemScope, account_id: UUID) -> Contract | None:
    """The account's newest contract, as committed now, over or not: versions go on from it."""
    return await session.scalar(
        select(Contract)
        .where(Contract.account_id == account_id)
        .order_by(Contract.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


async def current(session: AsyncSession, _scope: SystemScope, account_id: UUID, now: datetime) -> Contract | None:
    """The contract that runs, or is to begin; asked under the account's lock."""
    return await session.scalar(
        select(Contract).where(Contract.account_id == account_id, Contract.ended_at.is_(None), Contract.ends_at > now)
    )


async def running(session: AsyncSession, scope: AccountScope, now: datetime) -> Contract | None:
    """The contract that the scope's account lives under now."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    return await session.scalar(
        select(Contract).where(
            Contract.account_id == account_id,
            Contract.ended_at.is_(None),
            Contract.starts_at <= now,
            Contract.ends_at > now,
        )
    )


async def begun(session: AsyncSession, scope: AccountScope, limit: int) -> Sequence[Contract]:
    """Every contract of the scope's account that has ever run, the newest first."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    rows = await session.scalars(
        select(Contract)
        .where(Contract.account_id == account_id, Contract.begun_at.is_not(None))
        .order_by(Contract.id.desc())
        .limit(limit)
    )
    return rows.all()


async def due(
    session: AsyncSession, _scope: SystemScope, now: datetime, limit: int, after: UUID | None
) -> Sequence[Contract]:
    """Contracts that are to begin, or are over; a page by id."""
    statement = select(Contract).where(
        Contract.ended_at.is_(None),
        or_(Contract.ends_at <= now, and_(Contract.begun_at.is_(None), Contract.starts_at <= now)),
    )
    if after is not None:
        statement = statement.where(Contract.id > after)
    rows = await session.scalars(statement.order_by(Contract.id).limit(limit))
    return rows.all()
