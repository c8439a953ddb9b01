"""Words of tasks, written exactly as on the wire."""

from enum import StrEnum


class Priority(StrEnum):
    """How urgent a task is; stored as a number, so that it can be sorted by."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    URGENT = "URGENT"

    @property
    def number(self) -> int:
        return list(Priority).index(self)

    @classmethod
    def of(cls, number: int) -> "Priority":
        return list(cls)[number]


class TaskSort(StrEnum):
    """By what a list is sorted. BOARD is the order of one project's board, NUMBER that of its numbers."""

    NUMBER = "number"
    CREATED = "created"
    UPDATED = "updated"
    DUE = "due"
    PRIORITY = "priority"
    BOARD = "board"


class TaskAction(StrEnum):
    """What a caller may do with a task now."""

    UPDATE = "update"
    MOVE = "move"
    COMMENT = "comment"
    LOG_TIME = "log_time"
    DELETE = "delete"
    RESTORE = "restore"
