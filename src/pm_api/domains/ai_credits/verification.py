"""Proving an account's book from its raw lines: the chain, the sums, and every lot."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import (
    Allocation,
    By,
    LotFacts,
    canonical_json,
)
from pm_api.domains.ai_credits.engine import (
    chain_hash,
)
from pm_api.domains.ai_credits.enums import EntryType, LotKind
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry, CreditGrant
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.ledger import Identity, Verification
from pm_api.domains.ai_credits.store import UsageKey, usage_key

STRETCH: Final = 2000
MAX_PROBLEMS: Final = 50
_GRANTING: Final = frozenset(str(kind) for kind in LotKind)


@dataclass
class _Proof:
    """What the lines say, added up while walking them."""

    problems: list[str] = field(default_factory=list)
    seq: int = 0
    balance: int = 0
    last_hash: bytes = b""
    allocations: int = 0
    granted: int = 0
    spent: int = 0
    expired: int = 0
    lots: dict[UUID, CreditGrant] = field(default_factory=dict)
    usage: defaultdict[UsageKey, int] = field(default_factory=lambda: defaultdict(int))
    by_lot: defaultdict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    def complain(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def read(self, entry: CreditEntry, allocations: list[Allocation]) -> None:
        if entry.seq != self.seq + 1:
            self.complain(f"line {self.seq + 1} is missing: the next one is {entry.seq}")
        self.seq = entry.seq
        self.balance += entry.amount
        if entry.balance_after != self.balance:
            self.complain(f"line {entry.seq} says balance {entry.balance_after}, the lines add up to {self.balance}")
        if sum(one.amount for one in allocations) != entry.amount:
            self.complain(f"line {entry.seq} moves {entry.amount}, its allocations do not add up to that")
        expected = chain_hash(
            self.last_hash,
            account_id=entry.account_id,
            seq=entry.seq,
            id=entry.id,
            type=entry.type,
            amount=entry.amount,
            balance_after=entry.balance_after,
            by=By(entry.actor_kind, entry.actor_user_id, entry.request_id),
            service=entry.service,
            quantity=entry.quantity,
            price_version=entry.price_version,
            description=entry.description,
            details=canonical_json(entry.details),
            command_key=entry.command_key,
            reverses_seq=entry.reverses_seq,
            created_at=entry.created_at,
            allocations=allocations,
            made=self._made(entry, allocations),
            hold_id=entry.hold_id,
            debt_after=entry.debt_after,
        )
        if bytes(entry.hash) != expected:
            self.complain(f"line {entry.seq} or one of its allocations was altered: its hash does not fit")
        self.last_hash = bytes(entry.hash)
        self.allocations += len(allocations)
        if entry.type in _GRANTING:
            self.granted += entry.amount
        elif entry.type == EntryType.USAGE:
            self.spent -= entry.amount
            self.usage[usage_key(repository.stored_entry(entry))] -= entry.amount
        elif entry.type == EntryType.EXPIRY:
            self.expired -= entry.amount
        for one in allocations:
            self.by_lot[one.lot_id] += one.amount

    def _made(self, entry: CreditEntry, allocations: list[Allocation]) -> LotFacts | None:
        """The facts of the lot a granting line made, as the lot tells them today."""
        if entry.type not in _GRANTING or len(allocations) != 1:
            return None
        lot = self.lots.get(allocations[0].lot_id)
        if lot is None:
            return None
        if lot.amount != entry.amount or lot.kind != entry.type:
            self.complain(f"lot {lot.id} is not what line {entry.seq} made")
        return (
            lot.kind,
            lot.amount,
            lot.service,
            lot.effective_at,
            lot.expires_at,
            lot.cost_minor,
            lot.cost_currency,
            lot.source_type,
            lot.source_ref,
        )


async def verify(session: AsyncSession, platform: Platform, scope: AccountScope) -> Verification:
    """Walk the whole book in one snapshot and compare it with the account's and the lots' stored figures."""
    account_id = repository.account_id_of(scope)
    await repository.hold_snapshot(session)
    account = await repository.account(session, scope)
    lots = await repository.all_lots(session, account_id)
    proof = _Proof(lots={lot.id: lot for lot in lots})
    while True:
        lines = await repository.entries_after(session, account_id, proof.seq, STRETCH)
        if not lines:
            break
        moves: defaultdict[int, list[Allocation]] = defaultdict(list)
        for row in await repository.allocations_between(session, account_id, lines[0].seq, lines[-1].seq):
            moves[row.entry_seq].append(Allocation(row.grant_id, row.amount))
            session.expunge(row)
        order = {line.seq: line for line in lines}
        for seq, line in order.items():
            proof.read(line, moves[seq])
        for line in lines:
            session.expunge(line)
    if await repository.count_allocations(session, account_id) != proof.allocations:
        proof.complain("there are allocations that belong to no line")
    _compare(proof, account, proof.lots)
    for key, credits in await repository.usage_sums(session, account_id):
        if proof.usage.pop(key, 0) != credits:
            proof.complain(f"the sum of {key[1]} for {key[2] or 'no service'} is not that of its lines")
    if proof.usage:
        proof.complain("there are spends that no day sum knows of")
    now = platform.clock.now()
    available = sum(
        lot.remaining - lot.held
        for lot in lots
        if lot.effective_at <= now and (lot.expires_at is None or lot.expires_at > now)
    )
    scheduled = sum(lot.remaining - lot.held for lot in lots if lot.effective_at > now)
    held = sum(lot.held for lot in lots)
    unposted = sum(lot.remaining - lot.held for lot in lots if lot.expires_at is not None and lot.expires_at <= now)
    if available + scheduled + held + unposted != proof.balance:
        proof.complain("available, scheduled, held and expired credits are not what the lines leave")
    return Verification(
        ok=not proof.problems,
        account_id=account_id,
        entries=proof.seq,
        balance=proof.balance,
        head_hash=proof.last_hash.hex(),
        identity=Identity(
            granted=proof.granted,
            available=available,
            scheduled=scheduled,
            held=held,
            spent=proof.spent,
            expired=proof.expired + unposted,
            voided=account.voided if account else 0,
            transferred_out=account.transferred_out if account else 0,
        ),
        problems=proof.problems,
    )


def _compare(proof: _Proof, account: CreditAccount | None, lots: dict[UUID, CreditGrant]) -> None:
    for lot_id, lot in lots.items():
        moved = proof.by_lot.pop(lot_id, None)
        if moved is None:
            proof.complain(f"lot {lot_id} was never granted by a line")
        elif moved != lot.remaining:
            proof.complain(f"lot {lot_id} has {lot.remaining} left, its lines leave {moved}")
    for lot_id in proof.by_lot:
        proof.complain(f"lines speak of lot {lot_id}, which does not exist")
    if account is None:
        if proof.seq:
            proof.complain("there are lines without an account")
        return
    stored = (account.seq, account.balance, account.granted, account.spent, account.expired)
    derived = (proof.seq, proof.balance, proof.granted, proof.spent, proof.expired)
    for name, kept, found in zip(("seq", "balance", "granted", "spent", "expired"), stored, derived, strict=True):
        if kept != found:
            proof.complain(f"the account says {name} {kept}, its lines say {found}")
    if bytes(account.last_hash) != proof.last_hash:
        proof.complain("the account's last hash is not that of its last line")
    if (
        account.granted
        != account.balance + account.spent + account.expired + account.voided + account.transferred_out
    ):
        proof.complain("granted is not balance + spent + expired + voided + transferred out")
