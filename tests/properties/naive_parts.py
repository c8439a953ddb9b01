"""What the naive ledger is made of: bags of credits, holds, lines, and how commands end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from pm_api.domains.ai_credits.book import By, Refusal
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, LotKind

TIERS = (
    {LotKind.FREE_TIER, LotKind.SUBSCRIPTION_GRANT},
    {LotKind.ROLLOVER},
    {LotKind.LEAD},
    {LotKind.REFUND},
    {LotKind.GIFT, LotKind.REFERRAL},
    {LotKind.BONUS, LotKind.ADMIN_ADJUSTMENT},
    {LotKind.PURCHASE},
)
PAID = {LotKind.PURCHASE, LotKind.SUBSCRIPTION_GRANT, LotKind.ROLLOVER}
MAY_BE_GIVEN_AWAY = {LotKind.PURCHASE, LotKind.BONUS, LotKind.ADMIN_ADJUSTMENT}
OF_A_PLAN = {LotKind.FREE_TIER, LotKind.SUBSCRIPTION_GRANT}
BALANCE_LIMIT = 1_000_000_000_000
OPEN_HOLDS_LIMIT = 1000
LOTS_BEFORE_GIFTS_END = 500
LONGEST_HOLD = timedelta(hours=24)
MADE_GOOD = "Made good by a new lot"
REFUND_LIFE = timedelta(days=30)
SYSTEM = By("system", None, "")

Place = tuple[str, int]
"""Where a credit is: ("free", 0), ("held", hold), ("spent", line), ("out", line), ("expired", 0), ("voided", 0), or
("clawed", 0) for what was voided by a claw-back of this very lot.
"""
FREE, EXPIRED, VOIDED, CLAWED = ("free", 0), ("expired", 0), ("voided", 0), ("clawed", 0)


def numbered(number: int) -> UUID:
    return UUID(int=number)


class Line(NamedTuple):
    """A line of the book. `moves` are (lot, credits), in the order they were made. A text of None is nobody's order:
    the ledger may word such a line as it likes.
    """

    seq: int
    type: EntryType
    amount: int
    balance_after: int
    debt_after: int
    by: By
    service: str | None
    quantity: int | None
    price_version: int | None
    description: str | None
    details: bytes | None
    key: str
    hold: int | None
    reverses: int | None
    at: datetime
    moves: tuple[tuple[int, int], ...]


class HoldSight(NamedTuple):
    number: int
    status: HoldStatus
    amount: int
    captured: int
    service: str | None
    description: str
    expires_at: datetime
    created_at: datetime


class Done(NamedTuple):
    lines: tuple[Line, ...]
    available: int
    held: int
    debt: int
    hold: HoldSight | None


class TurnedDown(NamedTuple):
    reason: Refusal
    facts: dict[str, Any]
    request_id: str


class OtherContent(NamedTuple):
    """The key is known for something else."""


class LowBalance(NamedTuple):
    percent: int
    available: int
    base: int
    seq: int


NaiveResult = Done | TurnedDown | OtherContent


class NaiveAnswer(NamedTuple):
    result: NaiveResult
    replayed: bool


class RefuseNow(Exception):
    def __init__(self, reason: Refusal, facts: dict[str, Any]) -> None:
        self.reason, self.facts = reason, facts


def refuse(reason: Refusal, **facts: Any) -> NoReturn:
    raise RefuseNow(reason, facts)


@dataclass
class NaiveLot:
    number: int
    kind: LotKind
    amount: int
    service: str | None
    effective_at: datetime
    expires_at: datetime | None
    source_type: str
    source_ref: str
    where: Counter[Place]
    clawed_as_debt: int = 0
    clawed_elsewhere: int = 0

    def count(self, *names: str) -> int:
        return sum(credits for (name, _), credits in self.where.items() if name in names)

    def move(self, credits: int, origin: Place, target: Place) -> None:
        assert 0 < credits <= self.where[origin], (self, credits, origin, target)
        self.where[origin] -= credits
        self.where[target] += credits

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def usable(self, now: datetime) -> int:
        return 0 if self.is_over(now) or now < self.effective_at else self.where[FREE]

    def clawed_back(self) -> int:
        return self.where[CLAWED] + self.clawed_as_debt + self.clawed_elsewhere

    def turn(self) -> tuple[Any, ...]:
        """Its place in the burn-down order: limited to a service, tier, earliest expiry and none last, promotional
        before paid, older, made earlier.
        """
        [tier] = [number for number, kinds in enumerate(TIERS) if self.kind in kinds]
        expiry = (1, 0.0) if self.expires_at is None else (0, self.expires_at.timestamp())
        return (self.service is None, tier, expiry, self.kind in PAID, self.effective_at, self.number)


@dataclass
class NaiveHold:
    number: int
    amount: int
    service: str | None
    quantity: int | None
    price_version: int | None
    description: str
    details: bytes
    user_id: UUID | None
    expires_at: datetime
    created_at: datetime
    guarded: bool
    status: HoldStatus = HoldStatus.OPEN
    captured: int = 0

    @property
    def place(self) -> Place:
        return ("held", self.number)

    def sight(self) -> HoldSight:
        return HoldSight(
            *(self.number, self.status, self.amount, self.captured),
            *(self.service, self.description, self.expires_at, self.created_at),
        )


def in_turn(lots: Iterable[NaiveLot]) -> list[NaiveLot]:
    return sorted(lots, key=NaiveLot.turn)
