"""Words of the calendar, written as on the wire."""

from enum import StrEnum
from typing import Final


class EventType(StrEnum):
    MEETING = "MEETING"
    CALL = "CALL"
    DEADLINE = "DEADLINE"
    REMINDER = "REMINDER"


class Visibility(StrEnum):
    """DEFAULT: whoever sees the calendar reads it. PRIVATE and CONFIDENTIAL: others than its organizer, its creator
    and those invited see "Busy".
    """

    DEFAULT = "DEFAULT"
    PRIVATE = "PRIVATE"
    CONFIDENTIAL = "CONFIDENTIAL"


class ShowAs(StrEnum):
    """What the time of an event is to those who take part."""

    BUSY = "BUSY"
    TENTATIVE = "TENTATIVE"
    OOO = "OOO"
    FREE = "FREE"


class Response(StrEnum):
    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"


class Scope(StrEnum):
    """What of a series a change or a deletion is for."""

    THIS = "this"
    FOLLOWING = "following"
    ALL = "all"


class ConflictPolicy(StrEnum):
    """What becomes of a write that meets other events of those who take part."""

    ALLOW = "ALLOW"
    WARN = "WARN"
    REJECT = "REJECT"


class Channel(StrEnum):
    IN_APP = "IN_APP"
    MAIL = "MAIL"


class EventAction(StrEnum):
    """What a caller may do with an event."""

    UPDATE = "update"
    DELETE = "delete"
    INVITE = "invite"
    RESPOND = "respond"


class AgendaKind(StrEnum):
    """What stands in an agenda; of what begins at one moment in this order."""

    EVENT = "EVENT"
    PROJECT_DUE = "PROJECT_DUE"
    PROJECT_START = "PROJECT_START"
    TASK_DUE = "TASK_DUE"
    TASK_START = "TASK_START"


SHOWN_AS: Final = {
    EventType.MEETING: ShowAs.BUSY,
    EventType.CALL: ShowAs.BUSY,
    EventType.DEADLINE: ShowAs.FREE,
    EventType.REMINDER: ShowAs.FREE,
}
"""Unless somebody says otherwise."""
