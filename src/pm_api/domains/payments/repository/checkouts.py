"""Queries of checkouts."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, AdminScope, SystemScope, WorkspaceScope
from pm_api.domains.payments.models.checkouts import CheckoutSession


async def lock(session: AsyncSession, _scope: SystemScope, checkout_id: UUID) -> CheckoutSession | None:
    """A checkout, held to the end of the transaction."""
    return await session.scalar(select(CheckoutSession).where(CheckoutSession.id == checkout_id).with_for_update())


async def get(session: AsyncSession, scope: AccountScope, checkout_id: UUID) -> CheckoutSession | None:
    """A checkout of the scope's account."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    return await session.scalar(
        select(CheckoutSession).where(CheckoutSession.id == checkout_id, CheckoutSession.account_id == account_id)
    )


async def anybodys(
    session: AsyncSession, _scope: AdminScope | SystemScope, checkout_id: UUID
) -> CheckoutSession | None:
    """As committed now."""
    return await session.scalar(
        select(CheckoutSession).where(CheckoutSession.id == checkout_id).execution_options(populate_existing=True)
    )


async def place_of(session: AsyncSession, stripe_session_id: str) -> tuple[UUID, UUID] | None:
    """(id, account id) of the checkout that Stripe has under this id: what a guard needs."""
    found = select(CheckoutSession.id, CheckoutSession.account_id).where(
        CheckoutSession.stripe_session_id == stripe_session_id
    )
    row = (await session.execute(found)).one_or_none()
    return None if row is None else (row[0], row[1])


async def by_payment(session: AsyncSession, _scope: SystemScope, payment_intent_id: str) -> CheckoutSession | None:
    """The checkout that a payment was made on."""
    return await session.scalar(
        select(CheckoutSession).where(CheckoutSession.stripe_payment_intent_id == payment_intent_id)
    )


async def open_plans(session: AsyncSession, account_id: UUID, limit: int) -> Sequence[str]:
    """Pages at Stripe on which the account may still begin a subscription, newest first."""
    rows = await session.scalars(
        select(CheckoutSession.stripe_session_id)
        .where(
            CheckoutSession.account_id == account_id,
            CheckoutSession.item_kind == "PLAN",
            CheckoutSession.status == "OPEN",
            CheckoutSession.stripe_session_id.is_not(None),
        )
        .order_by(CheckoutSession.id.desc())
        .limit(limit)
    )
    return [one for one in rows if one is not None]


async def open_pages(
    session: AsyncSession, _scope: SystemScope, account_id: UUID, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """(our id, Stripe's) of the pages on which something may still be bought for the account; a page by id."""
    statement = select(CheckoutSession.id, CheckoutSession.stripe_session_id).where(
        CheckoutSession.account_id == account_id,
        CheckoutSession.status == "OPEN",
        CheckoutSession.stripe_session_id.is_not(None),
    )
    if after is not None:
        statement = statement.where(CheckoutSession.id > after)
    rows = await session.execute(statement.order_by(CheckoutSession.id).limit(limit))
    return [(checkout_id, stripe_id) for checkout_id, stripe_id in rows if stripe_id is not None]


async def by_sessions(
    session: AsyncSession, _scope: SystemScope, stripe_ids: Collection[str]
) -> Sequence[CheckoutSession]:
    """As committed now."""
    rows = await session.scalars(
        select(CheckoutSession)
        .where(CheckoutSession.stripe_session_id.in_(stripe_ids))
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def sessions_between(
    session: AsyncSession, _scope: SystemScope, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """(our id, Stripe's) of those opened in a window that are over; a page by id."""
    statement = select(CheckoutSession.id, CheckoutSession.stripe_session_id).where(
        CheckoutSession.stripe_session_id.is_not(None),
        CheckoutSession.status == "COMPLETE",
        CheckoutSession.created_at >= since,
        CheckoutSession.created_at < until,
    )
    if after is not None:
        statement = statement.where(CheckoutSession.id > after)
    rows = await session.execute(statement.order_by(CheckoutSession.id).limit(limit))
    return [(checkout_id, stripe_id) for checkout_id, stripe_id in rows if stripe_id is not None]
