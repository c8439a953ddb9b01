"""Refusals of the ledger."""

from pm_api.core.errors import Conflict, NotFound, PaymentRequired, Unavailable, Unprocessable


class InsufficientCredits(PaymentRequired):
    """There are not enough credits for this.

    `needed` and `available` say how many; `buyUrl` is where more can be had. The refusal is kept with its
    Idempotency-Key: after buying, use a new key.
    """

    code = "insufficient_credits"


class UnknownService(Unprocessable):
    """No price is set for this service."""

    code = "unknown_service"


class BalanceLimitExceeded(Unprocessable):
    """An account cannot hold that many credits."""

    code = "balance_limit_exceeded"


class LedgerBusy(Unavailable):
    """More spends are waiting than the ledger takes at a time. Nothing was written; try again in a moment."""

    code = "ledger_busy"


class AccountNotFound(Unprocessable):
    """No user or workspace with this id exists."""

    code = "account_not_found"


class AmountTooLarge(Unprocessable):
    """One command moves at most 1,000,000,000 credits."""

    code = "amount_too_large"


class ExpiryPassed(Unprocessable):
    """Credits cannot be granted with an expiry that has passed already."""

    code = "expiry_passed"


class SpendingCapReached(PaymentRequired):
    """The workspace limits how much a member, a role or a service may use.

    `subject` and `window` name the limit that binds, `limit` and `used` its figures, `resetsAt` when it opens again.
    Ask for more with `POST /api/credits/pool/requests`. The refusal is kept with its Idempotency-Key.
    """

    code = "spending_cap_reached"


class HoldNotFound(NotFound):
    """There is no such hold on this account."""

    code = "hold_not_found"


class HoldAlreadyCaptured(Conflict):
    """This hold was captured: its work is paid for."""

    code = "hold_already_captured"


class HoldAlreadyReleased(Conflict):
    """This hold was released: its credits are back in the account."""

    code = "hold_already_released"


class HoldExpired(Conflict):
    """This hold's time has passed: its credits are back in the account. Place a new one."""

    code = "hold_expired"


class CaptureExceedsHold(Conflict):
    """More was to be captured than is left of the hold; `left` says how much is."""

    code = "capture_exceeds_hold"


class TooManyHolds(Conflict):
    """An account has at most 1,000 open holds. Capture or release some."""

    code = "too_many_holds"


class EntryNotFound(NotFound):
    """There is no such entry."""

    code = "entry_not_found"


class EntryNotReversible(Conflict):
    """Only a spend can be refunded, and only a gift that was not claimed can come back."""

    code = "entry_not_reversible"


class ReversalExceedsEntry(Conflict):
    """More was to be given back than is left of the entry after earlier refunds; `left` says how much is."""

    code = "reversal_exceeds_entry"


class LotNotFound(NotFound):
    """There is no such lot of credits."""

    code = "lot_not_found"


class LotEmpty(Conflict):
    """Nothing that could be taken is left in this lot."""

    code = "lot_empty"
