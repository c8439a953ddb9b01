"""Queries of payment methods."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import exists, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope, WorkspaceScope
from pm_api.domains.billing.models.payment_methods import PaymentMethod
from pm_api.domains.billing.models.subscriptions import LIVE_SQL, Subscription


async def live_of(
    session: AsyncSession, scope: AccountScope, *, limit: int, before: UUID | None
) -> Sequence[PaymentMethod]:
    """A page of what the scope's account may pay with, newest first."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    statement = select(PaymentMethod).where(
        PaymentMethod.account_id == account_id, PaymentMethod.detached_at.is_(None)
    )
    if before is not None:
        statement = statement.where(PaymentMethod.id < before)
    rows = await session.scalars(statement.order_by(PaymentMethod.id.desc()).limit(limit))
    return rows.all()


async def live(session: AsyncSession, scope: AccountScope, payment_method_id: UUID) -> PaymentMethod | None:
    """One of the scope's account, as committed now."""
    account_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id
    return await session.scalar(
        select(PaymentMethod)
        .where(
            PaymentMethod.account_id == account_id,
            PaymentMethod.id == payment_method_id,
            PaymentMethod.detached_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )


async def all_of(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> Sequence[PaymentMethod]:
    """Every row of an account, newest first, those that were taken away too: read under the account's lock."""
    rows = await session.scalars(
        select(PaymentMethod)
        .where(PaymentMethod.account_id == account_id)
        .order_by(PaymentMethod.id.desc())
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def by_stripe_id(
    session: AsyncSession, _scope: SystemScope, stripe_payment_method_id: str
) -> PaymentMethod | None:
    """As committed now, live or not."""
    return await session.scalar(
        select(PaymentMethod)
        .where(PaymentMethod.stripe_payment_method_id == stripe_payment_method_id)
        .execution_options(populate_existing=True)
    )


async def to_charge(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> PaymentMethod | None:
    """The default one; without any, the newest."""
    return await session.scalar(
        select(PaymentMethod)
        .where(PaymentMethod.account_id == account_id, PaymentMethod.detached_at.is_(None))
        .order_by(PaymentMethod.is_default.desc(), PaymentMethod.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


async def undefault(session: AsyncSession, _scope: SystemScope, row_ids: Collection[UUID]) -> None:
    """Before another becomes the default: an account has one at any moment."""
    if row_ids:
        await session.execute(update(PaymentMethod).where(PaymentMethod.id.in_(row_ids)).values(is_default=False))


async def accounts_with_card(
    session: AsyncSession, _scope: SystemScope, fingerprints: Collection[bytes]
) -> set[UUID]:
    """Every account that has, or once had, a card with one of these digests."""
    rows = await session.scalars(
        select(PaymentMethod.account_id).where(PaymentMethod.fingerprint.in_(fingerprints)).distinct()
    )
    return set(rows)


async def has_live_subscription(session: AsyncSession, _scope: SystemScope, account_id: UUID) -> bool:
    """Read under the account's lock."""
    statement = exists().where(Subscription.account_id == account_id, text(LIVE_SQL))
    return bool(await session.scalar(select(statement)))
