"""Queries of automatic top-ups."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope, WorkspaceScope
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.models.payment_methods import TopUpPayment

OPEN = (TopUpStatus.PENDING, TopUpStatus.ACTION_REQUIRED)


async def payments_of(
    session: AsyncSession, scope: AccountScope, *, limit: int, before: UUID | None
) -> Sequence[TopUpPayment]:
    """A page of an account's automatic purchases, newest first."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    statement = select(TopUpPayment).where(TopUpPayment.account_id == account_id)
    if before is not None:
        statement = statement.where(TopUpPayment.id < before)
    rows = await session.scalars(statement.order_by(TopUpPayment.id.desc()).limit(limit))
    return rows.all()


async def payment_of(session: AsyncSession, scope: AccountScope, payment_id: UUID) -> TopUpPayment | None:
    """One of the scope's account."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    return await session.scalar(
        select(TopUpPayment).where(TopUpPayment.account_id == account_id, TopUpPayment.id == payment_id)
    )


async def payment(session: AsyncSession, _scope: SystemScope, payment_id: UUID) -> TopUpPayment | None:
    """As committed now: also what is read under the account's lock."""
    return await session.scalar(
        select(TopUpPayment).where(TopUpPayment.id == payment_id).execution_options(populate_existing=True)
    )


async def open_payment(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> TopUpPayment | None:
    """The purchase of an account that has not ended, read under its lock."""
    return await session.scalar(
        select(TopUpPayment)
        .where(TopUpPayment.account_id == account_id, TopUpPayment.status.in_(OPEN))
        .execution_options(populate_existing=True)
    )


async def overdue(
    session: AsyncSession, _scope: SystemScope, now: datetime, after: TopUpPayment | None, limit: int
) -> Sequence[TopUpPayment]:
    """Those whose buyer did not confirm them in time, the longest first: the page after one of them."""
    statement = select(TopUpPayment).where(
        TopUpPayment.status == TopUpStatus.ACTION_REQUIRED, TopUpPayment.act_by <= now
    )
    if after is not None:
        statement = statement.where(tuple_(TopUpPayment.act_by, TopUpPayment.id) > tuple_(after.act_by, after.id))
    rows = await session.scalars(statement.order_by(TopUpPayment.act_by, TopUpPayment.id).limit(limit))
    return rows.all()
