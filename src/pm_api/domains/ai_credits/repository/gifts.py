"""Queries of gifts, their codes and claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import GiftStatus
from pm_api.domains.ai_credits.models.gifts import CreditGift, CreditGiftClaim, CreditGiftCode
from pm_api.domains.ai_credits.models.ledger import CreditGrant
from pm_api.identity.models.people import User

GIFT_SOURCE = "gift"
"""`source_type` of the lots that gifts bring."""


@dataclass(frozen=True, slots=True)
class Received:
    """A gift that reached a person, and when."""

    gift: CreditGift
    claim: CreditGiftClaim
    from_name: str


async def gift_by_key(session: AsyncSession, account_id: UUID, command_key: str) -> CreditGift | None:
    """The gift that a command of its giver made."""
    return await session.scalar(
        select(CreditGift).where(CreditGift.account_id == account_id, CreditGift.command_key == command_key)
    )


async def gift(session: AsyncSession, account_id: UUID, gift_id: UUID) -> CreditGift | None:
    """A gift of this account, as committed now."""
    return await session.scalar(
        select(CreditGift)
        .where(CreditGift.account_id == account_id, CreditGift.id == gift_id)
        .execution_options(populate_existing=True)
    )


async def lock_gift(session: AsyncSession, account_id: UUID, gift_id: UUID) -> CreditGift | None:
    """The same, locked: nobody claims or returns it until this transaction ends."""
    await session.execute(
        select(CreditGift.id).where(CreditGift.account_id == account_id, CreditGift.id == gift_id).with_for_update()
    )
    return await gift(session, account_id, gift_id)


async def insert_codes(
    session: AsyncSession, given: CreditGift, digests: Sequence[bytes], *, max_claims: int
) -> None:
    """The codes of a new gift, numbered from 1."""
    await session.flush()
    await session.execute(
        insert(CreditGiftCode),
        [
            {
                "account_id": given.account_id,
                "gift_id": given.id,
                "number": number,
                "digest": digest,
                "max_claims": max_claims,
            }
            for number, digest in enumerate(digests, start=1)
        ],
    )


async def code_by_digest(session: AsyncSession, digests: Sequence[bytes]) -> CreditGiftCode | None:
    """The code behind a text; it has one digest under each of the installation's keys."""
    return await session.scalar(select(CreditGiftCode).where(CreditGiftCode.digest.in_(digests)))


async def codes(session: AsyncSession, given: CreditGift) -> Sequence[CreditGiftCode]:
    """A gift's codes by number: 500 at most."""
    rows = await session.scalars(
        select(CreditGiftCode)
        .where(CreditGiftCode.account_id == given.account_id, CreditGiftCode.gift_id == given.id)
        .order_by(CreditGiftCode.number)
    )
    return rows.all()


async def count_claim(session: AsyncSession, code: CreditGiftCode, now: datetime) -> bool:
    """Count one more claim of a code if its gift is open, in time and not used up; False changes nothing that counts,
    and the caller rolls back.
    """
    of_gift = await session.scalar(
        update(CreditGift)
        .where(
            CreditGift.account_id == code.account_id,
            CreditGift.id == code.gift_id,
            CreditGift.status == GiftStatus.OPEN,
            CreditGift.expires_at > now,
            CreditGift.claims < CreditGift.max_claims,
        )
        .values(
            claims=CreditGift.claims + 1,
            status=case((CreditGift.claims + 1 == CreditGift.max_claims, GiftStatus.CLAIMED), else_=GiftStatus.OPEN),
            version=CreditGift.version + 1,
            updated_at=now,
        )
        .returning(CreditGift.claims)
        .execution_options(synchronize_session=False)
    )
    if of_gift is None:
        return False
    of_code = await session.scalar(
        update(CreditGiftCode)
        .where(
            CreditGiftCode.account_id == code.account_id,
            CreditGiftCode.gift_id == code.gift_id,
            CreditGiftCode.number == code.number,
            CreditGiftCode.claims < CreditGiftCode.max_claims,
        )
        .values(claims=CreditGiftCode.claims + 1)
        .returning(CreditGiftCode.claims)
        .execution_options(synchronize_session=False)
    )
    return of_code is not None


async def claim(session: AsyncSession, code: CreditGiftCode, user_id: UUID) -> CreditGiftClaim | None:
    """A person's claim of a code."""
    return await session.scalar(
        select(CreditGiftClaim).where(
            CreditGiftClaim.account_id == code.account_id,
            CreditGiftClaim.gift_id == code.gift_id,
            CreditGiftClaim.number == code.number,
            CreditGiftClaim.user_id == user_id,
        )
    )


async def received_lot(session: AsyncSession, user_id: UUID, source_ref: str) -> CreditGrant:
    """The credits a claim brought."""
    rows = await session.scalars(
        select(CreditGrant).where(
            CreditGrant.account_id == user_id,
            CreditGrant.source_type == GIFT_SOURCE,
            CreditGrant.source_ref == source_ref,
        )
    )
    return rows.one()


async def sent(
    session: AsyncSession, account_id: UUID, *, limit: int, before: UUID | None
) -> Sequence[tuple[CreditGift, str]]:
    """A page of an account's gifts with their makers' names, newest first."""
    statement = (
        select(CreditGift, User.name)
        .join(User, User.id == CreditGift.created_by_user_id)
        .where(CreditGift.account_id == account_id)
    )
    if before is not None:
        statement = statement.where(CreditGift.id < before)
    rows = await session.execute(statement.order_by(CreditGift.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def received(session: AsyncSession, user_id: UUID, *, limit: int, before: UUID | None) -> Sequence[Received]:
    """A page of what reached a person, newest first."""
    statement = (
        select(CreditGift, CreditGiftClaim, User.name)
        .join(
            CreditGift,
            (CreditGift.account_id == CreditGiftClaim.account_id) & (CreditGift.id == CreditGiftClaim.gift_id),
        )
        .join(User, User.id == CreditGift.created_by_user_id)
        .where(CreditGiftClaim.user_id == user_id)
    )
    if before is not None:
        statement = statement.where(CreditGiftClaim.id < before)
    rows = await session.execute(statement.order_by(CreditGiftClaim.id.desc()).limit(limit))
    return [Received(row[0], row[1], row[2]) for row in rows]


class DueGift(NamedTuple):
    """A gift that nobody claimed in time, in the order they are served: longest overdue first."""

    expires_at: datetime
    gift_id: UUID
    account_id: UUID


async def due(session: AsyncSession, now: datetime, after: DueGift | None, limit: int) -> Sequence[DueGift]:
    """Gifts whose time has passed and that have not gone back yet; the page after a place."""
    statement = select(CreditGift.expires_at, CreditGift.id, CreditGift.account_id).where(
        CreditGift.status == GiftStatus.OPEN, CreditGift.expires_at <= now
    )
    if after is not None:
        statement = statement.where(tuple_(CreditGift.expires_at, CreditGift.id) > (after.expires_at, after.gift_id))
    rows = await session.execute(statement.order_by(CreditGift.expires_at, CreditGift.id).limit(limit))
    return [DueGift(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment
