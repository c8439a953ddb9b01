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


class BulkAction(StrEnum):
    CHANGE_ROLE = "CHANGE_ROLE"
    REMOVE = "REMOVE"


class TeamFormat(StrEnum):
    CSV = "csv"
    JSON = "json"
