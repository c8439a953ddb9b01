"""Words of bug reports, written exactly as on the wire."""

from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class ReportStatus(StrEnum):
    OPEN = "OPEN"
    TRIAGED = "TRIAGED"
    IN_PROGRESS = "IN_PROGRESS"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"
    DUPLICATE = "DUPLICATE"


class ReportAction(StrEnum):
    """What the caller may do with a report."""

    EDIT = "edit"
    TRIAGE = "triage"
    CONVERT = "convert"


SETTLED: Final = frozenset({ReportStatus.RESOLVED, ReportStatus.CLOSED, ReportStatus.DUPLICATE})
"""Nothing more is to be done, unless it is opened again."""
