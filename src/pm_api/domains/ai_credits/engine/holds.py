"""Holds: credits set aside for work under way, each resolved once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.book import MAX_OPEN_HOLDS, NEVER, By, Entry, Hold, Lot, Refusal, Refused, Result
from pm_api.domains.ai_credits.commands import Capture, Extend, PlaceHold, Release
from pm_api.domains.ai_credits.engine import caps
from pm_api.domains.ai_credits.engine.debits import for_service, insufficient, use
from pm_api.domains.ai_credits.engine.working import Book
from pm_api.domains.ai_credits.enums import HoldStatus

_RESOLVED: Final = {
    HoldStatus.CAPTURED: Refusal.HOLD_CAPTURED,
    HoldStatus.RELEASED: Refusal.HOLD_RELEASED,
    HoldStatus.EXPIRED: Refusal.HOLD_EXPIRED,
}


def expire_due(book: Book) -> None:
    """Holds whose time has passed give back what they have; that of expired lots is swept with the lots."""
    for hold in sorted(book.state.holds.values(), key=_age):
        if hold.status is HoldStatus.OPEN and hold.expires_at <= book.now:
            _give_back(book, hold, HoldStatus.EXPIRED)


def place(book: Book, command: PlaceHold) -> Result:
    state = book.state
    if state.open_holds >= MAX_OPEN_HOLDS:
        return Refused(Refusal.TOO_MANY_HOLDS, {"limit": MAX_OPEN_HOLDS}, command.by.request_id)
    refused = caps.binding(book, by=command.by, role=command.role, service=command.service, amount=command.amount)
    if refused is not None:
        return refused
    shares, missing = book.shares(command.amount, for_service(state.lots, command.service))
    if missing:
        return insufficient(command.by.request_id, command.amount, command.amount - missing)
    caps.count(book, user_id=command.by.user_id, service=command.service, amount=command.amount, moment=book.now)
    hold = Hold(
        id=book.new_id(),
        status=HoldStatus.OPEN,
        amount=command.amount,
        captured=0,
        service=command.service,
        quantity=command.quantity,
        price_version=command.price_version,
        description=command.description,
        details=command.details,
        actor_user_id=command.by.user_id,
        expires_at=book.now + timedelta(seconds=command.ttl_s),
        created_at=book.now,
    )
    for lot, part in shares:
        lot.held += part
        hold.parts[lot.id] = part
        book.touch(lot)
    state.held += command.amount
    state.open_holds += 1
    state.holds[hold.id] = hold
    book.new_holds.add(hold.id)
    _touch(book, hold)
    return book.applied((), hold)


def capture(book: Book, command: Capture) -> Result:
    hold = _open_hold(book, command.hold_id, command.by)
    if isinstance(hold, Refused):
        return hold
    left = hold.amount - hold.captured
    amount = left if command.amount is None else command.amount
    if amount > left:
        return Refused(Refusal.CAPTURE_EXCEEDS_HOLD, {"left": left}, command.by.request_id)
    missing = amount
    shares = []
    for lot in _lots_of(book, hold):
        part = min(missing, hold.parts[lot.id])
        if part:
            shares.append((lot, part))
            missing -= part
    for lot, part in shares:
        lot.held -= part
        hold.parts[lot.id] -= part
        if not hold.parts[lot.id]:
            del hold.parts[lot.id]
    hold.captured += amount
    book.state.held -= amount
    # The entry is made first: what the rest of an expired lot leaves behind is a line of its own, after it.
    entries = [use(book, shares, command, hold)]
    if amount == left:
        hold.status = HoldStatus.CAPTURED
        book.state.open_holds -= 1
    elif command.final:
        entries += _give_back(book, hold, HoldStatus.CAPTURED)
    _touch(book, hold)
    book.warn(entries[0])
    return book.applied(entries, hold)


def release(book: Book, command: Release) -> Result:
    hold = _open_hold(book, command.hold_id, command.by)
    if isinstance(hold, Refused):
        return hold
    entries = _give_back(book, hold, HoldStatus.RELEASED)
    return book.applied(entries, hold)


def extend(book: Book, command: Extend) -> Result:
    hold = _open_hold(book, command.hold_id, command.by)
    if isinstance(hold, Refused):
        return hold
    hold.expires_at = max(hold.expires_at, book.now + timedelta(seconds=command.ttl_s))
    _touch(book, hold)
    return book.applied((), hold)


def move_to(book: Book, lots: Sequence[Lot]) -> None:
    """Open holds leave lots that live longer for lots that have just come: what runs out first is used first."""
    for hold in sorted(book.state.holds.values(), key=_age):
        if hold.status is not HoldStatus.OPEN:
            continue
        earliest_first = sorted(for_service(lots, hold.service), key=Lot.order)
        for old in sorted(_lots_of(book, hold), key=_expiry, reverse=True):
            for new in earliest_first:
                part = min(hold.parts.get(old.id, 0), new.available(book.now))
                if part > 0 and (new.expires_at or NEVER) < (old.expires_at or NEVER):
                    _move(book, hold, old, new, part)


def _move(book: Book, hold: Hold, old: Lot, new: Lot, part: int) -> None:
    old.held -= part
    new.held += part
    hold.parts[new.id] = hold.parts.get(new.id, 0) + part
    hold.parts[old.id] -= part
    if not hold.parts[old.id]:
        del hold.parts[old.id]
    book.touch(old)
    book.touch(new)
    _touch(book, hold)


def _open_hold(book: Book, hold_id: UUID, by: By) -> Hold | Refused:
    hold = book.state.holds.get(hold_id)
    if hold is None:
        return Refused(Refusal.HOLD_NOT_FOUND, {}, by.request_id)
    if hold.status is not HoldStatus.OPEN:
        return Refused(_RESOLVED[hold.status], {}, by.request_id)
    return hold


def _give_back(book: Book, hold: Hold, status: HoldStatus) -> list[Entry]:
    """What is left of a hold goes back to its lots; the part of a lot that has run out meanwhile expires at once."""
    given = 0
    expired = []
    for lot in _lots_of(book, hold):
        part = hold.parts[lot.id]
        lot.held -= part
        given += part
        book.touch(lot)
        if lot.is_expired(book.now):
            expired.append((lot, part))
    hold.parts = {}
    hold.status = status
    book.state.held -= given
    book.state.open_holds -= 1
    caps.count(book, user_id=hold.actor_user_id, service=hold.service, amount=-given, moment=hold.created_at)
    _touch(book, hold)
    if status is HoldStatus.EXPIRED:
        return []
    entries = [book.expire(lot, part) for lot, part in expired]
    book.forget_empty()
    return entries


def _touch(book: Book, hold: Hold) -> None:
    book.touched_holds[hold.id] = hold
    book.changed = True


def _lots_of(book: Book, hold: Hold) -> list[Lot]:
    return [lot for lot in book.state.lots if lot.id in hold.parts]


def _age(hold: Hold) -> tuple[object, UUID]:
    return hold.created_at, hold.id


def _expiry(lot: Lot) -> tuple[object, object]:
    return lot.expires_at or NEVER, lot.order()
