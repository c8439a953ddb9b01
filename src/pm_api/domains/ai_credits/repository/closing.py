"""Queries for accounts that end with their person or workspace."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import AccountKind, GiftStatus, HoldStatus
from pm_api.domains.ai_credits.models.gifts import CreditGift
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditCommand, CreditGrant, CreditHold
from pm_api.domains.ai_credits.models.pools import CreditPoolRequest
from pm_api.domains.ai_credits.models.topups import CreditAutoTopUp


async def lock(session: AsyncSession, account_id: UUID) -> AccountKind | None:
    """Hold an account to the end of the transaction; None when it was never opened."""
    await session.execute(select(CreditAccount.id).where(CreditAccount.id == account_id).with_for_update())
    row = await session.scalar(
        select(CreditAccount).where(CreditAccount.id == account_id).execution_options(populate_existing=True)
    )
    if row is None:
        return None
    return AccountKind.USER if row.user_id is not None else AccountKind.WORKSPACE


async def stop_resets(session: AsyncSession, account_id: UUID, now: datetime) -> None:
    """No further free credits come: there is no next time. The account is locked."""
    await session.execute(
        update(CreditAccount)
        .where(CreditAccount.id == account_id, CreditAccount.next_reset_at.is_not(None))
        .values(next_reset_at=None, updated_at=now)
    )


async def stop_topups(session: AsyncSession, account_id: UUID, now: datetime) -> None:
    await session.execute(
        update(CreditAutoTopUp)
        .where(CreditAutoTopUp.account_id == account_id, CreditAutoTopUp.enabled)
        .values(enabled=False, version=CreditAutoTopUp.version + 1, updated_at=now)
    )


async def open_gifts(session: AsyncSession, account_id: UUID, limit: int) -> Sequence[UUID]:
    rows = await session.scalars(
        select(CreditGift.id)
        .where(CreditGift.account_id == account_id, CreditGift.status == GiftStatus.OPEN)
        .order_by(CreditGift.id)
        .limit(limit)
    )
    return rows.all()


async def open_holds(session: AsyncSession, account_id: UUID, limit: int) -> Sequence[UUID]:
    rows = await session.scalars(
        select(CreditHold.id)
        .where(CreditHold.account_id == account_id, CreditHold.status == HoldStatus.OPEN)
        .order_by(CreditHold.id)
        .limit(limit)
    )
    return rows.all()


async def holds_elsewhere(
    session: AsyncSession, user_id: UUID, account_ids: Collection[UUID], limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """(account, hold): what a person holds in these pools, which go on without them."""
    rows = await session.execute(
        select(CreditHold.account_id, CreditHold.id)
        .where(
            CreditHold.account_id.in_(account_ids),
            CreditHold.actor_user_id == user_id,
            CreditHold.status == HoldStatus.OPEN,
        )
        .order_by(CreditHold.account_id, CreditHold.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def free_lots(session: AsyncSession, account_id: UUID, now: datetime, limit: int) -> Sequence[UUID]:
    """Lots with credits that nothing holds and that have not run out."""
    rows = await session.scalars(
        select(CreditGrant.id)
        .where(
            CreditGrant.account_id == account_id,
            CreditGrant.remaining > CreditGrant.held,
            (CreditGrant.expires_at.is_(None)) | (CreditGrant.expires_at > now),
        )
        .order_by(CreditGrant.id)
        .limit(limit)
    )
    return rows.all()


async def forget_answers(session: AsyncSession, account_id: UUID, prefixes: Collection[str], limit: int) -> int:
    """Answers of commands under such keys, whose callers cannot ask again; that they were applied stays for ever."""
    chosen = (
        select(CreditCommand.key)
        .where(
            CreditCommand.account_id == account_id,
            or_(*(CreditCommand.key.startswith(one, autoescape=True) for one in prefixes)),
            cast(CreditCommand.result, Text) != "{}",
        )
        .limit(limit)
    )
    rows = await session.scalars(
        update(CreditCommand)
        .where(CreditCommand.account_id == account_id, CreditCommand.key.in_(chosen.scalar_subquery()))
        .values(result=literal_column("'{}'::json"))
        .returning(CreditCommand.key)
    )
    return len(rows.all())


async def gifts_made_by(session: AsyncSession, user_id: UUID, account_ids: Collection[UUID]) -> Sequence[UUID]:
    """Gifts of a person out of these accounts: their receivers were told who gave them."""
    rows = await session.scalars(
        select(CreditGift.id).where(CreditGift.account_id.in_(account_ids), CreditGift.created_by_user_id == user_id)
    )
    return rows.all()


async def asked_for(session: AsyncSession, user_id: UUID, workspace_ids: Collection[UUID]) -> Sequence[UUID]:
    """What a person asked these pools' managers for."""
    rows = await session.scalars(
        select(CreditPoolRequest.id).where(
            CreditPoolRequest.workspace_id.in_(workspace_ids), CreditPoolRequest.user_id == user_id
        )
    )
    return rows.all()
