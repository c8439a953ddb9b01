"""Refusals of the ledger."""

from pm_api.core.errors import PaymentRequired, Unavailable, Unprocessable


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
