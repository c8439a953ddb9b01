"""Words of search, written exactly as on the wire."""

from enum import StrEnum


class Kind(StrEnum):
    """What was found."""

    PROJECT = "project"
    TASK = "task"
    COMMENT = "comment"
    MESSAGE = "message"
    BUG_REPORT = "bug_report"
    EVENT = "event"
    FILE = "file"
