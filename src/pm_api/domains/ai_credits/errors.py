"""Refusals of the ledger."""

from pm_api.core.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    PaymentRequired,
    TooManyRequests,
    Unavailable,
    Unprocessable,
)


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


class InvalidPeriod(Unprocessable):
    """`from` must lie before `to`, and not more than 400 days."""

    code = "invalid_period"


class UnknownPackName(Unprocessable):
    """No pack or bundle of this name is on offer."""

    code = "unknown_pack"


class OfferExpired(Gone):
    """This offer is over."""

    code = "offer_expired"


class RecipientNotFound(Unprocessable):
    """Nobody here has this id or e-mail address. To give to somebody who is not here yet, make a code.

    How often a caller may ask is limited: this must not tell who has an account.
    """

    code = "recipient_not_found"


class GiftToSelf(Unprocessable):
    """A gift is for somebody else: neither can you send one to yourself, nor redeem a code you made."""

    code = "gift_to_self"


class InvalidGiftExpiry(Unprocessable):
    """A code is good until a time to come, at most 12 months from now."""

    code = "invalid_gift_expiry"


class GiftCodeNotFound(NotFound):
    """There is no such code. Look at it again: letters and digits in groups of four."""

    code = "gift_code_not_found"


class GiftCodeSpent(Conflict):
    """This code was claimed as often as it may be."""

    code = "gift_code_spent"


class GiftAlreadyClaimed(Conflict):
    """You have redeemed this code already."""

    code = "gift_already_claimed"


class GiftCodeExpired(Gone):
    """The time to redeem this code has passed, or whoever made it took it back."""

    code = "gift_code_expired"


class GiftClosed(Conflict):
    """Nothing of this gift is left to take back: it was claimed, taken back or has returned already."""

    code = "gift_closed"


class TooManyLeads(TooManyRequests):
    """From this network address as many visitors have tried the product today as may. Register to go on."""

    code = "too_many_leads"


class AlreadyCharged(Conflict):
    """The work of this Idempotency-Key was done and paid for, and its answer is not kept.

    It was a stream, was lost before it could be stored, or is older than 48 hours.
    `holdId` and `creditsUsed` say what was paid. Use a new key to have new work done.
    """

    code = "already_charged"


class WorkFailed(Unprocessable):
    """The work failed, and nothing was charged."""

    code = "work_failed"


class ClientGone(ApiError):
    """The caller has closed the connection before the work was done; nothing was charged."""

    status = 499
    code = "client_gone"


class InvalidMonth(Unprocessable):
    """A month is written `yyyy-mm`, such as `2026-11`."""

    code = "invalid_month"


class StatementNotFound(NotFound):
    """There is no such statement: the account did not exist yet, the month has not begun, or it has fewer parts."""

    code = "statement_not_found"


class StatementUnprovable(Conflict):
    """The account's book does not add up, so nothing about it is signed.

    `GET /api/credits/verify` says what is wrong; tell the operator.
    """

    code = "statement_unprovable"


class RefundTooLate(Conflict):
    """A refund can be asked for within 90 days of the spend."""

    code = "refund_too_late"


class RefundAlreadyRequested(Conflict):
    """A refund of this entry has been asked for and is not decided yet."""

    code = "refund_already_requested"


class RefundAlreadyDecided(Conflict):
    """This refund request has been approved or declined; that is not changed any more."""

    code = "refund_already_decided"


class NotYourSpend(Forbidden):
    """In a workspace a refund is asked for by whoever spent, or by those who manage its credits."""

    code = "not_your_spend"


class UnknownCapSubject(Unprocessable):
    """A cap is for `member:<user id>` of this workspace, `role:<ROLE>` or `service:<SERVICE>`."""

    code = "unknown_cap_subject"


class TooManyCaps(Conflict):
    """A pool has at most 500 caps. Use one for a role instead of many for members."""

    code = "too_many_caps"


class TooManyPoolRequests(Conflict):
    """You have 20 requests that nobody has decided yet. Wait for an answer to one of them."""

    code = "too_many_pool_requests"


class PoolRequestAlreadyDecided(Conflict):
    """This request was approved or declined already; a decision stands."""

    code = "pool_request_already_decided"


class NoCapToRaise(Conflict):
    """No cap limits this member in this window, so there is nothing to raise."""

    code = "no_cap_to_raise"


class MonthlyCapTooLow(Unprocessable):
    """The monthly cap of an auto top-up must allow at least one purchase of its pack."""

    code = "monthly_cap_too_low"


class TopUpCurrencyDiffers(Unprocessable):
    """The monthly cap of an auto top-up is in the currency its pack is sold in."""

    code = "topup_currency_differs"


class RefundRequestNotFound(NotFound):
    """There is no such refund request that you may know of."""

    code = "refund_request_not_found"


class NothingLastingToGrant(Unprocessable):
    """`lasting` raises a member's cap for good. This request asks for credits in the pool, where no cap is raised."""

    code = "nothing_lasting_to_grant"


class NotYourHold(Forbidden):
    """Only who placed a hold, or manages the workspace's credits, may resolve or extend it."""

    code = "not_your_hold"


class CreditAccountNotFound(NotFound):
    """No user, workspace or lead with this id has or could have credits."""

    code = "credit_account_not_found"


class HoldInUse(Conflict):
    """Work is under way on this hold: it is captured or released when the work is done."""

    code = "hold_in_use"


class LeadConverted(Conflict):
    """This lead has registered, and what it had is in the wallet of the user they became: `userId`. Adjust that."""

    code = "lead_converted"


class RecipientFull(Conflict):
    """Whom you give to has too many lots of credits for another gift; nothing was taken from you."""

    code = "recipient_full"


class TooManyLots(Conflict):
    """This account has so many lots of credits that no gift fits in before some are used up."""

    code = "too_many_lots"
