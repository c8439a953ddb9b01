"""Words of billing."""

from enum import StrEnum


class BillingInterval(StrEnum):
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


class SubscriptionStatus(StrEnum):
    ACTIVE = "ACTIVE"
    TRIALING = "TRIALING"
    PAST_DUE = "PAST_DUE"
    INCOMPLETE = "INCOMPLETE"
    INCOMPLETE_EXPIRED = "INCOMPLETE_EXPIRED"
    CANCELED = "CANCELED"
    UNPAID = "UNPAID"
    PAUSED = "PAUSED"


class ContractStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"


class ItemKind(StrEnum):
    """What a price at Stripe sells."""

    PLAN = "PLAN"
    PACK = "PACK"
    BUNDLE = "BUNDLE"


class InvoiceStatus(StrEnum):
    """FAILED: an attempt to collect it has failed, and it is still open. REFUNDED: all of what was paid went back."""

    PENDING = "PENDING"
    FAILED = "FAILED"
    PAID = "PAID"
    REFUNDED = "REFUNDED"
    VOID = "VOID"
    UNCOLLECTIBLE = "UNCOLLECTIBLE"


class PaymentRefundStatus(StrEnum):
    """REQUESTED: asked for by us, and not confirmed by Stripe yet."""

    REQUESTED = "REQUESTED"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class DisputeStatus(StrEnum):
    """CLOSED: it was only a question, and took nothing."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"
    CLOSED = "CLOSED"


class HeldReason(StrEnum):
    """Why a live subscription gives its account nothing: another one, or a contract, was there before it."""

    SECOND_SUBSCRIPTION = "SECOND_SUBSCRIPTION"
    CONTRACT = "CONTRACT"


class ChangeKind(StrEnum):
    """UPGRADE: at once, and paid at once. DOWNGRADE: at the end of the period, for nothing."""

    UPGRADE = "UPGRADE"
    DOWNGRADE = "DOWNGRADE"


class TopUpStatus(StrEnum):
    """PENDING and ACTION_REQUIRED have not ended. FAILED was declined; of CANCELED nothing was taken."""

    PENDING = "PENDING"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class PromotionRefusal(StrEnum):
    """Why a promotion code cannot be used."""

    UNKNOWN = "unknown"
    INACTIVE = "inactive"
    EXPIRED = "expired"
    USED_UP = "used_up"
    OTHER_CUSTOMER = "other_customer"
    FIRST_TIME_ONLY = "first_time_only"
    MINIMUM_AMOUNT = "minimum_amount"
    OTHER_CURRENCY = "other_currency"
    NOTHING_TO_PAY = "nothing_to_pay"
