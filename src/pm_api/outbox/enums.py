"""Words of the outbox, written exactly as on the wire."""

from enum import StrEnum


class MailStatus(StrEnum):
    """Where a mail stands. The last four are final."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


UNDER_WAY = (MailStatus.PENDING, MailStatus.SENDING)
