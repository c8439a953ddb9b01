"""The working copy of one account while a batch runs: the moves every rule is made of, and the lines they leave."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.book import (
    ALERT_PERCENTS,
    MAX_AMOUNT,
    PRIORITY,
    AccountState,
    Alert,
    Allocation,
    Applied,
    By,
    Counter,
    Entry,
    GivenBack,
    Hold,
    HoldView,
    Lot,
    LotDraft,
    LotFacts,
    NewLot,
    Outcome,
    Result,
)
from pm_api.domains.ai_credits.commands import Command
from pm_api.domains.ai_credits.engine.chain import chain_hash
from pm_api.domains.ai_credits.enums import EntryType

MAX_BALANCE: Final = MAX_AMOUNT * 1000
SYSTEM: Final = By("system", None, "")

Share = tuple[Lot, int]
"""A part of a lot that a command takes or gives back."""


class Book:
    def __init__(self, state: AccountState, now: datetime, new_id: Callable[[], UUID]) -> None:
        self.state = replace(
            state,
            lots=sorted((replace(lot) for lot in state.lots), key=Lot.order),
            holds={hold.id: replace(hold, parts=dict(hold.parts)) for hold in state.holds.values()},
            past={past.seq: replace(past, given_back=dict(past.given_back)) for past in state.past.values()},
            used=dict(state.used),
        )
        self.now = now
        self.new_id = new_id
        self.entries: list[Entry] = []
        self.new_lots: list[NewLot] = []
        self.touched_lots: dict[UUID, Lot] = {}
        self.new_holds: set[UUID] = set()
        self.touched_holds: dict[UUID, Hold] = {}
        self.counted: dict[Counter, int] = {}
        self.given_back: list[GivenBack] = []
        self.alerts: list[Alert] = []
        self.changed = False
        self._available: int | None = None
        """What the lots add up to; unknown after anything but a spend, which is what there are many of."""

    def outcome(self, results: list[Result]) -> Outcome:
        asked = self.state.asked_lots
        self.state.lots = [lot for lot in self.state.lots if lot.remaining > 0 or lot.id in asked]
        return Outcome(
            now=self.now,
            state=self.state,
            entries=self.entries,
            results=results,
            changed=self.changed or bool(self.entries),
            new_lots=self.new_lots,
            touched_lots=self.touched_lots,
            new_holds=self.new_holds,
            touched_holds=self.touched_holds,
            used=self.counted,
            given_back=self.given_back,
            alerts=self.alerts,
        )

    def available(self) -> int:
        if self._available is None:
            self._available = self.state.available(self.now)
        return self._available

    def knows_available(self, credits: int) -> None:
        self._available = credits

    def applied(self, entries: Iterable[Entry], hold: Hold | None = None) -> Applied:
        view = None
        if hold is not None:
            view = HoldView(
                hold.id,
                hold.status,
                hold.amount,
                hold.captured,
                hold.service,
                hold.description,
                hold.expires_at,
                hold.created_at,
            )
        return Applied(tuple(entries), self.available(), self.state.held, self.state.debt, view)

    def lot(self, lot_id: UUID) -> Lot:
        return next(lot for lot in self.state.lots if lot.id == lot_id)

    def touch(self, lot: Lot) -> None:
        self.touched_lots[lot.id] = lot
        self._available = None

    def shares(self, amount: int, lots: Iterable[Lot]) -> tuple[list[Share], int]:
        """The first `amount` usable credits of these lots, in their order; and how many are missing."""
        missing = amount
        taken: list[Share] = []
        for lot in lots:
            usable = lot.available(self.now)
            if usable <= 0:
                continue
            part = min(missing, usable)
            taken.append((lot, part))
            missing -= part
            if missing == 0:
                break
        return taken, missing

    def take(
        self,
        type: EntryType,
        shares: Sequence[Share],
        *,
        by: By,
        key: str,
        description: str,
        details: bytes = b"{}",
    ) -> Entry:
        """One line that takes these shares out of the lots, into the sum its type belongs to."""
        total = 0
        for lot, part in shares:
            lot.remaining -= part
            total += part
            if type is EntryType.TRANSFER_OUT:
                lot.transferred_out += part
            else:
                lot.voided += part
            self.touch(lot)
        if type is EntryType.TRANSFER_OUT:
            self.state.transferred_out += total
        else:
            self.state.voided += total
        return self.post(
            type,
            -total,
            tuple(Allocation(lot.id, -part) for lot, part in shares),
            by=by,
            key=key,
            description=description,
            details=details,
        )

    def expire_due(self) -> None:
        """Post what has already run out, so that balances in the book are those of this moment."""
        for lot in self.state.lots:
            gone = lot.remaining - lot.held
            if gone > 0 and lot.is_expired(self.now):
                self.expire(lot, gone)
        self.forget_empty()

    def expire(self, lot: Lot, gone: int) -> Entry:
        lot.remaining -= gone
        lot.expired += gone
        self.state.expired += gone
        self.touch(lot)
        return self.post(
            EntryType.EXPIRY,
            -gone,
            (Allocation(lot.id, -gone),),
            by=SYSTEM,
            key=f"s:expire:{lot.id}",
            description="Credits expired",
        )

    def forget_empty(self) -> None:
        """Empty lots take no part any more; what is asked for by name stays, and what this batch made: a rollover or
        a claw-back further on may mean it.
        """
        kept = self.state.asked_lots.union(one.lot.id for one in self.new_lots)
        self.state.lots = [lot for lot in self.state.lots if lot.remaining > 0 or lot.id in kept]

    def make_lot(
        self, draft: LotDraft, *, command: Command, description: str, reverses_seq: int | None = None
    ) -> Entry:
        """A new lot and the line that brings it."""
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
            source_type=draft.source_type,
            source_ref=draft.source_ref,
        )
        self.new_lots.append(NewLot(lot, draft))
        self.state.lots.append(lot)
        self.state.lots.sort(key=Lot.order)
        self.state.granted += draft.amount
        self._available = None
        return self.post(
            EntryType(draft.kind),
            draft.amount,
            (Allocation(lot.id, draft.amount),),
            by=command.by,
            key=command.key,
            description=description,
            details=getattr(command, "details", None) or b"{}",
            service=draft.service,
            reverses_seq=reverses_seq,
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

    def pay_debt(self, came: Sequence[Share], *, by: By, key: str) -> list[Entry]:
        """Whatever comes in pays a debt first, from the lots it came in and no more than came."""
        missing = self.state.debt
        shares = []
        for lot, part in sorted(came, key=_burn_down):
            paid = min(missing, part, lot.available(self.now))
            if paid > 0:
                shares.append((lot, paid))
                missing -= paid
        if not shares:
            return []
        self.state.debt = missing
        return [self.take(EntryType.DEBT_PAYMENT, shares, by=by, key=key, description="Paid off what was owed")]

    def warn(self, entry: Entry) -> None:
        """Say once for each threshold that little is left."""
        state = self.state
        available = self.available()
        if not state.alert_base or available * 100 > state.alert_base * ALERT_PERCENTS[-1]:
            return
        percent = next(one for one in ALERT_PERCENTS if available * 100 <= state.alert_base * one)
        if percent < state.alerted_percent:
            state.alerted_percent = percent
            self.alerts.append(Alert(percent, available, state.alert_base, entry.seq))

    def post(
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
        reverses_seq: int | None = None,
        hold_id: UUID | None = None,
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
            reverses_seq=reverses_seq,
            created_at=self.now,
            allocations=allocations,
            made=made,
            hold_id=hold_id,
            debt_after=state.debt,
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
            reverses_seq,
            self.now,
            allocations,
            state.last_hash,
            hold_id,
            state.debt,
        )
        self.entries.append(entry)
        return entry


def _burn_down(share: Share) -> tuple[object, ...]:
    return share[0].order()
