"""What the ledger speaks of: accounts, lots, holds, caps, entries and results. Plain data, which can say of itself
only what is true at a moment. What can be asked of it stands in `commands`.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from pm_api.domains.ai_credits.enums import CapWindow, EntryType, HoldStatus, LotKind

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


GIFTABLE: Final = frozenset({LotKind.PURCHASE, LotKind.BONUS, LotKind.ADMIN_ADJUSTMENT})
"""What may be given away, as long as it never expires: a gift must not lengthen the life of what runs out."""
PLAN_KINDS: Final = frozenset({LotKind.FREE_TIER, LotKind.SUBSCRIPTION_GRANT})
"""What a reset touches; never what was bought."""
MAX_OPEN_HOLDS: Final = 1000
MAX_LOTS_TO_GIVE_TO: Final = 500
"""Others may fill an account up to here: every command looks at every lot."""
ALERT_PERCENTS: Final = (5, 10, 20)
UNALERTED: Final = 100


class Refusal(StrEnum):
    INSUFFICIENT_CREDITS = "insufficient_credits"
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"
    SPENDING_CAP_REACHED = "spending_cap_reached"
    HOLD_NOT_FOUND = "hold_not_found"
    HOLD_CAPTURED = "hold_captured"
    HOLD_RELEASED = "hold_released"
    HOLD_EXPIRED = "hold_expired"
    HOLD_IN_USE = "hold_in_use"
    CAPTURE_EXCEEDS_HOLD = "capture_exceeds_hold"
    TOO_MANY_HOLDS = "too_many_holds"
    ENTRY_NOT_FOUND = "entry_not_found"
    ENTRY_NOT_REVERSIBLE = "entry_not_reversible"
    REVERSAL_EXCEEDS_ENTRY = "reversal_exceeds_entry"
    LOT_NOT_FOUND = "lot_not_found"
    LOT_EMPTY = "lot_empty"
    TOO_MANY_LOTS = "too_many_lots"


@dataclass(slots=True)
class Lot:
    """Credits of one origin: amount = remaining + spent + expired + voided + transferred_out, always.

    `clawed_back` is what was ever demanded back of it: from the lot itself, as the account's debt, or elsewhere (from
    those it was given to).
    """

    id: UUID
    kind: LotKind
    priority: int
    amount: int
    remaining: int
    held: int
    service: str | None
    effective_at: datetime
    expires_at: datetime | None
    spent: int = 0
    expired: int = 0
    voided: int = 0
    transferred_out: int = 0
    clawed_back: int = 0
    clawed_as_debt: int = 0
    clawed_elsewhere: int = 0
    source_type: str = ""
    source_ref: str = ""

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

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def available(self, now: datetime) -> int:
        """What anything may be spent from it now, service limits aside."""
        if self.effective_at > now or self.is_expired(now):
            return 0
        return self.remaining - self.held


@dataclass(slots=True)
class Hold:
    """Credits set aside for work under way. `parts` says how much of each lot still is, in burn-down order."""

    id: UUID
    status: HoldStatus
    amount: int
    captured: int
    service: str | None
    quantity: int | None
    price_version: int | None
    description: str
    details: bytes
    actor_user_id: UUID | None
    expires_at: datetime
    created_at: datetime
    guarded: bool = False
    parts: dict[UUID, int] = field(default_factory=dict)

    def units_of(self, credits: int) -> int | None:
        """How many of the units it is for so many of its credits pay; None when they are no whole ones."""
        if self.quantity is None:
            return None
        units, rest = divmod(self.quantity * credits, self.amount)
        return units if rest == 0 else None


class Cap(NamedTuple):
    """At most `limit` credits in each window. `subject` is `member:<id>`, `role:<ROLE>` (each person of that role who
    has no cap of their own) or `service:<SERVICE>` (all people together).
    """

    subject: str
    window: CapWindow
    limit: int


class Counter(NamedTuple):
    """What a member or a service has used in one window; open holds count from when they were made."""

    subject: str
    window: CapWindow
    starts_at: datetime


@dataclass(slots=True)
class PastEntry:
    """A line that is to be undone: what it took from which lot, and how much of that was given back since.

    `counted_*` say whose counters it moved and when: for a capture those of its hold.
    """

    seq: int
    type: EntryType
    created_at: datetime
    actor_user_id: UUID | None
    counted_at: datetime
    counted_user_id: UUID | None
    service: str | None
    taken: dict[UUID, int]
    given_back: dict[UUID, int]


@dataclass(slots=True)
class AccountState:
    """An account under lock: its totals, every lot that still has credits, and what its commands ask for besides:
    holds that are due or named, past lines, caps with their counters.
    """

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
    alert_base: int = 0
    alerted_percent: int = UNALERTED
    capped: bool = False
    open_holds: int = 0
    lots: list[Lot] = field(default_factory=list)
    asked_lots: frozenset[UUID] = frozenset()
    """Lots that a command names: they are here even when they are empty."""
    holds: dict[UUID, Hold] = field(default_factory=dict)
    past: dict[int, PastEntry] = field(default_factory=dict)
    caps: list[Cap] = field(default_factory=list)
    used: dict[Counter, int] = field(default_factory=dict)

    def available(self, now: datetime) -> int:
        return sum(lot.available(now) for lot in self.lots)


@dataclass(frozen=True, slots=True)
class By:
    """Who gave a command, in which request, and with which API key of theirs."""

    kind: str
    user_id: UUID | None
    request_id: str
    key_id: UUID | None = None


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
    hold_id: UUID | None = None
    debt_after: int = 0


class HoldView(NamedTuple):
    """A hold right after a command; its retries get the same."""

    id: UUID
    status: str
    amount: int
    captured: int
    service: str | None
    description: str
    expires_at: datetime
    created_at: datetime


class Applied(NamedTuple):
    """A command that went through. The figures are those right after it, and are what every retry gets again."""

    entries: tuple[Entry, ...]
    available: int
    held: int
    debt: int
    hold: HoldView | None = None


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


class Alert(NamedTuple):
    """What may be spent has fallen to a share of what there was after the last grant."""

    percent: int
    available: int
    base: int
    seq: int


class GivenBack(NamedTuple):
    """Credits of a spend that were refunded: they leave the sums of the day, service and person of the spend."""

    spent_at: datetime
    service: str | None
    actor_user_id: UUID | None
    amount: int


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
    new_holds: set[UUID]
    touched_holds: dict[UUID, Hold]
    used: dict[Counter, int]
    given_back: list[GivenBack]
    alerts: list[Alert]


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: keys sorted, no white space."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)  # the driver's own UUID type


def fingerprint(*content: Any) -> bytes:
    """What makes two commands the same; kept beside the key."""
    return hashlib.blake2b(canonical_json(content), digest_size=16).digest()
