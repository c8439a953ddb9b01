"""What anybody can see of an account, in the naive ledger's words, and the comparison of two such sights.

Lots and holds are numbered in the order of their ids, which is the order they were made in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from pm_api.domains.ai_credits import engine, store
from pm_api.domains.ai_credits.book import Applied, Entry, Hold, HoldView, LotFacts, Refused
from pm_api.domains.ai_credits.commands import Capture, Command, Extend, Release, Void
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, LotKind
from tests.properties.naive_ledger import NaiveAccount
from tests.properties.naive_parts import (
    Done,
    HoldSight,
    Line,
    LowBalance,
    NaiveAnswer,
    NaiveResult,
    OtherContent,
    TurnedDown,
    numbered,
)

NOBODY: Final = UUID(int=0)
UNKNOWN: Final = UUID(int=(1 << 127) + 1)
LOT_SUMS: Final = (
    *("remaining", "held", "spent", "expired", "voided", "transferred_out"),
    *("clawed_back", "clawed_as_debt", "clawed_elsewhere"),
)
TOTALS: Final = ("balance", "held", "granted", "spent", "expired", "voided", "transferred_out")


class LotSight(NamedTuple):
    number: int
    kind: str
    amount: int
    service: str | None
    effective_at: datetime
    expires_at: datetime | None
    source: tuple[str, str] | None
    """None where it is nobody's order."""
    sums: dict[str, int]


class Sight(NamedTuple):
    """An account as anybody can see it between two batches, and the lines that came since the last look."""

    totals: dict[str, int]
    seq: int
    debt: int
    period: tuple[datetime, datetime] | None
    changed_at: datetime | None
    alerting: tuple[int, int]
    open_holds: int
    lots: list[LotSight]
    holds: list[HoldSight]
    parts: dict[int, dict[int, int]]
    used: dict[tuple[str, str, datetime], int]
    low_balances: list[LowBalance]
    new_lines: list[Line]


Days = dict[tuple[date, str, UUID], tuple[int, int, int]]
"""By day, service and person: credits spent, spends, credits refunded."""


def naive_sight(account: NaiveAccount, known_lines: int) -> Sight:
    lots = [
        LotSight(
            *(lot.number, str(lot.kind), lot.amount, lot.service, lot.effective_at, lot.expires_at),
            (lot.source_type, lot.source_ref) if lot.source_type else None,
            {
                "remaining": lot.count("free", "held"),
                "held": lot.count("held"),
                "spent": lot.count("spent"),
                "expired": lot.count("expired"),
                "voided": lot.count("voided", "clawed"),
                "transferred_out": lot.count("out"),
                "clawed_back": lot.clawed_back(),
                "clawed_as_debt": lot.clawed_as_debt,
                "clawed_elsewhere": lot.clawed_elsewhere,
            },
        )
        for lot in account.lots
    ]
    totals = {name: sum(lot.sums[name] for lot in lots) for name in TOTALS if name not in {"balance", "granted"}}
    totals |= {"balance": account.remaining(), "granted": sum(lot.amount for lot in lots)}
    return Sight(
        totals=totals,
        seq=len(account.lines),
        debt=account.debt,
        period=account.period,
        changed_at=account.changed_at,
        alerting=(account.base, account.warned),
        open_holds=len(account.open_holds()),
        lots=lots,
        holds=[hold.sight() for hold in account.holds],
        parts={
            hold.number: {lot.number: credits for lot, credits in account.parts(hold)}
            for hold in account.open_holds()
        },
        used={
            (subject, str(window), at): credits for (subject, window, at), credits in account.used.items() if credits
        },
        low_balances=list(account.warnings),
        new_lines=account.lines[known_lines:],
    )


def naive_days(account: NaiveAccount) -> Days:
    days: Days = {}
    for line in account.lines:
        spend = line
        if line.type is EntryType.REVERSAL and line.reverses:
            spend = account.lines[line.reverses - 1]
        elif line.type is not EntryType.USAGE:
            continue
        key = (spend.at.astimezone(UTC).date(), spend.service or "", spend.by.user_id or NOBODY)
        spent, spends, refunded = days.get(key, (0, 0, 0))
        if line is spend:
            days[key] = (spent - line.amount, spends + 1, refunded)
        else:
            days[key] = (spent, spends, refunded + line.amount)
    return days


@dataclass
class Names:
    """Which number the lots and holds of one account have."""

    lots: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, int] = field(default_factory=dict)

    def learn(self, lots: Iterable[UUID], holds: Iterable[UUID]) -> None:
        for known, ids in ((self.lots, lots), (self.holds, holds)):
            for one in sorted(set(ids) - known.keys()):
                known[one] = len(known) + 1

    def line(self, entry: Entry) -> Line:
        key = entry.command_key
        for prefix, numbers in (("s:expire:", self.lots), ("s:hold-expiry:", self.holds)):
            if key.startswith(prefix):
                key = f"{prefix}{numbered(numbers[UUID(key.removeprefix(prefix))])}"
        return Line(
            seq=entry.seq,
            type=EntryType(entry.type),
            amount=entry.amount,
            balance_after=entry.balance_after,
            debt_after=entry.debt_after,
            by=entry.by,
            service=entry.service,
            quantity=entry.quantity,
            price_version=entry.price_version,
            description=entry.description,
            details=entry.details,
            key=key,
            hold=self.holds[entry.hold_id] if entry.hold_id else None,
            reverses=entry.reverses_seq or None,
            at=entry.created_at,
            moves=tuple((self.lots[move.lot_id], move.amount) for move in entry.allocations),
        )

    def hold(self, view: HoldView | Hold) -> HoldSight:
        return HoldSight(
            *(self.holds[view.id], HoldStatus(view.status), view.amount, view.captured),
            *(view.service, view.description, view.expires_at, view.created_at),
        )

    def result(self, result: Applied | Refused | store.KeyReused) -> NaiveResult:
        if isinstance(result, store.KeyReused):
            return OtherContent()
        if isinstance(result, Refused):
            return TurnedDown(result.reason, result.facts, result.request_id)
        lines = tuple(self.line(entry) for entry in result.entries)
        return Done(lines, result.available, result.held, result.debt, result.hold and self.hold(result.hold))

    def command(self, command: Command) -> Command:
        """The same command with this world's ids in place of the numbers."""
        if isinstance(command, Capture | Release | Extend):
            return replace(command, hold_id=_id_of(self.holds, command.hold_id))
        if isinstance(command, Void) and command.lot_id is not None:
            return replace(command, lot_id=_id_of(self.lots, command.lot_id))
        return command


def _id_of(numbers: Mapping[UUID, int], wanted: UUID) -> UUID:
    return next((one for one, number in numbers.items() if numbered(number) == wanted), UNKNOWN)


class Chain:
    """The hash chain of one account, computed again from what its lines say."""

    def __init__(self) -> None:
        self.last = b""

    def add(self, entry: Entry, made: LotFacts | None) -> None:
        self.last = engine.chain_hash(
            self.last,
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
        assert entry.hash == self.last, f"the chain breaks at line {entry.seq}"


def lot_sight(number: int, lot: Any) -> LotSight:
    return LotSight(
        *(number, str(lot["kind"]), lot["amount"], lot["service"], lot["effective_at"], lot["expires_at"]),
        (lot["source_type"], lot["source_ref"]),
        {name: lot[name] for name in LOT_SUMS},
    )


def made_facts(entry: Entry, facts: Mapping[UUID, LotFacts]) -> LotFacts | None:
    return facts[entry.allocations[0].lot_id] if entry.type in set(LotKind) else None


def period_of(starts_at: datetime | None, ends_at: datetime | None) -> tuple[datetime, datetime] | None:
    return (starts_at, ends_at) if starts_at and ends_at else None


def same_line(wanted: Line, got: Line, *, moves: str) -> bool:
    """Texts that are nobody's order may be anything; a table keeps no order among moves, a replay not the moves."""
    if wanted.description is None:
        got = got._replace(description=None)
    if wanted.details is None:
        got = got._replace(details=None)
    if moves == "sorted":
        wanted, got = (one._replace(moves=tuple(sorted(one.moves))) for one in (wanted, got))
    elif moves == "none":
        wanted, got = (one._replace(moves=()) for one in (wanted, got))
    return wanted == got


def same_answer(world: str, command: Command, wanted: NaiveAnswer, got: NaiveAnswer) -> None:
    told = f"\n{command}\nshould end as {wanted}\nbut in the {world} as {got}"
    assert wanted.replayed == got.replayed, told
    if not isinstance(wanted.result, Done):
        assert wanted.result == got.result, told
        return
    assert isinstance(got.result, Done), told
    assert wanted.result._replace(lines=()) == got.result._replace(lines=()), told
    assert len(wanted.result.lines) == len(got.result.lines), told
    moves = "none" if wanted.replayed else "ordered"
    for one, other in zip(wanted.result.lines, got.result.lines, strict=True):
        assert same_line(one, other, moves=moves), f"{told}\nthis line: {one}\ndiffers: {other}"


def same_sight(world: str, wanted: Sight, got: Sight) -> None:
    for name in Sight._fields:
        one, other = getattr(wanted, name), getattr(got, name)
        if name == "new_lines":
            assert len(one) == len(other), f"{world}: {one} lines, {other} there"
            for line, written in zip(one, other, strict=True):
                assert same_line(line, written, moves="sorted"), f"{world}:\nthis line: {line}\ndiffers: {written}"
            continue
        if name == "lots":
            free = {lot.number for lot in one if lot.source is None}
            other = [lot._replace(source=None) if lot.number in free else lot for lot in other]
        assert one == other, f"{world}: {name} should be\n{one}\nand is\n{other}"
