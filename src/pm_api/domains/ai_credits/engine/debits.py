"""What takes credits: spends, transfers to others, voids."""

from collections.abc import Sequence
from datetime import datetime

from pm_api.domains.ai_credits.book import GIFTABLE, Allocation, Entry, Hold, Lot, Refusal, Refused, Result
from pm_api.domains.ai_credits.commands import Capture, Spend, Transfer, Void
from pm_api.domains.ai_credits.engine import caps
from pm_api.domains.ai_credits.engine.working import Book, Share
from pm_api.domains.ai_credits.enums import EntryType


def for_service(lots: Sequence[Lot], service: str | None) -> list[Lot]:
    """Lots that may pay for this service, or for something that is none."""
    return [lot for lot in lots if lot.service is None or lot.service == service]


def spend(book: Book, command: Spend) -> Result:
    refused = caps.binding(book, by=command.by, role=command.role, service=command.service, amount=command.amount)
    if refused is not None:
        return refused
    shares, missing = book.shares(command.amount, for_service(book.state.lots, command.service))
    if missing:
        return insufficient(command.by.request_id, command.amount, command.amount - missing)
    caps.count(book, user_id=command.by.user_id, service=command.service, amount=command.amount, moment=book.now)
    entry = use(book, shares, command)
    book.warn(entry)
    return book.applied((entry,))


def use(book: Book, shares: Sequence[Share], command: Spend | Capture, hold: Hold | None = None) -> Entry:
    """The line of a spend, straight away or out of a hold."""
    known = book.available()
    emptied = False
    total = 0
    for lot, part in shares:
        lot.remaining -= part
        lot.spent += part
        total += part
        book.touch(lot)
        emptied = emptied or lot.remaining == 0
    if emptied:
        book.forget_empty()
    book.state.spent += total
    if hold is None:
        book.knows_available(known - total)
    work = hold or command
    assert not isinstance(work, Capture)
    return book.post(
        EntryType.USAGE,
        -total,
        tuple([Allocation(lot.id, -part) for lot, part in shares]),
        by=command.by,
        key=command.key,
        description=command.description or work.description,
        details=work.details if command.details is None else command.details,
        service=work.service,
        quantity=hold.units_of(total) if hold else work.quantity,
        price_version=work.price_version,
        hold_id=hold.id if hold else None,
    )


def insufficient(request_id: str, needed: int, available: int) -> Refused:
    return Refused(Refusal.INSUFFICIENT_CREDITS, {"needed": needed, "available": available}, request_id)


def transfer(book: Book, command: Transfer) -> Result:
    """A gift takes what was bought or granted without an end; everything is taken from a lead that becomes a user."""
    if command.amount is None:
        shares: Sequence[Share] = _everything(book.state.lots, book.now)
        if not shares:
            return Refused(Refusal.LOT_EMPTY, {}, command.by.request_id)
    else:
        giftable = [
            lot for lot in book.state.lots if lot.kind in GIFTABLE and lot.expires_at is None and lot.service is None
        ]
        shares, missing = book.shares(command.amount, giftable)
        if missing:
            return insufficient(command.by.request_id, command.amount, command.amount - missing)
    entry = book.take(
        EntryType.TRANSFER_OUT,
        shares,
        by=command.by,
        key=command.key,
        description=command.description,
        details=command.details,
    )
    book.forget_empty()
    book.warn(entry)
    return book.applied((entry,))


def void(book: Book, command: Void) -> Result:
    if command.lot_id is not None:
        found = next((lot for lot in book.state.lots if lot.id == command.lot_id), None)
        if found is None:
            return Refused(Refusal.LOT_NOT_FOUND, {}, command.by.request_id)
        free = 0 if found.is_expired(book.now) else found.remaining - found.held
        if free <= 0:
            return Refused(Refusal.LOT_EMPTY, {}, command.by.request_id)
        shares = [(found, free)]
    else:
        amount = command.amount or 0
        shares, missing = book.shares(amount, book.state.lots)
        if missing:
            return insufficient(command.by.request_id, amount, amount - missing)
    entry = book.take(
        EntryType.VOID,
        shares,
        by=command.by,
        key=command.key,
        description=command.description,
        details=command.details,
    )
    book.forget_empty()
    book.warn(entry)
    return book.applied((entry,))


def _everything(lots: Sequence[Lot], now: datetime) -> list[Share]:
    return [(lot, usable) for lot in lots if (usable := lot.available(now)) > 0]
