"""Words of the ledger, written exactly as on the wire."""

from enum import StrEnum


class LotKind(StrEnum):
    PURCHASE = "PURCHASE"
    SUBSCRIPTION_GRANT = "SUBSCRIPTION_GRANT"
    BONUS = "BONUS"
    REFUND = "REFUND"
    ADMIN_ADJUSTMENT = "ADMIN_ADJUSTMENT"
    GIFT = "GIFT"
    REFERRAL = "REFERRAL"
    FREE_TIER = "FREE_TIER"
    LEAD = "LEAD"
    ROLLOVER = "ROLLOVER"


class EntryType(StrEnum):
    PURCHASE = "PURCHASE"
    SUBSCRIPTION_GRANT = "SUBSCRIPTION_GRANT"
    BONUS = "BONUS"
    REFUND = "REFUND"
    ADMIN_ADJUSTMENT = "ADMIN_ADJUSTMENT"
    GIFT = "GIFT"
    REFERRAL = "REFERRAL"
    FREE_TIER = "FREE_TIER"
    LEAD = "LEAD"
    ROLLOVER = "ROLLOVER"
    USAGE = "USAGE"
    EXPIRY = "EXPIRY"
    VOID = "VOID"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    CLAWBACK = "CLAWBACK"
    DEBT_PAYMENT = "DEBT_PAYMENT"
    REVERSAL = "REVERSAL"


class Service(StrEnum):
    TASK_GENERATION = "TASK_GENERATION"
    SMART_NOTIFICATIONS = "SMART_NOTIFICATIONS"
    PROJECT_ANALYSIS = "PROJECT_ANALYSIS"
    CHAT_ASSISTANT = "CHAT_ASSISTANT"
    INACTIVITY_REMINDER = "INACTIVITY_REMINDER"
    DOCUMENT_ANALYSIS = "DOCUMENT_ANALYSIS"
    WORKFLOW_OPTIMIZATION = "WORKFLOW_OPTIMIZATION"


class CommandStatus(StrEnum):
    APPLIED = "APPLIED"
    REFUSED = "REFUSED"


class AccountKind(StrEnum):
    USER = "USER"
    WORKSPACE = "WORKSPACE"
    LEAD = "LEAD"


class HoldStatus(StrEnum):
    OPEN = "OPEN"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class CapWindow(StrEnum):
    DAY = "DAY"
    PERIOD = "PERIOD"


class AlertKind(StrEnum):
    LOW_BALANCE = "LOW_BALANCE"
    EXPIRING = "EXPIRING"


class PackKind(StrEnum):
    PACK = "PACK"
    BUNDLE = "BUNDLE"


class GiftKind(StrEnum):
    USER = "USER"
    CODE = "CODE"
    CODES = "CODES"


class GiftStatus(StrEnum):
    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    """The purchase it was given from was refunded."""


class GiftDirection(StrEnum):
    SENT = "sent"
    RECEIVED = "received"


class RefundCategory(StrEnum):
    FAILED = "FAILED"
    POOR_RESULT = "POOR_RESULT"
    OTHER = "OTHER"


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
