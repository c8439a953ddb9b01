"""The rules of the ledger as pure functions: no session, no clock, no I/O.

`apply(state, commands, now, new_id)` returns the new state, the entries to write and one result a command. Both doors
of the ledger run exactly this, and it can be property-tested without a database.

Burn-down order, total: service-limited lots first, then priority, earliest expiry (none last), promotional before
paid, effective_at, id.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    PRIORITY,
    AccountState,
    Allocation,
    Applied,
    By,
    Command,
    Entry,
    Grant,
    Lot,
    LotFacts,
    NewLot,
    Outcome,
    Refusal,
    Refused,
    Result,
    Spend,
)
from pm_api.domains.ai_credits.enums import EntryType


def apply(state: AccountState, commands: Sequence[Command], now: datetime, new_id: Callable[[], UUID]) -> Outcome:
    """Run commands in order against one account. The given state is left as it was.

    A book never runs backwards: when its last line is later than `now` (another host's clock is ahead), that moment
    counts. Otherwise a spend could miss the grant that stands one line above it.
    """
    now = max(now, state.updated_at or now)
    book = _Book(state, now, new_id)
    book.expire_due()
    results = [book.run(command) for command in commands]
    changed = bool(book.entries) or any(isinstance(command, Grant) for command in commands)
    return Outcome(now, book.state, book.entries, results, changed, book.new_lots, book.touched)


class _Book:
    """The working copy of one account while a batch runs."""

    def __init__(self, state: AccountState, now: datetime, new_id: Callable[[], UUID]) -> None:
        self.state = replace(state, lots=sorted((replace(lot) for lot in state.lots), key=Lot.order))
        self.now = now
        self.new_id = new_id
        self.entries: list[Entry] = []
        self.new_lots: list[NewLot] = []
        self.touched: dict[UUID, Lot] = {}
        self._available: int | None = None
        """What the lots add up to; unknown after anything but a spend, which is what there are many of."""

    def run(self, command: Command) -> Result:
        return self._spend(command) if isinstance(command, Spend) else self._grant(command)

    def expire_due(self) -> None:
        """Post what has already run out, so that balances in the book are those of this moment."""
        for lot in self.state.lots:
            gone = lot.remaining - lot.held
            if gone > 0 and lot.expired(self.now):
                lot.remaining -= gone
                self.state.expired += gone
                self._post(
                    EntryType.EXPIRY,
                    -gone,
                    (Allocation(lot.id, -gone),),
                    by=SYSTEM,
                    key=f"s:expire:{lot.id}",
                    description="Credits expired",
                )
                self.touched[lot.id] = lot
        self.state.lots = [lot for lot in self.state.lots if lot.remaining > 0]

    def _spend(self, command: Spend) -> Result:
        service = command.service
        missing = command.amount
        taken: list[tuple[Lot, int]] = []
        for lot in self.state.lots:
            if lot.service is not None and lot.service != service:
                continue
            usable = lot.available(self.now)
            if usable <= 0:
                continue
            part = min(missing, usable)
            taken.append((lot, part))
            missing -= part
            if missing == 0:
                break
        if missing:
            return Refused(
                Refusal.INSUFFICIENT_CREDITS,
                {"needed": command.amount, "available": command.amount - missing},
                command.by.request_id,
            )
        emptied = False
        for lot, part in taken:
            lot.remaining -= part
            self.touched[lot.id] = lot
            emptied = emptied or lot.remaining == 0
        if emptied:
            self.state.lots = [lot for lot in self.state.lots if lot.remaining > 0]
        self.state.spent += command.amount
        if self._available is not None:
            self._available -= command.amount
        entry = self._post(
            EntryType.USAGE,
            -command.amount,
            tuple([Allocation(lot.id, -part) for lot, part in taken]),
            by=command.by,
            key=command.key,
            description=command.description,
            details=command.details,
            service=service,
            quantity=command.quantity,
            price_version=command.price_version,
        )
        return self._applied((entry,))

    def _grant(self, command: Grant) -> Result:
        total = sum(draft.amount for draft in command.lots)
        if self.state.balance + total > MAX_AMOUNT * 1000:
            return Refused(Refusal.BALANCE_LIMIT_EXCEEDED, {"limit": MAX_AMOUNT * 1000}, command.by.request_id)
        entries = []
        for draft in command.lots:
            lot = Lot(
                id=self.new_id(),
                kind=draft.kind,
                priority=PRIORITY[draft.kind],
                amount=draft.amount,
                remaining=draft.amount,
                held=0,
                service=draft.service,
                effective_at=self.now,
                expires_at=draft.expires_at,
            )
            self.new_lots.append(NewLot(lot, draft))
            self.state.lots.append(lot)
            self.state.granted += draft.amount
            entries.append(
                self._post(
                    EntryType(draft.kind),
                    draft.amount,
                    (Allocation(lot.id, draft.amount),),
                    by=command.by,
                    key=command.key,
                    description=command.description,
                    details=command.details,
                    service=draft.service,
                    made=(
                        draft.kind,
                        draft.amount,
                        draft.service,
                        lot.effective_at,
                        draft.expires_at,
                        draft.cost_minor,
                        draft.cost_currency,
                        draft.source_type,
                        draft.source_ref,
                    ),
                )
            )
        self.state.lots.sort(key=Lot.order)
        self._available = None
        if command.period is not None:
            self.state.period_started_at, self.state.next_reset_at = command.period
        return self._applied(tuple(entries))

    def _applied(self, entries: tuple[Entry, ...]) -> Applied:
        if self._available is None:
            self._available = self.state.available(self.now)
        return Applied(entries, self._available, self.state.held, self.state.debt)

    def _post(
        self,
        type: EntryType,
        amount: int,
        allocations: tuple[Allocation, ...],
        *,
        by: By,
        key: str,
        description: str,
        details: bytes = b"{}",
        service: str | None = None,
        quantity: int | None = None,
        price_version: int | None = None,
        made: LotFacts | None = None,
    ) -> Entry:
        state = self.state
        state.seq += 1
        state.balance += amount
        identifier = self.new_id()
        state.last_hash = chain_hash(
            state.last_hash,
            account_id=state.id,
            seq=state.seq,
            id=identifier,
            type=type,
            amount=amount,
            balance_after=state.balance,
            by=by,
            service=service,
            quantity=quantity,
            price_version=price_version,
            description=description,
            details=details,
            command_key=key,
            reverses_seq=None,
            created_at=self.now,
            allocations=allocations,
            made=made,
        )
        entry = Entry(
            state.id,
            state.seq,
            identifier,
            type,
            amount,
            state.balance,
            by,
            service,
            quantity,
            price_version,
            description,
            details,
            key,
            None,
            self.now,
            allocations,
            state.last_hash,
        )
        self.entries.append(entry)
        return entry


SYSTEM: Final = By("system", None, "")


def chain_hash(
    previous: bytes,
    *,
    account_id: UUID,
    seq: int,
    id: UUID,
    type: str,
    amount: int,
    balance_after: int,
    by: By,
    service: str | None,
    quantity: int | None,
    price_version: int | None,
    description: str,
    details: bytes,
    command_key: str,
    reverses_seq: int | None,
    created_at: datetime,
    allocations: Sequence[Allocation],
    made: LotFacts | None,
) -> bytes:
    """SHA-256 over the hash before, the entry, its allocations and the facts of the lot it made; `details` is
    canonical JSON already.
    """
    line = orjson.dumps(
        [
            account_id,
            seq,
            id,
            type,
            amount,
            balance_after,
            by.kind,
            by.user_id,
            by.request_id,
            service,
            quantity,
            price_version,
            description,
            orjson.Fragment(details),
            command_key,
            reverses_seq,
            created_at,
            [[one.lot_id, one.amount] for one in sorted(allocations, key=_by_lot)],
            made,
        ],
        default=str,  # the driver's own UUID type
    )
    return hashlib.sha256(previous + line).digest()


def _by_lot(allocation: Allocation) -> UUID:
    """The table keeps no order among an entry's allocations, so the hash must not depend on one."""
    return allocation.lot_id
