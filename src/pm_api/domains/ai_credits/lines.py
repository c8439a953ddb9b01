"""What one line of a book must say after the line before it: pure, so that a statement can be proved anywhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pm_api.domains.ai_credits.book import Entry, LotFacts
from pm_api.domains.ai_credits.engine.chain import chain_hash
from pm_api.domains.ai_credits.enums import EntryType, LotKind

GRANTING: Final = frozenset(str(kind) for kind in LotKind)
TAKING: Final = frozenset(
    {
        *(EntryType.USAGE, EntryType.EXPIRY, EntryType.VOID),
        *(EntryType.TRANSFER_OUT, EntryType.CLAWBACK, EntryType.DEBT_PAYMENT),
    }
)
UNDOES: Final = {EntryType.REVERSAL: EntryType.USAGE, EntryType.TRANSFER_IN: EntryType.TRANSFER_OUT}
_SUMS: Final = {
    EntryType.USAGE: "spent",
    EntryType.EXPIRY: "expired",
    EntryType.VOID: "voided",
    EntryType.CLAWBACK: "voided",
    EntryType.DEBT_PAYMENT: "voided",
    EntryType.TRANSFER_OUT: "transferred_out",
    EntryType.TRANSFER_IN: "transferred_out",
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a book stands after a line; before the first one everything is nought."""

    seq: int = 0
    balance: int = 0
    debt: int = 0
    hash: bytes = b""
    moment: datetime | None = None


def sum_of(entry: Entry) -> str:
    """The sum of a lot and of its account that a line moves. A refund lowers what was spent; a claw-back that is
    taken back (it names no line) lowers what was voided.
    """
    if entry.type in GRANTING:
        return "granted"
    if entry.type == EntryType.REVERSAL:
        return "voided" if entry.reverses_seq is None else "spent"
    return _SUMS[EntryType(entry.type)]


def follow(before: Position, entry: Entry, made: LotFacts | None) -> tuple[Position, list[str]]:
    """Where the book stands after this line, and what is wrong with the line; `made` are the facts of the lot that a
    granting line made.
    """
    problems = []
    balance = before.balance + entry.amount
    if entry.seq != before.seq + 1:
        problems.append(f"line {before.seq + 1} is missing: the next one is {entry.seq}")
    if entry.balance_after != balance:
        problems.append(f"line {entry.seq} says balance {entry.balance_after}, the lines add up to {balance}")
    if sum(one.amount for one in entry.allocations) != entry.amount:
        problems.append(f"line {entry.seq} moves {entry.amount}, its allocations do not add up to that")
    if any((one.amount > 0) != _brings(entry) for one in entry.allocations):
        problems.append(f"line {entry.seq} is a {entry.type} and moves credits the wrong way")
    if before.moment is not None and entry.created_at < before.moment:
        problems.append(f"line {entry.seq} is older than the one before it")
    if not _debt_fits(before.debt, entry):
        problems.append(f"line {entry.seq} changes the debt from {before.debt} to {entry.debt_after} without a cause")
    if hash_of(before.hash, entry, made) != entry.hash:
        problems.append(f"line {entry.seq} or one of its allocations was altered: its hash does not fit")
    return Position(entry.seq, balance, entry.debt_after, entry.hash, entry.created_at), problems


def hash_of(previous: bytes, entry: Entry, made: LotFacts | None) -> bytes:
    return chain_hash(
        previous,
        account_id=entry.account_id,
        seq=entry.seq,
        id=entry.id,
        type=entry.type,
        amount=entry.amount,
        balance_after=entry.balance_after,
        by=entry.by,
        service=entry.service,
        quantity=entry.quantity,
        price_version=entry.price_version,
        description=entry.description,
        details=entry.details,
        command_key=entry.command_key,
        reverses_seq=entry.reverses_seq,
        created_at=entry.created_at,
        allocations=entry.allocations,
        made=made,
        hold_id=entry.hold_id,
        debt_after=entry.debt_after,
    )


def _brings(entry: Entry) -> bool:
    return entry.type not in TAKING


def _debt_fits(before: int, entry: Entry) -> bool:
    """Only a claw-back makes a debt (or, in one command, forgives one); only its undoing and a payment lower it."""
    after = entry.debt_after
    if after < 0:
        return False
    if entry.type == EntryType.CLAWBACK:
        return True
    if entry.type == EntryType.DEBT_PAYMENT:
        return after == before + entry.amount
    if entry.type == EntryType.REVERSAL and entry.reverses_seq is None:
        return after <= before
    return after == before
