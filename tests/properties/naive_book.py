"""An account of the naive ledger: what can be counted of its bags, and the moves commands are made of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.book import Cap, LotDraft, Refusal
from pm_api.domains.ai_credits.commands import Command, PlaceHold, Spend
from pm_api.domains.ai_credits.enums import CapWindow, EntryType, HoldStatus, LotKind
from tests.properties.naive_parts import (
    EXPIRED,
    FREE,
    OF_A_PLAN,
    SYSTEM,
    VOIDED,
    Line,
    LowBalance,
    NaiveHold,
    NaiveLot,
    NaiveResult,
    in_turn,
    numbered,
    refuse,
)

NOT_YET: Final = datetime.min.replace(tzinfo=UTC)


@dataclass
class NaiveBook:
    """One account: its bags, what can be counted of them, and the moves every command is made of."""

    lots: list[NaiveLot] = field(default_factory=list)
    holds: list[NaiveHold] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    answers: dict[str, tuple[bytes, NaiveResult]] = field(default_factory=dict)
    caps: list[Cap] = field(default_factory=list)
    used: Counter[tuple[str, CapWindow, datetime]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    warnings: list[LowBalance] = field(default_factory=list)
    debt: int = 0
    period: tuple[datetime, datetime] | None = None
    base: int = 0
    warned: int = 100
    changed_at: datetime | None = None
    now: datetime = NOT_YET

    def remaining(self) -> int:
        return sum(lot.count("free", "held") for lot in self.lots)

    def held(self) -> int:
        return sum(lot.count("held") for lot in self.lots)

    def available(self) -> int:
        return sum(lot.usable(self.now) for lot in self.lots)

    def parts(self, hold: NaiveHold) -> list[tuple[NaiveLot, int]]:
        return [(lot, lot.where[hold.place]) for lot in in_turn(self.lots) if lot.where[hold.place]]

    def units(self, hold: NaiveHold, credits: int) -> int | None:
        """Whole units only."""
        paid = Fraction(credits, hold.amount) * (hold.quantity or 0)
        self.events["captures of no whole units"] += paid.denominator > 1
        return int(paid) if paid.denominator == 1 else None

    def left(self, hold: NaiveHold) -> int:
        return sum(credits for _, credits in self.parts(hold))

    def open_holds(self) -> list[NaiveHold]:
        return [hold for hold in self.holds if hold.status is HoldStatus.OPEN]

    def windows(self, at: datetime) -> dict[CapWindow, tuple[datetime, datetime]]:
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.period is not None and self.period[0] <= at < self.period[1]:
            period = self.period
        else:
            first = day.replace(day=1)
            period = (first, (first + timedelta(days=32)).replace(day=1))
        return {CapWindow.DAY: (day, day + timedelta(days=1)), CapWindow.PERIOD: period}

    def begin(self, now: datetime) -> None:
        """What is over by the clock, before a batch is looked at. A book never runs backwards."""
        self.changed_at = self.changed_at or now  # it is opened when it is first needed
        self.now = max(now, self.changed_at)
        for hold in self.open_holds():
            if hold.expires_at <= self.now:
                came = self.parts(hold)
                for lot, credits in came:
                    lot.move(credits, hold.place, FREE)
                    self.use(-credits, hold.created_at, hold.user_id, hold.service)
                hold.status = HoldStatus.EXPIRED
                self.changed_at = self.now
                if self.pay_debt(came, None, key=f"s:hold-expiry:{numbered(hold.number)}"):
                    self.events["debts paid by a hold that ran out"] += 1
        for lot in in_turn(self.lots):
            if lot.is_over(self.now):
                self.let_expire(lot, lot.where[FREE])

    def write(
        self,
        type: EntryType,
        moves: Iterable[tuple[NaiveLot, int]],
        command: Command | None,
        *,
        key: str = "",
        reverses: int | None = None,
        hold: NaiveHold | None = None,
        service: str | None = None,
        quantity: int | None = None,
        price_version: int | None = None,
        details: bytes | None = None,
        description: str | None = None,
    ) -> Line:
        moved = tuple((lot.number, credits) for lot, credits in moves if credits)
        amount = sum(credits for _, credits in moved)
        line = Line(
            seq=len(self.lines) + 1,
            type=type,
            amount=amount,
            balance_after=sum(before.amount for before in self.lines) + amount,
            debt_after=self.debt,
            by=command.by if command else SYSTEM,
            service=service,
            quantity=quantity,
            price_version=price_version,
            description=description,
            details=details,
            key=command.key if command else key,
            hold=hold.number if hold else None,
            reverses=reverses,
            at=self.now,
            moves=moved,
        )
        self.lines.append(line)
        self.changed_at = self.now
        return line

    def next_seq(self) -> int:
        return len(self.lines) + 1

    def let_expire(self, lot: NaiveLot, credits: int) -> None:
        if credits:
            lot.move(credits, FREE, EXPIRED)
            self.write(EntryType.EXPIRY, [(lot, -credits)], None, key=f"s:expire:{numbered(lot.number)}")

    def use(self, credits: int, at: datetime, user_id: UUID | None, service: str | None) -> None:
        """Move what a person and a service have used in those of the present windows that `at` lies in."""
        if not self.caps:
            return
        subjects = [f"member:{user_id}"] if user_id else []
        subjects += [f"service:{service}"] if service else []
        for subject in subjects:
            for window, (starts_at, ends_at) in self.windows(self.now).items():
                if starts_at <= at < ends_at:
                    self.used[subject, window, starts_at] += credits

    def heed_caps(self, command: Spend | PlaceHold) -> None:
        user, role, service = command.by.user_id, command.role, command.service
        own = {cap.window for cap in self.caps if user and cap.subject == f"member:{user}"}
        reached = []
        for cap in self.caps:
            if user and cap.subject == f"member:{user}":
                counted = cap.subject
            elif user and role and cap.subject == f"role:{role}" and cap.window not in own:
                counted = f"member:{user}"
            elif service and cap.subject == f"service:{service}":
                counted = cap.subject
            else:
                continue
            starts_at, ends_at = self.windows(self.now)[cap.window]
            used = self.used[counted, cap.window, starts_at]
            if used + command.amount > cap.limit:
                reached.append((cap.limit - used, cap.subject, str(cap.window), cap.limit, used, ends_at))
        if reached:
            _, subject, window, limit, used, ends_at = min(reached)
            refuse(
                Refusal.SPENDING_CAP_REACHED,
                subject=subject,
                window=window,
                limit=limit,
                used=used,
                resetsAt=ends_at.isoformat(),
            )

    def choose(self, credits: int, lots: Iterable[NaiveLot]) -> list[tuple[NaiveLot, int]]:
        """Whole or not at all, one lot after the other."""
        chosen: list[tuple[NaiveLot, int]] = []
        missing = credits
        for lot in in_turn(lots):
            part = min(missing, lot.usable(self.now))
            if part:
                chosen.append((lot, part))
                missing -= part
        if missing:
            refuse(Refusal.INSUFFICIENT_CREDITS, needed=credits, available=credits - missing)
        return chosen

    def lots_for(self, service: str | None) -> list[NaiveLot]:
        return [lot for lot in self.lots if lot.service is None or lot.service == service]

    def new_lot(self, draft: LotDraft) -> NaiveLot:
        lot = NaiveLot(
            number=len(self.lots) + 1,
            kind=draft.kind,
            amount=draft.amount,
            service=draft.service,
            effective_at=self.now,
            expires_at=draft.expires_at,
            source_type=draft.source_type,
            source_ref=draft.source_ref,
            where=Counter({FREE: draft.amount}),
        )
        self.lots.append(lot)
        return lot

    def refund_lot(
        self,
        credits: int,
        service: str | None,
        expires_at: datetime | None,
        command: Command,
        reverses: int | None,
        source: tuple[str, str] = ("", ""),
    ) -> NaiveLot:
        lot = self.new_lot(LotDraft(LotKind.REFUND, credits, *source, expires_at=expires_at, service=service))
        self.write(EntryType.REFUND, [(lot, credits)], command, reverses=reverses, service=service)
        return lot

    def pay_debt(self, came: Sequence[tuple[NaiveLot, int]], command: Command | None, key: str = "") -> bool:
        """From what just came, as far as it may be used. Whether anything was paid."""
        due = self.debt
        paid = []
        for lot, credits in sorted(came, key=lambda one: one[0].turn()):
            part = min(due, credits, lot.usable(self.now))
            if part:
                lot.move(part, FREE, VOIDED)
                paid.append((lot, -part))
                due -= part
        if paid:
            self.debt = due
            self.write(EntryType.DEBT_PAYMENT, paid, command, key=key)
        return bool(paid)

    def leave_the_old_plan(self, before: Sequence[NaiveLot], made: Sequence[NaiveLot]) -> None:
        held = [lot for lot in in_turn(before) if lot.kind in OF_A_PLAN and lot.count("held")]
        self.events["plan lots kept by holds after their end"] += any(lot.is_over(self.now) for lot in held)
        old = [lot for lot in held if not lot.is_over(self.now)]
        new_ones = [lot for lot in in_turn(made) if lot.kind in OF_A_PLAN]
        freed: Counter[int] = Counter()
        for hold in self.open_holds():  # in the order they were made
            for lot in old:
                for new in new_ones:
                    credits = min(lot.where[hold.place], new.usable(self.now))
                    if credits and new.service in {None, hold.service}:
                        lot.move(credits, hold.place, FREE)
                        new.move(credits, FREE, hold.place)
                        freed[lot.number] += credits
        for lot in old:
            self.let_expire(lot, freed[lot.number])
            self.events["plan lots left by holds"] += freed[lot.number] > 0

    def holds_to_earlier(self, came: list[NaiveLot]) -> None:
        for hold in self.open_holds():  # in the order they were made
            self.move_to_earlier(hold, came)

    def move_to_earlier(self, hold: NaiveHold, made: list[NaiveLot]) -> None:
        def end(lot: NaiveLot) -> datetime:
            return lot.expires_at or datetime.max.replace(tzinfo=UTC)

        for lot, _ in sorted(self.parts(hold), key=lambda part: (end(part[0]), part[0].turn()), reverse=True):
            for new in in_turn(made):
                credits = min(lot.where[hold.place], new.usable(self.now))
                if credits and end(new) < end(lot) and new.service in {None, hold.service}:
                    lot.move(credits, hold.place, FREE)
                    new.move(credits, FREE, hold.place)

    def warn(self, line: Line) -> None:
        below = [percent for percent in (5, 10, 20) if self.available() * 100 <= self.base * percent]
        if self.base > 0 and below and below[0] < self.warned:
            self.warned = below[0]
            self.warnings.append(LowBalance(self.warned, self.available(), self.base, line.seq))
            self.events[f"alerts at {self.warned} %"] += 1
            self.events[f"alerts after a {line.type}"] += 1
