"""Queries of customers."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.domains.payments.models.customers import StripeCustomerRow
from pm_api.entitlements.enums import AccountType
from pm_api.identity.models.people import Member, User, Workspace
from pm_api.identity.permissions import Role

Account = tuple[AccountType, UUID]


async def living(session: AsyncSession, account: Account) -> str | None:
    """Who an account is at Stripe now."""
    kind, account_id = account
    return await session.scalar(
        select(StripeCustomerRow.stripe_customer_id).where(
            StripeCustomerRow.account_id == account_id,
            StripeCustomerRow.account_kind == kind,
            StripeCustomerRow.deleted_at.is_(None),
        )
    )


async def count_deleted(session: AsyncSession, account: Account) -> int:
    """How many customers of the account Stripe has deleted. One that is made meanwhile does not change it."""
    kind, account_id = account
    found = select(func.count()).where(
        StripeCustomerRow.account_id == account_id,
        StripeCustomerRow.account_kind == kind,
        StripeCustomerRow.deleted_at.is_not(None),
    )
    return await session.scalar(found) or 0


async def account_of(session: AsyncSession, _scope: SystemScope, stripe_customer_id: str) -> Account | None:
    """Whose customer it is, or was."""
    row = await session.get(StripeCustomerRow, stripe_customer_id)
    return None if row is None else (AccountType(row.account_kind), row.account_id)


async def all_of(session: AsyncSession, _scope: SystemScope, account_ids: Collection[UUID]) -> list[str]:
    """Every customer these accounts have had, deleted ones too."""
    rows = await session.scalars(
        select(StripeCustomerRow.stripe_customer_id).where(StripeCustomerRow.account_id.in_(account_ids))
    )
    return list(rows)


async def insert_one(session: AsyncSession, account: Account, stripe_customer_id: str, now: datetime) -> None:
    """Keep the account's customer, unless it has one."""
    await session.execute(
        insert(StripeCustomerRow)
        .values(stripe_customer_id=stripe_customer_id, account_kind=account[0], account_id=account[1], created_at=now)
        .on_conflict_do_nothing()
    )


async def mark_deleted(session: AsyncSession, _scope: SystemScope, stripe_customer_id: str, now: datetime) -> None:
    await session.execute(
        update(StripeCustomerRow)
        .where(StripeCustomerRow.stripe_customer_id == stripe_customer_id, StripeCustomerRow.deleted_at.is_(None))
        .values(deleted_at=now)
    )


async def person(session: AsyncSession, account: Account) -> tuple[str, str] | None:
    """Name and address of a user; of a workspace that is not deleted its own name, and the address of the owner who
    has been in it longest.
    """
    kind, account_id = account
    if kind is AccountType.USER:
        found = select(User.name, User.email).where(User.id == account_id)
    else:
        found = (
            select(Workspace.name, User.email)
            .select_from(User)
            .join(Member, Member.user_id == User.id)
            .join(Workspace, Workspace.id == Member.workspace_id)
            .where(Workspace.id == account_id, Workspace.deleted_at.is_(None), Member.role == Role.OWNER)
            .order_by(Member.id)
            .limit(1)
        )
    row = (await session.execute(found)).one_or_none()
    return None if row is None else (row[0], row[1])
