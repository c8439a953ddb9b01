"""Queries of corrections: the line or lot an operator names, and refund requests."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, CreditScope
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, RefundStatus
from pm_api.domains.ai_credits.models.corrections import CreditRefundRequest
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry, CreditGrant
from pm_api.domains.ai_credits.repository.ledger import account_id_of


class Place(NamedTuple):
    """Where a row that an operator names belongs: whatever account that is."""

    kind: AccountKind
    account_id: UUID


async def entry_anywhere(session: AsyncSession, entry_id: UUID) -> CreditEntry | None:
    """For operators only: they are over every account."""
    return await session.scalar(select(CreditEntry).where(CreditEntry.id == entry_id))


async def lot_anywhere(session: AsyncSession, lot_id: UUID) -> UUID | None:
    """The account of a lot, for operators only."""
    return await session.scalar(select(CreditGrant.account_id).where(CreditGrant.id == lot_id))


async def has_account(session: AsyncSession, account_id: UUID) -> bool:
    return await session.get(CreditAccount, account_id) is not None


async def place_of(session: AsyncSession, account_id: UUID) -> Place:
    """An account that has a line or a lot is there."""
    account = await session.get_one(CreditAccount, account_id)
    if account.user_id is not None:
        return Place(AccountKind.USER, account_id)
    return Place(AccountKind.LEAD if account.workspace_id is None else AccountKind.WORKSPACE, account_id)


async def entry(session: AsyncSession, scope: CreditScope, entry_id: UUID) -> CreditEntry | None:
    return await session.scalar(
        select(CreditEntry).where(CreditEntry.id == entry_id, CreditEntry.account_id == account_id_of(scope))
    )


async def left_of(session: AsyncSession, line: CreditEntry) -> int:
    """What a spend took and nobody gave back yet."""
    given = await session.scalar(
        select(func.sum(CreditEntry.amount)).where(
            CreditEntry.account_id == line.account_id,
            CreditEntry.reverses_seq == line.seq,
            CreditEntry.type == EntryType.REVERSAL,
        )
    )
    return -line.amount - int(given or 0)


async def insert_request(
    session: AsyncSession,
    request_id: UUID,
    line: CreditEntry,
    *,
    amount: int,
    reason: str,
    category: str,
    requested_by: UUID,
    now: datetime,
) -> CreditRefundRequest | None:
    """A new request, or None when the entry has an open one."""
    return await session.scalar(
        insert(CreditRefundRequest)
        .values(
            id=request_id,
            account_id=line.account_id,
            entry_id=line.id,
            entry_seq=line.seq,
            amount=amount,
            reason=reason,
            category=category,
            status=RefundStatus.PENDING,
            requested_by=requested_by,
            version=1,
            created_at=now,
        )
        .on_conflict_do_nothing(
            index_elements=["account_id", "entry_id"],
            # A constant: with a parameter the server no longer knows the index once it reuses its plan.
            index_where=text("status = 'PENDING'"),
        )
        .returning(CreditRefundRequest)
    )


async def requests(
    session: AsyncSession,
    scope: AccountScope,
    *,
    requested_by: UUID | None,
    status: RefundStatus | None,
    before_id: UUID | None,
    limit: int,
) -> Sequence[CreditRefundRequest]:
    """An account's requests, or those of one person, newest first."""
    statement = select(CreditRefundRequest).where(CreditRefundRequest.account_id == account_id_of(scope))
    if requested_by is not None:
        statement = statement.where(CreditRefundRequest.requested_by == requested_by)
    if status is not None:
        statement = statement.where(CreditRefundRequest.status == status)
    if before_id is not None:
        statement = statement.where(CreditRefundRequest.id < before_id)
    return (await session.scalars(statement.order_by(CreditRefundRequest.id.desc()).limit(limit))).all()


async def request(session: AsyncSession, scope: AccountScope, request_id: UUID) -> CreditRefundRequest | None:
    return await session.scalar(
        select(CreditRefundRequest).where(
            CreditRefundRequest.id == request_id, CreditRefundRequest.account_id == account_id_of(scope)
        )
    )


async def request_anywhere(session: AsyncSession, request_id: UUID) -> CreditRefundRequest | None:
    """For operators only."""
    return await session.scalar(select(CreditRefundRequest).where(CreditRefundRequest.id == request_id))


async def requests_anywhere(
    session: AsyncSession, *, status: RefundStatus | None, after_id: UUID | None, limit: int
) -> Sequence[CreditRefundRequest]:
    """Everybody's requests for operators, oldest first: who waits longest comes first."""
    statement = select(CreditRefundRequest)
    if status is not None:
        statement = statement.where(CreditRefundRequest.status == status)
    if after_id is not None:
        statement = statement.where(CreditRefundRequest.id > after_id)
    return (await session.scalars(statement.order_by(CreditRefundRequest.id).limit(limit))).all()


async def decide(
    session: AsyncSession,
    request_id: UUID,
    *,
    status: RefundStatus,
    note: str | None,
    decided_by: UUID | None,
    now: datetime,
    refund: tuple[UUID, int] | None = None,
) -> CreditRefundRequest | None:
    """Only a pending request; None when somebody decided it meanwhile. `refund` is the entry and its credits."""
    return await session.scalar(
        update(CreditRefundRequest)
        .where(CreditRefundRequest.id == request_id, CreditRefundRequest.status == RefundStatus.PENDING)
        .values(
            status=status,
            note=note,
            decided_by=decided_by,
            decided_at=now,
            refund_entry_id=refund[0] if refund else None,
            refunded_amount=refund[1] if refund else None,
            version=CreditRefundRequest.version + 1,
        )
        .returning(CreditRefundRequest)
        .execution_options(populate_existing=True)
    )
