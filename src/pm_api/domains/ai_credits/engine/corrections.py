"""What sets right: reversals by recorded allocation, and the claw-back of what was refunded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pm_api.domains.ai_credits.book import (
    Allocation,
    Entry,
    GivenBack,
    Lot,
    LotDraft,
    PastEntry,
    Refusal,
    Refused,
    Result,
)
from pm_api.domains.ai_credits.commands import ClawBack, Demand, Reverse
from pm_api.domains.ai_credits.engine import caps, holds
from pm_api.domains.ai_credits.engine.working import Book, Share
from pm_api.domains.ai_credits.enums import EntryType, LotKind

REFUND_LIFETIME: Final = timedelta(days=30)
_UNDOES: Final = {EntryType.USAGE: EntryType.REVERSAL, EntryType.TRANSFER_OUT: EntryType.TRANSFER_IN}


def reverse(book: Book, command: Reverse) -> Result:
    past = book.state.past.get(command.entry_seq)
    if past is None:
        return Refused(Refusal.ENTRY_NOT_FOUND, {}, command.by.request_id)
    if past.type not in _UNDOES:
        return Refused(Refusal.ENTRY_NOT_REVERSIBLE, {"type": str(past.type)}, command.by.request_id)
    left = sum(past.taken.values()) - sum(past.given_back.values())
    amount = left if command.amount is None else command.amount
    if amount > left or left == 0:
        return Refused(Refusal.REVERSAL_EXCEEDS_ENTRY, {"left": left}, command.by.request_id)
    shares = _newest_first(book, past, amount)
    for lot, part in shares:
        lot.remaining += part
        if past.type is EntryType.USAGE:
            lot.spent -= part
        else:
            lot.transferred_out -= part
        past.given_back[lot.id] = past.given_back.get(lot.id, 0) + part
        book.touch(lot)
    if past.type is EntryType.USAGE:
        book.state.spent -= amount
        book.given_back.append(GivenBack(past.created_at, past.service, past.actor_user_id, amount))
        caps.count(book, user_id=past.counted_user_id, service=past.service, amount=-amount, moment=past.counted_at)
    else:
        book.state.transferred_out -= amount
    entries = [
        book.post(
            _UNDOES[past.type],
            amount,
            tuple(Allocation(lot.id, part) for lot, part in shares),
            by=command.by,
            key=command.key,
            description=command.description,
            details=command.details,
            service=past.service,
            reverses_seq=past.seq,
        )
    ]
    before = len(book.new_lots)
    entries += _make_good(book, command, shares, entries[0])
    came = [*shares, *((one.lot, one.lot.amount) for one in book.new_lots[before:])]
    entries += book.pay_debt(came, by=command.by, key=command.key)
    holds.move_to(book, [lot for lot, _ in came])
    book.forget_empty()
    return book.applied(entries)


def _newest_first(book: Book, past: PastEntry, amount: int) -> list[Share]:
    """The lots the line took from, last one first, each with what is given back to it."""
    missing = amount
    shares = []
    for lot in sorted((lot for lot in book.state.lots if lot.id in past.taken), key=Lot.order, reverse=True):
        part = min(missing, past.taken[lot.id] - past.given_back.get(lot.id, 0))
        if part > 0:
            shares.append((lot, part))
            missing -= part
    assert missing == 0, "every lot of a line to be undone is loaded"
    return shares


def _make_good(book: Book, command: Reverse, shares: Sequence[Share], reversal: Entry) -> list[Entry]:
    """What went back into a lot that has run out leaves it again, and comes as a lot of 30 days. It is voided there,
    not expired: what expired may roll over, and would then come twice.
    """
    ended = sorted(((lot, part) for lot, part in shares if lot.is_expired(book.now)), key=_burn_down)
    entries = [
        book.take(EntryType.VOID, [share], by=command.by, key=command.key, description="Made good by a new lot")
        for share in ended
    ]
    by_service: dict[str | None, int] = {}
    for lot, part in ended:
        by_service[lot.service] = by_service.get(lot.service, 0) + part
    for service, amount in by_service.items():
        draft = LotDraft(
            kind=LotKind.REFUND,
            amount=amount,
            source_type="reversal",
            source_ref=str(reversal.seq) if service is None else f"{reversal.seq}:{service}",
            expires_at=book.now + REFUND_LIFETIME,
            service=service,
        )
        entries.append(
            book.make_lot(draft, command=command, description=command.description, reverses_seq=command.entry_seq)
        )
    return entries


def claw_back(book: Book, command: ClawBack) -> Result:
    by_source = {lot.source_ref: lot for lot in book.state.lots if lot.source_type == command.source_type}
    if any(demand.source_ref not in by_source for demand in command.demands):
        return Refused(Refusal.LOT_NOT_FOUND, {}, command.by.request_id)
    moves = [_settle(book, by_source[demand.source_ref], demand) for demand in command.demands]
    taken = [(move.lot, move.taken) for move in moves if move.taken]
    restored = [(move.lot, move.restored) for move in moves if move.restored]
    entries = []
    if taken or any(move.owed for move in moves):
        entries.append(_line(book, EntryType.CLAWBACK, taken, -1, command))
    if restored or any(move.forgiven for move in moves):
        entries.append(_line(book, EntryType.REVERSAL, restored, 1, command))
    entries += _give_again(book, command, restored, sum(move.again for move in moves))
    book.forget_empty()
    if taken:
        book.warn(entries[0])
    return book.applied(entries)


@dataclass(frozen=True, slots=True)
class _Move:
    """What a demand did to its lot and to the account's debt."""

    lot: Lot
    taken: int = 0
    owed: int = 0
    restored: int = 0
    forgiven: int = 0
    again: int = 0
    """Has to come as a new lot: it had been paid as debt already, or was taken from others."""


def _settle(book: Book, lot: Lot, demand: Demand) -> _Move:
    due = demand.total - lot.clawed_back
    if due == 0:
        return _Move(lot)
    book.touch(lot)
    book.changed = True
    lot.clawed_back += due
    return _take(book, lot, demand, due) if due > 0 else _yield(book, lot, -due)


def _take(book: Book, lot: Lot, demand: Demand, due: int) -> _Move:
    elsewhere = min(demand.elsewhere, due)
    part = min(due - elsewhere, lot.available(book.now))
    owed = due - elsewhere - part
    lot.clawed_elsewhere += elsewhere
    lot.clawed_as_debt += owed
    lot.remaining -= part
    lot.voided += part
    book.state.voided += part
    book.state.debt += owed
    return _Move(lot, taken=part, owed=owed)


def _yield(book: Book, lot: Lot, back: int) -> _Move:
    """Undo a demand, its last part first."""
    own = lot.clawed_back + back - lot.clawed_as_debt - lot.clawed_elsewhere
    of_debt = min(back, lot.clawed_as_debt)
    forgiven = min(of_debt, book.state.debt)
    of_lot = min(back - of_debt, own)
    of_others = back - of_debt - of_lot
    lot.clawed_as_debt -= of_debt
    lot.clawed_elsewhere -= of_others
    lot.remaining += of_lot
    lot.voided -= of_lot
    book.state.voided -= of_lot
    book.state.debt -= forgiven
    return _Move(lot, restored=of_lot, forgiven=forgiven, again=of_debt - forgiven + of_others)


def _line(book: Book, type: EntryType, shares: Sequence[Share], sign: int, command: ClawBack) -> Entry:
    """One line for all lots; when only the debt moved, it moves 0 credits."""
    return book.post(
        type,
        sign * sum(part for _, part in shares),
        tuple(Allocation(lot.id, sign * part) for lot, part in shares),
        by=command.by,
        key=command.key,
        description=command.description,
        details=command.details,
    )


def _give_again(book: Book, command: ClawBack, restored: Sequence[Share], again: int) -> list[Entry]:
    """What cannot go back into its lot comes as a new one; what came pays what is still owed."""
    entries = []
    before = len(book.new_lots)
    if again:
        draft = LotDraft(kind=LotKind.REFUND, amount=again, source_type="reinstatement", source_ref=command.key)
        entries.append(book.make_lot(draft, command=command, description=command.description))
    came = [*restored, *((one.lot, one.lot.amount) for one in book.new_lots[before:])]
    return entries + book.pay_debt(came, by=command.by, key=command.key)


def _burn_down(share: Share) -> tuple[object, ...]:
    return share[0].order()
