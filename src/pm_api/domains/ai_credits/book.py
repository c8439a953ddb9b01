"""What the ledger speaks of: accounts and their lots, commands, entries and results. Plain data, which can say of
itself only what is true at a moment.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from pm_api.domains.ai_credits.enums import LotKind

MAX_AMOUNT: Final = 1_000_000_000
NEVER: Final = datetime.max.replace(tzinfo=UTC)
PAID_KINDS: Final = frozenset({LotKind.PURCHASE, LotKind.SUBSCRIPTION_GRANT, LotKind.ROLLOVER})
PRIORITY: Final[dict[LotKind, int]] = {
    LotKind.FREE_TIER: 10,
    LotKind.SUBSCRIPTION_GRANT: 10,
    LotKind.ROLLOVER: 20,
    LotKind.LEAD: 30,
    LotKind.REFUND: 40,
    LotKind.GIFT: 50,
    LotKind.REFERRAL: 50,
    LotKind.BONUS: 60,
    LotKind.ADMIN_ADJUSTMENT: 60,
    LotKind.PURCHASE: 70,
}
"""What runs out by itself is spent before what was paid for and never expires."""


class Refusal(StrEnum):
    INSUFFICIENT_CREDITS = "insufficient_credits"
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"


@dataclass(slots=True)
class Lot:
    id: UUID
    kind: LotKind
    priority: int
    amount: int
    remaining: int
    held: int
    service: str | None
    effective_at: datetime
    expires_at: datetime | None

    def order(self) -> tuple[bool, int, bool, datetime, bool, datetime, UUID]:
        return (
            self.service is None,
            self.priority,
            self.expires_at is None,
            self.expires_at or NEVER,
            self.kind in PAID_KINDS,
            self.effective_at,
            self.id,
        )

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def available(self, now: datetime) -> int:
        """What anything may be spent from it now, service limits aside."""
        if self.effective_at > now or self.expired(now):
            return 0
        return self.remaining - self.held


@dataclass(slots=True)
class AccountState:
    """An account under lock: its totals and every lot that still has credits."""

    id: UUID
    seq: int = 0
    balance: int = 0
    held: int = 0
    debt: int = 0
    granted: int = 0
    spent: int = 0
    expired: int = 0
    voided: int = 0
    transferred_out: int = 0
    last_hash: bytes = b""
    period_started_at: datetime | None = None
    next_reset_at: datetime | None = None
    updated_at: datetime | None = None
    lots: list[Lot] = field(default_factory=list)

    def available(self, now: datetime) -> int:
        return sum(lot.available(now) for lot in self.lots)


@dataclass(frozen=True, slots=True)
class By:
    """Who gave a command, in which request."""

    kind: str
    user_id: UUID | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Spend:
    """Take `amount` credits, whole or not at all."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    amount: int
    description: str
    details: bytes
    service: str | None = None
    quantity: int | None = None
    price_version: int | None = None


@dataclass(frozen=True, slots=True)
class LotDraft:
    """A lot to be made. `source_type` and `source_ref` are unique in the account for ever."""

    kind: LotKind
    amount: int
    source_type: str
    source_ref: str
    expires_at: datetime | None = None
    service: str | None = None
    cost_minor: int | None = None
    cost_currency: str | None = None


LotFacts = tuple[str, int, str | None, datetime, datetime | None, int | None, str | None, str, str]
"""What never changes in a lot: kind, amount, service, effective and expiry, cost and currency, source."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Bring credits, in one or more lots; `period` (start, next reset) begins a new plan period."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    lots: tuple[LotDraft, ...]
    description: str
    details: bytes = b"{}"
    period: tuple[datetime, datetime] | None = None


Command = Spend | Grant


# Tuples, for what is made for every line: a frozen dataclass takes three times as long to make.
class Allocation(NamedTuple):
    """How an entry moved one lot: negative takes, positive puts."""

    lot_id: UUID
    amount: int


class Entry(NamedTuple):
    account_id: UUID
    seq: int
    id: UUID
    type: str
    amount: int
    balance_after: int
    by: By
    service: str | None
    quantity: int | None
    price_version: int | None
    description: str
    details: bytes
    command_key: str
    reverses_seq: int | None
    created_at: datetime
    allocations: tuple[Allocation, ...]
    hash: bytes


class Applied(NamedTuple):
    """A command that went through. The figures are those right after it, and are what every retry gets again."""

    entries: tuple[Entry, ...]
    available: int
    held: int
    debt: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was turned down for good under its key."""

    reason: Refusal
    facts: dict[str, Any]
    request_id: str


Result = Applied | Refused


@dataclass(frozen=True, slots=True)
class NewLot:
    lot: Lot
    draft: LotDraft


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a batch did to one account, and at which moment."""

    now: datetime
    state: AccountState
    entries: list[Entry]
    results: list[Result]
    changed: bool
    new_lots: list[NewLot]
    touched_lots: dict[UUID, Lot]


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: keys sorted, no white space."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)  # the driver's own UUID type


def fingerprint(*content: Any) -> bytes:
    """What makes two commands the same; kept beside the key."""
    return hashlib.blake2b(canonical_json(content), digest_size=16).digest()
