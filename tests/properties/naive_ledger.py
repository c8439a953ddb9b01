"""The credit ledger a second time, as naively as it can be written: the yardstick of the model-based tests.

A lot is a bag that says where each of its credits is: free, under a hold, spent by a line, and so on. A credit only
ever moves from one place to another, and every figure (what remains, what was spent, the balance, what may still be
given back) is counted anew from the bags whenever somebody asks. Slow, without indexes, caches or running totals.

Lots and holds are numbered from 1 in the order they were made in their account, so that no ids have to match: the
`hold_id` or `lot_id` of a command is that number, as a UUID.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pm_api.domains.ai_credits.book import LotDraft, Refusal
from pm_api.domains.ai_credits.commands import (
    Capture,
    ClawBack,
    Command,
    Extend,
    Grant,
    PlaceHold,
    Release,
    Reverse,
    Spend,
    Transfer,
    Void,
)
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, LotKind
from tests.properties.naive_book import NaiveBook
from tests.properties.naive_parts import (
    BALANCE_LIMIT,
    CLAWED,
    EXPIRED,
    FREE,
    LONGEST_HOLD,
    LOTS_BEFORE_GIFTS_END,
    MADE_GOOD,
    MAY_BE_GIVEN_AWAY,
    OF_A_PLAN,
    OPEN_HOLDS_LIMIT,
    REFUND_LIFE,
    VOIDED,
    Done,
    NaiveAnswer,
    NaiveHold,
    NaiveLot,
    NaiveResult,
    OtherContent,
    RefuseNow,
    TurnedDown,
    in_turn,
    numbered,
    refuse,
)


class NaiveAccount(NaiveBook):
    """The rules, one method a command."""

    def answer(self, command: Command) -> NaiveAnswer:
        if command.key in self.answers:
            fingerprint, first = self.answers[command.key]
            return NaiveAnswer(first if fingerprint == command.fingerprint else OtherContent(), replayed=True)
        known = len(self.lines)
        result: NaiveResult
        try:
            hold = self._do(command)
            if hold or isinstance(command, Grant):
                self.changed_at = self.now
        except RefuseNow as refusal:
            result = TurnedDown(refusal.reason, refusal.facts, command.by.request_id)
        else:
            sight = hold.sight() if hold else None
            result = Done(tuple(self.lines[known:]), self.available(), self.held(), self.debt, sight)
        self.answers[command.key] = (command.fingerprint, result)
        assert self.remaining() == sum(line.amount for line in self.lines)
        return NaiveAnswer(result, replayed=False)

    def _do(self, command: Command) -> NaiveHold | None:
        rules: dict[type, Callable[[Any], NaiveHold | None]] = {
            Spend: self._spend,
            Grant: self._grant,
            PlaceHold: self._place,
            Capture: self._capture,
            Release: self._release,
            Extend: self._extend,
            Reverse: self._reverse,
            Void: self._void,
            Transfer: self._transfer,
            ClawBack: self._claw_back,
        }
        return rules[type(command)](command)

    def _spend(self, command: Spend) -> None:
        self.heed_caps(command)
        chosen = self.choose(command.amount, self.lots_for(command.service))
        for lot, credits in chosen:
            lot.move(credits, FREE, ("spent", self.next_seq()))
        line = self.write(
            EntryType.USAGE,
            [(lot, -credits) for lot, credits in chosen],
            command,
            service=command.service,
            quantity=command.quantity,
            price_version=command.price_version,
            description=command.description,
            details=command.details,
        )
        self.use(command.amount, self.now, command.by.user_id, command.service)
        self.warn(line)

    def _place(self, command: PlaceHold) -> NaiveHold:
        if len(self.open_holds()) >= OPEN_HOLDS_LIMIT:
            refuse(Refusal.TOO_MANY_HOLDS, limit=OPEN_HOLDS_LIMIT)
        self.heed_caps(command)
        chosen = self.choose(command.amount, self.lots_for(command.service))
        hold = NaiveHold(
            number=len(self.holds) + 1,
            amount=command.amount,
            service=command.service,
            quantity=command.quantity,
            price_version=command.price_version,
            description=command.description,
            details=command.details,
            user_id=command.by.user_id,
            expires_at=self.now + timedelta(seconds=command.ttl_s),
            created_at=self.now,
            guarded=command.guarded,
        )
        self.holds.append(hold)
        for lot, credits in chosen:
            lot.move(credits, FREE, hold.place)
        self.use(command.amount, self.now, command.by.user_id, command.service)
        return hold

    def _open_hold(self, command: Capture | Release | Extend) -> NaiveHold:
        found = [hold for hold in self.holds if numbered(hold.number) == command.hold_id]
        if not found:
            refuse(Refusal.HOLD_NOT_FOUND)
        [hold] = found
        if hold.status is HoldStatus.CAPTURED:
            refuse(Refusal.HOLD_CAPTURED)
        if hold.status is HoldStatus.RELEASED:
            refuse(Refusal.HOLD_RELEASED)
        if hold.status is HoldStatus.EXPIRED:
            refuse(Refusal.HOLD_EXPIRED)
        if hold.guarded:
            if not command.key.startswith("s:"):
                refuse(Refusal.HOLD_IN_USE)
            self.events["guarded holds resolved or extended by the service"] += 1
        return hold

    def _give_back(self, hold: NaiveHold, command: Capture | Release) -> None:
        came = self.parts(hold)
        for lot, credits in came:
            lot.move(credits, hold.place, FREE)
            self.use(-credits, hold.created_at, hold.user_id, hold.service)
            if lot.is_over(self.now):
                self.let_expire(lot, credits)
        if self.pay_debt([(lot, credits) for lot, credits in came if not lot.is_over(self.now)], command):
            self.events[f"debts paid by a {type(command).__name__}"] += 1

    def _capture(self, command: Capture) -> NaiveHold:
        hold = self._open_hold(command)
        left = self.left(hold)
        amount = left if command.amount is None else command.amount
        if amount > left:
            refuse(Refusal.CAPTURE_EXCEEDS_HOLD, left=left)
        missing, taken = amount, []
        for lot, credits in self.parts(hold):
            part = min(missing, credits)
            if part:
                lot.move(part, hold.place, ("spent", self.next_seq()))
                taken.append((lot, -part))
                missing -= part
        hold.captured += amount
        line = self.write(
            EntryType.USAGE,
            taken,
            command,
            hold=hold,
            service=hold.service,
            quantity=None if hold.quantity is None else self.units(hold, amount),
            price_version=hold.price_version,
            description=command.description if command.description is not None else hold.description,
            details=command.details if command.details is not None else hold.details,
        )
        if command.final or amount == left:
            hold.status = HoldStatus.CAPTURED
            self._give_back(hold, command)
        self.warn(line)
        return hold

    def _release(self, command: Release) -> NaiveHold:
        hold = self._open_hold(command)
        hold.status = HoldStatus.RELEASED
        self._give_back(hold, command)
        return hold

    def _extend(self, command: Extend) -> NaiveHold:
        hold = self._open_hold(command)
        before, wanted = hold.expires_at, self.now + timedelta(seconds=command.ttl_s)
        longest = hold.created_at + LONGEST_HOLD
        hold.expires_at = max(before, min(max(before, wanted), longest))
        self.events["holds extended to a day in all"] += before < longest < wanted
        self.events["holds already longer than a day in all"] += longest < before < wanted
        return hold

    def _grant(self, command: Grant) -> None:
        if self.remaining() + sum(draft.amount for draft in command.lots) > BALANCE_LIMIT:
            refuse(Refusal.BALANCE_LIMIT_EXCEEDED, limit=BALANCE_LIMIT)
        if any(draft.kind is LotKind.GIFT for draft in command.lots):
            in_use = [lot for lot in self.lots if lot.count("free", "held")]
            if len(in_use) >= LOTS_BEFORE_GIFTS_END:
                refuse(Refusal.TOO_MANY_LOTS, limit=LOTS_BEFORE_GIFTS_END)
        before = list(self.lots)
        if command.replaces_plan:
            for lot in in_turn(self.lots):
                if lot.kind in OF_A_PLAN:
                    self.let_expire(lot, lot.usable(self.now))
        made: list[NaiveLot] = []
        if command.rollover is not None and self.period is not None:
            of_the_period = [
                lot
                for lot in self.lots
                if lot.kind is LotKind.SUBSCRIPTION_GRANT
                and lot.effective_at >= self.period[0]
                and lot.expires_at is not None  # a lot without an end is of no period
                and lot.expires_at > self.period[0]
            ]
            self.events["lots of a period told late, kept out of a rollover"] += any(
                lot.kind is LotKind.SUBSCRIPTION_GRANT and lot.effective_at >= self.period[0] and lot.where[EXPIRED]
                for lot in self.lots
                if lot.is_over(self.period[0])
            )
            leftover = sum(lot.where[EXPIRED] for lot in of_the_period)
            granted = sum(lot.amount for lot in of_the_period)
            carried = min(leftover, granted * command.rollover.max_percent // 100)
            if carried > 0:
                lot = self.new_lot(
                    LotDraft(LotKind.ROLLOVER, carried, "", "", expires_at=command.rollover.expires_at)
                )
                self.write(EntryType.ROLLOVER, [(lot, carried)], command)
                made.append(lot)
        for draft in command.lots:
            lot = self.new_lot(draft)
            self.write(
                EntryType(draft.kind),
                [(lot, draft.amount)],
                command,
                service=draft.service,
                description=command.description,
                details=command.details,
            )
            made.append(lot)
        if command.period is not None:
            self.period = command.period
        self.pay_debt([(lot, lot.usable(self.now)) for lot in made], command)
        if command.replaces_plan:
            self.leave_the_old_plan(before, made)
        self.holds_to_earlier(made)
        if made:
            self.base, self.warned = self.available(), 100

    def _reverse(self, command: Reverse) -> None:
        found = [line for line in self.lines if line.seq == command.entry_seq]
        if not found:
            refuse(Refusal.ENTRY_NOT_FOUND)
        [line] = found
        if line.type not in {EntryType.USAGE, EntryType.TRANSFER_OUT}:
            refuse(Refusal.ENTRY_NOT_REVERSIBLE, type=str(line.type))
        place = ("spent" if line.type is EntryType.USAGE else "out", line.seq)
        left = sum(lot.where[place] for lot in self.lots)
        amount = left if command.amount is None else command.amount
        if left == 0 or amount > left:
            refuse(Refusal.REVERSAL_EXCEEDS_ENTRY, left=left)
        restored: list[tuple[NaiveLot, int]] = []
        missing = amount
        for lot in reversed(in_turn(self.lots)):
            part = min(missing, lot.where[place])
            if part:
                lot.move(part, place, FREE)
                restored.append((lot, part))
                missing -= part
        reversal = self.write(
            EntryType.REVERSAL if line.type is EntryType.USAGE else EntryType.TRANSFER_IN,
            restored,
            command,
            reverses=line.seq,
            service=line.service,
            description=command.description,
            details=command.details,
        )
        over = [(lot, credits) for lot, credits in reversed(restored) if lot.is_over(self.now)]
        for lot, credits in over:
            lot.move(credits, FREE, VOIDED)
            self.write(EntryType.VOID, [(lot, -credits)], command, description=MADE_GOOD)
            self.events["VOIDs made good by a new lot"] += 1
        came = [(lot, credits) for lot, credits in restored if not lot.is_over(self.now)]
        for service in dict.fromkeys(lot.service for lot, _ in over):
            total = sum(credits for lot, credits in over if lot.service == service)
            source = ("reversal", f"{reversal.seq}:{service}" if service else str(reversal.seq))
            came.append((self.refund_lot(total, service, self.now + REFUND_LIFE, command, line.seq, source), total))
            self.events["refund lots of a service"] += service is not None
        self.pay_debt(came, command)
        self.holds_to_earlier([lot for lot, _ in came])
        if line.type is EntryType.USAGE:
            # What came out of a hold was counted for whoever placed it, when it was placed.
            placed = self.holds[line.hold - 1] if line.hold else None
            at, user_id = (placed.created_at, placed.user_id) if placed else (line.at, line.by.user_id)
            self.use(-amount, at, user_id, line.service)

    def _void(self, command: Void) -> None:
        if command.lot_id is not None:
            found = [lot for lot in self.lots if numbered(lot.number) == command.lot_id]
            if not found:
                refuse(Refusal.LOT_NOT_FOUND)
            [lot] = found
            if lot.is_over(self.now) or lot.where[FREE] == 0:
                refuse(Refusal.LOT_EMPTY)
            chosen = [(lot, lot.where[FREE])]
        else:
            assert command.amount is not None
            chosen = self.choose(command.amount, self.lots)
        for lot, credits in chosen:
            lot.move(credits, FREE, VOIDED)
        line = self.write(
            EntryType.VOID,
            [(lot, -credits) for lot, credits in chosen],
            command,
            description=command.description,
            details=command.details,
        )
        self.warn(line)

    def _transfer(self, command: Transfer) -> None:
        if command.amount is None:
            if self.available() == 0:
                refuse(Refusal.LOT_EMPTY)
            chosen = self.choose(self.available(), self.lots)
        else:
            giftable = [
                lot
                for lot in self.lots
                if lot.kind in MAY_BE_GIVEN_AWAY and lot.expires_at is None and lot.service is None
            ]
            chosen = self.choose(command.amount, giftable)
        for lot, credits in chosen:
            lot.move(credits, FREE, ("out", self.next_seq()))
        line = self.write(
            EntryType.TRANSFER_OUT,
            [(lot, -credits) for lot, credits in chosen],
            command,
            description=command.description,
            details=command.details,
        )
        self.warn(line)

    def _claw_back(self, command: ClawBack) -> None:
        meant: list[NaiveLot] = []
        for demand in command.demands:
            found = [
                lot
                for lot in self.lots
                if (lot.source_type, lot.source_ref) == (command.source_type, demand.source_ref)
            ]
            if not found:
                refuse(Refusal.LOT_NOT_FOUND)
            meant += found
        taken: Counter[int] = Counter()
        back: Counter[int] = Counter()
        as_refund = 0
        debt_rose = debt_fell = False
        for demand, lot in zip(command.demands, meant, strict=True):
            due = demand.total - lot.clawed_back()
            if due:
                self.changed_at = self.now
            if due > 0:
                elsewhere = min(demand.elsewhere, due)
                take = min(due - elsewhere, lot.usable(self.now))
                lot.clawed_elsewhere += elsewhere
                lot.clawed_as_debt += due - elsewhere - take
                self.debt += due - elsewhere - take
                debt_rose = debt_rose or due - elsewhere - take > 0
                if take:
                    lot.move(take, FREE, CLAWED)
                    taken[lot.number] += take
            elif due < 0:
                of_debt = min(-due, lot.clawed_as_debt)
                forgiven = min(of_debt, self.debt)
                self.debt -= forgiven
                debt_fell = debt_fell or forgiven > 0
                lot.clawed_as_debt -= of_debt
                own = min(-due - of_debt, lot.where[CLAWED])
                if own:
                    lot.move(own, CLAWED, FREE)
                    back[lot.number] += own
                rest = -due - of_debt - own
                lot.clawed_elsewhere -= rest
                as_refund += of_debt - forgiven + rest
        by_number = {lot.number: lot for lot in self.lots}
        first = len(self.lines)
        texts: dict[str, Any] = {"description": command.description, "details": command.details}
        if taken or debt_rose:
            moves = [(by_number[number], -credits) for number, credits in taken.items()]
            self.write(EntryType.CLAWBACK, moves, command, **texts)
        came = [(by_number[number], credits) for number, credits in back.items()]
        if came or debt_fell:
            self.write(EntryType.REVERSAL, came, command, **texts)
        if as_refund:
            came.append((self.refund_lot(as_refund, None, None, command, None), as_refund))
        self.pay_debt(came, command)
        if taken:
            self.warn(self.lines[first])


class NaiveLedger:
    """Several accounts, and batches over them."""

    def __init__(self, account_ids: Iterable[UUID]) -> None:
        self.accounts = {account_id: NaiveAccount() for account_id in account_ids}

    def run(self, commands: Sequence[Command], now: datetime, sweep: Iterable[UUID] = ()) -> list[NaiveAnswer]:
        for account_id in {command.account_id for command in commands} | set(sweep):
            self.accounts[account_id].begin(now)
        answers = [self.accounts[command.account_id].answer(command) for command in commands]
        for account in self.accounts.values():
            # What was never counted can be given back: a counter is not kept below zero.
            account.used = +account.used
        return answers
