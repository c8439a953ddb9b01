"""Holds: credits set aside for work under way, each resolved once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.book import MAX_OPEN_HOLDS, NEVER, Entry, Hold, Lot, Refusal, Refused, Result
from pm_api.domains.ai_credits.commands import Capture, Extend, PlaceHold, Release
from pm_api.domains.ai_credits.engine import caps
from pm_api.domains.ai_credits.engine.debits import for_service, insufficient, use
from pm_api.domains.ai_credits.engine.working import SYSTEM, Book, Share
from pm_api.domains.ai_credits.enums import HoldStatus

LONGEST: Final = timedelta(hours=24)
SYSTEM_KEY: Final = "s:"
"""No caller's key begins so."""
_RESOLVED: Final = {
    HoldStatus.CAPTURED: Refusal.HOLD_CAPTURED,
    HoldStatus.RELEASED: Refusal.HOLD_RELEASED,
    HoldStatus.EXPIRED: Refusal.HOLD_EXPIRED,
}


def expire_due(book: Book) -> None:
    """Holds whose time has passed give back what they have; that of expired lots is swept with the lots."""
    for hold in sorted(book.state.holds.values(), key=_age):
        if hold.status is HoldStatus.OPEN and hold.expires_at <= book.now:
            came = _give_back(book, hold, HoldStatus.EXPIRED)
            book.pay_debt(came, by=SYSTEM, key=f"s:hold-expiry:{hold.id}")


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
        guarded=command.guarded,
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
    hold = _open_hold(book, command)
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
        entries += _resolve(book, hold, HoldStatus.CAPTURED, command)
    _touch(book, hold)
    book.warn(entries[0])
    return book.applied(entries, hold)


def release(book: Book, command: Release) -> Result:
    hold = _open_hold(book, command)
    if isinstance(hold, Refused):
        return hold
    entries = _resolve(book, hold, HoldStatus.RELEASED, command)
    return book.applied(entries, hold)


def extend(book: Book, command: Extend) -> Result:
    hold = _open_hold(book, command)
    if isinstance(hold, Refused):
        return hold
    wanted = min(book.now + timedelta(seconds=command.ttl_s), hold.created_at + LONGEST)
    hold.expires_at = max(hold.expires_at, wanted)
    _touch(book, hold)
    return book.applied((), hold)


def move_to(book: Book, lots: Sequence[Lot]) -> None:
    """Open holds leave lots that live longer for credits that have just come: what runs out first is used first."""
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


def leave(book: Book, ended: Sequence[Lot], made: Sequence[Lot]) -> list[Entry]:
    """Open holds leave a plan's lots that are replaced before their end for those of the plan in its place; what they
    leave behind expires with the rest of that plan. What has come to its end is theirs alone until they end.
    """
    old = [lot for lot in sorted(ended, key=Lot.order) if lot.held and not lot.is_expired(book.now)]
    held = {lot.id: lot.held for lot in old}
    for hold in sorted(book.state.holds.values(), key=_age):
        if hold.status is not HoldStatus.OPEN:
            continue
        for new in sorted(for_service(made, hold.service), key=Lot.order):
            for lot in old:
                part = min(hold.parts.get(lot.id, 0), new.available(book.now))
                if part > 0:
                    _move(book, hold, lot, new, part)
    return [book.expire(lot, left) for lot in old if (left := held[lot.id] - lot.held) > 0]


def _open_hold(book: Book, command: Capture | Release | Extend) -> Hold | Refused:
    hold = book.state.holds.get(command.hold_id)
    if hold is None:
        return Refused(Refusal.HOLD_NOT_FOUND, {}, command.by.request_id)
    if hold.status is not HoldStatus.OPEN:
        return Refused(_RESOLVED[hold.status], {}, command.by.request_id)
    if hold.guarded and not command.key.startswith(SYSTEM_KEY):
        return Refused(Refusal.HOLD_IN_USE, {}, command.by.request_id)
    return hold


def _resolve(book: Book, hold: Hold, status: HoldStatus, command: Capture | Release) -> list[Entry]:
    """Give back what is left; the part of a lot that has run out meanwhile expires at once, the rest pays a debt."""
    came = _give_back(book, hold, status)
    entries = [book.expire(lot, part) for lot, part in came if lot.is_expired(book.now)]
    entries += book.pay_debt(came, by=command.by, key=command.key)
    book.forget_empty()
    return entries


def _give_back(book: Book, hold: Hold, status: HoldStatus) -> list[Share]:
    """End a hold: what is left of it goes back to its lots."""
    came = [(lot, hold.parts[lot.id]) for lot in _lots_of(book, hold)]
    given = 0
    for lot, part in came:
        lot.held -= part
        given += part
        book.touch(lot)
    hold.parts = {}
    hold.status = status
    book.state.held -= given
    book.state.open_holds -= 1
    caps.count(book, user_id=hold.actor_user_id, service=hold.service, amount=-given, moment=hold.created_at)
    _touch(book, hold)
    return came


def _touch(book: Book, hold: Hold) -> None:
    book.touched_holds[hold.id] = hold
    book.changed = True


def _lots_of(book: Book, hold: Hold) -> list[Lot]:
    return [lot for lot in book.state.lots if lot.id in hold.parts]


def _age(hold: Hold) -> tuple[object, UUID]:
    return hold.created_at, hold.id


def _expiry(lot: Lot) -> tuple[object, object]:
    return lot.expires_at or NEVER, lot.order()
