"""Reads of the ledger and its catalogue. Writing goes through `store` alone."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.ai_credits.book import By, Entry, canonical_json
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditAllocation,
    CreditEntry,
    CreditGrant,
    CreditPack,
    CreditPlanGrant,
    CreditPriceRule,
    CreditUsageDay,
)

PERIOD_KINDS = ("FREE_TIER", "SUBSCRIPTION_GRANT")


def account_id_of(scope: AccountScope) -> UUID:
    """The account a scope speaks of: a workspace's pool, or the user's own wallet."""
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


async def account(session: AsyncSession, scope: AccountScope) -> CreditAccount | None:
    return await session.scalar(select(CreditAccount).where(CreditAccount.id == account_id_of(scope)))


async def current_lots(session: AsyncSession, scope: AccountScope, now: datetime) -> Sequence[CreditGrant]:
    """Lots that still have credits, and this period's plan lots even when they are used up."""
    rows = await session.scalars(
        select(CreditGrant)
        .where(
            CreditGrant.account_id == account_id_of(scope),
            or_(CreditGrant.expires_at.is_(None), CreditGrant.expires_at > now, CreditGrant.remaining > 0),
            or_(CreditGrant.remaining > 0, CreditGrant.kind.in_(PERIOD_KINDS)),
        )
        .order_by(CreditGrant.id)
    )
    return rows.all()


async def usage_by_service(session: AsyncSession, scope: AccountScope, first: date, last: date) -> dict[str, int]:
    """Credits spent by service between two UTC days, both included; from the day sums, never from entries."""
    rows = await session.execute(
        select(CreditUsageDay.service, func.sum(CreditUsageDay.credits))
        .where(
            CreditUsageDay.account_id == account_id_of(scope),
            CreditUsageDay.day >= first,
            CreditUsageDay.day <= last,
        )
        .group_by(CreditUsageDay.service)
        .order_by(CreditUsageDay.service)
    )
    return {service: int(total) for service, total in rows}


async def entries(
    session: AsyncSession,
    scope: AccountScope,
    *,
    limit: int,
    before_seq: int | None,
    filters: Sequence[ColumnElement[bool]],
) -> Sequence[CreditEntry]:
    """A page of the book, newest first."""
    statement = select(CreditEntry).where(CreditEntry.account_id == account_id_of(scope), *filters)
    if before_seq is not None:
        statement = statement.where(CreditEntry.seq < before_seq)
    rows = await session.scalars(statement.order_by(CreditEntry.seq.desc()).limit(limit))
    return rows.all()


def stored_entry(row: CreditEntry) -> Entry:
    """A line of the table as the ledger speaks of it, without its allocations."""
    return Entry(
        account_id=row.account_id,
        seq=row.seq,
        id=row.id,
        type=row.type,
        amount=row.amount,
        balance_after=row.balance_after,
        by=By(row.actor_kind, row.actor_user_id, row.request_id),
        service=row.service,
        quantity=row.quantity,
        price_version=row.price_version,
        description=row.description,
        details=canonical_json(row.details),
        command_key=row.command_key,
        reverses_seq=row.reverses_seq,
        created_at=row.created_at,
        allocations=(),
        hash=bytes(row.hash),
    )


async def entries_after(session: AsyncSession, account_id: UUID, seq: int, limit: int) -> Sequence[CreditEntry]:
    """A stretch of the book in its own order, for proving it."""
    rows = await session.scalars(
        select(CreditEntry)
        .where(CreditEntry.account_id == account_id, CreditEntry.seq > seq)
        .order_by(CreditEntry.seq)
        .limit(limit)
    )
    return rows.all()


async def allocations_between(
    session: AsyncSession, account_id: UUID, first_seq: int, last_seq: int
) -> Sequence[CreditAllocation]:
    rows = await session.scalars(
        select(CreditAllocation)
        .where(
            CreditAllocation.account_id == account_id,
            CreditAllocation.entry_seq >= first_seq,
            CreditAllocation.entry_seq <= last_seq,
        )
        .order_by(CreditAllocation.entry_seq)
    )
    return rows.all()


async def count_allocations(session: AsyncSession, account_id: UUID) -> int:
    return (
        await session.scalar(
            select(func.count()).select_from(CreditAllocation).where(CreditAllocation.account_id == account_id)
        )
    ) or 0


async def hold_snapshot(session: AsyncSession) -> None:
    """Everything this (fresh) session reads is of one moment."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def usage_sums(session: AsyncSession, account_id: UUID) -> list[tuple[tuple[UUID, date, str, UUID], int]]:
    """Every day sum of an account: ((account, day, service, person), credits)."""
    rows = await session.execute(
        select(
            CreditUsageDay.account_id,
            CreditUsageDay.day,
            CreditUsageDay.service,
            CreditUsageDay.actor_user_id,
            CreditUsageDay.credits,
        ).where(CreditUsageDay.account_id == account_id)
    )
    return [((row[0], row[1], row[2], row[3]), row[4]) for row in rows]


async def all_lots(session: AsyncSession, account_id: UUID) -> Sequence[CreditGrant]:
    rows = await session.scalars(select(CreditGrant).where(CreditGrant.account_id == account_id))
    return rows.all()


async def plan_credits(session: AsyncSession, plan: str) -> int:
    """Credits a plan brings each period, by its newest version; raises LookupError for a plan nobody set up."""
    found = await session.scalar(
        select(CreditPlanGrant.credits)
        .where(CreditPlanGrant.plan == plan)
        .order_by(CreditPlanGrant.version.desc())
        .limit(1)
    )
    if found is None:
        raise LookupError(f"the catalogue has no grant for the plan {plan}")
    return found


async def wallets_due_for_reset(session: AsyncSession, now: datetime, limit: int) -> Sequence[CreditAccount]:
    rows = await session.scalars(
        select(CreditAccount)
        .where(CreditAccount.next_reset_at <= now, CreditAccount.user_id.is_not(None))
        .order_by(CreditAccount.next_reset_at)
        .limit(limit)
    )
    return rows.all()


async def accounts_with_expired_lots(session: AsyncSession, now: datetime, limit: int) -> list[UUID]:
    rows = await session.scalars(
        select(CreditGrant.account_id)
        .where(
            CreditGrant.remaining > CreditGrant.held,
            CreditGrant.expires_at.is_not(None),
            CreditGrant.expires_at <= now,
        )
        .distinct()
        .limit(limit)
    )
    return list(rows)


async def price_rules(session: AsyncSession) -> Sequence[CreditPriceRule]:
    return (await session.scalars(select(CreditPriceRule))).all()


async def newest_packs(session: AsyncSession) -> Sequence[CreditPack]:
    rows = await session.scalars(
        select(CreditPack).ext(distinct_on(CreditPack.name)).order_by(CreditPack.name, CreditPack.version.desc())
    )
    return sorted(rows, key=lambda pack: pack.credits)


async def pack(session: AsyncSession, name: str, version: int) -> CreditPack | None:
    """One version of a pack, whether or not it is still on offer."""
    return await session.scalar(select(CreditPack).where(CreditPack.name == name, CreditPack.version == version))
