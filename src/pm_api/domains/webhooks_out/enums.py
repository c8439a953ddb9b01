"""Words of outgoing webhooks, written exactly as on the wire."""

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """Where a delivery stands. All but the first are final, until it is replayed."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"
    SKIPPED = "SKIPPED"


class DisabledReason(StrEnum):
    """Why nothing is sent to an endpoint."""

    BY_MEMBER = "BY_MEMBER"
    GONE = "GONE"
    FAILING = "FAILING"
