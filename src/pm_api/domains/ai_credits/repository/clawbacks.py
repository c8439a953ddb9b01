"""Queries of what follows a refunded purchase: its lots, and the gifts that were made from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import EntryType
from pm_api.domains.ai_credits.models.gifts import CreditGift, CreditGiftClaim, CreditGiftClawback
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditAllocation, CreditEntry, CreditGrant
from pm_api.domains.ai_credits.repository.gifts import GIFT_SOURCE

FOLLOWED_CLAIMS = 1000
"""Of so many claims, newest first, the credits are asked back; what the others got the buyer owes."""


@dataclass(frozen=True, slots=True)
class BoughtLot:
    """A lot of the purchase, as far as a claw-back needs to know it. `usable` is not held; `taken` of what was clawed
    back came from the lot itself; `expired` is gone, but for what a plan carried over.
    """

    id: UUID
    source_ref: str
    amount: int
    usable: int
    clawed_back: int
    taken: int
    expired: int


@dataclass(frozen=True, slots=True)
class ClaimedLot:
    """What somebody still has of a gift."""

    gift_id: UUID
    user_id: UUID
    source_ref: str
    usable: int
    clawed_back: int


async def seq(session: AsyncSession, account_id: UUID) -> int:
    """The last line of an account's book."""
    return (await session.scalar(select(CreditAccount.seq).where(CreditAccount.id == account_id))) or 0


async def bought_lots(
    session: AsyncSession, account_id: UUID, source_type: str, source_refs: Sequence[str]
) -> dict[str, BoughtLot]:
    """Lots of a purchase by their reference, as committed now."""
    rows = await session.execute(
        select(
            CreditGrant.id,
            CreditGrant.source_ref,
            CreditGrant.amount,
            CreditGrant.remaining - CreditGrant.held,
            CreditGrant.clawed_back,
            CreditGrant.clawed_back - CreditGrant.clawed_as_debt - CreditGrant.clawed_elsewhere,
            CreditGrant.expired,
        ).where(
            CreditGrant.account_id == account_id,
            CreditGrant.source_type == source_type,
            CreditGrant.source_ref.in_(source_refs),
        )
    )
    return {row[1]: BoughtLot(*row) for row in rows}


async def refs_beginning_with(
    session: AsyncSession, account_id: UUID, source_type: str, reference: str, limit: int
) -> list[str]:
    """References of an account's lots that are this one, or this one and a colon and more."""
    rows = await session.scalars(
        select(CreditGrant.source_ref)
        .where(
            CreditGrant.account_id == account_id,
            CreditGrant.source_type == source_type,
            or_(
                CreditGrant.source_ref == reference,
                CreditGrant.source_ref.startswith(f"{reference}:", autoescape=True),
            ),
        )
        .order_by(CreditGrant.id)
        .limit(limit)
    )
    return list(rows)


async def drawn(session: AsyncSession, account_id: UUID, lot_ids: Collection[UUID]) -> dict[UUID, dict[UUID, int]]:
    """By gift, newest first: how much of which of these lots is given away, what has come back taken off."""
    taken = await session.execute(
        select(CreditGift.id, CreditAllocation.grant_id, -CreditAllocation.amount)
        .join(
            CreditAllocation,
            and_(
                CreditAllocation.account_id == CreditGift.account_id,
                CreditAllocation.entry_seq == CreditGift.entry_seq,
            ),
        )
        .where(CreditGift.account_id == account_id, CreditAllocation.grant_id.in_(lot_ids))
        .order_by(CreditGift.id.desc())
    )
    found: dict[UUID, dict[UUID, int]] = {}
    for gift_id, lot_id, amount in taken:
        found.setdefault(gift_id, {})[lot_id] = amount
    came_back = await session.execute(
        select(CreditGift.id, CreditAllocation.grant_id, CreditAllocation.amount)
        .join(
            CreditEntry,
            and_(
                CreditEntry.account_id == CreditGift.account_id,
                CreditEntry.reverses_seq == CreditGift.entry_seq,
                CreditEntry.reverses_seq > 0,  # so that the partial index serves
                CreditEntry.type == EntryType.TRANSFER_IN,
            ),
        )
        .join(
            CreditAllocation,
            and_(
                CreditAllocation.account_id == CreditEntry.account_id, CreditAllocation.entry_seq == CreditEntry.seq
            ),
        )
        .where(
            CreditGift.account_id == account_id,
            CreditGift.id.in_(list(found)),
            CreditAllocation.grant_id.in_(lot_ids),
        )
    )
    for gift_id, lot_id, amount in came_back:
        found[gift_id][lot_id] -= amount
    return {gift_id: lots for gift_id, lots in found.items() if any(lots.values())}


async def lock_gifts(session: AsyncSession, account_id: UUID, gift_ids: Collection[UUID]) -> None:
    """Lock gifts in id order, after every account."""
    await session.execute(
        select(CreditGift.id)
        .where(CreditGift.account_id == account_id, CreditGift.id.in_(gift_ids))
        .order_by(CreditGift.id)
        .with_for_update()
    )


async def gifts(session: AsyncSession, account_id: UUID, gift_ids: Collection[UUID]) -> dict[UUID, CreditGift]:
    """Gifts by id, as committed now."""
    rows = await session.scalars(
        select(CreditGift)
        .where(CreditGift.account_id == account_id, CreditGift.id.in_(gift_ids))
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def claimed_lots(session: AsyncSession, account_id: UUID, gift_ids: Collection[UUID]) -> Sequence[ClaimedLot]:
    """What those who claimed these gifts have not spent, newest claims first: at most `FOLLOWED_CLAIMS`."""
    rows = await session.execute(
        select(
            CreditGiftClaim.gift_id,
            CreditGiftClaim.user_id,
            CreditGiftClaim.source_ref,
            CreditGrant.remaining - CreditGrant.held,
            CreditGrant.clawed_back,
        )
        .join(
            CreditGrant,
            and_(
                CreditGrant.account_id == CreditGiftClaim.user_id,
                CreditGrant.source_type == GIFT_SOURCE,
                CreditGrant.source_ref == CreditGiftClaim.source_ref,
            ),
        )
        .where(
            CreditGiftClaim.account_id == account_id,
            CreditGiftClaim.gift_id.in_(gift_ids),
            CreditGrant.remaining > 0,
        )
        .order_by(CreditGiftClaim.id.desc())
        .limit(FOLLOWED_CLAIMS)
    )
    return [ClaimedLot(*row) for row in rows]


async def followed(
    session: AsyncSession, account_id: UUID, gift_ids: Collection[UUID]
) -> dict[tuple[UUID, UUID], int]:
    """By (gift, lot), what was taken back from claimants for earlier refunds."""
    rows = await session.execute(
        select(CreditGiftClawback.gift_id, CreditGiftClawback.grant_id, CreditGiftClawback.amount).where(
            CreditGiftClawback.account_id == account_id, CreditGiftClawback.gift_id.in_(gift_ids)
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def count_followed(session: AsyncSession, account_id: UUID, amounts: Mapping[tuple[UUID, UUID], int]) -> None:
    """Add what was taken back now."""
    statement = insert(CreditGiftClawback)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[CreditGiftClawback.account_id, CreditGiftClawback.gift_id, CreditGiftClawback.grant_id],
            set_={"amount": CreditGiftClawback.amount + statement.excluded.amount},
        ),
        [
            {"account_id": account_id, "gift_id": gift_id, "grant_id": lot_id, "amount": amount}
            for (gift_id, lot_id), amount in sorted(amounts.items())
        ],
    )
