"""Reads of the ledger and its catalogue. Writing goes through `store` alone."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope, LeadScope, WorkspaceScope
from pm_api.domains.ai_credits.book import By, Entry, canonical_json
from pm_api.domains.ai_credits.models.catalogue import CreditPackLot
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditAllocation,
    CreditEntry,
    CreditGrant,
    CreditHold,
    CreditHoldLot,
    CreditPack,
    CreditPriceRule,
    CreditUsageDay,
)

PERIOD_KINDS = ("FREE_TIER", "SUBSCRIPTION_GRANT")


class DueAccount(NamedTuple):
    """An account for which a sweep has something to do, in the order they are served."""

    account_id: UUID


def account_id_of(scope: CreditScope) -> UUID:
    """The account a scope speaks of: a workspace's pool, what a lead was given, or the user's own wallet."""
    if isinstance(scope, LeadScope):
        return scope.lead_id
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


async def account(session: AsyncSession, scope: CreditScope) -> CreditAccount | None:
    return await session.scalar(select(CreditAccount).where(CreditAccount.id == account_id_of(scope)))


async def lock_accounts(session: AsyncSession, account_ids: Collection[UUID]) -> None:
    """Lock accounts in id order, as every transaction over several does; those that do not exist yet are passed by.

    Before the rows of gifts and leads, always: what such a row says is only changed by who holds it after its
    accounts.
    """
    await session.execute(
        select(CreditAccount.id).where(CreditAccount.id.in_(account_ids)).order_by(CreditAccount.id).with_for_update()
    )


async def current_lots(session: AsyncSession, scope: CreditScope, now: datetime) -> Sequence[CreditGrant]:
    """Lots that still have credits, and this period's plan lots even when they are used up. Each side has an index:
    those that were used up before are not looked at, however many there are.
    """
    rows = await session.scalars(
        select(CreditGrant)
        .where(
            CreditGrant.account_id == account_id_of(scope),
            or_(
                CreditGrant.remaining > literal_column("0"),
                and_(CreditGrant.expires_at > now, CreditGrant.kind.in_(PERIOD_KINDS)),
            ),
        )
        .order_by(CreditGrant.id)
    )
    return rows.all()


async def due_hold_parts(session: AsyncSession, account_id: UUID, now: datetime) -> dict[UUID, int]:
    """By lot, what rests in holds whose time has passed: free again, though no sweep has written it yet."""
    rows = await session.execute(
        select(CreditHoldLot.grant_id, func.sum(CreditHoldLot.amount))
        .join(
            CreditHold,
            and_(CreditHold.account_id == CreditHoldLot.account_id, CreditHold.id == CreditHoldLot.hold_id),
        )
        .where(CreditHold.account_id == account_id, CreditHold.status == "OPEN", CreditHold.expires_at <= now)
        .group_by(CreditHoldLot.grant_id)
    )
    return {lot_id: int(amount) for lot_id, amount in rows}


async def usage_by_service(session: AsyncSession, scope: CreditScope, first: date, last: date) -> dict[str, int]:
    """Credits spent by service between two UTC days, both included and net of refunds; from the day sums, never from
    entries.
    """
    rows = await session.execute(
        select(CreditUsageDay.service, func.sum(CreditUsageDay.credits - CreditUsageDay.refunded))
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
    scope: CreditScope,
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
        by=By(row.actor_kind, row.actor_user_id, row.request_id, row.actor_key_id),
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
        hold_id=row.hold_id,
        debt_after=row.debt_after,
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


async def all_lots(session: AsyncSession, account_id: UUID) -> Sequence[CreditGrant]:
    rows = await session.scalars(select(CreditGrant).where(CreditGrant.account_id == account_id))
    return rows.all()


async def accounts_with_expired_lots(
    session: AsyncSession, now: datetime, after: DueAccount | None, limit: int
) -> Sequence[DueAccount]:
    """In the order of their ids; the page after a place."""
    statement = select(CreditGrant.account_id).where(
        # The first says no more than the second does, but by it the lots that are used up are never looked at.
        CreditGrant.remaining > literal_column("0"),
        CreditGrant.remaining > CreditGrant.held,
        CreditGrant.expires_at.is_not(None),
        CreditGrant.expires_at <= now,
    )
    if after is not None:
        statement = statement.where(CreditGrant.account_id > after.account_id)
    rows = await session.scalars(statement.distinct().order_by(CreditGrant.account_id).limit(limit))
    return [DueAccount(account_id) for account_id in rows]


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


async def pack_lots(session: AsyncSession, name: str, version: int) -> Sequence[CreditPackLot]:
    """The lots of a bundle, in order; none for a plain pack."""
    rows = await session.scalars(
        select(CreditPackLot)
        .where(CreditPackLot.pack == name, CreditPackLot.version == version)
        .order_by(CreditPackLot.position)
    )
    return rows.all()


async def lots_of_packs(session: AsyncSession) -> Sequence[CreditPackLot]:
    rows = await session.scalars(
        select(CreditPackLot).order_by(CreditPackLot.pack, CreditPackLot.version, CreditPackLot.position)
    )
    return rows.all()


async def sources_with_lots(
    session: AsyncSession, source_type: str, references: Collection[tuple[UUID, str]]
) -> set[str]:
    """Those of (account, reference) that brought a lot, however much is left of it."""
    rows = await session.scalars(
        select(CreditGrant.source_ref).where(
            CreditGrant.source_type == source_type,
            tuple_(CreditGrant.account_id, CreditGrant.source_ref).in_(references),
        )
    )
    return set(rows)


async def count_plan_lots(session: AsyncSession, account_id: UUID) -> tuple[int, int]:
    """How many lots plans have brought to an account, and how many credits in them."""
    row = await session.execute(
        select(func.count(), func.coalesce(func.sum(CreditGrant.amount), 0)).where(
            CreditGrant.account_id == account_id, CreditGrant.kind == "SUBSCRIPTION_GRANT"
        )
    )
    lots, credits = row.one()
    return int(lots), int(credits)
