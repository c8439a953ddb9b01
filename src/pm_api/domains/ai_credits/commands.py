"""What can be asked of the ledger. Every command carries the account, the key it is applied once under, a fingerprint
of what it asks, and who asks.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pm_api.domains.ai_credits.book import By, LotDraft


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
    role: str | None = None
    """The spender's role in the pool's workspace, for its caps."""


@dataclass(frozen=True, slots=True)
class Rollover:
    """What a plan lets live on at renewal: at most `max_percent` of the ended period's grant, until `expires_at`."""

    max_percent: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """Bring credits, in one or more lots; a debt is paid from them first. `period` (start, next reset) begins a new
    plan period. `replaces_plan` lets the plan credits that are there expire before.
    """

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    lots: tuple[LotDraft, ...]
    description: str
    details: bytes = b"{}"
    period: tuple[datetime, datetime] | None = None
    replaces_plan: bool = False
    rollover: Rollover | None = None


@dataclass(frozen=True, slots=True)
class PlaceHold:
    """Set `amount` credits aside for `ttl_s` seconds, whole or not at all."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    amount: int
    ttl_s: int
    description: str
    details: bytes
    service: str | None = None
    quantity: int | None = None
    price_version: int | None = None
    role: str | None = None
    guarded: bool = False
    """Only the service's own commands may resolve it: the work it is for is under way."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Spend `amount` of an open hold, or all that is left of it. `final` gives the rest back; without it the hold
    stays open until it is used up. What the hold was for (service, price) is what is captured.
    """

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    hold_id: UUID
    amount: int | None = None
    final: bool = False
    description: str | None = None
    details: bytes | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what is left of an open hold."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    hold_id: UUID


@dataclass(frozen=True, slots=True)
class Extend:
    """Let an open hold live `ttl_s` seconds from now, a day in all; it never gets shorter."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    hold_id: UUID
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """Undo a spend (REVERSAL) or a transfer out (TRANSFER_IN), all that is left of it or `amount`: the recorded
    allocations in reverse, each lot with its own expiry. What belongs to a lot that has expired becomes a REFUND lot
    of 30 days.
    """

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    entry_seq: int
    description: str
    amount: int | None = None
    details: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Void:
    """Take credits out of circulation: what is left of one lot, or `amount` in burn-down order."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    description: str
    lot_id: UUID | None = None
    amount: int | None = None
    details: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Take credits out for somebody else: `amount` from lots that may be given away, or everything there is."""

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    amount: int | None
    description: str
    details: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Demand:
    """How much of one lot has to come back in all, counted from its beginning; `elsewhere` of what is new was taken
    from those it was given to.
    """

    source_ref: str
    total: int
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class ClawBack:
    """Take back what was refunded: cumulative demand less what was clawed back already. From the lot what is there,
    the rest becomes debt. A demand below the last one (a dispute won) gives back.
    """

    account_id: UUID
    key: str
    fingerprint: bytes
    by: By
    source_type: str
    demands: tuple[Demand, ...]
    description: str
    details: bytes = b"{}"


Command = Spend | Grant | PlaceHold | Capture | Release | Extend | Reverse | Void | Transfer | ClawBack
