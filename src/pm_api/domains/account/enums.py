"""Words of the account, written exactly as on the wire."""

from enum import StrEnum


class ExportStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class DeletionStatus(StrEnum):
    PENDING = "PENDING"
    CANCELLED = "CANCELLED"
    ERASING = "ERASING"
    ERASED = "ERASED"


class Theme(StrEnum):
    SYSTEM = "SYSTEM"
    LIGHT = "LIGHT"
    DARK = "DARK"
