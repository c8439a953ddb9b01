"""Words of the team, written exactly as on the wire."""

from enum import StrEnum


class InvitationStatus(StrEnum):
    """EXPIRED is never stored: it is what PENDING reads as after its time."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class InviteOutcome(StrEnum):
    """What became of one address."""

    INVITED = "INVITED"
    ALREADY_INVITED = "ALREADY_INVITED"
    ALREADY_MEMBER = "ALREADY_MEMBER"
    INVALID_ADDRESS = "INVALID_ADDRESS"


class MemberStatus(StrEnum):
    ACTIVE = "ACTIVE"
    INVITED = "INVITED"
    REMOVED = "REMOVED"
    """Only in the answer to a removal: nobody is listed so."""


class BulkAction(StrEnum):
    CHANGE_ROLE = "CHANGE_ROLE"
    REMOVE = "REMOVE"


class TeamFormat(StrEnum):
    CSV = "csv"
    JSON = "json"

    @classmethod
    def _missing_(cls, value: object) -> "TeamFormat | None":
        """Taken in any case."""
        return next((one for one in cls if isinstance(value, str) and one.value == value.lower()), None)
