"""Proving an account's book from its raw lines: the chain, every sum, every lot, the debt, the holds and the days."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import PRIORITY, Allocation, Entry, LotFacts
from pm_api.domains.ai_credits.enums import EntryType, LotKind
from pm_api.domains.ai_credits.lines import GRANTING, UNDOES, Position, follow, sum_of
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry, CreditGrant
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.repository import proofs
from pm_api.domains.ai_credits.schemas.ledger import Identity, Verification
from pm_api.domains.ai_credits.store import UsageKey, usage_key

STRETCH: Final = 2000
MAX_PROBLEMS: Final = 50
_SUMS: Final = ("granted", "spent", "expired", "voided", "transferred_out")

LotSums = defaultdict[UUID, Counter[str]]


@dataclass
class _Proof:
    """What the lines say, added up while walking them. Only sums are kept, never the lines."""

    lots: Mapping[UUID, CreditGrant]
    problems: list[str] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    allocations: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    by_lot: LotSums = field(default_factory=lambda: defaultdict(Counter))
    usage: defaultdict[UsageKey, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))

    def complain(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def read(self, entry: Entry, original: Entry | None) -> None:
        """The next line; `original` is the one it undoes."""
        made = self._made(entry)
        self.position, problems = follow(self.position, entry, made)
        for text in problems:
            self.complain(text)
        self._add_up(entry)
        if entry.type == EntryType.USAGE:
            day = self.usage[usage_key(entry)]
            day[0] -= entry.amount
            day[1] += 1
        if entry.type in UNDOES and entry.reverses_seq is not None:
            self._undo(entry, original)

    def _add_up(self, entry: Entry) -> None:
        name = sum_of(entry)
        direction = 1 if name == "granted" else -1
        self.totals[name] += direction * entry.amount
        self.allocations += len(entry.allocations)
        for one in entry.allocations:
            sums = self.by_lot[one.lot_id]
            sums["remaining"] += one.amount
            sums[name] += direction * one.amount
            if name == "voided" and entry.type in (EntryType.CLAWBACK, EntryType.REVERSAL):
                sums["clawed"] -= one.amount

    def _undo(self, entry: Entry, original: Entry | None) -> None:
        """A refund leaves the day, service and person of the spend."""
        if original is None or original.seq >= entry.seq or original.type != UNDOES[EntryType(entry.type)]:
            self.complain(f"line {entry.seq} undoes line {entry.reverses_seq}, which cannot be undone")
        elif original.type == EntryType.USAGE:
            self.usage[usage_key(original)][2] += entry.amount

    def _made(self, entry: Entry) -> LotFacts | None:
        """The facts of the lot a granting line made, as the lot tells them today."""
        if entry.type not in GRANTING or len(entry.allocations) != 1:
            return None
        lot = self.lots.get(entry.allocations[0].lot_id)
        if lot is None:
            return None
        told = (lot.amount, lot.kind, lot.created_at, lot.effective_at)
        if told != (entry.amount, entry.type, entry.created_at, entry.created_at):
            self.complain(f"lot {lot.id} is not what line {entry.seq} made")
        return proofs.lot_facts(lot)


async def verify(session: AsyncSession, platform: Platform, scope: CreditScope) -> Verification:
    """Walk the whole book in one snapshot and compare it with the account's, the lots', the holds' and the days'
    stored figures. What has run out but is not yet posted breaks nothing: rows are compared with rows.
    """
    account_id = repository.account_id_of(scope)
    await repository.hold_snapshot(session)
    account = await repository.account(session, scope)
    lots = await repository.all_lots(session, account_id)
    proof = _Proof({lot.id: lot for lot in lots})
    while await _read_stretch(session, account_id, proof):
        pass
    if await repository.count_allocations(session, account_id) != proof.allocations:
        proof.complain("there are allocations that belong to no line")
    for seq in await proofs.overdone_reversals(session, account_id, MAX_PROBLEMS):
        proof.complain(f"more was given back of line {seq} than it took")
    _compare_lots(proof)
    if account is not None:
        _compare_account(proof, account)
    elif proof.position.seq:
        proof.complain("there are lines without an account")
    await _compare_holds(session, account_id, proof, account)
    await _compare_days(session, account_id, proof)
    now = platform.clock.now()
    freed = await repository.due_hold_parts(session, account_id, now)
    identity = _identity(proof, lots, freed, now)
    if identity.granted != sum(value for name, value in identity.model_dump().items() if name != "granted"):
        proof.complain("available, scheduled, held, spent, expired, voided and transferred are not what was granted")
    return Verification(
        ok=not proof.problems,
        account_id=account_id,
        entries=proof.position.seq,
        balance=proof.position.balance,
        head_hash=proof.position.hash.hex(),
        identity=identity,
        problems=proof.problems,
    )


async def _read_stretch(session: AsyncSession, account_id: UUID, proof: _Proof) -> bool:
    """Read the next lines with what they moved and what they undo; False at the end of the book."""
    rows = await repository.entries_after(session, account_id, proof.position.seq, STRETCH)
    if not rows:
        return False
    moves: defaultdict[int, list[Allocation]] = defaultdict(list)
    for move in await repository.allocations_between(session, account_id, rows[0].seq, rows[-1].seq):
        moves[move.entry_seq].append(Allocation(move.grant_id, move.amount))
        session.expunge(move)
    undone = {row.reverses_seq for row in rows if row.reverses_seq is not None and row.type in UNDOES}
    old = await proofs.lines(session, account_id, undone)
    originals = {row.seq: _entry(row) for row in old}
    for row in rows:
        proof.read(_entry(row, moves[row.seq]), originals.get(row.reverses_seq or 0))
    for row in {row.seq: row for row in (*rows, *old)}.values():
        session.expunge(row)
    return True


def _entry(row: CreditEntry, moves: Sequence[Allocation] = ()) -> Entry:
    return repository.stored_entry(row)._replace(allocations=tuple(moves))


def _compare_lots(proof: _Proof) -> None:
    for lot_id, lot in proof.lots.items():
        sums = proof.by_lot.pop(lot_id, None)
        if sums is None:
            proof.complain(f"lot {lot_id} was never granted by a line")
            continue
        for name in ("remaining", *_SUMS[1:]):
            if getattr(lot, name) != sums[name]:
                proof.complain(f"lot {lot_id} says {name} {getattr(lot, name)}, its lines say {sums[name]}")
        if lot.amount != sums["granted"]:
            proof.complain(f"lot {lot_id} is of {lot.amount} credits, its line brought {sums['granted']}")
        if lot.priority != PRIORITY[LotKind(lot.kind)]:
            proof.complain(f"lot {lot_id} has priority {lot.priority}, which is not that of {lot.kind}")
        # What was demanded back and did not become a debt or come from elsewhere was taken from the lot itself.
        if lot.clawed_back - lot.clawed_as_debt - lot.clawed_elsewhere != sums["clawed"]:
            proof.complain(f"lot {lot_id} says another amount clawed back than its lines")
        if min(lot.clawed_back, lot.clawed_as_debt, lot.clawed_elsewhere) < 0:
            proof.complain(f"lot {lot_id} had less than nothing clawed back")
    for lot_id in proof.by_lot:
        proof.complain(f"lines speak of lot {lot_id}, which does not exist")


def _compare_account(proof: _Proof, account: CreditAccount) -> None:
    derived = {
        "seq": proof.position.seq,
        "balance": proof.position.balance,
        "debt": proof.position.debt,
        **{name: proof.totals[name] for name in _SUMS},
    }
    for name, found in derived.items():
        if getattr(account, name) != found:
            proof.complain(f"the account says {name} {getattr(account, name)}, its lines say {found}")
    if bytes(account.last_hash) != proof.position.hash:
        proof.complain("the account's last hash is not that of its last line")


async def _compare_holds(
    session: AsyncSession, account_id: UUID, proof: _Proof, account: CreditAccount | None
) -> None:
    """Every open hold, due or not, rests on its lots until somebody writes that it is over."""
    resting = await proofs.held_by_lot(session, account_id)
    for lot_id, lot in proof.lots.items():
        held = resting.pop(lot_id, 0)
        if lot.held != held:
            proof.complain(f"lot {lot_id} says held {lot.held}, open holds rest on {held} of it")
    for lot_id in resting:
        proof.complain(f"holds rest on lot {lot_id}, which does not exist")
    for hold_id in await proofs.broken_holds(session, account_id, MAX_PROBLEMS):
        proof.complain(f"hold {hold_id}: its parts and captures are not what its amount and its lines say")
    for seq in await proofs.lines_of_unknown_holds(session, account_id, MAX_PROBLEMS):
        proof.complain(f"line {seq} was captured from a hold that does not exist")
    held = sum(lot.held for lot in proof.lots.values())
    open_holds = await proofs.count_open_holds(session, account_id)
    if account is not None and account.held != held:
        proof.complain(f"the account says held {account.held}, its lots say {held}")
    if account is not None and account.open_holds != open_holds:
        proof.complain(f"the account says {account.open_holds} open holds, there are {open_holds}")


async def _compare_days(session: AsyncSession, account_id: UUID, proof: _Proof) -> None:
    for key, figures in await proofs.day_sums(session, account_id):
        if tuple(proof.usage.pop(key, (0, 0, 0))) != figures:
            proof.complain(f"the sums of {key[1]} for {key[2] or 'no service'} are not those of its lines")
    if proof.usage:
        proof.complain("there are spends that no day sum knows of")


def _identity(proof: _Proof, lots: Sequence[CreditGrant], freed: Mapping[UUID, int], now: datetime) -> Identity:
    """The lines' sums, and the lots as they are at this moment: what rests in holds that are due is free again."""
    figures: Counter[str] = Counter()
    for lot in lots:
        held = lot.held - freed.get(lot.id, 0)
        figures["held"] += held
        free = lot.remaining - held
        if lot.effective_at > now:
            figures["scheduled"] += free
        elif lot.expires_at is not None and lot.expires_at <= now:
            figures["unposted"] += free
        else:
            figures["available"] += free
    return Identity(
        granted=proof.totals["granted"],
        available=figures["available"],
        scheduled=figures["scheduled"],
        held=figures["held"],
        spent=proof.totals["spent"],
        expired=proof.totals["expired"] + figures["unposted"],
        voided=proof.totals["voided"],
        transferred_out=proof.totals["transferred_out"],
    )
