"""The spend as it is usually written: one row-locked ORM transaction a request.

It writes the rows that the ledger's writer writes (command, entry with its hash, allocations, day sum, account, lots)
and keeps the same promises. It sends no balance notification, which is to its advantage.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.idempotency import IdempotencyKeyReused
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import (
    Allocation,
    Lot,
    canonical_json,
    fingerprint,
)
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.engine import (
    chain_hash,
)
from pm_api.domains.ai_credits.enums import CommandStatus, EntryType, LotKind, Service
from pm_api.domains.ai_credits.errors import InsufficientCredits
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditAllocation,
    CreditCommand,
    CreditEntry,
    CreditGrant,
    CreditUsageDay,
)
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter, CreditEntryRead, EntryAnswer, SpendRequest
from pm_api.domains.ai_credits.service import SPEND_OPERATION, client_key


async def spend(
    session: AsyncSession, platform: Platform, scope: UserScope, request: SpendRequest, key: str
) -> EntryAnswer:
    """Take what the service costs in this session's transaction; raises InsufficientCredits."""
    assert request.service is not None
    quantity = request.quantity or 1
    price = await platform.part(Catalogue).price_of(request.service)
    amount = price.cost * quantity
    stored_key = client_key(scope.actor.key, SPEND_OPERATION, key)

    account = await session.scalar(select(CreditAccount).where(CreditAccount.id == scope.user_id).with_for_update())
    assert account is not None
    now = max(platform.clock.now(), account.updated_at)  # only now: the lock may have been waited for
    lots = await session.scalars(
        select(CreditGrant)
        .where(CreditGrant.account_id == account.id, CreditGrant.remaining > 0)
        .order_by(CreditGrant.id)
        .with_for_update()
    )
    usable = sorted(lots, key=lambda lot: _rules(lot).order())
    taken = _take(usable, amount, request.service)
    available = sum(_rules(lot).available(now) for lot in usable)
    if taken is None:
        raise InsufficientCredits(needed=amount, available=available)

    account.seq += 1
    account.balance -= amount
    account.spent += amount
    account.updated_at = now
    by = ledger.by(scope.actor)
    entry = CreditEntry(
        account_id=account.id,
        seq=account.seq,
        id=platform.randomness.uuid(),
        type=EntryType.USAGE,
        amount=-amount,
        balance_after=account.balance,
        actor_kind=by.kind,
        actor_user_id=by.user_id,
        request_id=by.request_id,
        service=request.service,
        quantity=quantity,
        price_version=price.version,
        description=request.description or f"{request.service} × {quantity}",
        details=request.metadata,
        command_key=stored_key,
        reverses_seq=None,
        debt_after=account.debt,
        created_at=now,
    )
    entry.hash = account.last_hash = chain_hash(
        account.last_hash,
        account_id=account.id,
        seq=entry.seq,
        id=entry.id,
        type=entry.type,
        amount=entry.amount,
        balance_after=entry.balance_after,
        by=by,
        service=entry.service,
        quantity=entry.quantity,
        price_version=entry.price_version,
        description=entry.description,
        details=canonical_json(request.metadata),
        command_key=entry.command_key,
        reverses_seq=None,
        created_at=now,
        allocations=[Allocation(lot_id, -part) for lot_id, part in taken],
        made=None,
        hold_id=None,
        debt_after=account.debt,
    )
    answer = EntryAnswer(
        entry=_read(entry), balance=BalanceAfter(current=available, held=account.held, debt=account.debt)
    )
    result = {"seq": entry.seq, "entries": 1, "available": available, "held": account.held, "debt": account.debt}
    claimed = await session.scalar(
        insert(CreditCommand)
        .values(
            account_id=account.id,
            key=stored_key,
            fingerprint=fingerprint(
                SPEND_OPERATION, request.amount, request.service, quantity, request.description, request.metadata
            ),
            status=CommandStatus.APPLIED,
            result=result,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(CreditCommand.key)
    )
    if claimed is None:  # replaying the first answer is left out: the load never uses a key twice
        raise IdempotencyKeyReused
    session.add(entry)
    session.add_all(
        CreditAllocation(account_id=account.id, entry_seq=entry.seq, grant_id=lot_id, amount=-part)
        for lot_id, part in taken
    )
    day = insert(CreditUsageDay).values(
        account_id=account.id,
        day=now.date(),
        service=request.service,
        actor_user_id=scope.user_id,
        credits=amount,
        entries=1,
    )
    await session.execute(
        day.on_conflict_do_update(
            index_elements=[
                CreditUsageDay.account_id,
                CreditUsageDay.day,
                CreditUsageDay.service,
                CreditUsageDay.actor_user_id,
            ],
            set_={
                "credits": CreditUsageDay.credits + day.excluded.credits,
                "entries": CreditUsageDay.entries + day.excluded.entries,
            },
        )
    )
    return answer


def _take(lots: list[CreditGrant], amount: int, service: str) -> list[tuple[UUID, int]] | None:
    """Burn lots down in order; None, and nothing taken, when they do not suffice."""
    usable = [lot for lot in lots if lot.service is None or lot.service == service]
    if sum(lot.remaining - lot.held for lot in usable) < amount:
        return None
    taken = []
    for lot in usable:
        part = min(amount, lot.remaining - lot.held)
        if part > 0:
            lot.remaining -= part
            lot.spent += part
            amount -= part
            taken.append((lot.id, part))
    return taken


def _rules(lot: CreditGrant) -> Lot:
    return Lot(
        id=lot.id,
        kind=LotKind(lot.kind),
        priority=lot.priority,
        amount=lot.amount,
        remaining=lot.remaining,
        held=lot.held,
        service=lot.service,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
    )


def _read(entry: CreditEntry) -> CreditEntryRead:
    return CreditEntryRead(
        id=entry.id,
        account_id=entry.account_id,
        seq=entry.seq,
        type=EntryType(entry.type),
        amount=entry.amount,
        balance_after=entry.balance_after,
        service=Service(entry.service) if entry.service else None,
        quantity=entry.quantity,
        price_version=entry.price_version,
        description=entry.description,
        metadata=entry.details,
        actor_user_id=entry.actor_user_id,
        hold_id=entry.hold_id,
        reverses_seq=entry.reverses_seq,
        debt_after=entry.debt_after,
        created_at=entry.created_at,
    )
